"""The stream of training batches: continued exactly, every document, other masks every epoch."""

import itertools
import threading

import numpy as np
import pytest
import toy

from pruning import training_batches
from pruning.documents import cut_into_units
from pruning.jobs.open_source import open_source
from pruning.keep_bits import write_selection
from pruning.packing import RowShape
from pruning.prepared_units import Preparation, Where
from pruning.text_objectives import make_objective
from pruning.tokenization import ByteVocabulary
from pruning.training_batches import TrainingBatches


@pytest.fixture
def source(tmp_path):
    for i in range(3):
        toy.write_jsonl(tmp_path / "corpus" / f"{i}.jsonl", toy.texts(50, seed=i, most_words=6))
    return open_source(f"jsonl:{tmp_path}/corpus/*.jsonl")


OPENED: list[TrainingBatches] = []


@pytest.fixture(autouse=True)
def _close():
    yield
    while OPENED:
        OPENED.pop().close()


def open_batches(
    source, *, objective="span_corruption", unit_rows=5, batch_rows=4, seed=0, where=None
):
    goal = make_objective(objective, ByteVocabulary(), 32)
    how = Preparation(
        source=source,
        vocabulary=ByteVocabulary(),
        objective=goal,
        shape=RowShape(*goal.lengths),
        where=where,
    )
    units = cut_into_units(source.files(), unit_rows)
    OPENED.append(TrainingBatches(how, units, batch_rows=batch_rows, seed=seed))
    return OPENED[-1]


def take(batches, n):
    return list(itertools.islice(batches, n))


def assert_equal(left, right):
    assert len(left) == len(right)
    for one, other in zip(left, right, strict=True):
        assert one.keys() == other.keys()
        for name in one:
            np.testing.assert_array_equal(one[name], other[name])


def epoch_of(batches, epoch=0):
    """The batches of one epoch, the stream being at its beginning."""
    found = []
    while True:
        batch = next(batches)
        if batches.state()["epoch"] != epoch:
            return found
        found.append(batch)


def tokens_of(batches):
    """Target tokens of the batches, sorted: whatever the order of rows."""
    return np.sort(np.concatenate([b["decoder_target_tokens"].ravel() for b in batches]))


def test_the_stream_can_be_continued_from_any_place(source):
    batches = open_batches(source)
    per_epoch = len(epoch_of(open_batches(source)))
    states, all_batches = [], []
    for _ in range(2 * per_epoch + 5):
        states.append(batches.state())
        all_batches.append(next(batches))
    assert states[-1]["epoch"] == 2
    assert len({s["group"] for s in states}) == 4, "30 units, eight at a time"
    for i in [*range(0, len(states) - 3, 5), per_epoch - 1, per_epoch, per_epoch + 1]:
        again = open_batches(source)
        again.restore(states[i])
        assert again.state() == states[i]
        assert_equal(take(again, 3), all_batches[i : i + 3])


def test_a_stream_in_use_can_go_back(source):
    batches = open_batches(source)
    take(batches, 3)
    state = batches.state()
    after = take(batches, 20)
    batches.restore(state)
    assert_equal(take(batches, 20), after)


def test_closing_waits_for_the_unit_in_hand_and_not_for_its_group(source, monkeypatch):
    prepare, calls = training_batches.prepare, []
    second_group, go_on = threading.Event(), threading.Event()

    def slow_prepare(unit, how):
        calls.append(unit)
        if len(calls) > 8:
            second_group.set()
            go_on.wait()
        return prepare(unit, how)

    monkeypatch.setattr(training_batches, "prepare", slow_prepare)
    batches = open_batches(source)
    next(batches)
    assert second_group.wait(60), "the next group is prepared while this one is read"
    threading.Timer(0.2, go_on.set).start()
    batches.close()
    assert len(calls) == 9
    assert not any(t.name.startswith("training_batches") for t in threading.enumerate())


def test_no_group_is_prepared_ahead_of_a_batch_that_nobody_took(source, monkeypatch):
    prepare, calls = training_batches.prepare, []

    def counted(unit, how):
        calls.append(unit)
        return prepare(unit, how)

    monkeypatch.setattr(training_batches, "prepare", counted)
    batches = open_batches(source)
    while batches.state()["group"] == 0:
        next(batches)
    batches.close()
    # Nothing ahead of the group that its first batch was just taken of, and the one after it.
    assert len(calls) <= 3 * training_batches.UNITS_TOGETHER
    calls.clear()
    again = open_batches(source)
    again.restore(batches.state())
    again.close()
    assert not calls


