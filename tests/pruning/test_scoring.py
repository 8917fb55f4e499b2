"""The loop over units: a score is a function of its document, and of nothing around it."""

import functools
import itertools

import jax
import numpy as np
import pytest
import toy

from models.configs import T5Config
from models.scoring_model import make_answer_log_prob_fn, make_token_statistics_fn
from models.t5 import init_params
from pruning.documents import Unit
from pruning.hashing import text_hash
from pruning.run_costs import read_costs
from pruning.scorers import SCORERS as ALL_SCORERS
from pruning.selecting import select
from pruning.selection import Rule
from pruning.sharding import sampled_units
from pruning.store_counts import count
from pruning.tokenization import ByteVocabulary

SETTINGS = {"unit_rows": 16, "window": 32, "batch_rows": 2, "row_length": 64}
SCORERS = ("perplexity", "random")
# What the scorers that need a model need beside it.
ASKING = {"prompt": "Q:{document}:A", "yes": ["y", "Y"], "no": ["n"]}
MODEL_SCORERS = {
    "perplexity": {},
    "el2n": {},
    "ask_llm": ASKING,
    "memorization": {"settings": ["prompt_tokens=7", "continuation_tokens=9"]},
    "embedding": {},
}
# Those that learn from all texts first, and from all embeddings.
TEXT_SCORERS = {
    "duplicates": {},
    "importance": {},
    "near_duplicates": {"settings": ["threshold=0.7"]},
    "unigram_prior": {"settings": ["num_buckets=5000"]},
}
EMBEDDING_SCORERS = {
    "density": {"settings": ["rows=20"]},
    "prototypes": {"settings": ["num_clusters=3"]},
    "semdedup": {"settings": ["num_clusters=3"]},
}


@pytest.fixture
def corpus(tmp_path):
    """Three files; in each a long document, a document of one byte, and an empty one."""
    for i, name in enumerate(("en/a.jsonl", "en/b.jsonl", "c.jsonl")):
        texts = toy.texts(40, seed=i)
        texts[7:10] = [" ".join(toy.texts(20, seed=9 + i)), "x", ""]
        toy.write_jsonl(tmp_path / "corpus" / name, texts)
    return tmp_path / "corpus"


@pytest.fixture
def score(corpus, tmp_path):
    def score(output, scorers=SCORERS, **changes):
        source = changes.pop("source", f"jsonl:{corpus}/**/*.jsonl")
        return toy.score(scorers, source, tmp_path / output, **{**SETTINGS, **changes})

    return score


@pytest.fixture
def score_with(score, tmp_path):
    """`score` with a scorer by name."""
    return functools.partial(_score_with, score, tmp_path)


@pytest.fixture(params=[*MODEL_SCORERS, *TEXT_SCORERS, *EMBEDDING_SCORERS])
def any_score(request, score_with):
    """`score` with each scorer: they keep one contract."""
    return score_with(request.param)


@pytest.fixture(params=MODEL_SCORERS)
def own_score(request, score_with):
    """`score` with each scorer that looks at a document and not at others."""
    return score_with(request.param)


def _score_with(score, tmp_path, name):
    if name in EMBEDDING_SCORERS:

        def score_embeddings(output, **changes):
            embeddings = f"of_{output}"
            score(embeddings, scorers=("embedding",), **changes)
            return toy.score(
                (name, "random"),
                None,
                tmp_path / output,
                model=(),
                embeddings=str(tmp_path / embeddings),
                **EMBEDDING_SCORERS[name],
            )

        return score_embeddings
    settings = dict({**MODEL_SCORERS, **TEXT_SCORERS}[name])
    if name == "importance":
        target = toy.write_jsonl(tmp_path / "target" / "a.jsonl", toy.texts(30, seed=7))
        settings["settings"] = [f"target=jsonl:{target}"]
    if "prompt" in settings:
        path = tmp_path / "prompt.txt"
        path.write_text(settings["prompt"])
        settings["prompt"] = str(path)
    return functools.partial(score, scorers=(name, "random"), **settings)


