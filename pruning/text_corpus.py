"""A source's texts for what learns from a whole corpus."""

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np

from pruning.documents import DEFAULT_UNIT_ROWS, Source, Unit, cut_into_units
from pruning.hashing import text_hash
from pruning.prepared_units import Preparation, read_documents
from pruning.progress import progress
from pruning.scorers.scorer import ScorableDocuments


@dataclasses.dataclass(frozen=True, kw_only=True)
class TextCorpus:
    """The documents of some units that can be scored, as a `Corpus` that reports its progress.

    They are read and checked as scoring does: what has no score is not learnt from either.

    Attributes:
      units: to read; all of a source, or what falls to one machine.
      how: documents are read. Its vocabulary and objective are not used.
      what: is being done, for the progress.
    """

    units: Sequence[Unit]
    how: Preparation
    what: str = "learn"

    @property
    def num_rows(self) -> int:
        return sum(unit.num_rows for unit in self.units)

    def __iter__(self) -> Iterator[ScorableDocuments]:
        with progress(self.what, self.num_rows, "documents") as advance:
            for unit in self.units:
                yield _scorable_documents(unit, self.how)
                advance(unit.num_rows)


def whole_corpus(source: Source, what: str = "learn") -> TextCorpus:
    """All documents of a source."""
    units = cut_into_units(source.files(), DEFAULT_UNIT_ROWS)
    return TextCorpus(units=units, how=Preparation(source=source), what=what)


def _scorable_documents(unit: Unit, how: Preparation) -> ScorableDocuments:
    documents, texts = read_documents(unit, how)
    taken = [
        (document.row, document.text, text)
        for document, text in zip(documents, texts, strict=True)
        if document.reason is None and document.text is not None
    ]
    return ScorableDocuments(
        file=unit.file,
        rows_N=np.array([row for row, _, _ in taken], np.int64),
        n_bytes_N=np.array([len(stored) for _, stored, _ in taken], np.int64),
        text_hash_N=np.array([text_hash(stored) for _, stored, _ in taken], np.int64),
        texts_N=[text for _, _, text in taken],
    )
