"""What a learner has learnt of a corpus, as one file.

A NumPy .npz archive: the learner's arrays, and a `header` in JSON with the format, the
learner's name and settings, the corpus, the units of it that were looked at, and a
digest. It appears whole or not at all, and the same contents give the same bytes.
"""

import dataclasses
import functools
import hashlib
import json
import os
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from etils import epath

from pruning.documents import Unit
from pruning.manifests import NOT_COMPARED
from pruning.publishing import publishing
from pruning.scorers.scorer import Artifact, Corpus, Learner

FORMAT = "t5x-pruning fitted"
VERSION = 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class FittedOn:
    """A corpus, or the part of one that was looked at.

    Attributes:
      name: of the corpus as a person knows it, such as the folder of a store.
      digest: of the whole corpus; the same wherever it lies.
      units: that were looked at.
    """

    name: str
    digest: str
    units: tuple[Unit, ...]

    def __str__(self) -> str:
        return f"{self.name} (digest {self.digest[:12]}…)"


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Fitted:
    """What a learner has learnt.

    Attributes:
      learner: its name.
      settings: of the learner.
      corpus: what it looked at.
      arrays: what it has learnt.
    """

    learner: str
    settings: Mapping[str, Any]
    corpus: FittedOn
    arrays: Artifact

    @functools.cached_property
    def digest(self) -> str:
        """Of everything but the corpus's name."""
        described = {**_header(self), "corpus": {**_header(self)["corpus"], "name": ""}}
        sha = hashlib.sha256(json.dumps(described, sort_keys=True).encode())
        for name in sorted(self.arrays):
            array = np.ascontiguousarray(self.arrays[name])
            sha.update(f"{name} {array.dtype.str} {array.shape}".encode())
            sha.update(array.reshape(-1).view(np.uint8).data)
        return sha.hexdigest()


def corpus_digest(description: Mapping[str, Any]) -> str:
    """Of what makes a corpus: a score store's manifest, or the parts of one that are there.

    The same wherever the corpus and the store lie.
    """
    return hashlib.sha256(
        json.dumps(_without(description, ()), sort_keys=True).encode()
    ).hexdigest()


def _without(value: Any, path: tuple[str, ...]) -> Any:
    """A description without the parts that may differ between equal corpora."""
    if not isinstance(value, Mapping):
        return value
    return {
        key: _without(part, (*path, key))
        for key, part in value.items()
        if (*path, key) not in NOT_COMPARED
    }


def fit(learner: Learner, corpus: Corpus, fitted_on: FittedOn) -> Fitted:
    """Lets a learner look at a corpus."""
    return Fitted(
        learner=learner.name,
        settings=learner.settings(),
        corpus=fitted_on,
        arrays=learner.fit(corpus),
    )


def save_fitted(path: str | os.PathLike, fitted: Fitted) -> None:
    """Writes the file in one step."""
    target = epath.Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    header = json.dumps({**_header(fitted), "digest": fitted.digest})
    with publishing(target) as name, open(name, "wb") as file:
        np.savez(file, header=np.frombuffer(header.encode(), np.uint8), **fitted.arrays)  # type: ignore[arg-type]


