"""HTML made of elements. Text that is not `Html` is escaped, so nothing gets in by accident."""

import html
import math
from collections.abc import Iterable

Child = "Html | str | None | Iterable[Child]"

# Controls that a document may hold and HTML may not, as the pictures Unicode has for them.
_VISIBLE = {c: 0x2400 + c for c in range(0x20) if c not in b"\t\n"} | {0x7F: 0x2421}


class Html(str):
    """Markup, escaped already."""

    __slots__ = ()


def element(tag: str, *children, **attributes: str | float | None) -> Html:
    """One element.

    Args:
      tag: such as "td".
      *children: Html as it is, other text escaped, None left out, and iterables of these.
      **attributes: `class_` is written `class`, other underscores are hyphens;
        those that are None are left out.

    >>> element("p", "a < b ", element("b", "c"), class_="note")
    '<p class="note">a &lt; b <b>c</b></p>'
    """
    written = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{escape(str(value))}"'
        for name, value in attributes.items()
        if value is not None
    )
    return Html(f"<{tag}{written}>{join(children)}</{tag}>")


def join(children) -> Html:
    """Children in a row, as in `element`, without an element around them."""
    if children is None:
        return Html()
    if isinstance(children, Html):
        return children
    if isinstance(children, str):
        return escape(children)
    return Html("".join(join(child) for child in children))


def escape(text: str) -> Html:
    """Text as text: markup in it does nothing, and control characters can be seen."""
    return Html(html.escape(visible(text)))


def visible(text: str) -> str:
    """Text whose control characters, but for tabs and line ends, are pictures of them."""
    return text.replace("\r\n", "\n").translate(_VISIBLE)


def table(head: Iterable, rows: Iterable[Iterable], *, class_: str | None = None) -> Html:
    """A table. The first cell of each row is its heading; without a head there is none."""
    head = list(head)
    return element(
        "table",
        element("thead", element("tr", (element("th", c, scope="col") for c in head)))
        if head
        else None,
        element("tbody", (_row(cells) for cells in rows)),
        class_=class_,
    )


def _row(cells: Iterable) -> Html:
    first, *rest = cells
    return element("tr", element("th", first, scope="row"), (element("td", c) for c in rest))


def definitions(pairs: Iterable[tuple]) -> Html:
    """Names and what they are, two columns; pairs with None are left out."""
    return element(
        "dl",
        (
            element("div", element("dt", name), element("dd", value))
            for name, value in pairs
            if value is not None
        ),
    )


def number(value: float, digits: int = 4, *, within: float = 0.0) -> str:
    """A score, short enough to read.

    Args:
      value: the score.
      digits: significant ones, at least.
      within: width of the picture; a hundredth of it can be told apart.

    >>> number(-10.4738, 3), number(-10.4738, 3, within=0.2), number(2913.4, 3), number(1e-7)
    ('−10.5', '−10.474', '2,913', '1e−07')
    """
    if value != value:
        return "–"
    if not value:
        return "0"
    if math.isfinite(value) and within > 0:
        above = math.floor(math.log10(abs(value)))
        digits = min(max(digits, above + 1 - math.floor(math.log10(within / 100))), 9)
    text = f"{value:,.0f}" if 1000 <= abs(value) < 1e7 and within < 1e7 else f"{value:.{digits}g}"
    return text.replace("-", "−").replace("inf", "∞")


def percent(part: float, whole: float) -> str:
    """A share; never 0 % or 100 % where that is not so."""
    if not whole:
        return "–"
    share = 100 * part / whole
    if share in (0, 100) or 0.05 <= share < 99.95:
        return f"{share:.1f}\N{NO-BREAK SPACE}%"
    return f"{min(max(share, 0.001), 99.999):.3f}\N{NO-BREAK SPACE}%"
