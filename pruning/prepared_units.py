"""From a unit of a source to packed rows: reading, checking, tokenizing, packing."""

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from pruning.asked_documents import AskLLM, KnownAnswer
from pruning.documents import (
    REASONS,
    REASONS_ASKED_FOR,
    Document,
    DocumentId,
    Source,
    Unit,
    text_problem,
)
from pruning.hashing import splitmix64, text_hash
from pruning.keep_bits import Selection
from pruning.objectives import Example, Objective
from pruning.packing import PackedRows, RowShape, fill_rows
from pruning.tokenization import Vocabulary

LongDocuments = Literal["windows", "truncate"]


@dataclasses.dataclass(frozen=True)
class Where:
    """`--where`: only the kept rows of a selection, or only the others."""

    selection: Selection
    inverted: bool = False
    _bits_of: dict[str, np.ndarray] = dataclasses.field(default_factory=dict, repr=False)

    def describe(self) -> dict[str, Any]:
        return {"digest": self.selection.digest, "inverted": self.inverted}

    def rows(self, unit: Unit) -> np.ndarray:
        """Which rows of the unit to take, bool [num_rows]."""
        if unit.file not in self._bits_of:
            self._bits_of.clear()  # units come file by file: one is enough
            self._bits_of[unit.file] = self.selection.keep(unit.file)
        keep = self._bits_of[unit.file][unit.first_row :][: unit.num_rows]
        return ~keep if self.inverted else keep


@dataclasses.dataclass(frozen=True, kw_only=True)
class Preparation:
    """How documents become rows.

    Attributes:
      source: of the documents.
      vocabulary, objective, shape: None together, where no model is needed.
      long_documents: a document longer than the window is cut into `windows`
        whose losses add up, or `truncate`d to its first window and marked; what a
        model is asked about always is.
      where: rows to take; all by default.
      max_document_bytes: texts this long or longer are not scored (`too_long`).
      mask_seed: 0 makes noise masks a function of the text alone, as scores need;
        training uses another seed every epoch.
      known_answer: to train with `AskLLM`; documents without its field are left out.
      strict: the first record that cannot be scored, or that carries a note, is
        an error.
    """

    source: Source
    vocabulary: Vocabulary | None = None
    objective: Objective | None = None
    shape: RowShape | None = None
    long_documents: LongDocuments = "windows"
    where: Where | None = None
    max_document_bytes: int = 1_000_000
    mask_seed: int = 0
    known_answer: KnownAnswer | None = None
    strict: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class PreparedUnit:
    """N documents of a unit, and the packed examples of those that can be scored.

    Attributes:
      unit: the range of rows; N = unit.num_rows.
      facts: the columns of `score_store.FACTS`, each a list or array [N].
      fields: the carried source fields, lists [N].
      scorable: indices of the documents that can be scored.
      packed: their examples in rows; None without a model.
      document_P: index into `scorable` of each example.
      n_predicted: tokens predicted of each scorable document.
      n_read: tokens of all their windows together.
    """

    unit: Unit
    facts: Mapping[str, Any]
    fields: Mapping[str, list[str | None]]
    scorable: np.ndarray
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
    n_tokens: list[int | None] = [None] * n
    n_targets: list[int | None] = [None] * n
    n_windows: list[int | None] = [None] * n
    truncated = [False] * n
    scorable = np.array([i for i, reason in enumerate(reasons) if reason is None], np.int64)
    n_read = 0
    packed, document_P, n_predicted = None, np.zeros(0, np.int64), np.zeros(len(scorable), np.int64)

    if how.vocabulary is not None:
        taken = [texts[i] for i in scorable]
        tokens = whole = how.vocabulary.encode(taken)
        if isinstance(how.objective, AskLLM):
            tokens = how.objective.readable(taken, whole)
        for i, ids in zip(scorable, tokens, strict=True):
            if not len(ids):  # a text of characters that the vocabulary drops
                reasons[i] = "empty"
        lengths = [len(w) for w, ids in zip(whole, tokens, strict=True) if len(ids)]
        tokens = [ids for ids in tokens if len(ids)]
        scorable = np.array([i for i in scorable if reasons[i] is None], np.int64)
        n_tokens = _spread(lengths, scorable, n)
    if how.objective is not None and how.shape is not None:
        examples = [
            _examples(ids, hashes[i] or 0, documents[i], how)
            for i, ids in zip(scorable, tokens, strict=True)
        ]
        n_windows = _spread([len(e) for e in examples], scorable, n)
        n_targets = _spread([sum(len(e.targets) for e in es) for es in examples], scorable, n)
        n_predicted = np.array([sum(e.n_predicted for e in es) for es in examples], np.int64)
        for i, ids, es in zip(scorable, tokens, examples, strict=True):
            truncated[i] = len(es) == 1 and len(ids) > how.objective.window_tokens
        n_read = sum(e.n_tokens for es in examples for e in es)
        document_P = np.repeat(np.arange(len(examples)), [len(es) for es in examples])
        packed = fill_rows([e for es in examples for e in es], how.shape)

    for document, reason in zip(documents, reasons, strict=True):
        _complain_if_strict(unit, document, reason, how)
    facts = {
        "reason": reasons,
        "note": [d.note for d in documents],
        "text_hash": hashes,
        "n_bytes": [None if d.text is None else len(d.text) for d in documents],
        "n_tokens": n_tokens,
        "n_targets": n_targets,
        "n_windows": n_windows,
        "truncated": truncated,
    }
    fields = {f: [d.fields.get(f) for d in documents] for f in how.source.describe()["fields"]}
    return PreparedUnit(
        unit=unit,
        facts=facts,
        fields=fields,
        scorable=scorable,
        packed=packed,
        document_P=document_P,
        n_predicted=n_predicted,
        n_read=n_read,
    )


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
        if taken and how.known_answer and how.known_answer.of(document.fields) is None:
            reason = reason or "missing_field"
        note = document.note if taken else None
        documents.append(dataclasses.replace(document, reason=reason, note=note))
        texts.append("" if reason or document.text is None else document.text.decode("utf-8"))
    if len(documents) != unit.num_rows:
        raise ValueError(
            f"{unit.file} gave {len(documents)} rows from row {unit.first_row}, but the manifest says "
            f"{unit.num_rows}. The file has changed: score the corpus anew under another --output."
        )
    return documents, texts


def _examples(tokens: np.ndarray, seed: int, document: Document, how: Preparation) -> list[Example]:
    assert how.objective is not None
    if isinstance(how.objective, AskLLM):
        answer = how.known_answer is None or how.known_answer.of(document.fields)
        return [how.objective.example(tokens, answer=bool(answer))]
    size = how.objective.window_tokens
    if how.long_documents == "truncate":
        tokens = tokens[:size]
    starts = range(0, len(tokens), size)
    first_seed = np.uint64((seed ^ (how.mask_seed * 0x9E3779B97F4A7C15)) & 0xFFFFFFFFFFFFFFFF)
    seeds = splitmix64(np.full(len(starts), first_seed) + np.arange(len(starts), dtype=np.uint64))
    return [
        how.objective.example(tokens[start : start + size], int(window_seed))
        for start, window_seed in zip(starts, seeds, strict=True)
    ]


def _spread(values: list[int], at: np.ndarray, n: int) -> list[int | None]:
    spread: list[int | None] = [None] * n
    for i, value in zip(at, values, strict=True):
        spread[i] = value
    return spread


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
