"""From a unit to packed rows: what is read, what is left out and why, and the windows."""

import dataclasses

import numpy as np
import pytest
import toy

from pruning.asked_documents import KnownAnswer, ask_about
from pruning.documents import Unit, cut_into_units
from pruning.hashing import text_hash
from pruning.jobs.open_source import open_source
from pruning.keep_bits import write_selection
from pruning.packing import RowShape
from pruning.prepared_units import Preparation, Where, prepare
from pruning.prompts import Question
from pruning.text_objectives import make_objective
from pruning.tokenization import ByteVocabulary

TEXTS = ["one", "", "two and three", "x" * 100, "four"]
VOCABULARY = ByteVocabulary()


def preparation(source, objective="causal_lm", window=8, long_documents="windows", **changes):
    goal = make_objective(objective, VOCABULARY, window, long_documents)
    return Preparation(
        source=source,
        vocabulary=VOCABULARY,
        objective=goal,
        shape=RowShape(*goal.lengths),
        **changes,
    )


@pytest.fixture
def source(tmp_path):
    path = toy.write_jsonl(tmp_path / "corpus" / "a.jsonl", TEXTS, domain=["p", "q", "r", "s", "t"])
    return open_source(f"jsonl:{path}", fields=["domain"])


@pytest.fixture
def unit(source):
    return cut_into_units(source.files())[0]


def where(tmp_path, source, kept_rows, guards=None):
    (file,) = source.files()
    keep_N = np.isin(np.arange(file.num_rows), kept_rows)
    selection = write_selection(
        tmp_path / "selection",
        files=[(file, keep_N, guards or {})],
        source=source.describe(),
        info={},
    )
    return Where(selection)


def test_facts_of_every_row(source, unit):
    prepared = prepare(unit, preparation(source, max_document_bytes=50))
    facts = prepared.facts
    assert prepared.scorable.tolist() == [0, 2, 4]
    assert facts["reason"] == [None, "empty", None, "too_long", None]
    assert facts["text_hash"] == [text_hash(t.encode()) for t in TEXTS]
    assert facts["n_bytes"] == [3, 0, 13, 100, 4]
    assert facts["n_tokens"] == [3, None, 13, None, 4]
    # Windows of 7 tokens; each has an end of sequence.
    assert facts["n_windows"] == [1, None, 2, None, 1]
    assert facts["n_targets"] == [4, None, 15, None, 5]
    assert facts["truncated"] == [False] * 5
    assert prepared.fields == {"domain": ["p", "q", "r", "s", "t"]}
    assert prepared.n_predicted.tolist() == [3, 13, 4]
    assert prepared.document_P.tolist() == [0, 1, 1, 2]


def test_without_a_model_nothing_is_tokenized(source, unit):
    prepared = prepare(unit, Preparation(source=source))
    assert prepared.packed is None
    assert prepared.facts["n_tokens"] == [None] * 5
    assert prepared.scorable.tolist() == [0, 2, 3, 4]


def test_windows_of_a_long_document_hold_all_of_its_tokens(source, unit):
    prepared = prepare(unit, preparation(source))
    targets = prepared.packed.arrays["decoder_target_tokens"].reshape(-1)
    (tokens,) = VOCABULARY.encode(["x" * 100])
    ends = prepared.packed.target_ends
    examples = np.split(targets[prepared.packed.target_positions], ends[:-1])
    windows = [e for e, d in zip(examples, prepared.document_P, strict=True) if d == 2]
    assert [len(w) for w in windows] == [8] * 14 + [3]
    assert all(w[-1] == 1 for w in windows)
    assert np.concatenate([w[:-1] for w in windows]).tolist() == tokens.tolist()


def test_truncate_takes_the_first_window_and_marks_the_document(source, unit):
    prepared = prepare(unit, preparation(source, long_documents="truncate"))
    facts = prepared.facts
    assert facts["truncated"] == [False, False, True, True, False]
    assert facts["n_windows"] == [1, None, 1, 1, 1]
    assert facts["n_targets"] == [4, None, 8, 8, 5]
    assert facts["n_tokens"] == [3, None, 13, 100, 4]
    assert prepared.n_predicted.tolist() == [3, 7, 7, 4]


ASKED = Question(template="###\n{document}\n###\n?", yes=("y",), no=("n",))


def asking(source, window, known_answer=None, **changes):
    goal = ask_about(ASKED, VOCABULARY, window, known_answer)
    return Preparation(
        source=source,
        vocabulary=VOCABULARY,
        objective=goal,
        shape=RowShape(*goal.lengths),
        **changes,
    )


def test_a_model_is_asked_once_about_each_document(source, unit):
    prepared = prepare(unit, asking(source, 20))
    facts = prepared.facts
    # The prompt takes 11 of 20 positions.
    assert facts["n_tokens"] == [3, None, 13, 100, 4]
    assert facts["truncated"] == [False, False, True, True, False]
    assert facts["n_windows"] == facts["n_targets"] == [1, None, 1, 1, 1]
    assert prepared.n_predicted.tolist() == [0, 0, 0, 0]
    assert prepared.n_read == 3 + 9 + 9 + 4
    arrays = prepared.packed.arrays
    taken = arrays["decoder_segment_ids"] > 0
    assert arrays["decoder_target_tokens"][taken].tolist() == [ord("y") + 3] * 4
    assert not arrays["decoder_input_tokens"].any()


