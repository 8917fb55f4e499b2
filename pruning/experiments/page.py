"""An experiment to read: one HTML file, the same as Markdown, and a place in a document."""

import dataclasses
import html
import json
import re
from collections.abc import Mapping
from typing import Any

from etils import epath

from pruning.experiments.curves import curves_svg
from pruning.experiments.findings import findings
from pruning.experiments.results import Results
from pruning.experiments.tables import Table, tables

# File of an experiment's folder with everything that a report shows of it.
SECTION = "section.json"
HOW_TO_READ = (
    "Every arm trains the same model for the same number of steps. Numbers are the mean over seeds ± "
    "their standard deviation, with a 95 % interval over seeds (Student's t) and over questions or "
    "documents (bootstrap). Accuracy is normalised: 0 is guessing, 100 is all right. `− random` is the "
    "difference from the random arm of the same rate, and `apart` names the measures at which its "
    "interval excludes 0."
)
CURVES = {"loss": "held-out loss, nats per predicted token", "accuracy": "normalised accuracy"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Section:
    """What a report shows of an experiment.

    Attributes:
      command: that made it.
      how_to_read: a paragraph.
      findings: sentences, warnings among them.
      tables: the main one first.
      curves: SVG by measure.
    """

    command: str
    how_to_read: str
    findings: tuple[str, ...]
    tables: tuple[Table, ...]
    curves: Mapping[str, str]


def section(results: Results, command: str) -> Section:
    """Everything to show, as data: `prune report` may lay it out in its own way."""
    return Section(
        command=command,
        how_to_read=HOW_TO_READ,
        findings=tuple(findings(results)),
        tables=tuple(tables(results)),
        curves={
            measure: curves_svg(curves, CURVES[measure])
            for measure, curves in results.curves.items()
            if curves
        },
    )


def read_section(experiment: str) -> Section:
    """The section of an experiment on disk, for a report.

    Args:
      experiment: folder of `prune experiment`.

    Raises:
      FileNotFoundError: it has not been read yet.
    """
    path = epath.Path(experiment) / SECTION
    if not path.exists():
        raise FileNotFoundError(
            f"{path} is missing: `prune experiment --stage read` with the experiment's settings writes it."
        )
    found = json.loads(path.read_text())
    tables = tuple(
        Table(t["title"], tuple(t["head"]), tuple(tuple(row) for row in t["rows"]))
        for t in found.pop("tables")
    )
    return Section(**{**found, "findings": tuple(found["findings"])}, tables=tables)


def markdown(shown: Section) -> str:
    """Tables and findings, without curves."""
    parts = [f"```\n{shown.command}\n```", shown.how_to_read]
    for table in shown.tables:
        parts += [f"**{table.title}**", table.markdown()]
    if shown.findings:
        parts.append("\n".join(f"- {sentence}" for sentence in shown.findings))
    return "\n\n".join(parts) + "\n"


def page(shown: Section) -> str:
    """A whole HTML file."""
    how = re.sub("`(.+?)`", r"<code>\1</code>", html.escape(shown.how_to_read))
    parts = [f"<pre>{html.escape(shown.command)}</pre>", f"<p>{how}</p>"]
    if shown.findings:
        items = "".join(f"<li>{html.escape(sentence)}</li>" for sentence in shown.findings)
        parts.append(f"<ul>{items}</ul>")
    parts.extend(f"<div>{curve}</div>" for curve in shown.curves.values())
    parts.extend(_html_table(table) for table in shown.tables)
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        "<title>Experiment</title><style>"
        "body{font:15px/1.5 sans-serif;max-width:75rem;margin:2rem auto;padding:0 1rem}"
        "table{border-collapse:collapse;font-variant-numeric:tabular-nums}div{overflow-x:auto}"
        "pre{white-space:pre-wrap;overflow-wrap:anywhere}"
        "th,td{padding:.2rem .6rem;border-bottom:1px solid #ddd;text-align:right;white-space:nowrap}"
        "th:first-child{text-align:left}svg{min-width:32rem;max-width:45rem;display:block}"
        "</style><h1>Experiment</h1>" + "\n".join(parts) + "</html>\n"
    )


def in_document(document: str, name: str, text: str) -> str:
    """Puts text between the document's marks of that name.

    Args:
      document: has the lines `<!-- experiment NAME -->` and `<!-- end of experiment NAME -->`.
      name: of the experiment.
      text: what is between them from now on.

    Raises:
      ValueError: the document has no such marks.
    """
    begin, end = f"<!-- experiment {name} -->", f"<!-- end of experiment {name} -->"
    pattern = re.compile(f"({re.escape(begin)}\n).*?({re.escape(end)})", re.DOTALL)
    if not pattern.search(document):
        raise ValueError(
            f"The document has no lines {begin} and {end}, between which the table goes. Put them where "
            "it should stand."
        )
    return pattern.sub(lambda found: f"{found[1]}{text}{found[2]}", document, count=1)


def as_json(results: Results) -> dict[str, Any]:
    """All numbers, as JSON values."""
    return dataclasses.asdict(results)


def _html_table(table: Table) -> str:
    head = "".join(f"<th>{html.escape(cell)}</th>" for cell in table.head)
    rows = "".join(
        "<tr>"
        + f"<th>{html.escape(row[0])}</th>"
        + "".join(f"<td>{html.escape(c)}</td>" for c in row[1:])
        for row in table.rows
    )
    return f"<h2>{html.escape(table.title)}</h2><div><table><tr>{head}</tr>{rows}</table></div>"