def load_fitted(path: str | os.PathLike) -> Fitted:
    """Reads a file of `save_fitted`.

    Raises:
      FileNotFoundError: there is none.
      ValueError: it is another file, has another version or was damaged.
    """
    source = epath.Path(path)
    if not source.exists():
        raise FileNotFoundError(f"There is no {path}. `prune fit … --output {path}` writes it.")
    try:
        with source.open("rb") as file, np.load(file) as archive:
            arrays = {name: archive[name] for name in archive.files}
        header = json.loads(arrays.pop("header").tobytes())
    except (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(
            f"{path} cannot be read: {error}. Is it a file of `prune fit`? If so, delete it and run "
            "that again."
        ) from error
    if (header.get("format"), header.get("version")) != (FORMAT, VERSION):
        raise ValueError(
            f"{path} has format {header.get('format')!r} version {header.get('version')!r}; this code "
            f"reads {FORMAT!r} version {VERSION}. Run `prune fit` again."
        )
    corpus = {**header["corpus"], "units": tuple(Unit(*u) for u in header["corpus"]["units"])}
    fitted = Fitted(
        learner=header["learner"],
        settings=header["settings"],
        corpus=FittedOn(**corpus),
        arrays=arrays,
    )
    if fitted.digest != header["digest"]:
        raise ValueError(
            f"{path} was damaged: its digest is {fitted.digest[:12]}…, and was "
            f"{header['digest'][:12]}… when it was written. Delete it and run `prune fit` again."
        )
    return fitted


def check_fitted(
    fitted: Fitted, learner: Learner, corpus: FittedOn | None, *, where: str = "The artifact"
) -> None:
    """Refuses what another learner has learnt, or one with other settings or of another corpus.

    Args:
      fitted: to be used.
      learner: that asks for it.
      corpus: that it should have looked at, all of these units and no others; any if None.
      where: the file, for the message.

    Raises:
      ValueError: it does not fit; with what was found and what is wanted.
    """
    if fitted.learner != learner.name:
        raise ValueError(
            f"{where} was fitted for {fitted.learner}, this run needs {learner.name}. Give the file "
            f"of `prune fit {learner.name}`."
        )
    wanted = json.loads(json.dumps(learner.settings()))
    for name in [*fitted.settings, *(n for n in wanted if n not in fitted.settings)]:
        found = fitted.settings.get(name)
        if found != wanted.get(name):
            raise ValueError(
                f"{where} was fitted with {name} = {json.dumps(found)}, this run has "
                f"{json.dumps(wanted.get(name))}. Give the same --settings or another --output, or fit anew."
            )
    if corpus is None:
        return
    if fitted.corpus.digest != corpus.digest:
        raise ValueError(
            f"{where} was fitted on {fitted.corpus}, this run scores {corpus}. Fit {learner.name} "
            "on the corpus that is scored."
        )
    if set(fitted.corpus.units) != set(corpus.units):
        raise ValueError(
            f"{where} was fitted on {len(fitted.corpus.units):,} units of {fitted.corpus.name}, this "
            f"run scores {len(corpus.units):,}. Fit {learner.name} on all of them: merge the parts "
            f"with `prune fit {learner.name} --merge`, or fit it again."
        )


def merge_fitted(learner: Learner, parts: Sequence[Fitted], names: Sequence[str]) -> Fitted:
    """What the learner would have learnt from all parts together.

    Args:
      learner: with the settings of the parts.
      parts: fitted on different units of one corpus.
      names: of their files, for messages.

    Raises:
      ValueError: they are not, or this learner cannot merge.
    """
    whose: dict[Unit, str] = {}
    for part, name in zip(parts, names, strict=True):
        check_fitted(part, learner, None, where=name)
        if part.corpus.digest != parts[0].corpus.digest:
            raise ValueError(
                f"{names[0]} was fitted on {parts[0].corpus}, {name} on {part.corpus}. Only parts of "
                "one corpus are merged."
            )
        for unit in part.corpus.units:
            if unit in whose:
                raise ValueError(
                    f"{whose[unit]} and {name} both have looked at {unit.file} from row "
                    f"{unit.first_row}, whose documents would count twice. Merge parts that share "
                    "no unit."
                )
            whose[unit] = name
    corpus = dataclasses.replace(parts[0].corpus, units=tuple(sorted(whose)))
    return Fitted(
        learner=learner.name,
        settings=parts[0].settings,
        corpus=corpus,
        arrays=learner.merge([part.arrays for part in parts]),
    )


def _header(fitted: Fitted) -> dict[str, Any]:
    corpus = fitted.corpus
    return {
        "format": FORMAT,
        "version": VERSION,
        "learner": fitted.learner,
        "settings": dict(fitted.settings),
        "corpus": {"name": corpus.name, "digest": corpus.digest, "units": sorted(corpus.units)},
    }
