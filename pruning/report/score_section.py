"""Where the scores of a column lie, in all and by group, and what selections keep of them."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from pruning.report.categories import Category
from pruning.report.histograms import Histogram, quantile
from pruning.report.markup import Html, element, join, number
from pruning.report.pictures import Band, axis, band_row, strip
from pruning.wording import plural

_QUANTILES = (0.01, 0.25, 0.5, 0.75, 0.99)


def score_section(
    column: Mapping[str, str],
    histogram: Histogram,
    *,
    by: Category | None,
    bands: Sequence[Band],
    group_bands: Mapping[str, Sequence[Band]],
) -> Html:
    """Histograms of one column.

    Args:
      column: name, unit, keeps and meaning.
      histogram: of all documents, by group.
      by: the groups; None for one of all.
      bands: what selections keep.
      group_bands: what they keep of each group, by its name, where each has its own cut.
    """
    range_ = histogram.range
    unit = "" if column["unit"] == "none" else column["unit"]
    about = ": ".join(filter(None, (unit, column["meaning"])))
    title = join([element("h3", column["name"]), element("p", about)])
    if not range_.n:
        return join([title, element("p", "No document has a finite score here.", class_="warn")])
    label = _label("all documents", histogram.total, histogram)
    rows = [
        strip(label, histogram, bands=bands, tall=True),
        *(band_row(b, _kept_label(b), range_) for b in bands),
        axis(range_, unit),
    ]
    parts: list[Html | None] = [
        title,
        element("p", _how(histogram, bands), class_="how"),
        element("div", rows, class_="figure"),
        _quantiles(histogram),
    ]
    if by is not None:
        parts.append(_by_group(histogram, by, unit, bands, group_bands))
    return join(parts)


def _by_group(
    histogram: Histogram,
    by: Category,
    unit: str,
    bands: Sequence[Band],
    group_bands: Mapping[str, Sequence[Band]],
) -> Html | None:
    shown = [i for i in range(len(by.names)) if histogram.counts[i].any()]
    if len(shown) < 2:
        return None
    strips = [
        strip(
            _label(by.names[i], histogram.counts[i], histogram),
            histogram,
            i,
            bands=[*bands, *group_bands.get(by.names[i], ())],
        )
        for i in shown
    ]
    how = (
        f"The same by {by.title}, on the same scale from left to right. Each strip is as tall as its "
        "own highest bar: compare where the hills stand, not how high they are."
    )
    if group_bands:
        named = {band.name: band for of_group in group_bands.values() for band in of_group}
        how += f" The shaded part is what {', '.join(named)} keeps of each."
    figure = element("div", [*strips, axis(histogram.range, unit)], class_="figure")
    return join([element("p", how, class_="how"), figure])


def _label(name: str, counts: np.ndarray, histogram: Histogram) -> Html:
    middle = number(quantile(counts, histogram, 0.5), 3, within=_width(histogram))
    return element("span", name, element("small", f"{int(counts.sum()):,}, median {middle}"))


def _width(histogram: Histogram) -> float:
    """Of the picture, where equal steps are equal differences."""
    return 0.0 if histogram.range.log else histogram.range.high - histogram.range.low


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
    if histogram.range.log:
        text += " Equal steps to the right are equal factors (a logarithmic axis)."
    if beyond:
        text += (
            f" Beyond the ends of the picture, counted and not drawn: {plural(beyond, 'document')}."
        )
    return text


def _quantiles(histogram: Histogram) -> Html:
    marks = [f"{100 * share:.0f} % below" if share != 0.5 else "median" for share in _QUANTILES]
    width = _width(histogram)
    values = [
        number(quantile(histogram.total, histogram, share), 3, within=width) for share in _QUANTILES
    ]
    ends = [number(x, within=width) for x in (histogram.range.lowest, histogram.range.highest)]
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
