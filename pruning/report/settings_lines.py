"""The settings in a store's manifest as a person reads them."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from pruning.wording import plural

# Parts of a manifest that have lines elsewhere, or none.
_ELSEWHERE = ("format", "version", "scorers", "columns", "unit_rows", "source", "files")
_IN_ONE_LINE = ("model", "vocabulary", "objective", "row", "batch_rows", "dtype", "attention")
_FAMILIES = {"t5": "T5", "mt5": "mT5", "umt5": "umT5", "gpt2": "GPT-2"}
_OBJECTIVES = {
    "span_corruption": "predicts hidden spans (span corruption)",
    "prefix_lm": "predicts the second half of each window from the first (prefix LM)",
    "causal_lm": "predicts every token from those before it (causal LM)",
    "ask_llm": "is asked a question about each document",
    "embedding": "gives a vector for each document",
    "memorization": "goes on from the first tokens, greedily",
}


def settings_lines(manifest: Mapping[str, Any]) -> Iterator[tuple[str, str | None]]:
    """Names and sentences, in the order in which they are read; None where there is none."""
    yield "Scorers", ", ".join(_scorer(*item) for item in manifest["scorers"].items())
    yield "Model", _model(manifest.get("model"))
    yield "Objective", _objective(manifest.get("objective"))
    yield "Vocabulary", _named(manifest.get("vocabulary")) or None
    yield "Computed in", _rows(manifest)
    where = manifest.get("where")
    if where:
        which = "drops" if where["inverted"] else "keeps"
        yield "Only what", f"a selection {which} (digest {_cut(where['digest'])})"
    for key, value in manifest.items():
        if key not in (*_ELSEWHERE, *_IN_ONE_LINE, "where") and value:
            yield key.replace("_", " ").capitalize(), plain(value)


def plain(value: Any) -> str:
    """JSON as a person reads it; digests are cut."""
    if isinstance(value, Mapping):
        shown = ((k.replace("_", " "), plain(v)) for k, v in value.items() if v is not None)
        return ", ".join(f"{name} {text}" for name, text in shown)
    if isinstance(value, list):
        return ", ".join(map(plain, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return re.sub(r"\b([0-9a-f]{12})[0-9a-f]{20,}\b", r"\1…", str(value))


def _scorer(name: str, settings: Mapping[str, Any]) -> str:
    # A prompt is a page of its own, and its digest tells two apart.
    shown = {key: value for key, value in settings.items() if key != "prompt"}
    return f"{name} ({plain(shown)})" if shown else name


def _model(model: Mapping[str, Any] | None) -> str | None:
    if not model:
        return None
    config = model.get("config", {})
    family = _FAMILIES.get(config.get("model_type"), config.get("model_type"))
    layers = [config.get(key) for key in ("num_layers", "num_decoder_layers") if config.get(key)]
    facts = [
        family,
        f"{' + '.join(map(str, layers))} layers" if layers else None,
        f"width {config['d_model']:,}" if config.get("d_model") else None,
        str(config["feed_forward_proj"]) if config.get("feed_forward_proj") else None,
    ]
    about = "; ".join(filter(None, facts))
    return _named(model) + (f": {about}" if about else "")


def _named(part: Mapping[str, Any] | None) -> str:
    if not part:
        return ""
    digest = part.get("digest")
    shown = f" (digest {_cut(digest)})" if digest and digest != part["name"] else ""
    return f"{plain(part['name'])}{shown}"


def _cut(digest: str) -> str:
    """A digest, or several with + between them, short."""
    return " + ".join(f"{part[:12]}…" if len(part) > 20 else part for part in digest.split("+"))


def _objective(objective: Mapping[str, Any] | None) -> str | None:
    if not objective:
        return None
    sentence = _OBJECTIVES.get(objective["name"], objective["name"].replace("_", " "))
    if "window" in objective:
        sentence += f", in windows of {plural(objective['window'], 'token')}"
    long = objective.get("long_documents")
    if long:
        sentence += (
            "; of longer documents the first window counts"
            if long == "truncate"
            else "; longer documents are several windows"
        )
    if "noise_density" in objective:
        sentence += (
            f"; {100 * objective['noise_density']:g} % are hidden, in spans of "
            f"{objective['mean_span_length']:g} on average"
        )
    return sentence


def _rows(manifest: Mapping[str, Any]) -> str | None:
    row = manifest.get("row")
    if not row:
        return None
    sides = [(row[f"{side}_length"], side) for side in ("encoder", "decoder")]
    shape = " + ".join(f"{n:,} {side}" for n, side in sides if n)
    batch = plural(manifest.get("batch_rows") or 1, "row")
    kernel = manifest.get("attention", "xla")
    attention = "" if kernel == "xla" else f", {kernel} attention"
    return f"batches of {batch} of {shape} positions, {manifest.get('dtype')}{attention}"