def test_the_contract_is_kept_by_every_scorer():
    tested = {*MODEL_SCORERS, *TEXT_SCORERS, *EMBEDDING_SCORERS, "random"}
    assert {*ALL_SCORERS} == tested


def main_column(store):
    """What the first scorer gives first: numbers, or vectors."""
    return toy.column(store, store.manifest["columns"][0]["name"])


def numbers(store):
    """Every column by name, and the ids, in order of file and row."""
    columns = {name: toy.column(store, name) for name in store.schema.names}
    ids = [(u.file, u.first_row + i) for u, t in store.tables() for i in range(len(t))]
    return ids, columns


def assert_same(left, right, **tolerance):
    (ids, columns), (other_ids, others) = numbers(left), numbers(right)
    assert ids == other_ids
    assert columns.keys() == others.keys()
    for name, values in columns.items():
        if name in left.score_columns:
            expected, found = np.array(others[name]), np.array(values)
            np.testing.assert_allclose(found, expected, rtol=0, err_msg=name, **tolerance)
        else:
            assert values == others[name], name


@pytest.mark.parametrize("objective", ["span_corruption", "prefix_lm", "causal_lm"])
@pytest.mark.parametrize("long_documents", ["windows", "truncate"])
def test_packed_equals_one_document_at_a_time(score, objective, long_documents):
    settings = {"objective": objective, "long_documents": long_documents}
    alone = score("alone", unit_rows=1, batch_rows=1, row_length=None, **settings)
    assert_same(score("packed", row_length=100, **settings), alone, atol=1e-6)


@pytest.mark.parametrize("cut", ["tokens", "text"])
def test_packed_answers_equal_one_document_at_a_time(score, cut, tmp_path):
    (tmp_path / "prompt.txt").write_text("Q:{document}:A")
    asking = {**ASKING, "prompt": str(tmp_path / "prompt.txt"), "scorers": ("ask_llm", "random")}
    alone = score("alone", unit_rows=1, batch_rows=1, row_length=None, cut=cut, **asking)
    packed = score("packed", row_length=100, cut=cut, **asking)
    assert_same(packed, alone, atol=0)
    assert packed.manifest["row"] == {"encoder_length": 100, "decoder_length": 16}


def test_scores_are_those_of_a_computation_by_hand(tmp_path, score):
    texts = ["", "a", *toy.texts(30)]
    path = toy.write_jsonl(tmp_path / "one" / "a.jsonl", texts)
    store = score("scores", source=f"jsonl:{path}", objective="prefix_lm", window=12)
    size = 2 * 11
    for text, nll, bits in zip(
        texts, toy.column(store, "nll"), toy.column(store, "bits_per_byte"), strict=True
    ):
        (tokens,) = ByteVocabulary().encode([text])
        tokens = tokens.tolist()
        total = n_targets = n_predicted = 0
        for window in (tokens[i : i + size] for i in range(0, len(tokens), size)):
            middle = len(window) // 2
            inputs, targets = [*window[:middle], 1], [*window[middle:], 1]
            for i, target in enumerate(targets):
                before = [0, *targets][: i + 1]
                total += toy.token_nll(before[-1], sum(before), target, sum(inputs))
            n_targets += len(targets)
            n_predicted += len(window) - middle
        if text:
            assert nll == pytest.approx(total / n_targets, abs=1e-6)
            n_bytes = len(text.encode()) * n_predicted / len(tokens)
            assert bits == pytest.approx(total / np.log(2) / n_bytes, rel=1e-6)
        else:
            assert np.isnan([nll, bits]).all()


@pytest.mark.parametrize(
    "changes",
    [
        {"batch_rows": 1},
        {"batch_rows": 7},
        {"row_length": None},
        {"row_length": 333},
        {"unit_rows": 5},
        {"unit_rows": 1000},
    ],
)
def test_neither_batch_nor_row_nor_unit_changes_a_number(any_score, changes):
    assert_same(any_score("other", **changes), any_score("first"), atol=1e-6)


