"""From a unit of a source to packed rows: reading, checking, tokenizing, packing."""

import dataclasses
import threading
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pruning.documents import (
    REASONS,
    REASONS_ASKED_FOR,
    Document,
    DocumentId,
    Source,
    Unit,
    text_problem,
)
from pruning.hashing import text_hash
from pruning.keep_bits import Selection
from pruning.objectives import Objective
from pruning.packing import PackedRows, RowShape, fill_rows
from pruning.tokenization import Vocabulary


@dataclasses.dataclass(frozen=True)
class Where:
    """`--where`: only the kept rows of a selection, or only the others."""

    selection: Selection
    inverted: bool = False
    _bits_of: dict[str, np.ndarray] = dataclasses.field(default_factory=dict, repr=False)
    _lock: threading.Lock = dataclasses.field(
        default_factory=threading.Lock, repr=False, compare=False
    )

    def describe(self) -> dict[str, Any]:
        return {"digest": self.selection.digest, "inverted": self.inverted}

    def rows(self, unit: Unit) -> np.ndarray:
        """Which rows of the unit to take, bool [num_rows]."""
        with self._lock:  # or several threads would unpack the bits of a file
            bits = self._bits_of.get(unit.file)
            if bits is None:
                bits = self.selection.keep(unit.file)
                self._bits_of.clear()  # units come file by file: one is enough
                self._bits_of[unit.file] = bits
        keep = bits[unit.first_row :][: unit.num_rows]
        return ~keep if self.inverted else keep


@dataclasses.dataclass(frozen=True, kw_only=True)
class Preparation:
    """How documents become rows.

    Attributes:
      source: of the documents.
      vocabulary, objective, shape: None together, where no model is needed.
      where: rows to take; all by default.
      max_document_bytes: texts this long or longer are not scored (`too_long`).
      mask_seed: 0 makes noise masks a function of the text alone, as scores need;
        training uses another seed every epoch.
      strict: the first record that cannot be scored, or that carries a note, is
        an error.
    """

    source: Source
    vocabulary: Vocabulary | None = None
    objective: Objective | None = None
    shape: RowShape | None = None
    where: Where | None = None
    max_document_bytes: int = 1_000_000
    mask_seed: int = 0
    strict: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class PreparedUnit:
    """N documents of a unit, and the packed examples of those that can be scored.

    Attributes:
      unit: the range of rows; N = unit.num_rows.
      facts: the columns of `manifests.FACTS`, each a list or array [N].
      fields: the carried source fields, lists [N].
      scorable: indices of the documents that can be scored.
      texts: of these.
      packed: their examples in rows; None without a model.
      document_P: index into `scorable` of each example.
      n_predicted: tokens predicted of each scorable document.
      n_read: tokens of all their windows together.
    """

    unit: Unit
    facts: Mapping[str, Any]
    fields: Mapping[str, list[str | None]]
    scorable: np.ndarray
    texts: list[str]
    packed: PackedRows | None
    document_P: np.ndarray
    n_predicted: np.ndarray
    n_read: int


def prepare(unit: Unit, how: Preparation) -> PreparedUnit:
    """Reads one unit and makes it ready for a model."""
    documents, texts = read_documents(unit, how)
    n = len(documents)
    reasons: list[str | None] = [d.reason for d in documents]
    hashes: list[int | None] = [None if d.text is None else text_hash(d.text) for d in documents]
    facts: dict[str, Any] = {
        "reason": reasons,
        "note": [d.note for d in documents],
        "text_hash": hashes,
        "n_bytes": [None if d.text is None else len(d.text) for d in documents],
        "n_tokens": [None] * n,
        "n_targets": [None] * n,
        "n_windows": [None] * n,
        "truncated": [False] * n,
    }
    tokens = _tokens(documents, texts, facts, how) if how.vocabulary is not None else {}
    for document, reason in zip(documents, reasons, strict=True):
        _complain_if_strict(unit, document, reason, how)
    scorable = [i for i, reason in enumerate(reasons) if reason is None]
    examples = []
    if how.objective is not None and how.shape is not None:
        examples = [
            how.objective.examples(
                tokens[i], _seed(hashes[i] or 0, how.mask_seed), documents[i].fields
            )
            for i in scorable
        ]
        for i, es in zip(scorable, examples, strict=True):
            facts["n_windows"][i] = len(es)
            facts["n_targets"][i] = sum(len(e.targets) for e in es)
            facts["truncated"][i] = sum(e.n_tokens for e in es) < len(tokens[i])
    flat = [e for es in examples for e in es]
    return PreparedUnit(
        unit=unit,
        facts=facts,
        fields={f: [d.fields.get(f) for d in documents] for f in how.source.describe()["fields"]},
        scorable=np.array(scorable, np.int64),
        texts=[texts[i] for i in scorable],
        packed=None if how.shape is None else fill_rows(flat, how.shape),
        document_P=np.repeat(np.arange(len(examples)), [len(es) for es in examples]),
        n_predicted=np.array([sum(e.n_predicted for e in es) for es in examples], np.int64),
        n_read=sum(e.n_tokens for e in flat),
    )


