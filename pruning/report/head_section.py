"""What was scored with what, what could not be scored, and what it cost."""

from collections.abc import Mapping
from typing import Any

from pruning.documents import REASONS
from pruning.report.markup import Html, definitions, element, join, percent, table
from pruning.report.settings_lines import settings_lines
from pruning.run_costs import cost_sentence, read_costs, total_costs
from pruning.score_store import ScoreStore
from pruning.store_counts import count
from pruning.wording import plural


def heads(stores: Mapping[str, ScoreStore], counts: Mapping[str, Mapping[str, Any]]) -> Html:
    """The source, what all stores have in common, and what each has of its own.

    Args:
      stores: by name.
      counts: of `counts_of`, by the same names.
    """
    lines = {name: _store_lines(store, counts[name]) for name, store in stores.items()}
    first, *others = lines.values()
    common = [line for line in first if others and all(line in other for other in others)]
    parts: list[Html | None] = [definitions([*_source_lines(next(iter(stores.values()))), *common])]
    for name, store in stores.items():
        own = [line for line in lines[name] if line not in common]
        title = element("h3", name or store.folder.name)
        books = _without_score(counts[name])
        parts += [title, _unfinished(store), definitions(own), books]
    return join(parts)


def _source_lines(store: ScoreStore) -> list[tuple[str, str | None]]:
    source = store.manifest["source"]
    rows = sum(file.num_rows for file in store.files.values())
    return [
        ("Source", source["spec"]),
        ("Files", f"{plural(len(store.files), 'file')} with {plural(rows, 'record')}"),
        ("Text field", source.get("text_field")),
        ("Fields carried", ", ".join(store.fields) or None),
    ]


def _store_lines(
    store: ScoreStore, counts: Mapping[str, Any]
) -> list[tuple[str, Html | str | None]]:
    share = element("small", f" ({percent(counts['scored'], counts['rows'])})")
    scored = element("span", f"{counts['scored']:,} of {counts['rows']:,}", share)
    return [
        *settings_lines(store.manifest),
        ("Documents scored", scored),
        ("Text", plural(counts["n_bytes"], "byte")),
        ("Tokens", plural(counts["n_tokens"], "token") if counts["n_tokens"] else None),
        ("Predicted", plural(counts["n_targets"], "target token") if counts["n_targets"] else None),
        ("Cut off", _truncated(counts)),
        ("Cost", _cost(store)),
    ]


def counts_of(store: ScoreStore) -> Mapping[str, Any]:
    """The counts of a finished store as it has them, of another as they are now."""
    if store.is_complete:
        return store.read_success()
    return count(store)


def _cost(store: ScoreStore) -> str:
    totals = total_costs(read_costs(store.folder))
    return "; ".join(map(cost_sentence, totals)) or "not noted beside these scores"


def _truncated(counts: Mapping[str, Any]) -> str | None:
    if not counts["truncated"]:
        return None
    n = counts["truncated"]
    return f"{plural(n, 'document')}, scored on {'its' if n == 1 else 'their'} beginning"


def _unfinished(store: ScoreStore) -> Html | None:
    missing, units = len(store.missing_units()), len(store.units)
    if not missing:
        return None
    return element(
        "p",
        f"This store is not complete: {units - missing:,} of {plural(units, 'unit')} are there, and "
        "everything below is about these.",
        class_="warn",
    )


def _without_score(counts: Mapping[str, Any]) -> Html | None:
    rows = [
        (_reason(key), f"{n:,}", _examples(counts, key))
        for kind in ("unscored", "notes")
        for key, n in sorted(counts[kind].items(), key=lambda item: -item[1])
    ]
    if not rows:
        return element("p", "Every document has a score.", class_="soft")
    return join(
        [
            element("h4", "Without a score, and noted"),
            table(["Reason", "Documents", "Such as"], rows),
        ]
    )


def _reason(key: str) -> Html:
    return element("span", key, element("small", REASONS.get(key, "noted; scored all the same")))


def _examples(counts: Mapping[str, Any], key: str) -> Html:
    ids = counts["examples"].get(key, [])
    return element("small", (element("div", id_) for id_ in ids))
