"""Documents in prompts: what is cut, and that no document gets out of its fence."""

import sys
import unicodedata

import numpy as np
import pytest
import toy
from real_texts import REAL_TEXTS

from pruning.asked_documents import KnownAnswer, ask_about, without_fence
from pruning.prompts import Question
from pruning.tokenization import EOS_ID, UNK_ID, ByteVocabulary

WORDS = Question(template="the cat\n{document}\nsat on it")
LETTERS = Question(template="Q:{document}:A", yes=("y",), no=("n",))


@pytest.fixture
def goal(asking_vocabulary):
    return ask_about(Question(), asking_vocabulary, 400)


def test_the_prompt_is_never_cut_and_the_document_is_cut_to_fit(goal, asking_vocabulary):
    prompt = len(goal.before) + len(goal.after) + 1
    assert goal.window_tokens == 400 - prompt
    for n in (0, 1, goal.window_tokens - 1, goal.window_tokens, goal.window_tokens + 1, 5_000):
        tokens = np.arange(n, dtype=np.int32) % 500 + 3
        (example,) = goal.examples(tokens, 0, {})
        kept = min(n, goal.window_tokens)
        expected = [*goal.before, *tokens[:kept], *goal.after, EOS_ID]
        assert example.inputs.tolist() == expected
        assert example.inputs.dtype == example.targets.dtype == np.int32
        assert (example.n_tokens, example.n_predicted) == (kept, 0)
        assert len(example.inputs) <= goal.lengths[0] == 400
    joined = asking_vocabulary.encode([Question().template.replace("{document}", "it was good")])[0]
    (document,) = asking_vocabulary.encode(["it was good"])
    assert goal.examples(document, 0, {})[0].inputs.tolist() == [*joined, EOS_ID]


def test_the_target_is_the_first_spelling_of_the_answer(asking_vocabulary):
    question = Question(yes=("Yes", "yes"), no=("No", "no"))
    goal = ask_about(question, asking_vocabulary, known_answer=KnownAnswer("good", "1"))
    for answer, expected in (("1", "▁Yes"), ("0", "▁No")):
        (example,) = goal.examples(np.array([5]), 0, {"good": answer})
        (target,) = example.targets
        assert asking_vocabulary.piece(int(target)) == expected


def test_a_row_has_an_answer_for_each_of_its_shortest_documents():
    goal = ask_about(LETTERS, ByteVocabulary(), 60)
    assert (goal.window_tokens, goal.lengths) == (55, (60, 10))
    assert ask_about(LETTERS, ByteVocabulary(), 6).lengths == (6, 1)


def test_a_window_without_room_for_a_document_is_refused_with_numbers():
    message = r"--window 5 leaves no room .* 5 tokens, .*--window of at least 6"
    with pytest.raises(ValueError, match=message):
        ask_about(LETTERS, ByteVocabulary(), 5)


@pytest.mark.parametrize("question", [Question(), WORDS])
def test_cut_as_text_is_the_rule_of_nano_askllm(asking_vocabulary, question):
    vocabulary = asking_vocabulary
    goal = ask_about(Question(**{**vars(question), "cut": "text"}), vocabulary, 250)
    before, after = question.parts
    # Characters that this vocabulary does not know stand at every hundredth place.
    texts = [
        "".join(c + "\u4eee" * (i % 100 == 99) for i, c in enumerate(text)) for text in REAL_TEXTS
    ]
    texts += toy.texts(30)
    differ = 0
    for text in texts:
        (ids,) = vocabulary.encode([text])
        if len(ids) > goal.window_tokens:
            kept = ids[: goal.window_tokens]
            # Cut, decoded without what it does not know, and encoded once more with the prompt.
            text = vocabulary._processor.decode(kept[kept != UNK_ID].tolist())
            differ += vocabulary.encode([text])[0].tolist() != kept.tolist()
        whole = vocabulary.encode([before + text + after])[0]
        assert goal.examples(ids, 0, {})[0].inputs.tolist() == [*whole, EOS_ID]
    assert differ > 10, "else this could not tell the two rules apart"


def test_cut_as_text_of_bytes_leaves_out_half_a_character():
    question = Question(**{**vars(LETTERS), "cut": "text"})
    goal = ask_about(question, ByteVocabulary(), 10)
    assert goal.window_tokens == 5
    (ids,) = ByteVocabulary().encode(["東京"])
    (example,) = goal.examples(ids, 0, {})
    assert example.inputs.tolist() == [b + 3 for b in "Q:東:A".encode()] + [EOS_ID]


def pieces(vocabulary, ids) -> str:
    return "".join(vocabulary.piece(int(i)) for i in ids)


