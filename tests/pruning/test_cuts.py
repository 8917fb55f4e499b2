"""Every rule, budget and grouping against a full sort of every group, in any order and any cut."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pruning import radix_select
from pruning.cuts import find_cut
from pruning.hashing import id_hash
from pruning.ranking import Chunk
from pruning.sampling import drawn_scores
from pruning.selection import Rule


@pytest.fixture(autouse=True, params=[0, 1 << 22], ids=["digit by digit", "collected"])
def few_keys(request, monkeypatch):
    """Both ways to the end of a radix select."""
    monkeypatch.setattr(radix_select, "_FEW_KEYS", request.param)


GROUPS = ("web", "code", "books", "(none)")
SHARES = {"web": 0.5, "code": 0.3}
KEEPS = ("low", "middle", "high", "random", "sample")

documents = st.lists(
    st.tuples(
        st.sampled_from([0.5, 1.0, 1.0, 2.0, math.nan]) | st.floats(0.25, 1e6, width=32),
        st.integers(0, 3),
        st.sampled_from([0, 1, 1, 7, 40]),
    ),
    max_size=50,
)
corpora = st.lists(documents, min_size=1, max_size=5)


def make_rule(keep, **settings):
    return Rule(keep=keep, weights="inverse" if keep == "sample" else None, **settings)


def cut_up(corpus, rule, rng=None):
    """Chunks of the files of a corpus, at random places and in random order."""
    chunks = []
    for number, rows in enumerate(corpus):
        columns = [np.array(c) for c in zip(*rows, strict=True)] or [np.zeros(0)] * 3
        cuts = [rng.randint(0, len(rows)) for _ in range(3)] if rng else []
        for i, j in itertools.pairwise(sorted([0, len(rows), *cuts])):
            score_N, group_N, tokens_N = (c[i:j] for c in columns)
            chunks.append(
                Chunk(
                    f"file{number}",
                    i,
                    score_N.astype(np.float32),
                    group_N.astype(np.int64) if rule.per else None,
                    tokens_N.astype(np.int64) if rule.by_tokens else None,
                )
            )
    if rng:
        rng.shuffle(chunks)
    return chunks


def kept(rule, corpus, rng=None):
    """Ids of the documents that stay."""
    chunks = cut_up(corpus, rule, rng)
    cut = find_cut(rule, lambda work: map(work, chunks), GROUPS if rule.per else ("",))
    return {
        (chunk.file, chunk.first_row + int(i))
        for chunk in chunks
        for i in np.flatnonzero(cut.keeps(chunk))
    }


def rankings(rule, corpus):
    """(id, tokens) of the scored documents in order, by group."""
    ranked = {group: [] for group in range(len(GROUPS) if rule.per else 1)}
    for number, rows in enumerate(corpus):
        for row, (score, group, tokens) in enumerate(rows):
            if math.isnan(score):
                continue
            file, rows_N = f"file{number}", np.array([row])
            noise = int(id_hash(file, row, rule.seed))
            if rule.keep == "sample":
                (score,) = drawn_scores(rule, file, rows_N, np.array([np.float64(score)]))
            key = (0 if rule.keep == "random" else score, noise)
            ranked[group if rule.per else 0].append((key, (file, row), tokens))
    return {g: [(id_, t) for _, id_, t in sorted(r)] for g, r in ranked.items()}


def stretch_by_sorting(rule, ranking, budget):
    """The definition, document by document."""
    ids, tokens = [id_ for id_, _ in ranking], [t for _, t in ranking]
    if not budget:
        return set()
    if not rule.by_tokens:
        start = {"high": len(ids) - budget, "sample": len(ids) - budget}.get(rule.keep, 0)
        start = (len(ids) - budget) // 2 if rule.keep == "middle" else start
        return {*ids[start : start + budget]}
    if rule.keep == "middle":
        half = (sum(tokens) - budget) / 2
        first = next(i for i in range(len(ids) + 1) if sum(tokens[:i]) >= half)
        last = next(i for i in range(len(ids), -1, -1) if sum(tokens[i:]) >= half)
        return {*ids[first:last]}
    sizes = range(len(ids), -1, -1)
    if rule.keep in ("high", "sample"):
        return {*ids[next(len(ids) - k for k in sizes if sum(tokens[len(ids) - k :]) <= budget) :]}
    return {*ids[: next(k for k in sizes if sum(tokens[:k]) <= budget)]}


def totals(rule, ranked):
    return {g: sum(t for _, t in r) if rule.by_tokens else len(r) for g, r in ranked.items()}


@pytest.mark.parametrize("per", [None, "domain"])
@pytest.mark.parametrize("keep", KEEPS)
@settings(max_examples=15)
@given(corpus=corpora, percent=st.integers(1, 100), rng=st.randoms(use_true_random=False))
def test_a_fraction_is_that_of_a_full_sort(keep, per, corpus, percent, rng):
    rule = make_rule(keep, fraction=percent / 100, per=per, seed=percent)
    ranked = rankings(rule, corpus)
    expected = set()
    for ranking in ranked.values():
        expected |= stretch_by_sorting(rule, ranking, percent * len(ranking) // 100)
    assert kept(rule, corpus, rng) == expected


@pytest.mark.parametrize("unit", ["documents", "tokens"])
@pytest.mark.parametrize("keep", KEEPS)
@settings(max_examples=20)
@given(corpus=corpora, share=st.floats(0, 1), rng=st.randoms(use_true_random=False))
def test_a_budget_is_the_longest_stretch_that_fits(keep, unit, corpus, share, rng):
    ranked = rankings(make_rule(keep, fraction=1.0), corpus)
    whole = totals(make_rule(keep, **{unit: 1}), ranked)[0]
    if not whole:
        return
    budget = max(1, int(share * whole))
    rule = make_rule(keep, **{unit: budget})
    stays = kept(rule, corpus, rng)
    assert stays == stretch_by_sorting(rule, ranked[0], budget)
    if unit == "documents":
        assert len(stays) == budget
    else:
        assert sum(t for id_, t in ranked[0] if id_ in stays) <= budget


@pytest.mark.parametrize("unit", ["documents", "tokens"])
@pytest.mark.parametrize("keep", KEEPS)
@settings(max_examples=20)
@given(corpus=corpora, share=st.floats(0, 1), rng=st.randoms(use_true_random=False))
def test_budgets_per_group_are_those_of_the_groups_alone(keep, unit, corpus, share, rng):
    ranked = rankings(make_rule(keep, fraction=1.0, per="domain"), corpus)
    whole = [t for t in totals(make_rule(keep, **{unit: 1}), ranked).values() if t]
    if not whole:
        return
    budget = max(1, int(share * min(whole)))
    rule = make_rule(keep, **{unit: budget}, per="domain")
    expected = set()
    for group, ranking in ranked.items():
        if ranking and not totals(rule, ranked)[group]:
            return  # documents without a token: the budget is above what is there
        expected |= stretch_by_sorting(rule, ranking, budget)
    assert kept(rule, corpus, rng) == expected


@pytest.mark.parametrize("keep", ["low", "high", "random", "sample", "middle"])
@pytest.mark.parametrize("unit", ["documents", "tokens"])
@settings(max_examples=15)
@given(corpus=corpora, shares=st.tuples(st.floats(0.01, 1), st.floats(0.01, 1)).map(sorted))
def test_a_smaller_budget_is_a_part_of_a_larger_one(keep, unit, corpus, shares):
    whole = totals(make_rule(keep, **{unit: 1}), rankings(make_rule(keep, fraction=1.0), corpus))[0]
    if not whole:
        return
    small, large = (
        kept(make_rule(keep, **{unit: max(1, int(share * whole))}, seed=3), corpus)
        for share in shares
    )
    assert small <= large


@pytest.mark.parametrize("bits", [16, 8, 4, 2])
@settings(max_examples=20)
@given(corpus=corpora)
def test_the_size_of_a_digit_changes_nothing(bits, corpus):
    rules = [make_rule(keep, fraction=0.4, per="domain") for keep in KEEPS]
    expected = [kept(rule, corpus) for rule in rules]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(radix_select, "digit_bits", lambda groups: bits)
        assert [kept(rule, corpus) for rule in rules] == expected


def test_histograms_keep_their_size_for_many_groups():
    for groups, bits in ((1, 16), (64, 16), (65, 8), (10_000, 8), (16_385, 4), (100_001, 4)):
        assert radix_select.digit_bits(groups) == bits
        assert groups << bits <= 1 << 22


def test_ten_thousand_groups_keep_half_of_each():
    group_N = np.repeat(np.arange(10_000), 4)
    chunk = Chunk(
        "a", 0, np.tile(np.arange(4.0), 10_000), np.random.default_rng(0).permutation(group_N)
    )
    rule = Rule(keep="high", fraction=0.5, per="cluster")
    keep_N = find_cut(rule, lambda work: map(work, [chunk]), [str(g) for g in range(10_000)]).keeps(
        chunk
    )
    assert (np.bincount(chunk.group_N, keep_N) == 2).all()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"documents": 4}, r"wants 4 documents of the corpus, which has 3 that are scored"),
        ({"tokens": 1_000_000}, r"wants 1,000,000 tokens of the corpus, which has 9 that"),
        ({"documents": 2, "per": "domain"}, r"wants 2 documents of domain code, which has 1 that"),
        (
            {"documents": 4, "per": "domain", "quota": {"web": 0.5}},
            r"wants 4 documents of the corpus, which has 3",
        ),
        (
            {"fraction": 1.0, "per": "domain", "quota": {"code": 1.0}},
            r"wants 3 documents of domain code, which has 1 that",
        ),
    ],
)  # fmt: skip
def test_a_budget_above_the_corpus_is_refused_with_both_numbers(settings, message):
    rule = Rule(keep="low", **settings)
    corpus = [[(1.0, 0, 1), (2.0, 0, 1), (math.nan, 2, 50), (3.0, 1, 7)]]
    with pytest.raises(ValueError, match=message):
        kept(rule, corpus)


def test_a_budget_of_an_empty_corpus_is_refused():
    with pytest.raises(ValueError, match="wants 1 documents of the corpus, which has 0"):
        kept(Rule(keep="low", documents=1), [[(math.nan, 0, 1)]])


def test_a_share_of_nothing_takes_not_even_documents_without_tokens():
    rule = Rule(keep="low", tokens=5, per="domain", quota={"web": 0.0})
    corpus = [[(1.0, 0, 0), (2.0, 0, 3), (3.0, 1, 0), (4.0, 1, 5)]]
    chunks = cut_up(corpus, rule)
    (keep_N,) = (
        find_cut(rule, lambda work: map(work, chunks), ("web", "(others)")).keeps(c) for c in chunks
    )
    assert keep_N.tolist() == [False, False, True, True]
