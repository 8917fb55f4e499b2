"""The folder of scores.

    manifest.json                         what is scored, with what; written first
    <source file>/<first row>.parquet     one per unit; row i is record first + i
    _SUCCESS                              counts; written last

A unit's file appears by rename or not at all, and is never changed. The same
manifest gives the same bytes on the same kind of device: nothing in a unit's
file depends on when, where or in which order it was written.
"""

import contextlib
import dataclasses
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
from etils import epath

from pruning.documents import SourceFile, Unit, cut_into_units
from pruning.expression_grammar import parse_expression
from pruning.expressions import Expression
from pruning.manifests import FACTS, TOUCHED, first_difference, read_manifest
from pruning.object_stores import is_object, objects_below
from pruning.publishing import publish_bytes, publish_bytes_once
from pruning.sealed_parquet import check_seal, read_unchecked, sealed_bytes

SUCCESS = "_SUCCESS"
# Beside the manifest: what learners have learnt, before the store has one.
FITTED = "fitted"


@dataclasses.dataclass(frozen=True)
class ScoreStore:
    """A score store on disk.

    Attributes:
      folder, manifest: on disk.
      expressions: score columns that are not on disk but computed when read, by name.
      digests: SHA-256 of every file that was read with its seal, as it was then.
    """

    folder: epath.Path
    manifest: Mapping[str, Any]
    expressions: Mapping[str, Expression] = dataclasses.field(default_factory=dict)
    digests: dict[Unit, bytes] = dataclasses.field(default_factory=dict, compare=False, repr=False)

    @property
    def files(self) -> dict[str, SourceFile]:
        return {f["path"]: SourceFile(**f) for f in self.manifest["files"]}

    @property
    def units(self) -> list[Unit]:
        return cut_into_units(list(self.files.values()), self.manifest["unit_rows"])

    @property
    def score_columns(self) -> dict[str, dict[str, str]]:
        """Scorers' columns of numbers by name, the main one first: unit, keeps and meaning.

        Those of expressions follow; which end of them a user keeps is not known.
        """
        computed = {"unit": "none", "keeps": "unknown", "meaning": "computed from the others"}
        stored = {c["name"]: c for c in self.manifest["columns"] if not c.get("size")}
        return stored | {name: {"name": name, **computed} for name in self.expressions}

    @property
    def fields(self) -> list[str]:
        """The source fields carried along."""
        return list(self.manifest["source"]["fields"])

    @property
    def schema(self) -> pa.Schema:
        scores = {
            c["name"]: pa.list_(pa.float16(), c["size"]) if c.get("size") else pa.float32()
            for c in self.manifest["columns"]
        }
        fields = {name: pa.string() for name in self.fields}
        return pa.schema([*scores.items(), *FACTS.items(), *fields.items()])

    def path(self, unit: Unit) -> epath.Path:
        return self.folder / _name(unit)

    def with_scores(self, scores: Iterable[str]) -> "ScoreStore":
        """This store with more score columns, named by the expressions that they are.

        Args:
          scores: columns that are there, and expressions of them.

        Raises:
          ValueError: one is neither.
        """
        known = self.score_columns
        more = {text: parse_expression(text, known) for text in scores if text not in known}
        return dataclasses.replace(self, expressions={**self.expressions, **more})

    def missing_units(self) -> list[Unit]:
        """Units that are not on disk, in order."""
        appeared = self.appeared(self.units)
        return [unit for unit in self.units if unit not in appeared]

    def appeared(self, units: Iterable[Unit]) -> dict[Unit, float]:
        """Those of the units that are on disk, in their order, and when they were written.

        In seconds since 1970. An object store is asked once, and not for each unit.
        """
        if is_object(self.folder):
            found = objects_below(self.folder)
            return {unit: found[_name(unit)] for unit in units if _name(unit) in found}
        times, folder = {}, os.fspath(self.folder)
        for unit in units:
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                times[unit] = os.stat(f"{folder}/{_name(unit)}").st_mtime
        return times

    def write(self, unit: Unit, table: pa.Table) -> None:
        """Writes one unit in one step. Written twice, it has the same bytes."""
        if table.num_rows != unit.num_rows or not table.schema.equals(self.schema):
            raise ValueError(
                f"Table for {unit} has {table.num_rows} rows and columns {table.column_names}; "
                f"expected {unit.num_rows} rows and {self.schema.names}."
            )
        path = self.path(unit)
        path.parent.mkdir(parents=True, exist_ok=True)
        publish_bytes(path, sealed_bytes(table))

    def read(
        self, unit: Unit, columns: Sequence[str] | None = None, *, sealed: bool = True
    ) -> pa.Table:
        """The rows of one unit.

        Args:
          unit: that is on disk.
          columns: of the store or of `expressions`; by default all that are on disk.
          sealed: whether to check the seal, for which the whole file is read. Who does not
            must check what came of it: damage may pass for scores.

        Raises:
          ValueError: the file cannot be read or does not have the unit's rows.
        """
        computed = {n: self.expressions[n] for n in columns or () if n in self.expressions}
        if columns is None or not computed:
            return self._read_file(unit, columns, sealed)
        stored = [name for name in columns if name not in computed]
        inputs = [name for expression in computed.values() for name in expression.columns]
        table = self._read_file(unit, [*dict.fromkeys([*stored, *inputs])], sealed)
        for name, expression in computed.items():
            value_N = expression({c: table[c].to_numpy() for c in expression.columns})
            table = table.append_column(name, pa.array(value_N))
        return table.select(list(columns))

    def _read_file(self, unit: Unit, columns: Sequence[str] | None, sealed: bool) -> pa.Table:
        path = self.path(unit)
        if sealed or is_object(path):
            data = path.read_bytes()
            file: pa.NativeFile = pa.BufferReader(data)
        else:
            data, file = None, pa.OSFile(os.fspath(path))
        try:
            if data is not None:
                self.digests[unit] = check_seal(data)
            table = read_unchecked(file, columns)
        except (OSError, pa.ArrowException) as error:
            raise ValueError(
                f"{path} cannot be read: {error}. Delete it and run `prune score` again: "
                "only this unit is scored anew."
            ) from error
        if table.num_rows != unit.num_rows:
            raise ValueError(
                f"{path} has {table.num_rows} rows, but its unit has {unit.num_rows}. "
                "Delete it and run `prune score` again: only this unit is scored anew."
            )
        return table

    def tables(self, columns: Sequence[str] | None = None) -> Iterator[tuple[Unit, pa.Table]]:
        """All units with their rows, in order of file and row.

        Units that are not there (a sample, or an unfinished run) are left out.
        """
        for unit in self.appeared(self.units):
            yield unit, self.read(unit, columns)

    @property
    def is_complete(self) -> bool:
        return (self.folder / SUCCESS).exists()

    def read_success(self) -> dict[str, Any]:
        """The counts of a complete store."""
        return json.loads((self.folder / SUCCESS).read_text())

    def write_success(self, counts: Mapping[str, Any]) -> None:
        """Marks the store as complete. Called when every unit is there."""
        publish_bytes(self.folder / SUCCESS, _json_bytes(counts))