def test_the_order_of_patterns_does_not_change_a_byte(any_score, corpus, tmp_path):
    score = any_score
    patterns = [f"{corpus}/en/b.jsonl", f"{corpus}/c.jsonl", f"{corpus}/en/a.jsonl"]
    first = score("first", source=f"jsonl:{','.join(patterns)}")
    score("other", source=f"jsonl:{','.join(sorted(patterns))}")
    trees = [toy.tree(tmp_path / name) for name in ("first", "other")]
    units = [{n: data for n, data in tree.items() if n.endswith(".parquet")} for tree in trees]
    assert units[0] == units[1]
    assert_same(score("globbed"), first, atol=0)


def test_the_same_text_has_the_same_score_anywhere(own_score, tmp_path):
    text = toy.texts(3, seed=5)[1]
    toy.write_jsonl(tmp_path / "twice" / "a.jsonl", [*toy.texts(9), text, *toy.texts(5, seed=1)])
    toy.write_jsonl(tmp_path / "twice" / "b.jsonl", [text, *toy.texts(30, seed=2)])
    store = own_score("scores", source=f"jsonl:{tmp_path}/twice/*.jsonl")
    pairs = zip(toy.column(store, "text_hash"), main_column(store), strict=True)
    both = [score for h, score in pairs if h == text_hash(text.encode())]
    assert len(both) == 2
    assert both[0] == both[1]


def test_rows_without_a_score_have_a_reason_and_nan_and_the_others_neither(any_score):
    store = any_score("scores")
    columns = toy.column(store, "reason"), main_column(store), toy.column(store, "random")
    for reason, score, random in zip(*columns, strict=True):
        has_score = score is not None and np.isfinite(score).all()
        assert (reason is None) == has_score == np.isfinite(random)
        assert reason in (None, "empty", "too_short")
    assert toy.column(store, "reason").count("empty") == 3


def test_scorers_that_share_a_pass_have_the_numbers_they_have_alone(score):
    both = score("both")
    for name, columns in (("perplexity", ["nll", "bits_per_byte"]), ("random", ["random"])):
        alone = score(name, scorers=(name,))
        for column in columns:
            np.testing.assert_array_equal(toy.column(alone, column), toy.column(both, column))


@pytest.mark.parametrize("inverted", [False, True])
def test_where_scores_the_kept_rows_or_the_others(own_score, tmp_path, inverted):
    score = own_score
    everything = score("everything")
    rule = Rule(keep="random", fraction=0.5)
    selection = select(everything, tmp_path / "selection", rule=rule)
    part = score("part", where=("!" if inverted else "") + str(tmp_path / "selection"))
    keep_N = np.concatenate([selection.keep(path) for path in part.files])
    taken_N = ~keep_N if inverted else keep_N
    (_, all_columns), (_, columns) = numbers(everything), numbers(part)
    reason_N = np.array(columns["reason"])
    for name in part.score_columns:
        expected_N = np.where(taken_N, all_columns[name], np.nan)
        np.testing.assert_array_equal(np.array(columns[name]), expected_N)
    assert (reason_N[~taken_N] == "excluded").all()
    assert not (reason_N[taken_N] == "excluded").any()
    assert columns["text_hash"] == all_columns["text_hash"]
    (cost,) = read_costs(part.folder)
    assert cost.documents == columns["reason"].count(None) < len(taken_N)
    described = {"digest": selection.digest, "inverted": inverted}
    assert part.manifest["where"] == described


def test_where_of_another_corpus_is_refused(score, corpus, tmp_path):
    select(score("everything"), tmp_path / "selection", rule=Rule(keep="low", fraction=0.5))
    toy.write_jsonl(corpus / "d.jsonl", ["new"])
    with pytest.raises(
        ValueError, match=r"does not belong to this source: d\.jsonl has .* None in the"
    ):
        score("part", where=str(tmp_path / "selection"))


def test_a_sample_first_ends_in_the_same_bytes(own_score, tmp_path):
    score = own_score
    score("undisturbed")
    sample = score("sampled", sample=0.3)
    scored = {u for u in sample.units if sample.path(u).exists()}
    assert len(scored) == 3
    assert not (tmp_path / "sampled" / "_SUCCESS").exists()
    assert scored < {u for u in score("sampled", sample=0.6).units if sample.path(u).exists()}
    score("sampled")
    assert toy.tree(tmp_path / "sampled") == toy.tree(tmp_path / "undisturbed")


