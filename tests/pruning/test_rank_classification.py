"""Questions as files have them, and what a model is given to read."""

import json

import numpy as np
import pytest

from pruning.experiments.rank_classification import Question, option_examples, read_questions
from pruning.tokenization import ByteVocabulary

BYTES = ByteVocabulary()
QUESTION = Question("ab", ("c", "de"), 1)


def ids(text):
    return [byte + 3 for byte in text.encode()]


def test_both_spellings_of_a_question_are_read(tmp_path):
    lines = [
        {"context": "ab", "options": ["c", "de"], "answer": 1},
        {"query": "ab", "choices": ["c", "de"], "gold": 1, "topic": "x"},
    ]
    file = tmp_path / "q.jsonl"
    file.write_text("".join(json.dumps(line) + "\n\n" for line in lines))
    questions, digest = read_questions(str(file))
    assert questions == [QUESTION, QUESTION]
    assert len(digest) == 64


@pytest.mark.parametrize(
    "line",
    [
        '{"context": "a", "options": ["b", "c"], "answer": 2}',
        '{"context": "a", "options": ["b", "c"], "answer": -1}',
        '{"context": "a", "options": ["b", "c"], "answer": true}',
        '{"context": "a", "options": ["b"], "answer": 0}',
        '{"context": "a", "options": ["b", " "], "answer": 0}',
        '{"context": "a", "options": ["b", "c"]}',
        '{"options": ["b", "c"], "answer": 0}',
        "[]",
        '{"context":',
    ],
)
def test_what_is_no_question_is_named_with_its_line(tmp_path, line):
    file = tmp_path / "q.jsonl"
    file.write_text('{"context": "a", "options": ["b", "c"], "answer": 0}\n' + line + "\n")
    with pytest.raises(ValueError, match=r"q\.jsonl:2 is no question: .* Expected an object with"):
        read_questions(str(file))


def test_a_file_without_questions_is_refused(tmp_path):
    (tmp_path / "q.jsonl").write_text("\n")
    with pytest.raises(ValueError, match="has no question"):
        read_questions(str(tmp_path / "q.jsonl"))


def read(question, window, reads):
    return [
        (e.example.inputs.tolist(), e.example.targets.tolist(), e.first)
        for e in option_examples(question, BYTES, window, reads)
    ]


def test_an_encoder_reads_the_context_and_the_decoder_the_option():
    assert read(QUESTION, 8, "encoder") == [
        ([*ids("ab"), 1], ids("c"), 0),
        ([*ids("ab"), 1], ids("de"), 0),
    ]


def test_a_blank_stands_for_the_option():
    sentinel = BYTES.vocab_size - 1
    assert read(QUESTION, 8, "blank")[1] == ([*ids("ab"), sentinel, 1], [sentinel, *ids("de")], 1)


def test_without_an_encoder_both_are_one_sequence_with_a_space_between():
    assert read(QUESTION, 8, "prefix")[1] == ([], ids("ab de"), 2)
    assert read(Question("ab\n", ("c", "d"), 0), 8, "prefix")[0] == ([], ids("ab\nc"), 3)
    assert read(Question("", ("c", "d"), 0), 8, "prefix")[0] == ([], ids("c"), 0)


@pytest.mark.parametrize("reads", ["encoder", "blank", "prefix"])
def test_a_long_context_loses_its_beginning_and_the_option_stays(reads):
    question = Question("0123456789" * 3, ("right", "w"), 0)
    for (inputs, targets, first), option in zip(read(question, 12, reads), (5, 1), strict=True):
        assert len(inputs) <= 12
        assert len(targets) <= 12
        assert len(targets) - first == option + (reads == "prefix")
        context = targets[:first] if reads == "prefix" else inputs
        assert ids("9")[0] in context
        assert len(targets if reads == "prefix" else inputs) == 12


def test_an_option_longer_than_the_window_is_cut():
    (_, targets, first), _ = read(Question("ab", ("x" * 50, "y"), 0), 12, "prefix")
    assert first == 0
    assert len(targets) == 12
    assert np.all(np.array(targets[1:]) == ids("x")[0])
