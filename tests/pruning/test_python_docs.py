"""The embedded corpus: the same for everyone who has the same Python, and truly labelled."""

import collections
import os
import random
import subprocess
import sys

import pytest

from pruning.sources import open_source
from pruning.sources.damage import DAMAGES, few_words_changed
from pruning.sources.python_corpus import DOMAINS, _cut, domain_texts
from pruning.sources.python_docs import FIELDS, PythonDocsOptions, PythonDocsSource

SENTENCES = [
    f"Sentence number {i} of this text tells about {i * i} other things." for i in range(60)
]
TEXT = "\n".join(" ".join(SENTENCES[i : i + 3]) for i in range(0, 60, 3))


def read_all(spec):
    source = open_source(spec)
    return {f.path: list(source.read(f.path, 0, f.num_rows)) for f in source.files()}


@pytest.fixture(scope="module")
def clean():
    return read_all("python_docs:damage=0,duplicates=0")


@pytest.fixture(scope="module")
def spoilt():
    return read_all("python_docs:")


def test_there_are_megabytes_of_text_in_all_domains(clean):
    assert sorted(clean) == sorted(DOMAINS)
    assert sum(len(d.text) for documents in clean.values() for d in documents) > 2_000_000
    for documents in clean.values():
        lengths = [len(d.text.decode()) for d in documents]
        assert min(lengths) >= 200
        assert sum(n <= 8_000 for n in lengths) >= 0.99 * len(lengths)


def test_size_and_mark_are_those_of_the_content():
    files = open_source("python_docs:max_documents=40").files()
    documents = read_all("python_docs:max_documents=40")
    assert [f.size for f in files] == [sum(len(d.text) for d in documents[f.path]) for f in files]
    assert files == open_source("python_docs:max_documents=40").files()
    others = open_source("python_docs:max_documents=40,seed=1").files()
    assert all(a.mark != b.mark for a, b in zip(files, others, strict=True))


def test_another_process_in_another_folder_finds_the_same(tmp_path):
    (tmp_path / "other.egg-info").mkdir()
    (tmp_path / "other.egg-info" / "PKG-INFO").write_text(
        "Metadata-Version: 2.1\nName: other\nVersion: 1\n\n" + TEXT
    )
    code = (
        "from pruning.sources import open_source;"
        "print([(f.path, f.num_rows, f.mark) for f in open_source('python_docs:').files()])"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p or os.getcwd() for p in sys.path)}
    environment["PYTHONHASHSEED"] = "1"
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    expected = [(f.path, f.num_rows, f.mark) for f in open_source("python_docs:").files()]
    assert found.stdout.strip() == str(expected), found.stderr


def test_shares_are_exact_and_kinds_equally_frequent(clean, spoilt):
    for domain, documents in spoilt.items():
        kinds = collections.Counter(d.fields["damage"] for d in documents)
        number = len(documents) - kinds.pop("none")
        assert number == pytest.approx(0.1 * len(documents), abs=10)  # copies are of whole ones
        assert number == round(0.1 * len(documents))
        assert set(kinds) == set(DAMAGES)
        assert max(kinds.values()) - min(kinds.values()) <= 1
        changed = sum(a.text != b.text for a, b in zip(documents, clean[domain], strict=True))
        assert changed == pytest.approx(round(0.12 * len(documents)), abs=0.01 * len(documents) + 1)


def test_labels_tell_the_truth(clean, spoilt):
    for domain, documents in spoilt.items():
        texts = [d.text for d in documents]
        originals = [d.text for d in clean[domain]]
        planted = 0
        for document in documents:
            label = document.fields["duplicate_of"]
            first = texts.index(document.text)
            assert label == (None if first == document.row else f"{domain}__{first}")
            if document.fields["damage"] == "none":
                assert document.text in originals
                planted += document.text != originals[document.row]
            else:
                assert document.text != originals[document.row]
        assert 0 < planted <= round(0.02 * len(documents))