def test_what_is_there_is_not_scored_again(any_score, tmp_path):
    score = any_score
    store = score("scores")
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "scores").rglob("*.parquet")}
    removed = tmp_path / "scores" / "c.jsonl" / "000000000016.parquet"
    removed.unlink()
    score("scores")
    after = {p: p.stat().st_mtime_ns for p in (tmp_path / "scores").rglob("*.parquet")}
    assert {p for p in after if before[p] != after[p]} == {removed}
    assert store.missing_units() == []


def test_a_sample_is_a_share_of_the_units_and_a_larger_one_holds_a_smaller():
    units = [Unit(f, row, 4) for f in ("a", "b") for row in range(0, 400, 4)]
    shares = [sampled_units(units, share, seed=3) for share in (1e-9, 0.1, 0.5, 1.0)]
    assert [len(s) for s in shares] == [1, 20, 100, 200]
    assert all(set(s) < set(t) for s, t in itertools.pairwise(shares))
    assert shares[-1] == sampled_units(units, None, seed=3) == units
    assert shares[1] != sampled_units(units, 0.1, seed=4)
    for share in (0, -1, 1.5):
        with pytest.raises(ValueError, match=r"sample is .*above 0 and at most 1"):
            sampled_units(units, share, seed=0)


def test_strict_stops_at_the_first_bad_row(score, tmp_path):
    with pytest.raises(ValueError, match=r"c\.jsonl__9: empty"):
        score("scores", strict=True)
    assert not (tmp_path / "scores" / "_SUCCESS").exists()


def spoilt(batch, where):
    nll_BT = toy.token_statistics(batch)["nll"]
    first = (batch["decoder_target_tokens"] == ord("x") + 3) & (batch["decoder_segment_ids"] > 0)
    nll_BT[first if where == "x" else slice(None)] = np.nan
    return {"nll": nll_BT}


def test_a_document_without_a_finite_number_is_counted(score, corpus):
    toy.write_jsonl(corpus / "c.jsonl", ["good", "xxx", "fine"])
    opener = functools.partial(toy.open_model, statistics=functools.partial(spoilt, where="x"))
    store = score("scores", objective="causal_lm", opener=opener, source=f"jsonl:{corpus}/c.jsonl")
    assert toy.column(store, "reason") == [None, "not_finite", None]
    np.testing.assert_array_equal(np.isnan(toy.column(store, "nll")), [False, True, False])


def test_a_document_without_a_finite_number_may_be_alone_in_its_unit(score, corpus):
    toy.write_jsonl(corpus / "c.jsonl", ["good", "xxx", "fine"])
    opener = functools.partial(toy.open_model, statistics=functools.partial(spoilt, where="x"))
    settings = {"objective": "causal_lm", "source": f"jsonl:{corpus}/c.jsonl", "unit_rows": 1}
    store = score("scores", opener=opener, **settings)
    assert toy.column(store, "reason") == [None, "not_finite", None]


def test_a_model_that_gives_no_number_at_all_stops_the_run(score):
    opener = functools.partial(toy.open_model, statistics=functools.partial(spoilt, where="all"))
    with pytest.raises(ValueError, match=r"no finite number for any of 15 .*c\.jsonl__0.*float32"):
        score("scores", opener=opener)


@pytest.fixture(scope="module")
def tiny_t5():
    """Opens a T5 with random weights in float32; compiled once for each shape."""
    config = T5Config(
        vocab_size=384,
        d_model=32,
        num_heads=2,
        head_dim=16,
        d_ff=64,
        num_encoder_layers=2,
        num_decoder_layers=2,
    )
    statistics = make_token_statistics_fn(config, init_params(config, jax.random.key(0)))
    return functools.partial(toy.open_model, statistics=statistics)


