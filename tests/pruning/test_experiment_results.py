"""A small experiment, worked by hand, missing runs included."""

import dataclasses
import json

import numpy as np
import pytest

from pruning.experiments.findings import findings, separates
from pruning.experiments.page import as_json, in_document, markdown, page, section
from pruning.experiments.results import Evaluation, HeldOut, Plan, Task
from pruning.experiments.summing_up import results_of
from pruning.experiments.tables import cell, tables

PLAN = Plan(
    rates={"full": 1.0, "random50": 0.5, "low50": 0.5, "high25": 0.25, "full_mini": 1.0},
    num_steps=200,
    tasks={
        "a/one": Task(category="a", chance=0.5),
        "a/two": Task(category="a", chance=0.25),
        "b/three": Task(category="b", chance=0.5),
    },
    full="full",
    random=("random50",),
    larger="full_mini",
)
DOMAINS = np.array(["web", "web", "code", "code"])


def evaluation(arm, seed, step, *, loss, right):
    """`right` of 8 questions in every task; documents whose losses average to `loss`."""
    credits_I = (np.arange(8) < right).astype(float)
    return Evaluation(
        arm=arm,
        seed=seed,
        step=step,
        held_out=HeldOut(
            nll_I=loss + np.array([-1.0, 1.0, -0.5, 0.5]),
            tokens_I=np.array([10.0, 10.0, 10.0, 10.0]),
            fields={"domain": DOMAINS, "all_the_same": np.array(["x"] * 4)},
        ),
        credits=dict.fromkeys(PLAN.tasks, credits_I),
    )


def an_experiment():
    found = []
    for seed in (0, 1, 2):
        wobble = 0.01 * seed
        for arm, loss, right in (("full", 3.0, 6), ("random50", 3.5, 5), ("low50", 4.0, 7)):
            found.append(evaluation(arm, seed, 100, loss=loss + 1 + wobble, right=right - 1))
            found.append(evaluation(arm, seed, 200, loss=loss + wobble, right=right))
    found += [evaluation("full_mini", 0, 200, loss=2.0, right=8)]
    found += [evaluation("high25", 0, 100, loss=3.0, right=4)]  # killed on its way
    return found


@pytest.fixture(scope="module")
def results():
    return results_of(an_experiment(), PLAN)


def row(results, arm):
    return next(row for row in results.arms if row.arm == arm)


def test_accuracy_is_the_mean_over_categories_of_normalised_ones(results):
    full = row(results, "full")
    one, two = (0.75 - 0.5) / 0.5, (0.75 - 0.25) / 0.75
    assert full.tasks["a/one"].value == pytest.approx(one)
    assert full.tasks["a/two"].value == pytest.approx(two)
    assert full.categories["a"].value == pytest.approx((one + two) / 2)
    # Not the mean over the three tasks.
    assert full.numbers["accuracy"].value == pytest.approx(((one + two) / 2 + one) / 2)


def test_loss_by_group(results):
    full = row(results, "full")
    assert full.numbers["loss"].value == pytest.approx(3.01)
    assert set(full.groups) == {"domain=web", "domain=code"}
    assert full.groups["domain=web"].value == pytest.approx(3.01)
    assert full.numbers["loss"].by_seed == pytest.approx((3.0, 3.01, 3.02))


def test_losses_are_weighed_by_tokens():
    held_out = HeldOut(nll_I=np.array([1.0, 3.0]), tokens_I=np.array([3.0, 1.0]))
    found = results_of(
        [Evaluation(arm="full", seed=0, step=1, held_out=held_out)],
        Plan(rates={"full": 1.0}, num_steps=1, full="full"),
    )
    assert found.arms[0].numbers["loss"].value == 1.5
    assert found.curves["loss"]["full"].mean == (1.5,)
    assert found.curves["accuracy"] == {}


def test_the_control_is_the_random_arm_of_the_same_rate(results):
    low = row(results, "low50")
    assert low.control == "random50"
    assert low.against_control["loss"].value == pytest.approx(0.5)
    assert row(results, "high25").control is None
    assert row(results, "full").control is None


def test_an_unfinished_arm_has_a_row_and_a_curve_and_no_numbers(results):
    high = row(results, "high25")
    assert high.seeds == ()
    assert high.numbers == {}
    assert results.curves["loss"]["high25"].steps == (100,)
    assert "high25 has no finished run." in findings(results)


def test_steps_to_full(results):
    # low50 has 7 right at the end and 6, as many as full at its end, half way.
    assert row(results, "low50").steps_to_full == {"loss": None, "accuracy": 100}
    assert row(results, "random50").steps_to_full == {"loss": None, "accuracy": None}
    assert row(results, "full").steps_to_full == {"loss": 200, "accuracy": 200}
    assert row(results, "full_mini").steps_to_full == {}


def test_over_scaling(results):
    # On every task: (7 - 6) / (8 - 6), and (5 - 6) / (8 - 6).
    assert row(results, "low50").over_scaling == pytest.approx((50, 50, 50))
    assert row(results, "random50").over_scaling == pytest.approx((-50, -50, -50))
    assert row(results, "low50").over_scaling_tasks == 3
    assert row(results, "full_mini").over_scaling == ()