def test_no_code_point_helps_a_document_out_of_its_fence(goal, asking_vocabulary):
    # Of code points that nobody has given a meaning, one in fifty.
    code_points = ((i, unicodedata.category(chr(i))) for i in range(sys.maxunicode + 1))
    taken = [i for i, c in code_points if c != "Cs" and (c not in ("Cn", "Co") or i % 50 == 0)]
    characters = [chr(i) for i in taken]
    texts = [f"a#{c}##b##{c}#c{c}{c}{c}d#{c}#{c}#" for c in characters]
    tokens = asking_vocabulary.encode(texts)
    escaping = [i for i, ids in enumerate(tokens) if "###" in pieces(asking_vocabulary, ids)]
    names = {unicodedata.name(characters[i], hex(ord(characters[i]))) for i in escaping}
    assert {"FULLWIDTH NUMBER SIGN", "SMALL NUMBER SIGN", "0x1", "0x7f"} < names
    readable = goal.readable(texts, tokens)
    # Few can be outside `escaping`; these are as they were.
    untouched = set(range(len(texts))) - set(escaping)
    assert all(readable[i] is tokens[i] for i in untouched)
    for i in escaping:
        assert "###" not in pieces(asking_vocabulary, readable[i]), hex(ord(characters[i]))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("###", ""),
        ("a ### b", "a  b"),
        ("######", ""),
        ("#####", "##"),
        ("# # # ## ##", "# # # ## ##"),
        ("#\x01##", ""),
        ("##\x01####\x01#x", "#x"),
        ("\uff03\ufe5f#\n", ""),
        ("no fence", "no fence"),
    ],
)
def test_every_fence_is_deleted_and_nothing_else(text, expected, asking_vocabulary):
    found = without_fence(text, asking_vocabulary.normalized)
    encode = asking_vocabulary.encode
    assert [t.tolist() for t in encode([found])] == [t.tolist() for t in encode([expected])]


def test_real_texts_are_read_as_they_are(goal, asking_vocabulary):
    fenced = [text.replace("\n\n", "\n### heading\n") for text in REAL_TEXTS]
    for texts in (REAL_TEXTS, fenced):
        found = goal.readable(texts, asking_vocabulary.encode(texts))
        expected = asking_vocabulary.encode([text.replace("###", "") for text in texts])
        assert [f.tolist() for f in found] == [e.tolist() for e in expected]


def test_encoding_a_normalized_text_gives_the_same_tokens(asking_vocabulary):
    texts = [*REAL_TEXTS, *toy.texts(50), "  ﬁne\u3000\uff21\x01bc  ▁x \r\n"]
    again = [asking_vocabulary.normalized(text) for text in texts]
    found, expected = asking_vocabulary.encode(again), asking_vocabulary.encode(texts)
    assert [f.tolist() for f in found] == [e.tolist() for e in expected]


def test_a_prompt_without_a_fence_leaves_number_signs_alone(asking_vocabulary):
    goal = ask_about(WORDS, asking_vocabulary, 300)
    tokens = asking_vocabulary.encode(["a ### b"])
    assert goal.readable(["a ### b"], tokens)[0] is tokens[0]


def test_unknown_characters_that_fall_out_do_not_make_a_fence(asking_vocabulary):
    goal = ask_about(Question(cut="text"), asking_vocabulary, 400)
    text = "#\u4eee## " * 500
    (ids,) = goal.readable([text], asking_vocabulary.encode([text]))
    document = goal.examples(ids, 0, {})[0].inputs[len(goal.before) : -len(goal.after) - 1]
    assert "###" not in pieces(asking_vocabulary, document)


def test_a_character_at_the_document_s_edge_does_not_join_the_prompt(goal, asking_vocabulary):
    kinds = {"Mn", "Mc", "Me", "Cf", "Cc", "Zs", "Zl", "Zp", "Lm", "Sk", "Po"}
    edges = [c for c in map(chr, range(0x20000)) if unicodedata.category(c) in kinds]
    assert len(edges) > 2_500
    before, after = Question().parts
    texts = [f"{c}x{c}" for c in edges]
    joined = asking_vocabulary.encode([before[-8:] + text + after[:8] for text in texts])
    ends = [ids.tolist() for ids in asking_vocabulary.encode([before[-8:], after[:8]])]
    for text, ids, whole in zip(texts, asking_vocabulary.encode(texts), joined, strict=True):
        assert [*ends[0], *ids, *ends[1]] == whole.tolist(), hex(ord(text[0]))


def test_a_known_answer_is_a_field_and_its_value():
    answer = KnownAnswer.parse("damage=none")
    assert [answer.of({"damage": d}) for d in ("none", "repeated", None)] == [True, False, None]
    assert answer.of({}) is None
    assert KnownAnswer.parse("a=b=c") == KnownAnswer("a", "b=c")
    for text in ("damage", "=none", ""):
        with pytest.raises(ValueError, match=r"is not FIELD=VALUE, such as damage=none"):
            KnownAnswer.parse(text)