def test_a_real_t5_gives_every_document_the_number_it_has_alone(score, tiny_t5, tmp_path):
    texts = [" ".join(toy.texts(30)), *toy.texts(40, most_words=12), ""]
    path = toy.write_jsonl(tmp_path / "t5" / "a.jsonl", texts)
    run = functools.partial(score, source=f"jsonl:{path}", opener=tiny_t5, window=64)
    alone = run("alone", unit_rows=1, batch_rows=1, row_length=None)
    assert np.nanstd(toy.column(alone, "nll")) > 0.01, "documents must differ to be told apart"
    for output, changes in {
        "packed": {"row_length": 160, "batch_rows": 4, "unit_rows": 100},
        "smaller": {"row_length": 160, "batch_rows": 4, "unit_rows": 11},
        "other": {"row_length": 96, "batch_rows": 3, "unit_rows": 100},
    }.items():
        assert_same(run(output, **changes), alone, atol=1e-4)


def test_a_real_t5_gives_every_document_the_answer_it_gives_alone(score, tmp_path):
    config = T5Config(
        vocab_size=384,
        d_model=32,
        num_heads=2,
        head_dim=16,
        d_ff=64,
        num_encoder_layers=2,
        num_decoder_layers=2,
    )
    yes, no = [ord("y") + 3, ord("Y") + 3], [ord("n") + 3]
    params = init_params(config, jax.random.key(0))
    statistics = make_answer_log_prob_fn(config, params, yes_ids=yes, no_ids=no)
    (tmp_path / "prompt.txt").write_text("Q:{document}:A")
    path = toy.write_jsonl(tmp_path / "t5" / "a.jsonl", [*toy.texts(40, most_words=15), ""])
    run = functools.partial(
        score,
        scorers=("ask_llm",),
        source=f"jsonl:{path}",
        opener=functools.partial(toy.open_model, statistics=statistics),
        **{**ASKING, "prompt": str(tmp_path / "prompt.txt")},
        window=64,
    )
    alone = run("alone", unit_rows=1, batch_rows=1, row_length=None)
    assert np.nanstd(main_column(alone)) > 0.01, "documents must differ to be told apart"
    assert 0 < sum(toy.column(alone, "truncated")) < 30
    assert_same(run("packed", row_length=160, batch_rows=4, unit_rows=100), alone, atol=1e-4)


@pytest.mark.parametrize("scorers", [["perplexity", "random"], ["random", "perplexity"]])
def test_what_one_scorer_has_no_number_for_has_a_reason(score, corpus, scorers):
    toy.write_jsonl(corpus / "c.jsonl", ["good", "xxx", "fine"])
    opener = functools.partial(toy.open_model, statistics=functools.partial(spoilt, where="x"))
    settings = {"objective": "causal_lm", "source": f"jsonl:{corpus}/c.jsonl", "opener": opener}
    store = score("scores", scorers=scorers, **settings)
    assert toy.column(store, "reason") == [None, "not_finite", None]
    assert count(store)["unscored"] == {"not_finite": 1}


def test_an_infinite_score_is_no_score(score, corpus):
    def infinite(batch):
        return {"nll": np.where(np.isnan(spoilt(batch, "x")["nll"]), np.inf, 1.0)}

    toy.write_jsonl(corpus / "c.jsonl", ["good", "xxx", "fine"])
    opener = functools.partial(toy.open_model, statistics=infinite)
    settings = {"objective": "causal_lm", "source": f"jsonl:{corpus}/c.jsonl", "opener": opener}
    store = score("scores", **settings)
    assert toy.column(store, "reason") == [None, "not_finite", None]
    np.testing.assert_array_equal(np.isnan(toy.column(store, "nll")), [False, True, False])


def test_a_bad_row_that_where_leaves_out_is_nobodys_problem(score, corpus, tmp_path):
    path = corpus / "c.jsonl"
    toy.write_jsonl(path, toy.texts(8))
    path.write_bytes(path.read_bytes() + b"{broken\n")
    settings = {"source": f"jsonl:{path}"}
    everything = score("everything", **settings)
    select(everything, tmp_path / "whole", rule=Rule(keep="low", fraction=1.0))
    kept = score("kept", where=str(tmp_path / "whole"), strict=True, **settings)
    assert toy.column(kept, "reason") == [None] * 8 + ["excluded"]
