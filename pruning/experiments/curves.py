"""Learning curves as an SVG that needs nothing else."""

import html
from collections.abc import Mapping

from pruning.experiments.results import Curve

_WIDTH, _HEIGHT = 720, 360
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 200, 28, 40
# Colours that people who do not see red and green apart can tell (Okabe and Ito), darkened.
_COLOURS = ("#000000", "#0072b2", "#d55e00", "#009e73", "#a6559d", "#b8860b", "#3a8fc4", "#777777")


def curves_svg(curves: Mapping[str, Curve], title: str) -> str:
    """Draws a line of means per arm, and every seed as a thin one.

    Args:
      curves: by arm.
      title: what is drawn upwards.
    """
    steps = [step for curve in curves.values() for step in curve.steps]
    values = [v for curve in curves.values() for seed in curve.by_seed.values() for v in seed]
    if not steps:
        return ""
    x_of = _scale(min(steps), max(steps), _LEFT, _WIDTH - _RIGHT)
    y_of = _scale(min(values), max(values), _HEIGHT - _BOTTOM, _TOP)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        f'font-family="sans-serif" font-size="12"><title>{html.escape(title)}</title>',
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#ffffff"/>',
        _text(_LEFT, 16, title, weight="bold"),
        _text((_LEFT + _WIDTH - _RIGHT) / 2, _HEIGHT - 6, "steps", anchor="middle"),
    ]
    for value in (min(values), (min(values) + max(values)) / 2, max(values)):
        y = y_of(value)
        parts.append(_line(_LEFT, y, _WIDTH - _RIGHT, y, "#dddddd"))
        parts.append(_text(_LEFT - 6, y + 4, f"{value:.4g}", anchor="end"))
    for step in sorted(set(steps)):
        parts.append(_text(x_of(step), _HEIGHT - _BOTTOM + 16, f"{step:,}", anchor="middle"))
    for number, (arm, curve) in enumerate(curves.items()):
        colour = _COLOURS[number % len(_COLOURS)]
        dash = "" if number < len(_COLOURS) else ' stroke-dasharray="5 3"'
        for seed in curve.by_seed.values():
            points = _points(curve.steps, seed, x_of, y_of)
            parts.append(_polyline(points, colour, f'stroke-width="0.7" opacity="0.4"{dash}'))
        points = _points(curve.steps, curve.mean, x_of, y_of)
        parts.append(_polyline(points, colour, f'stroke-width="2"{dash}'))
        y = _TOP + 8 + 17 * number
        x = _WIDTH - _RIGHT + 14
        parts.append(_polyline(f"{x},{y} {x + 22},{y}", colour, f'stroke-width="2"{dash}'))
        parts.append(_text(x + 28, y + 4, arm))
    return "\n".join([*parts, "</svg>"])


def _scale(low, high, begin, end):
    return lambda value: (
        begin + (end - begin) * ((value - low) / (high - low) if high > low else 0.5)
    )


def _points(steps, values, x_of, y_of) -> str:
    return " ".join(f"{x_of(s):.1f},{y_of(v):.1f}" for s, v in zip(steps, values, strict=True))


def _polyline(points: str, colour: str, how: str) -> str:
    return f'<polyline points="{points}" fill="none" stroke="{colour}" {how}/>'


def _line(x1: float, y1: float, x2: float, y2: float, colour: str) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}"/>'


def _text(x: float, y: float, text: str, anchor: str = "start", weight: str = "normal") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-weight="{weight}">'
        f"{html.escape(text)}</text>"
    )
