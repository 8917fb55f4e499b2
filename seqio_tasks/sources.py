"""A TFDS split or a registered seqio task's source as a pruning Source."""

from collections.abc import Sequence

import seqio

from seqio_tasks.layout import check_stable_rows, source_layout
from seqio_tasks.slice_source import SliceSource


def open_seqio_source(
    spec: str,
    *,
    text_field: str = "text",
    fields: Sequence[str] = (),
    split: str = "train",
    data_dir: str | None = None,
) -> SliceSource:
    """Opens `tfds:NAME/CONFIG:VERSION` or `seqio:TASK`.

    Args:
      spec: what to open.
      text_field: the feature that holds the text; a line has no features and is all text.
      fields: features to carry along, as text.
      split: a split, for TFDS also a part of one such as `train[:10%]`.
      data_dir: where TFDS looks for its data.

    Raises:
      ValueError: the source has no stable rows, or no such task or split.
    """
    kind, _, name = spec.partition(":")
    if kind == "tfds":
        source: seqio.DataSource = seqio.TfdsDataSource(name, data_dir, splits={split: split})
    elif kind == "seqio":
        if data_dir:
            raise ValueError(f"{spec} says itself where its data is; leave out data_dir.")
        source = seqio.TaskRegistry.get(name).source
    else:
        raise ValueError(f"{spec!r} is neither tfds:NAME/CONFIG:VERSION nor seqio:TASK.")
    check_stable_rows(source, name)
    described = {"spec": spec, "text_field": text_field, "fields": list(fields), "split": split}
    layout = source_layout(source, split)
    return SliceSource(
        described | ({"data_dir": data_dir} if data_dir else {}), layout.slices, layout.rows
    )
