"""`prune report`: scores and selections to look at."""

import os
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pruning.documents import Source
    from pruning.report.samples import ReadText


def report(
    scores: Sequence[str],
    output: str,
    selection: Sequence[str] = (),
    *,
    experiment: Sequence[str] = (),
    source: str | None = None,
    training_tokens: int | None = None,
    documents: int = 3,
    at: Sequence[float] = (0.5,),
    searched: int = 200,
    sample: int = 20_000,
    seed: int = 0,
) -> None:
    """Writes a report: one HTML file that needs nothing else.

    Args:
      scores: folders of score stores of one source, finished or not; several may be named as NAME=DIR, and have the name of their folder else.
      output: the file.
      selection: folders of selections of that source.
      experiment: folders of `prune experiment`, whose tables and curves are shown too; each has been read (`--stage read`). They may be named as NAME=DIR, too.
      source: where the corpus is now; by default where it was scored.
      training_tokens: tokens that a run will train on: says how many epochs that is.
      documents: how many to show of every kind.
      at: quantiles to show documents of, beside both ends.
      searched: documents of the sample that can be searched on the page.
      sample: documents on which scores are compared with each other.
      seed: of the sample.
    """
    from etils import epath

    from pruning.experiments.page import read_section
    from pruning.keep_bits import read_selection
    from pruning.publishing import publish_bytes
    from pruning.report import Options, build_report
    from pruning.report.scored_corpus import see
    from pruning.score_store import open_store

    folders = name_stores([scores] if isinstance(scores, str) else scores)
    stores = {name: open_store(folder) for name, folder in folders.items()}
    selections = [read_selection(folder) for folder in selection]
    seen = see(stores) if stores else None
    for chosen in selections:
        if seen is not None and seen.score_of(chosen) is None:
            made_from = ", ".join(store["path"] for store in chosen.info["stores"])
            print(
                f"{chosen.folder} was made from {made_from}, which is not all among --scores, or it "
                "ranks only what --where kept: the report has its books and no cut."
            )
    options = Options(
        documents_each=documents,
        at=tuple(at),
        searched=searched,
        sample=sample,
        seed=seed,
        training_tokens=training_tokens,
    )
    first = next(iter(stores.values()), None)
    read_text = None if first is None else text_reader(first.manifest["source"], source)
    shown = {name: read_section(folder) for name, folder in _name_folders(experiment).items()}
    page = build_report(stores, selections, read_text, options=options, experiments=shown)
    target = epath.Path(output)
    target.parent.mkdir(parents=True, exist_ok=True)
    publish_bytes(target, page.encode("utf-8"))
    print(output)


def name_stores(words: Sequence[str]) -> dict[str, str]:
    """Reads `[NAME=]DIR …`: folders by name, which is the folder's own where none is given.

    Raises:
      ValueError: two have the same name.
    """
    from pruning.several_stores import parse_stores

    if len(words) == 1:
        return {"": next(iter(parse_stores(words).values()))}
    named = [
        word
        if re.match(r"[A-Za-z_]\w*=", word)
        else f"{re.sub(r'^(?=[0-9])|[^0-9A-Za-z_]', '_', os.path.basename(word.rstrip('/')))}={word}"
        for word in words
    ]
    return parse_stores(named)


def _name_folders(words: Sequence[str]) -> dict[str, str]:
    """Unlike in expressions, any name will do."""
    from pruning.jobs.experiment_setting import named

    return named(
        [
            word if re.match(r"[^/=]+=", word) else f"{os.path.basename(word.rstrip('/'))}={word}"
            for word in words
        ]
    )


def text_reader(source: Mapping[str, Any], spec: str | None = None) -> "ReadText | None":
    """Opens the corpus of a store for single texts; says so and gives None where it cannot.

    Args:
      source: of the store's manifest.
      spec: where the corpus is now.
    """
    from pruning.jobs.open_source import open_source

    try:
        opened = open_source(**{**source, "spec": spec or source["spec"]})
    except (OSError, ValueError, ImportError) as error:
        print(f"No texts are shown, for the corpus cannot be opened: {error}")
        return None

    return reader_of(opened)


def reader_of(source: "Source") -> "ReadText":
    """A function from (file, row) to the stored bytes, None where there are none any more."""

    def read_text(file: str, row: int) -> bytes | None:
        try:
            (document,) = source.read(file, row, 1)
        except (OSError, ValueError):
            return None  # the file is shorter now, or gone
        return document.text

    return read_text


if __name__ == "__main__":
    from pruning.jobs.run_job import main

    main("report")
