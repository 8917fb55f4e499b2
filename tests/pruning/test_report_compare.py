"""`prune compare` says what `prune select` would do."""

import numpy as np
import pytest
from toy import write_store

from pruning.cli import main
from pruning.jobs.compare import compare
from pruning.prepared_units import Where
from pruning.report.comparison import Candidate, shared, try_rule
from pruning.selecting import select
from pruning.selection import Rule
from pruning.several_stores import SeveralStores

N = 61
rng = np.random.default_rng(0)
NLL = {"a": rng.normal(3, 1, N).astype(np.float32), "b": rng.normal(3, 1, 9).astype(np.float32)}
NLL["a"][4] = np.nan
DOMAINS = {path: [("web", "books", None)[i % 3] for i in range(len(x))] for path, x in NLL.items()}


@pytest.fixture
def store(tmp_path):
    return write_store(tmp_path / "scores", NLL, domains=DOMAINS)


@pytest.fixture
def stores(store):
    return SeveralStores({"": store})


RULES = [
    Rule(keep="middle", fraction=0.5),
    Rule(keep="low", tokens=60),
    Rule(keep="sample", weights="softmax", fraction=0.3, seed=1),
    Rule(keep="low", fraction=0.5, per="domain"),
    Rule(keep="threshold", min_score=2.5),
]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.keep)
def test_an_outcome_is_what_select_writes(store, stores, tmp_path, rule):
    outcome = try_rule(stores, Candidate(name="x", rule=rule, score="nll"), ["domain"])
    written = select(store, tmp_path / "s", rule=rule, by=["domain"])
    assert outcome.counts == written.info["counts"]
    assert outcome.groups == written.info["groups"]
    assert outcome.thresholds == written.info["thresholds"]
    keep = [np.unpackbits(np.packbits(written.keep(path))) for path in store.files]
    assert np.array_equal(np.unpackbits(outcome.bits), np.concatenate(keep))


def test_what_two_rules_share(stores):
    low, high = (
        try_rule(stores, Candidate(name=k, rule=Rule(keep=k, documents=40), score="nll"), [])
        for k in ("low", "high")
    )
    assert shared(low, low) == 40
    assert shared(low, high) == 40 + 40 - 69


def test_where_is_kept_to(store, stores, tmp_path):
    first = select(store, tmp_path / "first", rule=Rule(keep="high", documents=30))
    rule = Rule(keep="low", documents=30)
    candidate = Candidate(name="x", rule=rule, score="nll", where=Where(first))
    outcome = try_rule(stores, candidate, [])
    assert outcome.counts["kept"] == 30
    assert outcome.counts["dropped"]["excluded"] == 40


def test_the_table(store, capsys):
    main(
        [
            *["compare", "--scores", str(store.folder), "--training_tokens", "400"],
            *["--rule", "keep=low documents=20", "--rule", "keep=high fraction=0.5 name=top"],
        ]
    )
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["A: keep=low documents=20", "top: keep=high fraction=0.5 name=top"]
    (a,) = (line.split() for line in lines if line.startswith("A  ") and "to" in line)
    assert a[1:3] == ["20", "29.0"]
    assert float(a[5]) == pytest.approx(400 / int(a[3]), abs=0.01)
    assert a[6] == "!"
    assert any(line.split()[:2] == ["A", "100.0"] for line in lines)
    at = lines.index("Share of each domain in the documents, in per cent")
    shares = [float(line.split()[2]) for line in lines[at + 2 : at + 5]]
    assert sum(shares) == pytest.approx(100, abs=0.2)
    assert not list(store.folder.parent.glob("*/selection.json"))


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        ("keep=low fraction=x", "'fraction=x' is no float"),
        ("keep=low documents=1.5", "'documents=1.5' is no int"),
        ("keep=low share=1", "'share=1' is not NAME=VALUE"),
        ("keep=low keep=high", "'keep=high' is not NAME=VALUE, each name once"),
        ("fraction=0.5", "has no keep="),
        ("keep=low", "takes one of --fraction"),
        ("keep=low fraction=0.5 score=loss", "no score 'loss'"),
    ],
)
def test_refuses_rules_that_say_nothing(store, rule, says):
    with pytest.raises(ValueError, match=says):
        compare([str(store.folder)], [rule])


def test_refuses_two_rules_of_one_name_and_unknown_fields(store):
    rule = "keep=low fraction=0.5 name=x"
    with pytest.raises(ValueError, match="Two rules have one name: x, x"):
        compare([str(store.folder)], [rule, rule])
    with pytest.raises(ValueError, match="no field 'url'; they have domain"):
        compare([str(store.folder)], [rule], by=["url"])


def test_several_stores_need_a_score(store, tmp_path):
    other = write_store(tmp_path / "other", NLL)
    folders = [f"a={store.folder}", f"b={other.folder}"]
    with pytest.raises(ValueError, match=r"several stores need score=.* a.nll, b.nll"):
        compare(folders, ["keep=low fraction=0.5"])
    compare(folders, ["keep=low fraction=0.5"], score="a.nll - 2 * b.nll")


def test_takes_incomplete_stores_when_asked_to(tmp_path):
    store = write_store(tmp_path / "half", NLL, leave_out=3)
    with pytest.raises(ValueError, match="lacks 3 of 11 units"):
        compare([str(store.folder)], ["keep=low fraction=0.5"])
    compare([str(store.folder)], ["keep=low fraction=0.5"], partial=True)


def test_quota_and_per(store, capsys):
    compare([str(store.folder)], ["keep=low documents=20 per=domain quota=web=0.5,books=0.25"])
    out = capsys.readouterr().out
    assert next(line for line in out.splitlines() if line.startswith("web")).split()[-1] == "50.0"
