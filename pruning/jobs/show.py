"""`prune show`: documents at quantiles of a score, in the terminal."""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pruning.documents import DocumentId
    from pruning.jobs.document_losses import DocumentLosses
    from pruning.report.samples import ReadText, Sample
    from pruning.report.scored_corpus import ScoredCorpus
    from pruning.report.terminal import Terminal
    from pruning.token_losses import TokenLoss

AT = (0.01, 0.25, 0.5, 0.75, 0.99)


def show(
    scores: Sequence[str],
    *,
    score: str | None = None,
    at: Sequence[float] = AT,
    documents: int = 1,
    characters: int = 1_000,
    losses: bool = False,
    model: Sequence[str] = (),
    vocabulary: str | None = None,
    source: str | None = None,
    width: int | None = None,
    seed: int = 0,
) -> None:
    """Prints documents at quantiles of a score, to read before anything is cut.

    Args:
      scores: folders of score stores of one source; several may be named as NAME=DIR.
      score: column, or expression of columns, to rank by; by default the only store's main column.
      at: quantiles from 0 (the lowest score) to 1 (the highest).
      documents: how many at each.
      characters: of each document.
      losses: shade each token by its loss under --model; in a pipe the nats stand behind each word.
      model: for --losses, as `prune score` takes it.
      vocabulary: for --losses; by default the one beside the model, else that of the store.
      source: where the corpus is now; by default where it was scored.
      width: in columns; by default that of the terminal, 100 at most.
      seed: of the order among equal scores.
    """
    from pruning.jobs.document_losses import losses_of_documents
    from pruning.jobs.open_source import open_source
    from pruning.jobs.report import name_stores, reader_of
    from pruning.report.scored_corpus import see
    from pruning.report.terminal import this_terminal
    from pruning.score_store import open_store

    if losses and not model:
        raise ValueError(
            "--losses are those of a model: give --model, as `prune score perplexity` takes it."
        )
    folders = name_stores([scores] if isinstance(scores, str) else scores)
    stores = {name: open_store(folder) for name, folder in folders.items()}
    corpus = see(stores)
    described = corpus.stores.first.manifest["source"]
    opened = open_source(**{**described, "spec": source or described["spec"]})
    of_document = None
    if losses:
        of_document = losses_of_documents(stores.values(), opened, model, vocabulary)
    terminal = this_terminal(width)
    try:
        found = _found(corpus, score, at, documents, seed)
        for line in _lines(found, corpus, reader_of(opened), terminal, characters, of_document):
            print(line)
        sys.stdout.flush()
    except BrokenPipeError:  # who reads the pipe has enough: `prune show … | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _found(
    corpus: "ScoredCorpus", score: str | None, at: Sequence[float], documents: int, seed: int
) -> "list[tuple[str, str, list[Sample]]]":
    """Title, column and samples at each quantile."""
    from pruning.report.draws import Draw
    from pruning.report.look import compared
    from pruning.report.markup import number
    from pruning.report.quantiles import exact_quantiles
    from pruning.report.samples import draw

    if not corpus.stores.scores:
        raise ValueError(f"{corpus.stores.first.folder} has no score: there is nothing to rank by.")
    if score is None and len(corpus.stores.stores) > 1:
        raise ValueError(
            f"Several stores need --score: an expression of {', '.join(corpus.stores.scores)}."
        )
    column = score or corpus.main_columns[0]
    corpus = corpus.with_scores([column])
    near = exact_quantiles(corpus, column, at)
    draws = [
        Draw(title=f"quantile {share:g} of {column}, {number(x)}", column=column, near=x)
        for share, x in zip(at, near, strict=True)
    ]
    shown = [name for name in compared(corpus) if name != column]
    drawn = draw(corpus, draws, fields=corpus.fields, scores=shown, each=documents, seed=seed)
    return [(d.title, column, samples) for d, samples in zip(draws, drawn, strict=True)]


def _lines(
    found: "Sequence[tuple[str, str, Sequence[Sample]]]",
    corpus: "ScoredCorpus",
    read_text: "ReadText",
    terminal: "Terminal",
    characters: int,
    of_document: "Callable[[DocumentId], DocumentLosses] | None",
) -> Iterator[str]:
    from pruning.report.markup import number
    from pruning.report.samples import read_shown
    from pruning.report.terminal import printable
    from pruning.wording import plural

    for title, column, samples in found:
        yield terminal.bold(f"── {title} ".ljust(terminal.width, "─"))
        texts = read_shown(samples, read_text, characters)
        for sample in samples:
            numbers = {column: sample.score, **sample.scores}
            about = [f"{name} {number(value)}" for name, value in numbers.items()]
            fields = zip(corpus.fields, sample.fields, strict=True)
            about += [f"{name} {printable(value)}" for name, value in fields if value]
            yield terminal.wrapped(f"{sample.id}  {'  '.join(about)}")
            shown = texts[sample.id]
            if shown.problem:
                yield terminal.dim(shown.problem)
            elif of_document is not None:
                yield from _shaded(of_document(sample.id), terminal, characters)
            else:
                yield terminal.wrapped(shown.text)
                if shown.more:
                    yield terminal.dim(f"… and {plural(shown.more, 'more character')}")
            yield ""


def _shaded(read: "DocumentLosses", terminal: "Terminal", characters: int) -> Iterator[str]:
    """The text of a document with its losses, and what they add up to."""
    from pruning.wording import plural

    tokens, nlls = read.tokens, read.nll
    shown: list[TokenLoss] = []
    length = 0
    for token in tokens:
        if length >= characters:
            yield terminal.shaded(shown)
            more = plural(len(tokens) - len(shown), "more token")
            yield terminal.dim(f"… and {more}")
            break
        shown.append(token)
        length += len(token.text)
    else:
        yield terminal.shaded(shown)
    mean = sum(nlls) / max(len(nlls), 1)
    yield terminal.dim(f"{plural(len(nlls), 'target')}, {mean:.4g} nats on average")
    if terminal.key:
        yield terminal.key


if __name__ == "__main__":
    from pruning.jobs.run_job import main

    main("show")
