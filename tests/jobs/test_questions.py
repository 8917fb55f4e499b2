"""Multiple choice from seqio tasks, as t5's tasks of rank classification have it."""

import json

import pytest
import seqio
import tensorflow as tf

from pruning.experiments.rank_classification import Question, read_questions
from pruning.jobs.questions import open_questions

QUESTIONS = [
    Question("Which is wet?", ("the sea", "a stone", "the moon"), 0),
    Question("The woman retired,", ("it rains", "she gets a pension"), 1),
]


@pytest.fixture(autouse=True)
def _registries(monkeypatch):
    monkeypatch.setattr(seqio.TaskRegistry, "_REGISTRY", {})


def add_task(name, examples, preprocessors=(), features=None):
    types = {
        key: tf.TensorSpec(shape, dtype)
        for key, (shape, dtype) in {
            "context": ((), tf.string),
            "options": ((None,), tf.string),
            "answer": ((), tf.int32),
        }.items()
    }

    def dataset(split, shuffle_files, seed=None):
        del split, shuffle_files, seed
        return tf.data.Dataset.from_generator(lambda: iter(examples), output_signature=types)

    seqio.TaskRegistry.add(
        name,
        source=seqio.FunctionDataSource(dataset, splits=["validation", "hard"]),
        preprocessors=list(preprocessors),
        output_features=features or {},
    )


def one_example_per_option(dataset):
    """The form of t5's `rank_classification`: a pair of indices, inputs, targets, is_correct."""

    def split(number, example):
        options = tf.size(example["options"])
        each = tf.range(options)
        many = tf.fill([options], tf.cast(number, tf.int32))
        return tf.data.Dataset.from_tensor_slices(
            {
                "idx": tf.stack([many, each], axis=1),
                "inputs": tf.fill([options], example["context"]),
                "targets": example["options"],
                "is_correct": tf.equal(each, example["answer"]),
            }
        )

    return dataset.enumerate().flat_map(split)


def examples(questions=QUESTIONS):
    return [
        {"context": q.context, "options": list(q.options), "answer": q.answer} for q in questions
    ]


TOKENS = {name: seqio.Feature(seqio.ByteVocabulary()) for name in ("inputs", "targets")}


@pytest.mark.parametrize("tokenized", [False, True])
def test_an_example_per_option(tokenized):
    tokenize = [seqio.preprocessors.tokenize, seqio.preprocessors.append_eos]
    steps = [one_example_per_option, *(tokenize if tokenized else [])]
    add_task("ranked", examples(), steps, TOKENS if tokenized else None)
    assert open_questions("seqio:ranked")[0] == QUESTIONS


def test_options_may_come_in_any_order():
    add_task("turned", examples(), [one_example_per_option, lambda d: d.shuffle(9, seed=1)])
    assert open_questions("seqio:turned")[0] == QUESTIONS


def test_whole_questions_are_those_of_a_file(tmp_path):
    add_task("whole", examples())
    file = tmp_path / "q.jsonl"
    file.write_text("".join(json.dumps(e) + "\n" for e in examples()))
    assert open_questions("seqio:whole@hard")[0] == read_questions(str(file))[0] == QUESTIONS
    assert open_questions(str(file)) == read_questions(str(file))


def test_the_digest_is_of_what_is_asked():
    add_task("one", examples())
    add_task("same", examples(), [one_example_per_option])
    add_task("other", examples(QUESTIONS[:1]))
    digests = [open_questions(f"seqio:{name}")[1] for name in ("one", "same", "other")]
    assert digests[0] == digests[1] != digests[2]


def no_answer(dataset):
    return dataset.map(lambda e: {**e, "is_correct": False})


def other_contexts(dataset):
    return dataset.map(lambda e: {**e, "inputs": e["targets"]})


def both_right(dataset):
    return dataset.map(lambda e: {**e, "is_correct": True})


@pytest.mark.parametrize("change", [no_answer, other_contexts, both_right])
def test_what_is_no_question_is_refused(change):
    add_task("bad", examples(), [one_example_per_option, change])
    with pytest.raises(ValueError, match=r"seqio:bad, question 0 is no question: .* Expected"):
        open_questions("seqio:bad")


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("seqio:nowhere", r"no seqio task 'nowhere'; known are good\. Import .*--module_import"),
        ("seqio:good@test", r"no split 'test', but validation, hard\. Say which: seqio:good@SPLIT"),
        ("seqio:empty", r"seqio:empty has no example\. Choose a split"),
        ("seqio:plain", r"seqio:plain, example 0 is no question: .*options"),
    ],
)
def test_what_a_user_may_get_wrong(spec, message):
    add_task("good", examples())
    if "empty" in spec:
        add_task("empty", [])
    if "plain" in spec:
        add_task("plain", examples(), [lambda d: d.map(lambda e: {"context": e["context"]})])
    with pytest.raises(ValueError, match=message):
        open_questions(spec)
