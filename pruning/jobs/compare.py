"""`prune compare`: what several rules would keep, before any is written."""

import dataclasses
import shlex
import typing
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pruning.report.comparison import Candidate, Outcome
    from pruning.several_stores import SeveralStores

_MOST_GROUPS = 20


def compare(
    scores: Sequence[str],
    rule: Sequence[str],
    *,
    score: str | None = None,
    by: Sequence[str] | None = None,
    partial: bool = False,
    training_tokens: int | None = None,
) -> None:
    """Tabulates what several rules would keep of one corpus: documents, tokens, composition, overlap.

    Args:
      scores: folder of a score store, or several of one source as NAME=DIR.
      rule: one rule each, in quotes: the flags of `prune select` without their hyphens, such as 'keep=middle fraction=0.5' 'keep=sample weights=softmax documents=1000 score=-nll'; name=NAME names it.
      score: column or expression that ranks where a rule has no score=; by default the only store's main column.
      by: carried fields to show the composition by; by default domain, if the stores have it.
      partial: take stores that are not finished.
      training_tokens: tokens that a run will train on: says how many epochs that is.
    """
    from pruning.report.comparison import try_rule
    from pruning.score_store import open_store
    from pruning.several_stores import SeveralStores, parse_stores

    folders = parse_stores([scores] if isinstance(scores, str) else scores)
    stores = SeveralStores({name: open_store(folder) for name, folder in folders.items()})
    if not partial:
        stores.check_complete()
    texts = [rule] if isinstance(rule, str) else list(rule)
    candidates = [_candidate(i, text, score, stores) for i, text in enumerate(texts)]
    names = [candidate.name for candidate in candidates]
    if len(set(names)) < len(names):
        raise ValueError(f"Two rules have one name: {', '.join(names)}. Give each its own name=.")
    fields = _fields(stores, by)
    outcomes = [try_rule(stores, candidate, fields) for candidate in candidates]
    print("\n".join(_text(outcomes, texts, fields, training_tokens)))


def _candidate(order: int, text: str, score: str | None, stores: "SeveralStores") -> "Candidate":
    """Reads `NAME=VALUE …` as `prune select` would read flags.

    Raises:
      ValueError: a name is unknown, or a value is of another type.
    """
    from pruning.budgets import parse_quota
    from pruning.jobs.open_where import open_where
    from pruning.report.comparison import Candidate
    from pruning.selection import Rule

    hints = typing.get_type_hints(Rule)
    known = ["name", "score", "where", *(f.name for f in dataclasses.fields(Rule))]
    values: dict[str, Any] = {}
    for word in shlex.split(text):
        name, equals, value = word.partition("=")
        if name not in known or not equals or name in values:
            raise ValueError(
                f"--rule {text!r}: {word!r} is not NAME=VALUE, each name once, with NAME one of "
                f"{', '.join(known)}."
            )
        values[name] = parse_quota(value.split(",")) if name == "quota" else value
        kinds = [kind for kind in (int, float) if kind in typing.get_args(hints.get(name))]
        if kinds or hints.get(name) is int:
            values[name] = _number(text, word, value, [*kinds, int][0])
    if "keep" not in values:
        raise ValueError(f"--rule {text!r} has no keep=, such as keep=middle fraction=0.5.")
    files = list(stores.first.files.values())
    where = open_where(values.pop("where", None), files)
    named, ranks_by = values.pop("name", _letter(order)), values.pop("score", score)
    if ranks_by is None and len(stores.stores) > 1:
        raise ValueError(
            f"--rule {text!r}: several stores need score=, an expression of "
            f"{', '.join(stores.scores)}; or give --score for all rules."
        )
    ranks_by = ranks_by or next(iter(stores.scores))
    return Candidate(name=named, rule=Rule(**values), score=ranks_by, where=where)


def _number(text: str, word: str, value: str, kind: type) -> int | float:
    try:
        return kind(value)
    except ValueError:
        raise ValueError(f"--rule {text!r}: {word!r} is no {kind.__name__}.") from None


