"""The question: its text, its tokens around a document, and the tokens of its answers."""

import hashlib

import pytest
import toy
from real_texts import REAL_TEXTS

from pruning.prompts import ASK_LLM_PROMPT, Question, answer_ids, prompt_tokens, read_template
from pruning.tokenization import ByteVocabulary, train_vocabulary

BYTES = ByteVocabulary()


def test_the_default_is_figure_3_of_the_paper_word_for_word():
    assert ASK_LLM_PROMPT.replace("{document}", "This is a pretraining …. datapoint.") == (
        """\
###
This is a pretraining …. datapoint.
###

Does the previous paragraph demarcated within ### and ### contain informative signal for pre-training a large-language model? An informative datapoint should be well-formatted, contain some usable knowledge of the world, and strictly NOT have any harmful, racist, sexist, etc. content.

OPTIONS:
- yes
- no
"""
    )
    assert (Question().yes, Question().no, Question().cut) == (("yes",), ("no",), "tokens")


def test_a_manifest_tells_all_of_a_question():
    question = Question(template="Good?\n{document}\n", yes=("y", "Y"), no=("n",), cut="text")
    assert question.describe() == {
        "prompt_digest": hashlib.sha256(b"Good?\n{document}\n").hexdigest(),
        "prompt": "Good?\n{document}\n",
        "yes": ["y", "Y"],
        "no": ["n"],
        "cut": "text",
    }


def test_a_template_is_read_from_a_file_to_the_byte(tmp_path):
    path = tmp_path / "prompt.txt"
    path.write_bytes("Étrange?\r\n{document}\n\n".encode())
    assert read_template(path) == "Étrange?\r\n{document}\n\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"no place", r"prompt\.txt: The prompt has \{document\} 0 times; it needs it once"),
        (b"{document} {document}", r"has \{document\} 2 times"),
        (b"\xff {document}", r"prompt\.txt is not UTF-8"),
    ],
)
def test_a_template_without_one_place_for_the_document_is_refused(tmp_path, content, message):
    path = tmp_path / "prompt.txt"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_template(path)


def test_a_template_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no prompt file .*nowhere.*--prompt"):
        read_template(tmp_path / "nowhere")


def test_a_question_without_an_answer_is_refused():
    with pytest.raises(ValueError, match=r"yes=\['yes'\] and no=\[\]; each needs"):
        Question(no=())


@pytest.mark.parametrize(
    "template", [ASK_LLM_PROMPT, "{document}\nGood?", "Is this good?\n{document}"]
)
@pytest.mark.parametrize("kind", ["pieces", "bytes"])
def test_tokens_of_the_parts_are_those_of_the_joined_text(template, kind, asking_vocabulary):
    vocabulary = asking_vocabulary if kind == "pieces" else BYTES
    question = Question(template=template)
    before, after = prompt_tokens(question, vocabulary)
    texts = [*REAL_TEXTS, *toy.texts(50), *(" " * 3 + t + "\r\n\t" for t in toy.texts(20, seed=1))]
    whole = vocabulary.encode([template.replace("{document}", text) for text in texts])
    for document, joined in zip(vocabulary.encode(texts), whole, strict=True):
        assert [*before, *document, *after] == joined.tolist()


@pytest.mark.parametrize(
    "template", ["({document})\n", "non{document}\n", "\n{document}.", "\n{document}s"]
)
def test_a_template_glued_to_its_document_is_refused(template, asking_vocabulary):
    message = r"cannot be tokenized apart from its document: with .* Put a line break or a space"
    with pytest.raises(ValueError, match=message):
        prompt_tokens(Question(template=template), asking_vocabulary)
    prompt_tokens(Question(template=template), BYTES)  # where nothing is glued


def test_a_vocabulary_that_does_not_know_the_fence_is_refused(tmp_path):
    blind = train_vocabulary(toy.texts(200), tmp_path / "spiece.model", vocab_size=90)
    with pytest.raises(ValueError, match=r"does not know '#'.*another fence"):
        prompt_tokens(Question(), blind)
    prompt_tokens(Question(template="the cat\n{document}\nsat on"), blind)


def test_answers_are_their_single_tokens(asking_vocabulary):
    question = Question(yes=("yes", "Yes"), no=("No", "no"))
    yes, no = answer_ids(question, asking_vocabulary)
    assert [asking_vocabulary.piece(i) for i in (*yes, *no)] == ["▁yes", "▁Yes", "▁No", "▁no"]
    assert answer_ids(Question(yes=("y",), no=("n",)), BYTES) == ((ord("y") + 3,), (ord("n") + 3,))


@pytest.mark.parametrize(
    ("spellings", "message"),
    [
        ({"yes": ("yes", "informatively")}, r"--yes 'informatively' is \d+ tokens .*'▁.*one token"),
        ({"no": ("",)}, r"--no '' is 0 tokens"),
        ({"no": ("\U0001f600",)}, r"--no '.' is \d tokens in this vocabulary"),
        ({"no": ("no", "yes")}, r"answers 'yes' and 'yes' are the same token"),
        ({"yes": ("yes", " yes")}, r"answers 'yes' and ' yes' are the same token.*count twice"),
    ],
)
def test_answers_that_are_no_token_of_their_own_are_refused(spellings, message, asking_vocabulary):
    with pytest.raises(ValueError, match=message):
        answer_ids(Question(**spellings), asking_vocabulary)


def test_a_word_is_no_token_of_bytes():
    message = r"--yes 'yes' is 3 tokens .*\('y', 'e', 's'\).*as in ByT5, a single letter"
    with pytest.raises(ValueError, match=message):
        answer_ids(Question(), BYTES)