def _tokens(
    documents: Sequence[Document], texts: Sequence[str], facts: Mapping[str, Any], how: Preparation
) -> dict[int, np.ndarray]:
    """Token ids of the documents that can be scored; the others get their reason."""
    assert how.vocabulary is not None
    at = [i for i, reason in enumerate(facts["reason"]) if reason is None]
    whole = how.vocabulary.encode([texts[i] for i in at])
    readable = whole
    if how.objective is not None:
        readable = how.objective.readable([texts[i] for i in at], whole)
    tokens = {}
    for i, all_ids, ids in zip(at, whole, readable, strict=True):
        problem = None if len(ids) else "empty"  # a text of characters that the vocabulary drops
        if how.objective is not None:
            problem = problem or how.objective.problem(len(ids), documents[i].fields)
        facts["reason"][i] = problem
        if problem is None:
            facts["n_tokens"][i], tokens[i] = len(all_ids), ids
    return tokens


def read_documents(unit: Unit, how: Preparation) -> tuple[list[Document], list[str]]:
    """The unit's documents, each with its reason, and their texts decoded ("" where unused)."""
    take = how.where.rows(unit) if how.where else np.ones(unit.num_rows, bool)
    guards = how.where.selection.files[unit.file].row_hashes if how.where else {}
    documents, texts = [], []
    for document in how.source.read(unit.file, unit.first_row, unit.num_rows):
        if document.row in guards and document.text is not None:
            _check_guard(unit, document, guards[document.row], how)
        # What --where leaves out is nobody's problem, whatever else is wrong with it.
        taken = take[document.row - unit.first_row] or document.reason in REASONS_ASKED_FOR
        reason = document.reason if taken else "excluded"
        if reason is None and document.text is not None:
            reason = text_problem(document.text, how.max_document_bytes)
        note = document.note if taken else None
        documents.append(dataclasses.replace(document, reason=reason, note=note))
        texts.append("" if reason or document.text is None else document.text.decode("utf-8"))
    if len(documents) != unit.num_rows:
        raise ValueError(
            f"{unit.file} gave {len(documents)} rows from row {unit.first_row}, but the manifest says "
            f"{unit.num_rows}. The file has changed: score the corpus anew under another --output."
        )
    return documents, texts


def _seed(text_hash: int, mask_seed: int) -> int:
    return (text_hash ^ (mask_seed * 0x9E3779B97F4A7C15)) & 0xFFFFFFFFFFFFFFFF


def _complain_if_strict(
    unit: Unit, document: Document, reason: str | None, how: Preparation
) -> None:
    problem = reason or document.note
    if reason in REASONS_ASKED_FOR:
        return
    if how.strict and problem:
        raise ValueError(
            f"{DocumentId(unit.file, document.row)}: {problem} ({REASONS.get(problem, 'noted')}). "
            "Mend the record, or run without --strict to count such records and go on."
        )


def _check_guard(unit: Unit, document: Document, expected: int, how: Preparation) -> None:
    assert how.where is not None and document.text is not None
    found = text_hash(document.text)
    if found != expected:
        raise ValueError(
            f"{DocumentId(unit.file, document.row)} has text hash {found}, but --where "
            f"{how.where.selection.folder} was made on a corpus where it is {expected}. "
            "Make the selection again on this corpus."
        )