def _letter(order: int) -> str:
    return chr(ord("A") + order) if order < 26 else f"R{order + 1}"


def _fields(stores: "SeveralStores", by: Sequence[str] | None) -> list[str]:
    if by is None:
        return [field for field in ("domain",) if field in stores.fields]
    for field in by:
        if field not in stores.fields:
            known = ", ".join(stores.fields) or "none"
            raise ValueError(f"The stores have no field {field!r}; they have {known}.")
    return list(by)


def _text(
    outcomes: "Sequence[Outcome]",
    texts: Sequence[str],
    fields: Sequence[str],
    training_tokens: int | None,
) -> Iterator[str]:
    from pruning.report.comparison import shared
    from pruning.report.terminal import columns

    names = [outcome.candidate.name for outcome in outcomes]
    yield from (f"{name}: {text}" for name, text in zip(names, texts, strict=True))
    yield ""
    yield from columns(_totals(outcomes, training_tokens))
    for field in fields:
        for what in ("documents", "tokens"):
            if outcomes[0].counts[what if what == "tokens" else "scored"]:
                yield f"\nShare of each {field} in the {what}, in per cent"
                yield from columns(_composition(outcomes, field, what))
    if len(outcomes) > 1:
        yield "\nOverlap: share of the row's documents that the column keeps, too, in per cent"
        yield from columns(
            [
                ["", *names],
                *(
                    [a.candidate.name, *(_cent(shared(a, b), a.counts["kept"]) for b in outcomes)]
                    for a in outcomes
                ),
            ]
        )


def _totals(outcomes: "Sequence[Outcome]", training_tokens: int | None) -> list[list[str]]:
    from pruning.report.markup import number
    from pruning.training_plan import MOST_EPOCHS

    head = ["rule", "documents", "%", "tokens", "%"]
    epochs = f"epochs (more than {MOST_EPOCHS}: !)" if training_tokens else ""
    rows = [[*head, *([epochs] if epochs else []), "scores"]]
    for outcome in outcomes:
        counts, row = outcome.counts, [outcome.candidate.name]
        row += [f"{counts['kept']:,}", _cent(counts["kept"], counts["scored"])]
        row += [f"{counts['kept_tokens']:,}", _cent(counts["kept_tokens"], counts["tokens"])]
        if training_tokens:
            n = training_tokens / counts["kept_tokens"] if counts["kept_tokens"] else float("inf")
            row.append(f"{n:,.2f}" + (" !" if n > MOST_EPOCHS else ""))
        ends = ["any" if end is None else number(end) for end in outcome.thresholds or ()]
        rows.append([*row, " to ".join(ends) or "–"])
    return rows


def _composition(outcomes: "Sequence[Outcome]", field: str, what: str) -> list[list[str]]:
    """A row a group, the largest first; before, and after each rule."""
    before, after = ("documents", "kept") if what == "documents" else ("tokens", "kept_tokens")
    books = [outcome.groups[field] for outcome in outcomes]
    # Of every rule, those with a score: they differ where rules rank by other scores.
    largest = max(books, key=lambda groups: _sum(groups, before))
    ranked = sorted(largest, key=lambda name: -largest[name][before])
    rows = [[field, "before", *(outcome.candidate.name for outcome in outcomes)]]
    for name in ranked[:_MOST_GROUPS]:
        shares = [
            _cent(groups.get(name, {}).get(after, 0), _sum(groups, after)) for groups in books
        ]
        rows.append([name, _cent(largest[name][before], _sum(largest, before)), *shares])
    if len(ranked) > _MOST_GROUPS:
        rows.append([f"({len(ranked) - _MOST_GROUPS:,} more)", *[""] * (1 + len(books))])
    return rows


def _sum(groups: Mapping[str, Mapping[str, int]], key: str) -> int:
    return sum(group[key] for group in groups.values())


def _cent(part: float, whole: float) -> str:
    return f"{100 * part / whole:.1f}" if whole else "–"


if __name__ == "__main__":
    from pruning.jobs.run_job import main

    main("compare")
