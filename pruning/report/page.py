"""The whole report, one file that needs nothing else."""

from collections.abc import Mapping, Sequence

from pruning.experiments.page import Section
from pruning.keep_bits import Selection
from pruning.report.agreement_section import agreement_section
from pruning.report.composition_section import composition_section
from pruning.report.damage_section import damage_section
from pruning.report.documents_section import (
    Texts,
    disagreement_section,
    documents_section,
    search_section,
)
from pruning.report.experiment_section import experiments_section
from pruning.report.head_section import counts_of, heads
from pruning.report.look import Look, compared, look_at, tells_nothing
from pruning.report.markup import Html, element, join
from pruning.report.options import Options
from pruning.report.pictures import Band
from pruning.report.samples import ReadText, read_shown
from pruning.report.score_section import score_section
from pruning.report.scored_corpus import see
from pruning.report.script import POLICY, SCRIPT
from pruning.report.selection_section import selection_section
from pruning.report.style import STYLE
from pruning.report.totals_section import COLOURS, overlap_section, totals_section
from pruning.score_store import ScoreStore
from pruning.sources.damage import DAMAGE_FIELD


def build_report(
    stores: Mapping[str, ScoreStore],
    selections: Sequence[Selection] = (),
    read_text: ReadText | None = None,
    *,
    options: Options | None = None,
    experiments: Mapping[str, Section] | None = None,
) -> str:
    """A report as HTML.

    Histograms, compositions and overlaps count every document. What compares single documents
    does so on a seeded sample. Both take constant memory, but for the `rank` function in what a
    selection ranks by, which takes 4 bytes a document as it does when it selects.

    Args:
      stores: of one source, by name; they may be incomplete.
      selections: of the same source.
      read_text: (file, row) to the stored bytes; without it no texts are shown.
      options: what to show.
      experiments: what training on selections gave, by name.

    Raises:
      ValueError: no store, or the stores and selections are not of the same files.
    """
    options = options or Options()
    _check_same_files(stores, selections)
    corpus = see(stores)
    counts = {name: counts_of(store) for name, store in corpus.stores.stores.items()}
    length_unit = "tokens" if counts[corpus.stores.with_tokens]["n_tokens"] else "bytes"
    look = look_at(corpus, selections, length_unit, options)
    disagreed = [sample for *_, samples in look.disagreements for sample in samples]
    drawn = [sample for samples in look.drawn for sample in samples]
    texts = read_shown([*drawn, *disagreed, *look.searched], read_text)
    sections = [
        ("scored", "What was scored", [_method(look), heads(corpus.stores.stores, counts)]),
        ("scores", "Scores", [_score(look, name, selections) for name in look.histograms]),
        ("agreement", "Scorer against scorer", [_agreement(look)]),
        ("selections", "Selections", _selections(look, selections, options)),
        ("composition", "Composition", [composition_section(look.counts, selections), _left(look)]),
        ("damage", "Damaged documents", [_damage(look)]),
        ("experiments", "Trained on it", [experiments_section(experiments or {})]),
        ("documents", "Documents to read", _documents(look, texts)),
    ]
    found = [(anchor, name, join(parts)) for anchor, name, parts in sections]
    return _page(_title(stores), [section for section in found if section[2]])


def _method(look: Look) -> Html:
    return element(
        "p",
        "Histograms, compositions and overlaps below count every document. Kendall’s τ, rank maps, "
        f"disagreements and the search look at {look.sampled}.",
        class_="how",
    )


def _score(look: Look, name: str, selections: Sequence[Selection]) -> Html:
    mine = [n for n, score in look.ranked_by.items() if score == name]
    group_bands: dict[str, list[Band]] = {}
    for n in mine:
        if look.by is not None and selections[n].info["rule"].get("per") == look.by.title:
            for group, found in (selections[n].info.get("per_group") or {}).items():
                if found["kept"] and selections[n].info["rule"]["keep"] not in ("random", "sample"):
                    low, high = found["scores"]
                    group_bands.setdefault(group, []).append(_band(selections[n], n, low, high))
    cut = [(n, selections[n].thresholds) for n in mine]
    return score_section(
        look.corpus.score_columns[name],
        look.histograms[name],
        by=None if tells_nothing(look.corpus.score_columns[name]) else look.by,
        bands=[_band(selections[n], n, *limits) for n, limits in cut if limits is not None],
        group_bands=group_bands,
    )


