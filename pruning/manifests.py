"""What a score store says of itself, and where two such accounts differ."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from etils import epath

from pruning.documents import SourceFile

if TYPE_CHECKING:
    from pruning.scorers.scorer import Scorer

FORMAT = "t5x-pruning scores"
VERSION = 2

# Columns that every store has, beside those of its scorers and carried fields.
FACTS: dict[str, pa.DataType] = {
    "reason": pa.string(),  # key of REASONS where the row has no score, else null
    "note": pa.string(),
    "text_hash": pa.int64(),  # null where the record has no text
    "n_bytes": pa.int64(),
    "n_tokens": pa.int64(),
    "n_targets": pa.int64(),
    "n_windows": pa.int64(),
    "truncated": pa.bool_(),
}

TOUCHED = (
    "The mark is the time of the file's last change, in nanoseconds. If it was only copied, give it "
    "its time back (`touch -r`, `cp -p`, `rsync -t`); `prune verify` tells whether the texts are "
    "the same. "
)

# Parts of the manifest that may differ between a run and the one that continues it:
# the same corpus elsewhere, or later code.
NOT_COMPARED = (
    ("source", "spec"),
    ("source", "data_dir"),
    ("code_version",),
    ("model", "name"),
    ("vocabulary", "name"),
    ("table", "name"),
    ("embeddings", "name"),
)


def make_manifest(
    *,
    files: Sequence[SourceFile],
    source: Mapping[str, Any],
    unit_rows: int,
    scorers: Mapping[str, Mapping[str, Any]],
    columns: Sequence[Mapping[str, str]],
    settings: Mapping[str, Any],
) -> dict[str, Any]:
    """The manifest of a store, as it goes to disk.

    Args:
      files: of the source, all of them.
      source: `Source.describe()`.
      unit_rows: records per unit.
      scorers: settings by scorer.
      columns: name, unit, keeps and meaning of each score column, main one first.
      settings: model, vocabulary, objective, row shape, batch, ... as JSON.
    """
    taken = [*[c["name"] for c in columns], *FACTS, *source["fields"]]
    twice = sorted({name for name in taken if taken.count(name) > 1})
    if twice:
        raise ValueError(
            f"The columns {twice} would stand twice in the store. It has {list(FACTS)} and the "
            "scorers' columns already: carry other --fields."
        )
    return {
        "format": FORMAT,
        "version": VERSION,
        "scorers": {name: dict(value) for name, value in scorers.items()},
        "columns": [{k: v for k, v in c.items() if v is not None} for c in columns],
        **settings,
        "unit_rows": unit_rows,
        "source": {"kind": source["spec"].partition(":")[0], **source},
        "files": [dataclasses.asdict(f) for f in sorted(files, key=lambda f: f.path)],
    }


def columns_of(scorers: Sequence["Scorer"], learnt: Mapping[str, str]) -> list[dict[str, Any]]:
    """Score columns as a manifest has them.

    Those of a scorer that has learnt name it: what they say is of the corpus that it looked at.

    Args:
      scorers: of the store, in order.
      learnt: digest of what each learner has learnt, by name.
    """
    return [
        vars(column) | ({"learner": scorer.name} if scorer.name in learnt else {})
        for scorer in scorers
        for column in scorer.columns
    ]


def read_manifest(folder: epath.Path) -> dict[str, Any]:
    """The manifest of a store on disk.

    Raises:
      FileNotFoundError: there is no manifest.json.
      ValueError: it has another format.
    """
    path = folder / "manifest.json"
    if not path.exists():
        raise FileNotFoundError(
            f"{folder} is not a score store: it has no manifest.json. "
            "`prune score … --output DIR` writes one."
        )
    manifest = json.loads(path.read_text())
    if (manifest.get("format"), manifest.get("version")) != (FORMAT, VERSION):
        raise ValueError(
            f"{path} has format {manifest.get('format')!r} version {manifest.get('version')!r}; this "
            f"code reads {FORMAT!r} version {VERSION}. Use the code version that wrote it: "
            f"{manifest.get('code_version')!r}."
        )
    return manifest


def first_difference(
    left: Mapping[str, Any], right: Mapping[str, Any]
) -> tuple[str, str, str] | None:
    """The first place where two manifests differ: (name, left value, right value)."""
    for key in [*left, *(k for k in right if k not in left)]:
        if key == "files":
            found = _file_difference(left["files"], right["files"])
        elif key == "columns":  # stores from before columns named it differ in nothing else
            found = _difference((key,), *(_without_learner(m.get(key)) for m in (left, right)))
        else:
            found = _difference((key,), left.get(key), right.get(key))
        if found:
            return found
    return None


def _without_learner(columns: Any) -> Any:
    if isinstance(columns, dict):
        return {name: _without_learner([column])[0] for name, column in columns.items()}
    return columns and [{k: v for k, v in c.items() if k != "learner"} for c in columns]


def difference_in_scores(
    left: Mapping[str, Any], right: Mapping[str, Any], columns: Sequence[str]
) -> tuple[str, str, str] | None:
    """The first place where score columns of one name are not of one kind.

    Args:
      left, right: manifests of stores of any sources.
      columns: that both have. Of the scorers, those that both have are compared.

    Returns:
      As of `first_difference`.
    """
    scorers = [name for name in left["scorers"] if name in right["scorers"]]
    return first_difference(_of_scores(left, scorers, columns), _of_scores(right, scorers, columns))


def _of_scores(
    manifest: Mapping[str, Any], scorers: Sequence[str], columns: Sequence[str]
) -> dict[str, Any]:
    chosen = {c["name"]: c for c in manifest["columns"] if c["name"] in columns}
    fitted = manifest.get("fitted", {})
    learners = {c["learner"] for c in chosen.values() if "learner" in c}
    if not any("learner" in c for c in manifest["columns"]):  # it may be any of them
        learners = {name for name in fitted if name in scorers}
    return {
        **{key: manifest[key] for key in ("model", "vocabulary", "objective") if key in manifest},
        # What it says of its table is of the source.
        "scorers": {name: manifest["scorers"][name] for name in scorers if name != "imported"},
        "columns": chosen,
        "fitted": {name: fitted[name] for name in learners},
    }


def _difference(path: tuple[str, ...], left: Any, right: Any) -> tuple[str, str, str] | None:
    if path in NOT_COMPARED or left == right:
        return None
    if isinstance(left, dict) and isinstance(right, dict):
        for key in [*left, *(k for k in right if k not in left)]:
            found = _difference((*path, key), left.get(key), right.get(key))
            if found:
                return found
        return None
    return ".".join(path), json.dumps(left), json.dumps(right)


def _file_difference(left: Sequence[dict], right: Sequence[dict]) -> tuple[str, str, str] | None:
    ours, theirs = {f["path"]: f for f in left}, {f["path"]: f for f in right}
    for path in sorted({*ours, *theirs}):
        if path not in theirs:
            return f"source file {path}", "there", "no such file"
        if path not in ours:
            return f"source file {path}", "no such file", "there"
        for key, value in ours[path].items():
            if value != theirs[path][key]:
                return (
                    f"source file {path}: {key}",
                    json.dumps(value),
                    json.dumps(theirs[path][key]),
                )
    return None
