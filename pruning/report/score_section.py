"""Where the scores of a column lie, in all and by group, and what selections keep of them."""

import math
from collections.abc import Sequence

import numpy as np

from pruning.report.histograms import Histogram, quantile
from pruning.report.markup import Html, element, join, number
from pruning.report.pictures import Band, axis, band_row, strip

_QUANTILES = (0.01, 0.25, 0.5, 0.75, 0.99)


def score_section(
    column: dict[str, str],
    histogram: Histogram,
    *,
    field: str | None,
    groups: Sequence[str],
    bands: Sequence[Band],
) -> Html:
    """Histograms of one column."""
    range_ = histogram.range
    unit = "" if column["unit"] == "none" else column["unit"]
    about = ": ".join(filter(None, (unit, column["meaning"])))
    title = join([element("h3", column["name"]), element("p", about)])
    if not range_.n:
        return join([title, element("p", "No document has a finite score here.", class_="warn")])
    rows = [
        strip(
            _label("all documents", histogram.total, histogram), histogram, bands=bands, tall=True
        )
    ]
    rows += [band_row(b, _kept_label(b), range_) for b in bands]
    rows.append(axis(range_, unit))
    figures = [
        element("p", _how(histogram, bands), class_="how"),
        element("div", rows, class_="figure"),
        _quantiles(histogram),
    ]
    shown = [i for i in range(len(groups)) if histogram.counts[i].any()]
    if field is not None and len(shown) > 1 and column["keeps"] != "any":
        strips = [
            strip(_label(groups[i], histogram.counts[i], histogram), histogram, i, bands=bands)
            for i in shown
        ]
        figures += [
            element(
                "p",
                f"The same by {field}, on the same scale from left to right. Each strip is as tall "
                "as its own highest bar: compare where the hills stand, not how high they are.",
                class_="how",
            ),
            element("div", [*strips, axis(range_, unit)], class_="figure"),
        ]
    return join([title, *figures])


def _label(name: str, counts: np.ndarray, histogram: Histogram) -> Html:
    middle = number(quantile(counts, histogram, 0.5), 3)
    return element("span", name, element("small", f"{int(counts.sum()):,}, median {middle}"))


def _kept_label(band: Band) -> Html:
    return element(
        "span",
        element("span", band.name, class_=f"chip c{band.colour}"),
        element("small", _kept_range(band)),
    )


def _how(histogram: Histogram, bands: Sequence[Band]) -> str:
    beyond = int(histogram.total[0] + histogram.total[-1])
    text = "Taller means more documents with about this score; the upright line is the median."
    if bands:
        text += " The shaded part is what a selection keeps, between the scores below."
    if beyond:
        text += f" {beyond:,} documents lie beyond the ends of the picture."
    return text


def _quantiles(histogram: Histogram) -> Html:
    marks = [f"{100 * share:.0f} % below" if share != 0.5 else "median" for share in _QUANTILES]
    values = [number(quantile(histogram.total, histogram, share), 3) for share in _QUANTILES]
    ends = [number(histogram.range.lowest), number(histogram.range.highest)]
    named = zip(["lowest", *marks, "highest"], [ends[0], *values, ends[1]], strict=True)
    return element(
        "div",
        (element("span", element("small", name), element("b", value)) for name, value in named),
        class_="quantiles",
    )


def _kept_range(band: Band) -> str:
    ends = [f"from {number(band.low)}" if math.isfinite(band.low) else ""]
    ends.append(f"to {number(band.high)}" if math.isfinite(band.high) else "")
    return " ".join(["keeps", *filter(None, ends)])
