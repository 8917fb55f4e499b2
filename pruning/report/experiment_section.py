"""What came of training on the selections: the tables and curves of an experiment."""

from collections.abc import Iterator, Mapping

from pruning.experiments.page import Section
from pruning.experiments.tables import Table
from pruning.report.markup import Html, element, join, table

_CURVES_HOW = (
    "Each thick line is the mean of an arm over its seeds, each thin one a seed; the further to the "
    "right, the longer it was trained."
)


def experiments_section(experiments: Mapping[str, Section]) -> Html:
    """Findings, the main table, learning curves, and the other tables, of every experiment.

    Args:
      experiments: by name.
    """
    return join(_parts(name, shown) for name, shown in experiments.items())


def _parts(name: str, shown: Section) -> Iterator[Html]:
    main, *others = shown.tables
    yield element("h3", name)
    yield element("p", element("code", shown.command), class_="soft")
    if shown.findings:
        yield element("ul", (element("li", sentence) for sentence in shown.findings))
    yield element("p", _with_code(shown.how_to_read), class_="how")
    yield _table(main)
    for curve in shown.curves.values():
        yield element("p", _CURVES_HOW, class_="how")
        # The experiment's own drawing, of escaped names; the page allows no script in it.
        yield element("div", Html(curve), class_="scroll curves")
    for found in others:
        yield element("h4", found.title)
        yield _table(found)


def _table(found: Table) -> Html:
    rows = [(row[0], *map(_cell, row[1:])) for row in found.rows]
    return element("div", table(found.head, rows, class_="numbers"), class_="scroll")


def _cell(text: str) -> Html | str:
    """A number over its interval."""
    value, bracket, interval = text.partition(" [")
    return join([value, element("small", f"[{interval}")]) if bracket else text


def _with_code(text: str) -> list[Html | str]:
    """Text with what stands between backquotes as code."""
    parts = text.split("`")
    return [element("code", part) if i % 2 else part for i, part in enumerate(parts)]
