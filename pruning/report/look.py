"""Everything that a report shows, counted and drawn in a few passes and constant memory."""

import dataclasses
import itertools
from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa

from pruning.keep_bits import Selection
from pruning.report.agreement import most_disagreed, pairs, ranks
from pruning.report.categories import ByField, ByLength, Category, find_fields
from pruning.report.composition import Counts, count_kept
from pruning.report.draws import Draw, cut_draws, quantile_draws, tail_draws
from pruning.report.histograms import Histogram, count_scores
from pruning.report.options import Options
from pruning.report.ranges import find_ranges
from pruning.report.samples import Sample, draw, samples_of
from pruning.report.sampling import take_sample
from pruning.report.scored_corpus import ScoredCorpus
from pruning.sources.damage import DAMAGE_FIELD
from pruning.wording import plural

GROUP_FIELD = "domain"
_MOST_COMPARED = 8  # scores against each other
_MOST_SHOWN = 6  # scores beside each document
_PAIRS_READ = 3  # of scores, whose disagreements are shown


@dataclasses.dataclass(frozen=True, kw_only=True)
class Look:
    """What was counted and drawn.

    Attributes:
      corpus: with the expressions that selections rank by.
      ranked_by: score of each selection, by its number, where the stores tell it.
      by: groups of the histograms.
      histograms: by column.
      kept: of the documents kept, by number of the selection.
      counts: compositions, totals and overlaps.
      too_many: fields with so many values that they make no groups.
      sample: of all scored documents.
      sampled: which these are, in words.
      draws, drawn: documents to show.
      disagreements: high score, low score and documents.
      searched: documents to search.
    """

    corpus: ScoredCorpus
    ranked_by: Mapping[int, str]
    by: Category | None
    histograms: Mapping[str, Histogram]
    kept: Mapping[int, Histogram]
    counts: Counts
    too_many: Sequence[str]
    sample: pa.Table
    sampled: str
    draws: Sequence[Draw]
    drawn: Sequence[Sequence[Sample]]
    disagreements: Sequence[tuple[str, str, Sequence[Sample]]]
    searched: Sequence[Sample]

    def of_sample(self, columns: Sequence[str]) -> dict[str, np.ndarray]:
        """Scores of the sample."""
        return {name: self.sample[name].to_numpy().astype(np.float64) for name in columns}


def look_at(
    corpus: ScoredCorpus, selections: Sequence[Selection], length_unit: str, options: Options
) -> Look:
    """Looks at a corpus and at what selections keep of it."""
    ranked_by = {
        n: score for n, s in enumerate(selections) if (score := corpus.score_of(s)) is not None
    }
    corpus = corpus.with_scores(ranked_by.values())
    columns, fields = [*corpus.score_columns], corpus.fields
    by_field, too_many = find_fields(corpus, fields)
    by = _grouping(by_field)
    histograms, of_kept = count_scores(
        corpus,
        find_ranges(corpus, columns),
        by=by,
        kept=[(score, selections[n]) for n, score in ranked_by.items()],
    )
    counts = count_kept(corpus, [*by_field, ByLength(length_unit)], selections)
    sample = take_sample(corpus, [*columns, *fields], size=options.sample, seed=options.seed)
    shown = compared(corpus)[:_MOST_SHOWN]
    draws = _draws(corpus, histograms, ranked_by, selections, options)
    drawn = draw(
        corpus,
        draws,
        fields=fields,
        scores=shown,
        each=options.documents_each,
        seed=options.seed,
    )
    total = int(counts.documents[0])
    return Look(
        corpus=corpus,
        ranked_by=ranked_by,
        by=by,
        histograms=histograms,
        kept=dict(zip(ranked_by, of_kept, strict=True)),
        counts=counts,
        too_many=too_many,
        sample=sample,
        sampled=_sampled(len(sample), total, options.seed),
        draws=draws,
        drawn=drawn,
        disagreements=_disagreements(corpus, sample, shown, fields, options.documents_each),
        searched=_searched(sample, shown, fields, options.searched),
    )


def compared(corpus: ScoredCorpus) -> list[str]:
    """Scores to hold against each other."""
    return corpus.main_columns[:_MOST_COMPARED]


def tells_nothing(column: Mapping[str, str]) -> bool:
    """Whether a column is a control, whose documents are like any others."""
    return column["keeps"] == "any" and column["unit"] == "none"


def _grouping(fields: Sequence[ByField]) -> Category | None:
    of_use = [f for f in fields if f.title != DAMAGE_FIELD]
    return next((f for f in of_use if f.title == GROUP_FIELD), next(iter(of_use), None))


def _draws(
    corpus: ScoredCorpus,
    histograms: Mapping[str, Histogram],
    ranked_by: Mapping[int, str],
    selections: Sequence[Selection],
    options: Options,
) -> list[Draw]:
    columns = corpus.score_columns
    first: dict[str, str] = {}
    for name in corpus.main_columns:
        first.setdefault(corpus.stores.scores[name].store, name)
    draws: list[Draw] = []
    for name in dict.fromkeys([*first.values(), *ranked_by.values()]):
        if not tells_nothing(columns[name]):
            tails = tail_draws(name, histograms[name], options.documents_each)
            between = quantile_draws(name, histograms[name], sorted(options.at))
            draws += [*tails[:1], *between, *tails[1:]]
    for n, score in ranked_by.items():
        if selections[n].thresholds is not None:
            draws += cut_draws(score, selections[n])
    return draws


def _disagreements(
    corpus: ScoredCorpus, sample: pa.Table, columns: Sequence[str], fields: Sequence[str], num: int
) -> list[tuple[str, str, Sequence[Sample]]]:
    if not len(sample):
        return []
    about = corpus.score_columns
    telling = [name for name in columns if not tells_nothing(about[name])]
    rank = {name: ranks(sample[name].to_numpy().astype(np.float64)) for name in telling}
    found: list[tuple[str, str, Sequence[Sample]]] = []
    for pair in pairs(telling)[:_PAIRS_READ]:
        for high, low in itertools.permutations(pair):
            rows = sample.take(most_disagreed(rank[high], rank[low], num))
            found.append((high, low, samples_of(rows, high, fields, columns)))
    return found


def _searched(
    sample: pa.Table, columns: Sequence[str], fields: Sequence[str], num: int
) -> list[Sample]:
    if not columns or not len(sample):
        return []
    return samples_of(sample.slice(0, num), columns[0], fields, columns)


def _sampled(size: int, total: int, seed: int) -> str:
    if size == total:
        return f"all {plural(total, 'scored document')}"
    return f"a sample of {size:,} of {plural(total, 'scored document')} (seed {seed})"
