"""What a selection keeps and drops, and by which rule."""

from collections.abc import Mapping
from typing import Any

from pruning.accounting import BY_SCORE
from pruning.documents import REASONS
from pruning.keep_bits import Selection
from pruning.report.histograms import Histogram
from pruning.report.markup import Html, element, join, number, percent, table
from pruning.report.pictures import axis, strip
from pruning.report.totals_section import COLOURS, chip
from pruning.wording import plural

_GROUPS = 24


def selection_section(
    selection: Selection,
    order: int,
    histogram: Histogram | None,
    kept: Histogram | None,
) -> Html:
    """Rule, picture and books.

    Args:
      selection: of the report's source.
      order: its number in the report, which gives it its colour.
      histogram, kept: all documents and those kept, by the score it was made by;
        None if the report's stores do not tell that score.
    """
    info = selection.info
    parts = [element("h3", chip(selection, order)), element("p", rule_sentence(info))]
    if histogram is not None and kept is not None and histogram.range.n:
        parts += _picture(histogram, kept, info["score"], order % COLOURS)
    if info.get("per_group"):
        parts.append(_by_group(info["rule"]["per"], info["per_group"]))
    parts.append(_books(info["counts"]))
    return join(parts)


def _picture(histogram: Histogram, kept: Histogram, score: str, colour: int) -> list[Html]:
    label = element(
        "span",
        "kept of all",
        element("small", f"{int(kept.total.sum()):,} of {histogram.range.n:,}"),
    )
    rows = [
        strip(label, histogram, kept=kept, colour=colour, tall=True),
        axis(histogram.range, score),
    ]
    how = "Grey is every document, colour is what stays, one on top of the other."
    return [element("p", how, class_="how"), element("div", rows, class_="figure")]


def rule_sentence(info: Mapping[str, Any]) -> str:
    """The rule in words, with the scores it found."""
    rule, score = info["rule"], info["score"]
    seed = f" (seed {rule['seed']})"
    if rule["keep"] == "threshold":
        sentence = f"Keeps documents by {score}"
    else:
        drawn = {"random": "a random", "sample": "a weighted sample of"}
        part = drawn.get(rule["keep"], f"the {rule['keep']}")
        sentence = f"Keeps {part} {_budget(rule)}"
        sentence += seed if rule["keep"] == "random" else f" by {score}"
        if rule["keep"] == "sample":
            sentence += f", weights {rule['weights']}{seed}"
        if rule.get("per"):
            shares = (rule["quota"] or {}).items()
            listed = ", ".join(f"{name} {100 * share:.4g} %" for name, share in shares)
            sentence += (
                f", by {rule['per']}: {listed}" if listed else f", within each {rule['per']}"
            )
    if info["thresholds"] is not None:
        low, high = info["thresholds"]
        sentence += "," if rule["keep"] != "threshold" else ""
        ends = ["" if low is None else f" from {number(low)}"]
        ends.append("" if high is None else f" to {number(high)}")
        sentence += "".join(ends)
    if info.get("where"):
        which = "drops" if info["where"]["inverted"] else "keeps"
        sentence += f", of what the selection {info['where']['digest'][:12]}… {which}"
    return sentence + "."


def _budget(rule: Mapping[str, Any]) -> str:
    for unit in ("documents", "tokens"):
        if rule.get(unit):
            return plural(rule[unit], unit.removesuffix("s"))
    return f"{100 * rule['fraction']:.4g} % of the scored documents"


def _by_group(per: str, groups: Mapping[str, Mapping[str, Any]]) -> Html:
    """Documents, kept ones and their scores, of the largest groups."""
    ranked = sorted(groups.items(), key=lambda item: -item[1]["documents"])
    rows = [
        (
            name,
            f"{g['documents']:,}",
            f"{g['kept']:,}",
            percent(g["kept"], g["documents"]),
            _ends(g),
        )
        for name, g in ranked[:_GROUPS]
    ]
    head = [per, "Documents", "Kept", "Share", "Scores kept"]
    parts = [element("div", table(head, rows, class_="numbers"), class_="scroll")]
    if len(ranked) > _GROUPS:
        parts.append(element("p", f"and {len(ranked) - _GROUPS:,} smaller groups.", class_="soft"))
    return join(parts)


def _ends(group: Mapping[str, Any]) -> str:
    if not group["kept"]:
        return "–"
    low, high = ("any" if end is None else number(end) for end in group["scores"])
    return f"{low} to {high}"


def _books(counts: Mapping[str, Any]) -> Html:
    def line(name: str | Html, documents: int) -> tuple:
        return name, f"{documents:,}", percent(documents, counts["rows"])

    dropped = sorted(counts["dropped"].items(), key=lambda item: -item[1])
    sums = [_kept_of(counts, what) for what in ("tokens", "bytes") if counts[what]]
    if [reason for reason, _ in dropped] in ([], [BY_SCORE]):
        return join(sums)  # the table of all selections has the rest
    rows = [
        line("kept", counts["kept"]),
        *(line(_reason(reason), n) for reason, n in dropped),
        line("all records", counts["rows"]),
    ]
    return join([table(["", "Documents", "Share"], rows, class_="numbers"), *sums])


def _kept_of(counts: Mapping[str, Any], what: str) -> Html:
    kept, whole = counts[f"kept_{what}"], counts[what]
    return element("p", f"{kept:,} of {whole:,} {what} stay, {percent(kept, whole)}.")


def _reason(reason: str) -> Html:
    why = "the rule leaves them out" if reason == BY_SCORE else REASONS.get(reason)
    return element("span", f"dropped: {reason}", element("small", why) if why else None)
