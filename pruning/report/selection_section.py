"""What a selection keeps and drops, and how that changes what the corpus is made of."""

from collections.abc import Mapping
from typing import Any

from pruning.accounting import BY_SCORE
from pruning.documents import REASONS
from pruning.keep_bits import Selection
from pruning.report.histograms import Histogram
from pruning.report.markup import Html, element, join, number, percent, table
from pruning.report.pictures import axis, share_bar, strip

_GROUPS = 24


def selection_section(
    selection: Selection, colour: int, histogram: Histogram | None, kept: Histogram | None
) -> Html:
    """Rule, picture, books and composition.

    Args:
      selection: made from one of the report's stores.
      colour: 0 to 5.
      histogram, kept: all documents and those kept, by the score it was made by;
        None if the report does not have that column.
    """
    info = selection.info
    name = element("h3", element("span", selection.folder.name, class_=f"chip c{colour}"))
    parts = [name, element("p", rule_sentence(info))]
    if histogram is not None and kept is not None and histogram.range.n:
        label = element(
            "span",
            "kept of all",
            element("small", f"{int(kept.total.sum()):,} of {histogram.range.n:,}"),
        )
        parts += [
            element(
                "p",
                "Grey is every document, colour is what stays, one on top of the other.",
                class_="how",
            ),
            element(
                "div",
                strip(label, histogram, kept=kept, colour=colour, tall=True),
                axis(histogram.range, info["score"]),
                class_="figure",
            ),
        ]
    parts.append(_books(info["counts"]))
    parts += [
        _composition(field, groups, colour)
        for field, groups in info.get("groups", {}).items()
        if groups
    ]
    return join(parts)


def rule_sentence(info: Mapping[str, Any]) -> str:
    """The rule in words, with the scores it found."""
    rule, score = info["rule"], info["score"]
    seed = f" (seed {rule['seed']})"
    if rule["keep"] == "threshold":
        sentence = f"Keeps documents by {score}"
    else:
        part = "a random" if rule["keep"] == "random" else f"the {rule['keep']}"
        sentence = f"Keeps {part} {100 * rule['fraction']:.4g} % of the scored documents"
        sentence += seed if rule["keep"] == "random" else f" by {score}"
    if info["thresholds"] is not None:
        low, high = info["thresholds"]
        ends = ["" if low is None else f" from {number(low)}"]
        ends.append("" if high is None else f" to {number(high)}")
        sentence += f",{''.join(ends)}"
    return sentence + "."


def _books(counts: Mapping[str, Any]) -> Html:
    def line(name: str | Html, documents: int) -> tuple:
        return name, f"{documents:,}", percent(documents, counts["rows"])

    dropped = sorted(counts["dropped"].items(), key=lambda item: -item[1])
    rows = [
        line("kept", counts["kept"]),
        *(line(_reason(reason), n) for reason, n in dropped),
        line("all records", counts["rows"]),
    ]
    parts = [table(["", "Documents", "Share"], rows, class_="numbers")]
    if counts["tokens"]:
        parts.append(_kept_of(counts, "tokens"))
    if counts["bytes"]:
        parts.append(_kept_of(counts, "bytes"))
    return join(parts)


def _kept_of(counts: Mapping[str, Any], what: str) -> Html:
    kept, whole = counts[f"kept_{what}"], counts[what]
    return element("p", f"{kept:,} of {whole:,} {what} stay, {percent(kept, whole)}.")


def _reason(reason: str) -> Html:
    why = "the rule leaves them out" if reason == BY_SCORE else REASONS.get(reason)
    return element("span", f"dropped: {reason}", element("small", why) if why else None)


def _composition(field: str, groups: Mapping[str, Mapping[str, int]], colour: int) -> Html:
    """A line per group: its share of all scored documents and of the kept ones; the same in tokens."""
    ranked = sorted(groups.items(), key=lambda item: -item[1]["documents"])
    if len(ranked) > _GROUPS:
        rest = [g for _, g in ranked[_GROUPS - 1 :]]
        added = {key: sum(g[key] for g in rest) for key in rest[0]}
        ranked = [*ranked[: _GROUPS - 1], (f"({len(rest):,} others)", added)]
    whole = {key: sum(g[key] for _, g in ranked) for key in ranked[0][1]}
    measures = [("documents", "kept")]
    if whole["tokens"]:
        measures.append(("tokens", "kept_tokens"))
    longest = {
        before: max(_share(g, key, whole) for _, g in ranked for key in (before, after))
        for before, after in measures
    }
    rows = [
        [
            element("span", name, element("small", f"keeps {percent(g['kept'], g['documents'])}")),
            *(
                join(
                    [
                        _bar(g, before, whole, longest[before], "before"),
                        _bar(g, after, whole, longest[before], f"after c{colour}"),
                    ]
                )
                for before, after in measures
            ),
        ]
        for name, g in ranked
    ]
    return join(
        [
            element("h3", f"Composition by {field}"),
            element(
                "p",
                f"Upper bar: the {field}'s share before. Lower bar, in colour: its share of what "
                "stays. A longer lower bar means that pruning favours it.",
                class_="how",
            ),
            table([field, *(f"Share of {m}" for m, _ in measures)], rows, class_="composition"),
        ]
    )


def _bar(
    group: Mapping[str, int], key: str, whole: Mapping[str, int], longest: float, class_: str
) -> Html:
    length = _share(group, key, whole) / longest if longest else 0.0
    return share_bar(length, f"{percent(group[key], whole[key])} · {group[key]:,}", class_)


def _share(group: Mapping[str, int], key: str, whole: Mapping[str, int]) -> float:
    return group[key] / whole[key] if whole[key] else 0.0