def test_the_seed_and_nothing_else_decides(source):
    assert_equal(take(open_batches(source), 9), take(open_batches(source), 9))
    one, other = (take(open_batches(source, seed=s), 9) for s in (0, 1))
    assert any(
        not np.array_equal(a["encoder_input_tokens"], b["encoder_input_tokens"])
        for a, b in zip(one, other, strict=True)
    )


def test_an_epoch_has_every_document_once(source):
    settings = {"objective": "causal_lm", "batch_rows": 1}
    texts = [d.text.decode() for f in source.files() for d in source.read(f.path, 0, f.num_rows)]
    tokens = ByteVocabulary().encode(texts)
    ends = sum(-(-len(t) // 31) for t in tokens)
    expected = np.sort(np.concatenate([*tokens, np.ones(ends, np.int64)]))
    batches = open_batches(source, **settings)
    found = tokens_of(epoch_of(batches))
    assert np.array_equal(found[found > 0], expected)


def test_epochs_differ_in_order_and_in_masks(source):
    settings = {"batch_rows": 1, "unit_rows": 1000}
    batches = open_batches(source, **settings)
    first = epoch_of(batches, 0)
    batches.restore({"epoch": 1, "group": 0, "batch": 0})
    second = epoch_of(batches, 1)
    # One group of units: the same documents in the same rows, but for order and masks.
    shapes = [np.sort([(b["encoder_segment_ids"] > 0).sum() for b in e]) for e in (first, second)]
    assert np.array_equal(*shapes)
    assert not np.array_equal(tokens_of(first), tokens_of(second))
    causal = open_batches(source, objective="causal_lm", **settings)
    first = epoch_of(causal, 0)
    causal.restore({"epoch": 1, "group": 0, "batch": 0})
    second = epoch_of(causal, 1)
    assert np.array_equal(tokens_of(first), tokens_of(second))
    assert any(
        not np.array_equal(a["decoder_target_tokens"], b["decoder_target_tokens"])
        for a, b in zip(first, second, strict=True)
    )


def test_batches_have_one_shape_and_weights_of_real_targets(source):
    for batch in take(open_batches(source, batch_rows=3), 40):
        assert {len(values) for values in batch.values()} == {3}
        weights = batch["decoder_loss_weights"]
        assert np.array_equal(weights, batch["decoder_target_tokens"] > 0)


def test_a_group_smaller_than_a_batch_is_filled_up(source):
    batches = open_batches(source, batch_rows=1000)
    batch = next(batches)
    rows = batch["decoder_loss_weights"].any(axis=1)
    assert 0 < rows.sum() < 1000
    assert not any(values[~rows].any() for values in batch.values())
    assert next(batches)["decoder_loss_weights"].shape == batch["decoder_loss_weights"].shape


def where(source, tmp_path, kept):
    """Rows of the first file in `kept`, and none of the others; `!` makes it all the rest."""
    files = [
        (file, np.isin(np.arange(file.num_rows), kept) & (file.path == "0.jsonl"), {})
        for file in source.files()
    ]
    folder = tmp_path / "selection"
    return write_selection(folder, files=files, source=source.describe(), info={})


def test_where_trains_on_the_chosen_rows_alone(source, tmp_path):
    selection = where(source, tmp_path, [0])
    (document,) = source.read("0.jsonl", 0, 1)
    (tokens,) = ByteVocabulary().encode([document.text.decode()])
    batches = open_batches(source, where=Where(selection), objective="causal_lm", batch_rows=1)
    found = tokens_of(epoch_of(batches))
    assert found[found > 1].tolist() == sorted(tokens.tolist())


def test_where_that_keeps_nothing_is_an_error_and_not_an_endless_loop(source, tmp_path):
    (tmp_path / "one").mkdir()
    toy.write_jsonl(tmp_path / "one" / "0.jsonl", ["only"])
    one = open_source(f"jsonl:{tmp_path}/one/0.jsonl")
    dropped = Where(where(one, tmp_path, [0]), inverted=True)
    batches = open_batches(one, where=dropped)
    with pytest.raises(ValueError, match=r"nothing to train on: a whole epoch .*--where"):
        next(batches)
    assert batches.state()["epoch"] <= 2


def test_a_source_without_records_is_an_error(tmp_path):
    (tmp_path / "empty.jsonl").write_bytes(b"")
    with pytest.raises(ValueError, match="nothing to train on: the source has no records"):
        open_batches(open_source(f"jsonl:{tmp_path}/empty.jsonl"))
