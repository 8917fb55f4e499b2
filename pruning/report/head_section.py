"""What was scored with what, and what could not be scored."""

import json
import re
from collections.abc import Mapping
from typing import Any

from pruning.documents import REASONS
from pruning.report.markup import Html, definitions, element, join, percent, table
from pruning.score_store import ScoreStore
from pruning.store_counts import count

# Parts of a manifest with a line of their own, or none.
_STRUCTURE = ("format", "version", "scorers", "columns", "unit_rows", "source", "files")


def head_section(store: ScoreStore) -> Html:
    """Source, model, settings and books of one store."""
    counts = _counts(store)
    manifest, source = store.manifest, store.manifest["source"]
    rows_in_all = sum(file.num_rows for file in store.files.values())
    scored = element(
        "span",
        f"{counts['scored']:,} of {counts['rows']:,}",
        element("small", f" ({percent(counts['scored'], counts['rows'])})"),
    )
    lines = [
        ("Source", source["spec"]),
        ("Files", f"{len(store.files):,}, with {rows_in_all:,} records"),
        ("Text field", source.get("text_field")),
        ("Fields carried", ", ".join(store.fields) or None),
        ("Scorers", ", ".join(_named(name, value) for name, value in manifest["scorers"].items())),
        *((_title(k), _plain(v)) for k, v in manifest.items() if k not in _STRUCTURE and v),
        ("Documents scored", scored),
        ("Tokens", f"{counts['n_tokens']:,}" if counts["n_tokens"] else None),
        ("Target tokens", f"{counts['n_targets']:,}" if counts["n_targets"] else None),
        ("Text", f"{counts['n_bytes']:,} bytes"),
        ("Truncated", f"{counts['truncated']:,} documents" if counts["truncated"] else None),
    ]
    return join([_unfinished(store), definitions(lines), _without_score(counts)])


def _counts(store: ScoreStore) -> Mapping[str, Any]:
    if store.is_complete:
        return json.loads((store.folder / "_SUCCESS").read_text())
    return count(store)


def _unfinished(store: ScoreStore) -> Html | None:
    missing, units = len(store.missing_units()), len(store.units)
    if not missing:
        return None
    return element(
        "p",
        f"This store is not complete: {units - missing:,} of {units:,} units are there, and "
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
            element("h3", "Without a score, and noted"),
            table(["Reason", "Documents", "Such as"], rows),
        ]
    )


def _reason(key: str) -> Html:
    return element("span", key, element("small", REASONS.get(key, "noted; scored all the same")))


def _examples(counts: Mapping[str, Any], key: str) -> Html:
    ids = counts["examples"].get(key, [])
    return element("small", (element("div", id_) for id_ in ids))


def _title(key: str) -> str:
    return key.replace("_", " ").capitalize()


def _named(name: str, settings: Mapping[str, Any]) -> str:
    return f"{name} ({_plain(settings)})" if settings else name


def _plain(value: Any) -> str:
    """JSON as a person reads it; digests are cut."""
    if isinstance(value, Mapping):
        return ", ".join(
            f"{k.replace('_', ' ')} {_plain(v)}" for k, v in value.items() if v is not None
        )
    if isinstance(value, list):
        return " × ".join(map(_plain, value))
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return re.sub(r"\b([0-9a-f]{12})[0-9a-f]{20,}\b", r"\1…", str(value))