def test_a_curve_has_the_steps_that_all_seeds_have():
    missing = [e for e in an_experiment() if (e.arm, e.seed, e.step) != ("full", 1, 100)]
    assert results_of(missing, PLAN).curves["loss"]["full"].steps == (200,)


def test_a_seed_on_its_way_does_not_shorten_the_curve_of_the_others(results):
    """Else the full arm would never reach its own score."""
    begun = [evaluation("full", 3, 100, loss=9.0, right=0)]
    found = results_of(an_experiment() + begun, PLAN)
    assert found.curves["loss"]["full"] == results.curves["loss"]["full"]
    assert row(found, "full").steps_to_full == {"loss": 200, "accuracy": 200}


def test_over_scaling_counts_scores_after_fine_tuning():
    score = {"full": 0.5, "low50": 0.6, "full_mini": 0.7}
    found = [
        dataclasses.replace(e, credits={}, finetuned={"cola mcc": score[e.arm]})
        for e in an_experiment()
        if e.arm in score
    ]
    low = row(results_of(found, dataclasses.replace(PLAN, tasks={})), "low50")
    assert low.over_scaling == pytest.approx((50, 50, 50))
    assert low.over_scaling_tasks == 1


def test_scores_after_fine_tuning_are_those_that_all_seeds_have():
    found = [
        dataclasses.replace(e, finetuned={"cola mcc": 0.5 + 0.25 * e.seed, "rte": 1.0})
        if (e.arm, e.step) == ("low50", 200)
        else dataclasses.replace(e, finetuned={"rte": 1.0} if e.seed else {})
        for e in an_experiment()
    ]
    results = results_of(found, PLAN)
    low = row(results, "low50").finetuned
    assert set(low) == {"cola mcc", "rte"}
    assert low["cola mcc"].value == 0.75
    assert low["cola mcc"].spread == pytest.approx(0.25)
    assert low["cola mcc"].low < 0.75 < low["cola mcc"].high
    assert row(results, "full").finetuned == {}
    shown = tables(results)[-1]
    assert (shown.title, shown.head) == ("After fine-tuning, scores of t5x", ("arm", *low))
    assert shown.rows[2][2] == "1.000 ± 0.000"


def test_an_arm_that_lacks_a_task_has_no_overall_accuracy():
    found = [
        dataclasses.replace(e, credits={"a/one": e.credits["a/one"]}) if e.arm == "low50" else e
        for e in an_experiment()
    ]
    low = row(results_of(found, PLAN), "low50")
    assert "accuracy" not in low.numbers
    assert set(low.tasks) == {"a/one"}


def test_the_order_of_evaluations_does_not_matter(results):
    assert as_json(results_of(an_experiment()[::-1], PLAN)) == as_json(results)


def test_findings_say_what_separates_and_what_disagrees(results):
    said = "\n".join(findings(results))
    assert "low50 against random50: worse in held-out loss (+0.500 nats" in said
    # Two of eight questions more are more than chance, one is not.
    assert "disagree: low50 is worse than random50 by loss and better by accuracy. Choose" in said
    doubt = "disagree, though not both by more than chance: low50 is worse than full by loss and"
    assert doubt in said
    assert "random50 is" not in said


def test_what_does_not_separate_is_said():
    same = [e for e in an_experiment() if e.arm != "low50"]
    same += [dataclasses.replace(e, arm="low50") for e in same if e.arm == "random50"]
    found = results_of(same, PLAN)
    low, random = row(found, "low50"), row(found, "random50")
    assert separates(low, random, "loss") is False
    assert "low50 against random50: not separated in held-out loss" in "\n".join(findings(found))
    assert tables(found)[0].rows[2][7] == "no"


def test_one_seed_separates_nothing():
    found = results_of([e for e in an_experiment() if e.seed == 0], PLAN)
    assert separates(row(found, "low50"), row(found, "random50"), "loss") is None
    said = "\n".join(findings(found))
    assert "cannot be told from random50: with 1 seed" in said
    assert "disagree: low50" not in said
    assert "disagree, and of one seed nobody knows whether by more than chance: low50 is" in said
    assert "though not both by more than chance" not in said


def test_the_table_has_every_arm_and_the_page_every_table(results):
    shown = section(results, "prune experiment --output x")
    text, html = markdown(shown), page(shown)
    main = shown.tables[0]
    assert [line[0] for line in main.rows] == list(PLAN.rates)
    assert main.rows[2][-1] == "50 (50 to 50)"
    assert main.rows[3][3] == "–"
    assert text.count("| low50 |") == len(shown.tables)
    assert html.count("<table>") == len(shown.tables)
    assert html.count("<svg") == 2
    assert "domain=web" in html
    json.dumps(as_json(results))


def test_a_cell(results):
    loss = row(results, "full").numbers["loss"]
    assert cell(loss, 1, 3).startswith("3.010 ± 0.010 [")
    assert cell(None, 1, 3) == "–"


def test_the_table_goes_between_its_marks():
    document = "a\n<!-- experiment x -->\nold\n<!-- end of experiment x -->\nb\n"
    once = in_document(document, "x", "new \\1\n")
    assert once == "a\n<!-- experiment x -->\nnew \\1\n<!-- end of experiment x -->\nb\n"
    assert in_document(once, "x", "old\n") == document
    with pytest.raises(ValueError, match="no lines <!-- experiment y -->"):
        in_document(document, "y", "")