def test_near_duplicates_are_planted_where_asked_for_and_labelled(clean, spoilt):
    source = open_source("python_docs:near_duplicates=0.05")
    for file in source.files():
        documents = list(source.read(file.path, 0, file.num_rows))
        near = {d.row: d for d in documents if d.fields["near_duplicate_of"] is not None}
        assert len(near) == round(0.05 * len(documents))
        for document in near.values():
            domain, _, row = document.fields["near_duplicate_of"].partition("__")
            original = documents[int(row)]
            assert domain == file.path
            assert original.text == clean[domain][original.row].text
            assert original.row not in near and original.fields["damage"] == "none"
            words, others = document.text.split(), original.text.split()
            changed = sum(a != b for a, b in zip(words, others, strict=True))
            assert changed == -(-len(words) // 100)
        # What was damaged without them still is, in the same way.
        damaged = {d.row: d.text for d in spoilt[file.path] if d.fields["damage"] != "none"}
        assert damaged == {d.row: d.text for d in documents if d.fields["damage"] != "none"}


def test_without_near_duplicates_a_store_made_earlier_still_goes_on():
    assert open_source("python_docs:").describe() == {
        "spec": "python_docs:damage=0.1,duplicates=0.02,seed=0",
        "text_field": "text",
        "fields": ["domain", "damage", "duplicate_of"],
        "split": "train",
    }
    described = open_source("python_docs:near_duplicates=0.1").describe()
    assert described["spec"] == "python_docs:damage=0.1,duplicates=0.02,near_duplicates=0.1,seed=0"
    assert described["fields"] == ["domain", "damage", "duplicate_of", "near_duplicate_of"]
    assert open_source(described["spec"]).describe() == described


def test_the_seed_decides_which_documents_are_spoilt(spoilt):
    other = read_all("python_docs:seed=1")
    for domain, documents in spoilt.items():
        rows = {d.row for d in documents if d.fields["damage"] != "none"}
        other_rows = {d.row for d in other[domain] if d.fields["damage"] != "none"}
        assert len(rows & other_rows) < 0.5 * len(rows)


def test_max_documents_is_per_domain_and_spread_over_it(clean):
    for domain, documents in read_all("python_docs:max_documents=30,damage=0,duplicates=0").items():
        whole = [d.text for d in clean[domain]]
        assert len(documents) == min(30, len(whole))
        assert {d.text for d in documents} <= set(whole)
        assert documents[-1].text in whole[len(whole) * 9 // 10 :]


def test_ranges_and_fields():
    source = PythonDocsSource(PythonDocsOptions(max_documents=9), fields=["damage"])
    whole = list(source.read("licenses", 0, 9))
    assert list(source.read("licenses", 4, 3)) == whole[4:7]
    assert [d.row for d in whole] == list(range(9))
    assert set(whole[0].fields) == {"damage"}
    assert source.describe()["fields"] == ["damage"]
    assert PythonDocsSource().describe()["fields"] == list(FIELDS)


def test_errors_name_what_there_is():
    source = PythonDocsSource(PythonDocsOptions(max_documents=5))
    with pytest.raises(ValueError, match="licenses has 5 rows, and rows 3 to 5"):
        source.read("licenses", 3, 3)
    with pytest.raises(ValueError, match="no file 'poems'; it has docstrings"):
        source.read("poems", 0, 1)
    with pytest.raises(ValueError, match="no field url; it has domain, damage"):
        PythonDocsSource(fields=["url"])
    with pytest.raises(ValueError, match="no field near_duplicate_of; it has domain, damage"):
        PythonDocsSource(fields=["near_duplicate_of"])
    with pytest.raises(ValueError, match=r"damage=0.7, duplicates=0.3 and near_duplicates=0.0 are"):
        PythonDocsOptions(damage=0.7, duplicates=0.3)
    with pytest.raises(ValueError, match=r"near_duplicates=-0.1 are shares"):
        PythonDocsOptions(near_duplicates=-0.1)
    with pytest.raises(ValueError, match="max_documents=0"):
        PythonDocsOptions(max_documents=0)


def test_a_domain_without_texts_is_an_error(monkeypatch):
    monkeypatch.setattr("pruning.sources.python_corpus.DOMAINS", {"source_code": tuple})
    with pytest.raises(RuntimeError, match="has no source code"):
        domain_texts.__wrapped__("source_code")


@pytest.mark.parametrize("kind", DAMAGES)
def test_damage_is_seeded(kind):
    spoilt = DAMAGES[kind](TEXT, random.Random(1))
    assert spoilt == DAMAGES[kind](TEXT, random.Random(1))
    assert spoilt not in (TEXT, DAMAGES[kind](TEXT, random.Random(2)))


def test_shuffled_words_are_the_same_words():
    spoilt = DAMAGES["words_shuffled"](TEXT, random.Random(0))
    assert sorted(spoilt.split()) == sorted(TEXT.split())
    moved = sum(a != b for a, b in zip(spoilt.split(), TEXT.split(), strict=True))
    assert moved > 0.7 * len(TEXT.split())
    assert spoilt.count("\n") == TEXT.count("\n")


def test_swapped_characters_are_an_eighth_of_all_places():
    text = "".join(chr(0x100 + i) for i in range(5000))  # all different, so that swaps show
    spoilt = DAMAGES["characters_swapped"](text, random.Random(0))
    places = [i for i in range(4999) if spoilt[i] == text[i + 1] and spoilt[i + 1] == text[i]]
    assert sum(a != b for a, b in zip(spoilt, text, strict=True)) == 2 * len(places)
    assert 0.10 <= len(places) / 4999 <= 0.15


@pytest.mark.parametrize("text", [TEXT, "same " * 250, "alone"])
def test_one_word_in_a_hundred_changes(text):
    spoilt = few_words_changed(text, random.Random(3))
    assert spoilt == few_words_changed(text, random.Random(3))
    pairs = [*zip(spoilt.split(), text.split(), strict=True)]
    assert sum(a != b for a, b in pairs) == -(-len(pairs) // 100)
    assert spoilt.count("\n") == text.count("\n")


def test_truncated_text_is_the_beginning():
    for seed in range(50):
        spoilt = DAMAGES["truncated"](TEXT, random.Random(seed))
        assert TEXT.startswith(spoilt)
        assert 0.19 <= len(spoilt) / len(TEXT) <= 0.6


@pytest.mark.parametrize("text", [TEXT, "x" * 300, "one sentence without an end " * 20])
def test_repeated_text_is_one_sentence_to_the_same_length(text):
    spoilt = DAMAGES["repeated"](text, random.Random(0))
    assert len(spoilt) == len(text)
    lines = spoilt.split("\n")
    assert len(set(lines[:-1])) == 1
    assert lines[0] in text
    assert lines[0].startswith(lines[-1])


def test_a_long_text_is_cut_at_blank_lines_and_nothing_is_lost():
    paragraphs = [f"Paragraph {i}.\n" * 20 for i in range(100)]
    pieces = list(_cut("\n".join(paragraphs)))
    assert "".join(pieces).replace("\n", "") == "".join(paragraphs).replace("\n", "")
    assert len(pieces) > 5
    assert all(piece.startswith("Paragraph") for piece in pieces)
    assert all(len(piece) < 3_400 for piece in pieces)
