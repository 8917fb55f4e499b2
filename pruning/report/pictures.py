"""Histograms as SVG that stretches to the page; labels are HTML beside it, so they keep their size."""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from pruning.report.histograms import BINS, Histogram, quantile
from pruning.report.markup import Html, element, number
from pruning.report.ranges import Range

_HEIGHT = 100  # of the drawing; CSS says how tall it is on the page
_FEW = 3000  # documents for whom 64 bars are noise
_SHADES = 8
_END = 0.02  # of the width, where a number would stand half outside


@dataclasses.dataclass(frozen=True)
class Band:
    """Scores that a selection keeps.

    Attributes:
      name: of the selection.
      colour: 0 to 5, a class of the style sheet.
      low, high: lowest and highest score kept.
    """

    name: str
    colour: int
    low: float
    high: float


def strip(
    label: Html,
    histogram: Histogram,
    group: int | None = None,
    *,
    kept: Histogram | None = None,
    bands: Sequence[Band] = (),
    colour: int = 0,
    tall: bool = False,
) -> Html:
    """One histogram with its label.

    Args:
      label: stands left of it.
      histogram: of all documents.
      group: which row of it; all by default.
      kept: drawn over it in the selection's colour.
      bands: shaded behind it.
      colour: of `kept`.
      tall: as the main picture of a section.
    """
    counts = _bars(histogram, group)
    top = max(int(counts.max()), 1)
    shapes = [_shade(band, histogram.range) for band in bands]
    shapes += [_line("grid", _place(tick, histogram.range)) for tick in ticks(histogram.range)]
    shapes.append(element("path", class_="all", d=_outline(counts, top)))
    if kept is not None:
        shapes.append(
            element("path", class_=f"kept c{colour}", d=_outline(_bars(kept, group), top))
        )
    for band in bands:
        inside = (
            x for x in (band.low, band.high) if histogram.range.low < x < histogram.range.high
        )
        shapes += [_line(f"cut c{band.colour}", _place(x, histogram.range)) for x in inside]
    fine = histogram.total if group is None else histogram.counts[group]
    middle = quantile(fine, histogram, 0.5)
    if not math.isnan(middle):
        shapes.append(_line("median", _place(middle, histogram.range)))
    drawing = element(
        "svg",
        shapes,
        viewBox=f"0 0 1000 {_HEIGHT}",
        preserveAspectRatio="none",
        class_="tall" if tall else None,
        aria_hidden="true",
    )
    return _row(label, drawing)


def band_row(band: Band, label: Html, range_: Range) -> Html:
    """A bar from the lowest to the highest score that a selection keeps."""
    left, right = (100 * min(max(_place(x, range_), 0), 1) for x in (band.low, band.high))
    style = f"left:{left:.2f}%;width:max(3px,{right - left:.2f}%)"
    bar = element("span", class_=f"span c{band.colour}", style=style)
    return _row(label, element("div", bar, class_="track"))


def axis(range_: Range, unit: str) -> Html:
    """Numbers below the strips."""
    marks = (
        element(
            "span",
            number(tick),
            style=f"left:{100 * (place := _place(tick, range_)):.2f}%",
            class_="begin" if place < _END else "end" if place > 1 - _END else None,
        )
        for tick in ticks(range_)
    )
    return _row(element("span", unit, class_="unit"), element("div", marks, class_="axis"))


def ticks(range_: Range, most: int = 6) -> list[float]:
    """Round numbers inside a range, at most this many."""
    if range_.log:
        return _log_ticks(range_, most)
    width = range_.high - range_.low
    step = 10.0 ** math.floor(math.log10(width / most))
    step *= next((m for m in (1, 2, 5) if width / (m * step) <= most), 10)
    first, last = math.ceil(range_.low / step), math.floor(range_.high / step)
    return [k * step for k in range(first, last + 1)]


def _log_ticks(range_: Range, most: int) -> list[float]:
    """Powers of ten, with their doubles and fives where there is room."""
    first, last = math.floor(math.log10(range_.low)), math.ceil(math.log10(range_.high))
    for steps in ((1, 2, 5), (1, 3), (1,)):
        found = [m * 10.0**k for k in range(first, last + 1) for m in steps]
        inside = [x for x in found if range_.low <= x <= range_.high]
        if len(inside) <= most:
            return inside
    return inside[:: math.ceil(len(inside) / most)]


def heat_map(counts: np.ndarray) -> Html:
    """A square of cells, the stronger the more documents; the first axis goes to the right."""
    cells = len(counts)
    # Full at four times the even share; a cell with any document is not white.
    even = max(counts.mean(), 1e-9)
    shade = np.ceil(_SHADES * np.minimum(counts / (4 * even), 1)).astype(np.int64)
    paths = []
    for level in range(1, _SHADES + 1):
        at = (f"M{x},{cells - 1 - y}h1v1h-1z" for x, y in np.argwhere(shade == level))
        drawn = "".join(at)
        if drawn:
            paths.append(element("path", d=drawn, opacity=f"{level / _SHADES:.3g}"))
    return element(
        "svg",
        paths,
        viewBox=f"0 0 {cells} {cells}",
        class_="map",
        shape_rendering="crispEdges",
        aria_hidden="true",
    )


def share_bar(length: float, text: str, class_: str) -> Html:
    """A bar of a length in [0, 1] with its number beside it."""
    bar = element("span", class_=class_, style=f"width:{100 * length:.2f}%")
    return element("div", element("div", bar), element("small", text), class_="bar")


def _row(label: Html, plot: Html) -> Html:
    return element(
        "div",
        element("div", label, class_="label"),
        element("div", plot, class_="plot"),
        class_="row",
    )


def _bars(histogram: Histogram, group: int | None) -> np.ndarray:
    counts = histogram.total if group is None else histogram.counts[group]
    bars = 64 if histogram.range.n >= _FEW else 32
    return counts[1:-1].reshape(bars, BINS // bars).sum(axis=1)


def _outline(counts: np.ndarray, top: int) -> str:
    width = 1000 / len(counts)
    steps = (
        f"V{_HEIGHT - (_HEIGHT - 2) * count / top:.4g}H{width * (i + 1):.6g}"
        for i, count in enumerate(counts)
    )
    return f"M0,{_HEIGHT}{''.join(steps)}V{_HEIGHT}Z"


def _shade(band: Band, range_: Range) -> Html:
    left, right = (1000 * min(max(_place(x, range_), 0), 1) for x in (band.low, band.high))
    return element(
        "rect",
        class_=f"band c{band.colour}",
        x=f"{left:.6g}",
        y=0,
        width=f"{right - left:.6g}",
        height=_HEIGHT,
    )


def _line(class_: str, place: float) -> Html:
    return element("path", class_=class_, d=f"M{1000 * place:.6g},0V{_HEIGHT}")


def _place(score: float, range_: Range) -> float:
    """0 at the left end of the bins, 1 at the right; scores beyond lie just outside."""
    return float(np.clip(range_.place(np.asarray(score)), -0.01, 1.01))