def _band(selection: Selection, number: int, low: float | None, high: float | None) -> Band:
    return Band(
        selection.folder.name,
        number % COLOURS,
        -float("inf") if low is None else low,
        float("inf") if high is None else high,
    )


def _agreement(look: Look) -> Html | None:
    columns = compared(look.corpus)
    return agreement_section(look.of_sample(columns), look.sampled) if len(look.sample) else None


def _selections(look: Look, selections: Sequence[Selection], options: Options) -> list[Html | None]:
    if not selections:
        return []
    parts: list[Html | None] = [totals_section(look.counts, selections, options.training_tokens)]
    parts.append(overlap_section(look.counts, selections))
    for n, selection in enumerate(selections):
        histogram = look.histograms[look.ranked_by[n]] if n in look.ranked_by else None
        parts.append(selection_section(selection, n, histogram, look.kept.get(n)))
    return parts


def _left(look: Look) -> Html | None:
    if not look.too_many:
        return None
    named = ", ".join(look.too_many)
    return element("p", f"Left out, for they have too many values: {named}.", class_="soft")


def _damage(look: Look) -> Html | None:
    if DAMAGE_FIELD not in look.corpus.fields or not len(look.sample):
        return None
    damage_N = look.sample[DAMAGE_FIELD].to_numpy(zero_copy_only=False)
    scores = look.of_sample([*look.corpus.stores.scores])
    return damage_section(scores, damage_N, look.sampled)


def _documents(look: Look, texts: Texts) -> list[Html | None]:
    shown = compared(look.corpus)
    columns = [name for name in shown if any(name in s.scores for s in look.searched[:1])]
    return [
        documents_section(look.draws, look.drawn, texts),
        disagreement_section(look.disagreements, texts, look.sampled),
        search_section(look.searched, texts, columns, look.sampled),
    ]


def _title(stores: Mapping[str, ScoreStore]) -> str:
    specs = dict.fromkeys(store.manifest["source"]["spec"] for store in stores.values())
    return "Scores of " + ", ".join(specs)


def _page(title: str, sections: Sequence[tuple[str, str, Html]]) -> str:
    head = [
        Html('<meta charset="utf-8">'),
        element("meta", http_equiv="Content-Security-Policy", content=POLICY),
        Html('<meta name="viewport" content="width=device-width, initial-scale=1">'),
        element("title", title),
        element("style", Html(STYLE)),
    ]
    links = (element("a", name, href=f"#{anchor}") for anchor, name, _ in sections)
    body = [
        element("header", element("h1", title), element("nav", links)),
        *(
            element("section", element("h2", name), part, id=anchor)
            for anchor, name, part in sections
        ),
        element("script", Html(SCRIPT)),
    ]
    return "<!doctype html>\n" + element(
        "html", element("head", head), element("body", body), lang="en"
    )


def _check_same_files(stores: Mapping[str, ScoreStore], selections: Sequence[Selection]) -> None:
    if not stores:
        raise ValueError("A report needs at least one score store; got none.")
    first, *more = stores.values()
    wanted = _sizes(first)
    others: list[ScoreStore | Selection] = [*more, *selections]
    for other in others:
        found = _sizes(other)
        for path in sorted({*wanted, *found}):
            if wanted.get(path) != found.get(path):
                raise ValueError(
                    f"{other.folder} is not of the same files as {first.folder}: {path} has "
                    f"(bytes, records) {found.get(path)} there and {wanted.get(path)} here. "
                    "Make a report for each source."
                )


def _sizes(folder: ScoreStore | Selection) -> dict[str, tuple[int, int]]:
    return {path: (file.size, file.num_rows) for path, file in folder.files.items()}
