"""Tables whose cells are coloured by their numbers."""

from collections.abc import Sequence

from pruning.report.markup import Html, element


def heat_table(names: Sequence, rows: Sequence[Sequence]) -> Html:
    """A table of `heat_cell`s with the same names along both sides."""
    body = (element("tr", element("th", r[0], scope="row"), r[1:]) for r in rows)
    head = element("tr", (element("th", name, scope="col") for name in ["", *names]))
    return element("table", element("thead", head), element("tbody", body), class_="heat")


def heat_cell(text: str, strength: float, *, small: str | None = None) -> Html:
    """A cell in one colour for numbers above 0 and in another below, stronger the further."""
    if strength != strength:
        return element("td", text)
    colour = f"{'c0' if strength >= 0 else 'c1'}"
    style = f"--heat:{round(100 * min(abs(strength), 1) * 0.6)}%"
    return element(
        "td", text, element("small", small) if small else None, class_=colour, style=style
    )