def test_facts_are_of_the_stored_text_and_not_of_what_is_read(tmp_path):
    texts = ["a ### b", "###", "######", "plain"]
    path = toy.write_jsonl(tmp_path / "a.jsonl", texts)
    source = open_source(f"jsonl:{path}")
    prepared = prepare(Unit("a.jsonl", 0, 4), asking(source, 40))
    facts = prepared.facts
    assert facts["reason"] == [None, "empty", "empty", None]
    assert facts["n_tokens"] == [7, None, None, 5]
    assert facts["n_bytes"] == [len(t) for t in texts]
    assert facts["text_hash"] == [text_hash(t.encode()) for t in texts]
    read = {bytes(i - 3 for i in e if i > 2) for e in inputs_of(prepared)}
    assert read == {b"###\na  b\n###\n?", b"###\nplain\n###\n?"}


def inputs_of(prepared):
    """Encoder tokens of every example, in the order of the rows."""
    arrays = prepared.packed.arrays
    for tokens, segments in zip(
        arrays["encoder_input_tokens"], arrays["encoder_segment_ids"], strict=True
    ):
        for segment in range(1, segments.max() + 1):
            yield tokens[segments == segment].tolist()


def test_known_answers_are_the_targets_and_the_unknown_are_left_out(tmp_path):
    labels = ["none", "swapped", None, "none"]
    path = toy.write_jsonl(tmp_path / "a.jsonl", [*"abcd"], damage=labels)
    source = open_source(f"jsonl:{path}", fields=["damage"])
    how = asking(source, 40, known_answer=KnownAnswer("damage", "none"))
    prepared = prepare(Unit("a.jsonl", 0, 4), how)
    assert prepared.facts["reason"] == [None, None, "missing_field", None]
    targets = prepared.packed.arrays["decoder_target_tokens"].reshape(-1)
    found = targets[prepared.packed.target_positions].tolist()
    assert found == [ord(c) + 3 for c in "yny"]


@pytest.mark.parametrize("inverted", [False, True])
def test_where_takes_the_kept_rows_or_the_others(source, tmp_path, inverted):
    chosen = dataclasses.replace(where(tmp_path, source, [0, 1, 4]), inverted=inverted)
    taken = [2, 3] if inverted else [0, 4]
    for unit in cut_into_units(source.files(), 2):
        prepared = prepare(unit, preparation(source, where=chosen))
        rows = [unit.first_row + i for i in prepared.scorable]
        assert rows == [r for r in taken if unit.first_row <= r < unit.first_row + unit.num_rows]
        for i in range(unit.num_rows):
            reason = prepared.facts["reason"][i]
            if unit.first_row + i == 1:
                assert reason == ("excluded" if inverted else "empty")
            else:
                assert reason == (None if i in prepared.scorable else "excluded")
            assert prepared.facts["text_hash"][i] is not None


def test_where_of_another_corpus_is_refused_by_its_guards(source, unit, tmp_path):
    guards = {0: text_hash(b"one"), 2: text_hash(b"two or three")}
    chosen = where(tmp_path, source, [0], guards)
    with pytest.raises(
        ValueError, match=r"a\.jsonl__2 has text hash .*--where .* corpus where it is"
    ):
        prepare(unit, preparation(source, where=chosen))


def test_masks_depend_on_the_text_and_the_mask_seed_alone(tmp_path):
    long = " ".join(toy.texts(5))
    toy.write_jsonl(tmp_path / "a.jsonl", [long, "short"])
    toy.write_jsonl(tmp_path / "b.jsonl", ["first", "second", long])

    def targets(name, row, **changes):
        source = open_source(f"jsonl:{tmp_path / name}")
        how = preparation(source, "span_corruption", 32, **changes)
        prepared = prepare(Unit(name, 0, row + 1), how)
        flat = prepared.packed.arrays["decoder_target_tokens"].reshape(-1)
        examples = np.split(
            flat[prepared.packed.target_positions], prepared.packed.target_ends[:-1]
        )
        own = prepared.document_P == row
        return [e.tolist() for e, is_own in zip(examples, own, strict=True) if is_own]

    assert targets("a.jsonl", 0) == targets("b.jsonl", 2)
    assert targets("a.jsonl", 0) != targets("a.jsonl", 0, mask_seed=1)
    assert targets("a.jsonl", 0, mask_seed=2) != targets("a.jsonl", 0, mask_seed=1)


def test_windows_of_one_document_have_masks_of_their_own(tmp_path):
    path = toy.write_jsonl(tmp_path / "a.jsonl", ["x" * 1000])
    source = open_source(f"jsonl:{path}")
    prepared = prepare(Unit("a.jsonl", 0, 1), preparation(source, "span_corruption", 64))
    flat = prepared.packed.arrays["decoder_target_tokens"].reshape(-1)
    examples = np.split(flat[prepared.packed.target_positions], prepared.packed.target_ends[:-1])
    assert len(examples) == 15
    assert len({tuple(e) for e in examples}) > 8, "three short spans are drawn alike now and then"


def test_strict_names_the_first_bad_row_but_not_what_was_asked_for(source, unit, tmp_path):
    with pytest.raises(ValueError, match=r"a\.jsonl__1: empty .*without --strict"):
        prepare(unit, preparation(source, strict=True))
    chosen = where(tmp_path, source, [0, 2])
    prepared = prepare(unit, preparation(source, strict=True, where=chosen))
    assert prepared.scorable.tolist() == [0, 2]


def test_a_file_with_fewer_rows_than_it_had_is_an_error(source):
    with pytest.raises(ValueError, match="has 5 rows, and rows 0 to 8 were asked for"):
        prepare(Unit("a.jsonl", 0, 9), Preparation(source=source))
