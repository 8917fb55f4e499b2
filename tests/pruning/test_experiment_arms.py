"""What `--arms` may say."""

import pytest

from pruning.experiments.arms import Arm, Run, all_runs, parse_arms, runs_of
from pruning.selection import Rule
from pruning.sharding import Shard


def test_a_rule_is_one_arm_per_rate():
    arms = parse_arms(["full", "random", "ask=high:ask.log_p_yes"], [0.25, 0.5])
    assert arms == [
        Arm(name="full", rule="full"),
        Arm(name="random25", rule="random", fraction=0.25),
        Arm(name="random50", rule="random", fraction=0.5),
        Arm(name="ask25", rule="high", fraction=0.25, score="ask.log_p_yes"),
        Arm(name="ask50", rule="high", fraction=0.5, score="ask.log_p_yes"),
    ]


def test_folders_weights_and_the_larger_model():
    arms = parse_arms(
        ["mine=selections/a", "selections/b", "inverse:density"], [0.2], larger_size="mini"
    )
    assert arms == [
        Arm(name="mine", folder="selections/a"),
        Arm(name="b", folder="selections/b"),
        Arm(name="inverse20", rule="inverse", fraction=0.2, score="density"),
        Arm(name="full_mini", rule="full", size="mini"),
    ]


def test_an_expression_may_have_equal_signs_and_colons_only_once():
    (arm,) = parse_arms(["low:small.nll - large.nll"], [0.5])
    assert (arm.name, arm.score) == ("low50", "small.nll - large.nll")


def test_draws_differ_by_seed_and_rankings_do_not():
    drawn, ranked, weighted = parse_arms(["random", "low:nll", "softmax:log_importance"], [0.5])
    assert drawn.selection_rule(3) == Rule(keep="random", fraction=0.5, seed=3)
    assert ranked.selection_rule(3) == Rule(keep="low", fraction=0.5, seed=0)
    rule = Rule(keep="sample", weights="softmax", fraction=0.5, seed=3)
    assert weighted.selection_rule(3) == rule


@pytest.mark.parametrize(
    ("words", "rates", "message"),
    [
        (["lowest:nll"], [0.5], r"'lowest:nll' cannot be read. Expected full, .*low, middle, high"),
        (["random:nll"], [0.5], "is drawn, and not ranked by 'nll'"),
        (
            ["low:a.nll", "low:b.nll"],
            [0.5],
            "Two arms have the name low50. Give one another: NAME=low",
        ),
        (["random"], [1.0], "above 0 and below 1; got 1.0"),
    ],
)
def test_what_is_refused(words, rates, message):
    with pytest.raises(ValueError, match=message):
        parse_arms(words, rates)


def test_jobs_of_an_array_share_all_runs():
    arms = parse_arms(["full", "random"], [0.5])
    runs = all_runs(arms, [0, 1, 2])
    assert runs[:2] == [Run("full", 0), Run("random50", 0)]
    shares = [runs_of(arms, [0, 1, 2], shard=Shard(i, 4)) for i in range(4)]
    assert sorted(run for share in shares for run in share) == sorted(runs)
    assert runs_of(arms, [0, 1], only=["full"]) == [Run("full", 0), Run("full", 1)]
    with pytest.raises(ValueError, match="no arm 'low50'; the arms are full, random50"):
        runs_of(arms, [0], only=["low50"])
