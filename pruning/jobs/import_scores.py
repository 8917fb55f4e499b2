"""`prune import-scores`: scores made elsewhere as a score store."""

from collections.abc import Sequence
from typing import Any, Literal

import pruning
from pruning.documents import DEFAULT_UNIT_ROWS

KEEPS = ("low", "middle", "high", "any")


def import_scores(
    source: str,
    table: str,
    columns: Sequence[str],
    output: str,
    *,
    by: Literal["id", "text_hash"] = "id",
    key: Sequence[str] = (),
    text_field: str = "text",
    fields: Sequence[str] = (),
    split: str = "train",
    unit_rows: int = DEFAULT_UNIT_ROWS,
    max_document_bytes: int = 1_000_000,
    strict: bool = False,
    num_shards: int = 1,
    shard_index: int = 0,
) -> dict[str, Any]:
    """Joins a table of scores with a source, into a score store like any other.

    Args:
      source: jsonl:PATTERN, parquet:PATTERN, text:PATTERN, tfds:NAME/CONFIG:VERSION, seqio:TASK or python_docs:
      table: parquet:PATTERN, jsonl:PATTERN or csv:PATTERN; held in memory, some 110 bytes a row while it is read.
      columns: of the table as NAME or NAME=KEEPS, where KEEPS (low, middle, high, any) is the end that is kept by default; the first is the main one. Stored as float32, whatever the table has.
      output: folder of the score store; a killed run continues in it.
      by: id joins by file and row, and checks the text where the table has a column text_hash or text too; text_hash joins by text, so that copies share a score.
      key: columns of the table with the key: by id FILE ROW, or one that holds file__row, by default file row or id; by text_hash one with 64-bit FarmHash fingerprints or with texts, by default text_hash or text.
      text_field: field of the source with the text.
      fields: other fields of the source to carry along, such as domain and url.
      split: of tfds and seqio sources.
      unit_rows: records per unit, which is what a run resumes by.
      max_document_bytes: documents of this size or larger are counted and get no score.
      strict: make the first bad record an error.
      num_shards: processes that share the store, as in a job array; each reads the whole table.
      shard_index: of this one, from 0.

    Returns:
      The store's counts, as in its _SUCCESS.
    """
    from pruning.importing import import_units, make_table, unused_rows
    from pruning.jobs.filling_a_store import check_unchanged, earlier_store, finish, print_plan
    from pruning.jobs.open_source import open_source
    from pruning.manifests import make_manifest
    from pruning.prepared_units import Preparation
    from pruning.score_store import create_or_continue
    from pruning.score_tables import read_parts
    from pruning.sharding import Shard

    shard = Shard(shard_index, num_shards)
    keeps = parse_columns(columns)
    scores = make_table(read_parts(table, [*keeps], by=by, key=key), by)
    corpus = open_source(source, text_field=text_field, fields=fields, split=split)
    earlier = earlier_store(output)
    files = corpus.files(None if earlier is None else earlier.files)
    if by == "id" and not {file.path for file in files} & {*scores.ends}:
        raise ValueError(
            f"None of the {len(scores.ends):,} files that {table} names, such as {next(iter(scores.ends))!r}, is "
            f"one of the source, which has such as {files[0].path!r}. An id has the file's path "
            "relative to the source's root; rename them in the table, or join with --by text_hash."
        )
    manifest = make_manifest(
        files=files,
        source=corpus.describe(),
        unit_rows=unit_rows,
        scorers={"imported": {"by": by, "rows": len(scores.key_N), "digest": scores.digest}},
        columns=[
            {"name": name, "unit": "none", "keeps": end, "meaning": "made elsewhere"}
            for name, end in keeps.items()
        ],
        settings={
            "code_version": pruning.__version__,
            "max_document_bytes": max_document_bytes,
            "table": {"name": table},
        },
    )
    store = create_or_continue(output, manifest)
    how = Preparation(source=corpus, max_document_bytes=max_document_bytes, strict=strict)
    units = shard.units(store.units, store.units)
    print_plan(store, units, shard)
    import_units(store, units, scores, how)
    check_unchanged(corpus, store)
    if missing := len(store.missing_units()):  # the last process looks at all of them
        return finish(store, missing=missing)
    unused, first = unused_rows(store, scores)
    if unused == len(scores.key_N):
        raise ValueError(
            f"None of the {unused:,} rows of {table} found a document by {by}, the first of them "
            f"{first[0]}. Is it about this source, and its hash FarmHash Fingerprint64 of the text?"
        )
    counts = finish(
        store, missing=0, table_rows=len(scores.key_N), table_rows_without_document=unused
    )
    if unused:
        print(
            f"  {unused:,} of {len(scores.key_N):,} rows of the table found no document "
            f"(such as {', '.join(first)})"
        )
    return counts


def parse_columns(texts: Sequence[str]) -> dict[str, str]:
    """Which end is kept of each column, from NAME or NAME=KEEPS.

    Raises:
      ValueError: a name stands twice, or an end is none.
    """
    keeps: dict[str, str] = {}
    for text in texts:
        name, _, end = text.rpartition("=") if "=" in text else (text, "", "any")
        if not name or end not in KEEPS or name in keeps:
            raise ValueError(
                f"--columns {text!r} is no new NAME or NAME=KEEPS, with KEEPS one of {', '.join(KEEPS)}."
            )
        keeps[name] = end
    return keeps


if __name__ == "__main__":
    from pruning.jobs.run_job import main

    main("import-scores")
