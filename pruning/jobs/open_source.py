"""Opens a source of any kind by its spec."""

from collections.abc import Sequence

from pruning.documents import Source


def open_source(
    spec: str,
    *,
    text_field: str = "text",
    fields: Sequence[str] = (),
    split: str = "train",
    data_dir: str | None = None,
    kind: str | None = None,
) -> Source:
    """A source from what a user wrote, or from what `Source.describe()` said of it.

    Args:
      spec: `jsonl:PATTERN`, `parquet:PATTERN`, `text:PATTERN`, `python_docs:`,
        `tfds:NAME/CONFIG:VERSION`, `seqio:TASK`, or `export:DIR` for what `prune export`
        wrote of a source, under the names and rows of that source.
      text_field: of a record.
      fields: carried along with the scores.
      split: of tfds and seqio sources.
      data_dir: of tfds sources, where not TFDS's default.
      kind: as a manifest has it; the spec says it already.
    """
    del kind
    from pruning.sources import SEQIO_KINDS, spec_kind

    if spec_kind(spec) in SEQIO_KINDS:
        try:
            import tensorflow as tf

            from seqio_tasks.sources import open_seqio_source
        except ImportError as error:
            raise ImportError(
                f"Source {spec} needs TensorFlow, tensorflow-datasets and seqio, and one is missing: "
                f"{error}. Install them, or score JSON Lines or Parquet here."
            ) from error
        # TensorFlow only reads here, and would take the memory of a GPU that JAX needs.
        tf.config.set_visible_devices([], "GPU")
        return open_seqio_source(
            spec, text_field=text_field, fields=tuple(fields), split=split, data_dir=data_dir
        )
    from pruning.sources import open_source as open_file_source

    return open_file_source(
        spec, text_field=text_field, fields=tuple(fields), split=split, data_dir=data_dir
    )
