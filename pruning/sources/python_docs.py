"""The embedded corpus as a source: one virtual file per domain, with labels that are true."""

import dataclasses
import hashlib
import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from pruning.documents import Document, DocumentId, SourceFile
from pruning.hashing import id_hash
from pruning.sources.damage import DAMAGES, few_words_changed
from pruning.sources.python_corpus import DOMAINS, domain_texts

FIELDS = ("domain", "damage", "duplicate_of")
# Only where near-duplicates are planted.
NEAR_DUPLICATE_OF = "near_duplicate_of"


@dataclasses.dataclass(frozen=True, kw_only=True)
class PythonDocsOptions:
    """What can be written after `python_docs:`, as `damage=0.2,seed=3`.

    Attributes:
      damage: share of documents that are spoilt, each kind of `DAMAGES` equally often.
      duplicates: share of documents that are replaced by a copy of an unspoilt one.
      near_duplicates: share that are replaced by a copy with a few words changed.
      seed: of all three, through hash(id, seed).
      max_documents: per domain, spread evenly over it; all if None.
    """

    damage: float = 0.1
    duplicates: float = 0.02
    near_duplicates: float = 0.0
    seed: int = 0
    max_documents: int | None = None

    def __post_init__(self) -> None:
        shares = (self.damage, self.duplicates, self.near_duplicates)
        if min(shares) < 0 or sum(shares) >= 1:
            raise ValueError(
                f"damage={self.damage}, duplicates={self.duplicates} and "
                f"near_duplicates={self.near_duplicates} are shares of all documents: expected at "
                "least 0 each, and less than 1 together."
            )
        if self.max_documents is not None and self.max_documents < 1:
            raise ValueError(f"max_documents={self.max_documents}; expected at least 1.")


@dataclasses.dataclass(frozen=True, slots=True)
class _Labelled:
    text: bytes
    damage: str
    duplicate_of: str | None = None
    near_duplicate_of: str | None = None


class PythonDocsSource:
    """A `Source` of text that every machine with Python has.

    Each document has a `domain`, a `damage` (`none` or a kind of `DAMAGES`) and
    a `duplicate_of`: the id of the first document of its file with the same
    bytes, if it is not that itself. Licences have such duplicates by nature. Where
    near-duplicates are planted, each has a `near_duplicate_of`: the id of the unspoilt
    document that it is a changed copy of.
    """

    def __init__(self, options: PythonDocsOptions | None = None, *, fields: Sequence[str] = ()):
        """Names the corpus; texts are gathered when a file is first looked at.

        Args:
          options: how much is spoilt, and how much is taken.
          fields: of `FIELDS`, and `near_duplicate_of` where some are planted; all of them if
            none is named.
        """
        self._options = options or PythonDocsOptions()
        known = (*FIELDS, NEAR_DUPLICATE_OF) if self._options.near_duplicates else FIELDS
        if unknown := sorted(set(fields) - set(known)):
            raise ValueError(
                f"python_docs: has no field {', '.join(unknown)}; it has {', '.join(known)}."
            )
        self._fields = tuple(fields) or known
        self._documents: dict[str, list[_Labelled]] = {}

    def describe(self) -> dict[str, Any]:
        options = dataclasses.asdict(self._options)
        if not self._options.near_duplicates:
            del options["near_duplicates"]  # stores older than this option still go on
        settings = ",".join(
            f"{name}={value}" for name, value in options.items() if value is not None
        )
        return {
            "spec": f"python_docs:{settings}",
            "text_field": "text",
            "fields": list(self._fields),
            "split": "train",
        }

    def files(self, known: Mapping[str, SourceFile] | None = None) -> list[SourceFile]:
        return [self._file(domain) for domain in sorted(DOMAINS)]

    def read(self, path: str, first_row: int, num_rows: int) -> Iterator[Document]:
        if path not in DOMAINS:
            raise ValueError(f"python_docs: has no file {path!r}; it has {', '.join(DOMAINS)}.")
        documents = self._domain(path)
        end_row = first_row + num_rows
        if end_row > len(documents):
            raise ValueError(
                f"{path} has {len(documents):,} rows, and rows {first_row:,} to {end_row - 1:,} "
                "were asked for. Another Python or other packages give another corpus."
            )
        return (self._document(path, row, documents[row]) for row in range(first_row, end_row))

    def _document(self, domain: str, row: int, labelled: _Labelled) -> Document:
        values = {
            "domain": domain,
            "damage": labelled.damage,
            "duplicate_of": labelled.duplicate_of,
            NEAR_DUPLICATE_OF: labelled.near_duplicate_of,
        }
        fields = {name: values[name] for name in self._fields}
        return Document(row=row, text=labelled.text, fields=fields)

    def _file(self, domain: str) -> SourceFile:
        documents = self._domain(domain)
        content = hashlib.sha256()
        for document in documents:
            content.update(len(document.text).to_bytes(8, "little") + document.text)
            content.update(document.damage.encode())
        return SourceFile(
            path=domain,
            size=sum(len(d.text) for d in documents),
            mark=content.hexdigest(),
            num_rows=len(documents),
        )

    def _domain(self, domain: str) -> list[_Labelled]:
        if domain not in self._documents:
            texts = domain_texts(domain)
            if self._options.max_documents is not None:
                number = min(self._options.max_documents, len(texts))
                texts = tuple(texts[i * len(texts) // number] for i in range(number))
            documents = _spoil(domain, texts, self._options)
            self._documents[domain] = _label_duplicates(domain, documents)
        return self._documents[domain]


def _spoil(domain: str, texts: Sequence[str], options: PythonDocsOptions) -> list[_Labelled]:
    """Damages and copies shares of the documents, chosen by the order of hash(id, seed)."""
    # Not the hash of the id itself: a random half with the same seed would get all the damage.
    hashes = id_hash(f"damage of {domain}", np.arange(len(texts)), options.seed)
    chosen = np.argsort(hashes, kind="stable")
    num_damaged = round(options.damage * len(texts))
    num_copies = round(options.duplicates * len(texts))
    num_near = round(options.near_duplicates * len(texts))
    damaged, copies, near, whole = np.split(chosen, np.cumsum([num_damaged, num_copies, num_near]))

    documents = [_Labelled(text.encode("utf-8", "replace"), "none") for text in texts]
    kinds = list(DAMAGES)
    for turn, row in enumerate(damaged):
        kind = kinds[turn % len(kinds)]
        text = DAMAGES[kind](texts[row], random.Random(int(hashes[row])))
        documents[row] = _Labelled(text.encode("utf-8", "replace"), kind)
    if len(whole):
        for row in copies:
            documents[row] = documents[whole[int(hashes[row] % len(whole))]]
        for row in near:
            original = int(whole[int(hashes[row] % len(whole))])
            text = few_words_changed(texts[original], random.Random(int(hashes[row])))
            near_duplicate_of = str(DocumentId(domain, original))
            documents[row] = _Labelled(
                text.encode("utf-8", "replace"), "none", near_duplicate_of=near_duplicate_of
            )
    return documents


def _label_duplicates(domain: str, documents: Sequence[_Labelled]) -> list[_Labelled]:
    first_row: dict[bytes, int] = {}
    labelled = []
    for row, document in enumerate(documents):
        first = first_row.setdefault(document.text, row)
        duplicate_of = None if first == row else str(DocumentId(domain, first))
        labelled.append(dataclasses.replace(document, duplicate_of=duplicate_of))
    return labelled