def _name(unit: Unit) -> str:
    """Of its file in the store."""
    return f"{unit.file}/{unit.first_row:012d}.parquet"


def open_store(folder: str | os.PathLike) -> ScoreStore:
    """Opens a score store for reading.

    Raises:
      FileNotFoundError: there is no manifest.json.
      ValueError: it has another format.
    """
    root = epath.Path(folder)
    return ScoreStore(root, read_manifest(root))


def create_or_continue(folder: str | os.PathLike, manifest: Mapping[str, Any]) -> ScoreStore:
    """Opens the store that this manifest belongs to, writing the manifest if it is new.

    Raises:
      ValueError: the folder holds a store with another manifest. The message has
        the first difference with both values.
    """
    root = epath.Path(folder)
    path = root / "manifest.json"
    # A file of a writer that died before it could rename begins with a dot.
    others = [p for p in root.iterdir() if not is_ours(p.name)] if root.exists() else []
    if others and not path.exists():
        raise ValueError(
            f"{root} is not empty and not a score store. Give another --output, or empty it."
        )
    root.mkdir(parents=True, exist_ok=True)
    publish_bytes_once(path, _json_bytes(manifest))
    # Whoever wrote it: several processes may begin one store.
    store = open_store(root)
    difference = first_difference(store.manifest, _as_json(manifest))
    if difference:
        where, found, wanted = difference
        raise ValueError(
            f"Score store {root} was written with {where} = {found}, this run has {wanted}. "
            + (TOUCHED if where.endswith(": mark") else "")
            + _names(where, store.manifest, manifest)
            + "Give another --output, or delete the folder."
        )
    return store


def _names(where: str, found: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    """What two digests are of, since hashes tell a person nothing."""
    part, is_digest, _ = where.partition(".digest")
    if not is_digest or "name" not in found.get(part, {}) or "name" not in wanted.get(part, {}):
        return ""
    return f"The {part} was {found[part]['name']}, and now is {wanted[part]['name']}. "


def is_ours(name: str) -> bool:
    """Whether a file or folder of that name may lie in a store that has no manifest yet."""
    return name.startswith(".") or name == FITTED


def _as_json(value: Any) -> Any:
    return json.loads(json.dumps(value))


def _json_bytes(value: Any) -> bytes:
    return (json.dumps(value, indent=1) + "\n").encode()
