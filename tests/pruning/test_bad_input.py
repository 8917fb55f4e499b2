"""Whatever a corpus holds: it is counted with its file and row, and stops nothing."""

import gzip
import json

import numpy as np
import pytest
import toy

from pruning.jobs.score import score
from pruning.score_store import open_store

GOOD = b'{"text": "a good document"}'
FIFTY_MB = 50_000_000
A_MILLION = 1_000_000

# Lines of JSON Lines, with the reason and the note that their row gets.
JSONL = {
    "invalid_utf8": (b'{"text": "caf\xe9"}', "invalid_utf8", None),
    "lone_surrogate": (b'{"text": "\\ud83d"}', "invalid_utf8", None),
    "empty": (b'{"text": ""}', "empty", None),
    "white_space": (b'{"text": " \\n\\t\\u3000"}', "empty", None),
    "carriage_return": (b'{"text": "a\rb"}', "broken_json", "control_characters"),
    "nul": (b'{"text": "a\x00b"}', "broken_json", "control_characters"),
    "missing_field": (b'{"body": "x"}', "missing_field", None),
    "not_text": (b'{"text": 7}', "not_text", None),
    "broken_json": (b'{"text": "cut of', "broken_json", None),
    "blank_line": (b"", "broken_json", None),
    "fifty_mb": (b'{"text": "' + b"word " * (FIFTY_MB // 5) + b'"}', "too_long", None),
    "one_character": (b'{"text": "' + b"a" * A_MILLION + b'"}', "too_long", None),
}
# Lines of plain text.
TEXT = {
    "invalid_utf8": (b"caf\xe9", "invalid_utf8", None),
    "empty": (b"", "empty", None),
    "white_space": (b" \t\xe3\x80\x80", "empty", None),
    "carriage_return": (b"a\rb", None, "control_characters"),
    "nul": (b"a\x00b", None, "control_characters"),
    "fifty_mb": (b"word " * (FIFTY_MB // 5), "too_long", None),
    "one_character": (b"a" * A_MILLION, "too_long", None),
}
KINDS = {"jsonl": (JSONL, GOOD), "text": (TEXT, b"a good document")}


def write_corpus(folder, kind):
    """One file with all bad lines between good ones, and a gzip file that breaks off."""
    lines, good = KINDS[kind]
    folder.mkdir()
    (folder / f"bad.{kind}").write_bytes(
        b"".join(b"%s\n%s\n" % (good, line) for line, _, _ in lines.values()) + good
    )
    # Random digits, so that half of the file is half of the lines.
    rng = np.random.default_rng(0)
    rows = [good.replace(b"good", b"%d" % n) for n in rng.integers(1 << 60, size=1000)]
    compressed = gzip.compress(b"\n".join(rows), mtime=0)
    (folder / f"cut.{kind}.gz").write_bytes(compressed[: len(compressed) // 2])
    return f"{kind}:{folder}/*"


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


def expected_of(kind):
    """Rows of `bad.KIND` by reason and by note."""
    reasons: dict[str, list[int]] = {}
    notes: dict[str, list[int]] = {}
    for i, (_, reason, note) in enumerate(KINDS[kind][0].values()):
        for key, rows in ((reason, reasons), (note, notes)):
            if key:
                rows.setdefault(key, []).append(2 * i + 1)
    return reasons, notes


@pytest.mark.parametrize("unit_rows", [4, 16_384])
def test_everything_is_counted_with_its_file_and_row(tmp_path, kind, unit_rows):
    source = write_corpus(tmp_path / "corpus", kind)
    counts = score(["random"], source, str(tmp_path / "scores"), unit_rows=unit_rows)
    this_run = counts.pop("this_run")
    assert this_run["documents"] >= counts["scored"]
    assert json.loads((tmp_path / "scores" / "_SUCCESS").read_text()) == counts
    reasons, notes = expected_of(kind)
    store = open_store(tmp_path / "scores")
    cut_rows = store.files[f"cut.{kind}.gz"].num_rows
    assert 100 < cut_rows < 900
    assert counts["unscored"] == {**{k: len(v) for k, v in reasons.items()}, "truncated_file": 1}
    assert counts["notes"] == {k: len(v) for k, v in notes.items()}
    assert counts["rows"] == 2 * len(KINDS[kind][0]) + 1 + cut_rows
    assert counts["scored"] + sum(counts["unscored"].values()) == counts["rows"]
    ids = {k: [f"bad.{kind}__{row}" for row in rows][:5] for k, rows in (reasons | notes).items()}
    assert counts["examples"] == {**ids, "truncated_file": [f"cut.{kind}.gz__{cut_rows - 1}"]}


def test_bad_rows_do_not_change_the_others(tmp_path, kind):
    source = write_corpus(tmp_path / "corpus", kind)
    score(["random"], source, str(tmp_path / "scores"), unit_rows=4)
    store = open_store(tmp_path / "scores")
    reasons, _ = expected_of(kind)
    bad = [row for rows in reasons.values() for row in rows]
    scores, found = [], []
    for unit, table in store.tables(["random", "reason"]):
        if unit.file == f"bad.{kind}":
            scores += table["random"].to_pylist()
            found += table["reason"].to_pylist()
    assert [i for i, s in enumerate(scores) if np.isnan(s)] == sorted(bad)
    assert [i for i, r in enumerate(found) if r] == sorted(bad)


@pytest.mark.parametrize(
    ("format_", "name"), [(k, n) for k, (lines, _) in KINDS.items() for n in lines]
)
def test_strict_makes_each_an_error(tmp_path, format_, name):
    lines, good = KINDS[format_]
    line, reason, note = lines[name]
    path = tmp_path / f"a.{format_}"
    path.write_bytes(b"%s\n%s\n%s\n" % (good, line, good))
    with pytest.raises(ValueError, match=rf"a\.{format_}__1: {reason or note} .*without --strict"):
        score(["random"], f"{format_}:{path}", str(tmp_path / "scores"), strict=True)


def test_strict_makes_a_truncated_gzip_file_an_error(tmp_path, kind):
    write_corpus(tmp_path / "corpus", kind)
    source = f"{kind}:{tmp_path}/corpus/cut.{kind}.gz"
    with pytest.raises(ValueError, match=rf"cut\.{kind}\.gz__\d+: truncated_file"):
        score(["random"], source, str(tmp_path / "scores"), strict=True)


def test_a_good_corpus_passes_strict(tmp_path, kind):
    _, good = KINDS[kind]
    path = tmp_path / f"a.{kind}"
    path.write_bytes(good + b"\n" + good)
    counts = score(["random"], f"{kind}:{path}", str(tmp_path / "scores"), strict=True)
    assert counts["scored"] == 2


def test_a_model_scores_a_long_document_if_it_is_asked_to(tmp_path, kind):
    source = write_corpus(tmp_path / "corpus", kind)
    settings = {"window": 512, "max_document_bytes": 2 * A_MILLION}
    store = toy.score(["perplexity"], source, tmp_path / "scores", **settings)
    counts = json.loads((store.folder / "_SUCCESS").read_text())
    assert counts["unscored"]["too_long"] == 1
    assert (
        f"bad.{kind}__{2 * [*KINDS[kind][0]].index('fifty_mb') + 1}"
        in counts["examples"]["too_long"]
    )
    row = 2 * [*KINDS[kind][0]].index("one_character") + 1
    table = store.read(store.units[0])
    assert table["n_tokens"][row].as_py() == A_MILLION
    assert table["n_windows"][row].as_py() == -(-A_MILLION // 568)
    assert 1 < table["nll"][row].as_py() < 2


def test_a_misspelt_text_field_is_seen_before_anything_is_read(tmp_path):
    path = toy.write_jsonl(tmp_path / "corpus" / "a.jsonl", toy.texts(150))
    with pytest.raises(ValueError, match=r"first 100 records of a\.jsonl has a field 'body'"):
        toy.score(["random"], f"jsonl:{path}", tmp_path / "scores", text_field="body")
    assert not (tmp_path / "scores").exists()


def test_a_misspelt_field_to_carry_is_refused_with_those_that_there_are(tmp_path):
    path = toy.write_jsonl(tmp_path / "a.jsonl", toy.texts(5), domain=["web"] * 5)
    expected = (
        r"None of the first 5 records of a\.jsonl has a field 'domian': they have text, domain"
    )
    with pytest.raises(ValueError, match=expected):
        toy.score(["random"], f"jsonl:{path}", tmp_path / "scores", fields=["domian"])
    assert not (tmp_path / "scores").exists()


def test_a_field_that_is_empty_at_first_is_only_named(tmp_path, capsys):
    path = toy.write_jsonl(tmp_path / "a.jsonl", toy.texts(150), url=[None] * 149 + ["x"])
    store = toy.score(["random"], f"jsonl:{path}", tmp_path / "scores", fields=["url"])
    assert "the first 100 records of a.jsonl has a field 'url' that is" in capsys.readouterr().out
    assert toy.column(store, "url")[-1] == "x"
