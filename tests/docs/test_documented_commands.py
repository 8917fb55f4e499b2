"""Every command of the README and the guides is executed, or named with the reason why not."""

import contextlib
import gzip
import importlib.util
import json
import pathlib
import re
import shutil
from collections.abc import Iterator

import documented
import jax
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import toy

from pruning.cli import main
from pruning.hashing import text_hash
from pruning.prompts import ASK_LLM_PROMPT
from pruning.scorers import SCORERS
from pruning.sources.python_corpus import domain_texts
from pruning.tokenization import train_vocabulary

HAS_T5X = importlib.util.find_spec("t5x") is not None
DOMAINS = ("web", "books", "code")
# Minutes: `python -m pytest -m docs`.
LONG = ("docs/experiments.md", "docs/scale.md", "docs/train_with_t5x.md")
IN_SUITE = (
    "README.md",
    *(f"docs/{name}.md" for name in ("scoring", "selection", "report", "export")),
)
# What a reader has done before.
AFTER = {
    "docs/scoring.md": ["README.md"],
    "docs/add_a_scorer.md": [],
    "docs/selection.md": ["docs/scoring.md"],
    "docs/report.md": ["docs/selection.md"],
    "docs/export.md": ["README.md"],
    "docs/experiments.md": ["README.md"],
}


def texts(number: int, characters: int = 500) -> list[str]:
    """Texts that every machine with Python has, whatever is installed there.

    By default short ones, since a tiny model reads them.
    """
    cut = dict.fromkeys(text[:characters] for text in domain_texts("docstrings"))
    assert len(cut) >= number
    return [*cut][:: len(cut) // number][:number]


def write(path: pathlib.Path, found: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with gzip.open(path, "wt") as file:
        for i, text in enumerate(found):
            file.write(json.dumps({"text": text, "domain": DOMAINS[i % len(DOMAINS)]}) + "\n")


class Reader:
    """Somebody who follows the documents in one folder, each once."""

    def __init__(self, folder: pathlib.Path):
        self.folder = folder
        self.followed: dict[str, bool] = {}  # by document: whether all of it went well

    def prune(self, command: str) -> None:
        with contextlib.chdir(self.folder):
            main(command.split())

    def follow(self, document: str) -> None:
        if document in self.followed:
            assert self.followed[document], f"{document}, which comes before, has failed"
            return
        for before in AFTER.get(document, ()):
            self.follow(before)
        self.followed[document] = False
        getattr(self, f"before_{pathlib.Path(document).stem.lower()}", lambda: None)()
        for command in documented.commands(document):
            if command.is_run:
                by_shell = document in documented.BY_SHELL
                run = documented.run_by_shell if by_shell else documented.run_in_process
                run(command, self.folder)
        self.followed[document] = True

    def before_readme(self) -> None:
        """A corpus, and a small model that answers in place of google/flan-t5-xl."""
        found = texts(90)
        write(self.folder / "web.jsonl.gz", found)
        words = [f"{word} {word}. {word}," for word in ("yes", "no")] * 200
        (self.folder / "trained").mkdir()
        vocabulary = self.folder / "trained" / "answers.model"
        train_vocabulary([*found, *[ASK_LLM_PROMPT] * 20, *words], vocabulary, vocab_size=600)
        self.prune(
            "train --source jsonl:web.jsonl.gz --objective ask_llm --answer_yes domain=web "
            "--vocabulary trained/answers.model --window 320 --batch_rows 2 --num_steps 1 "
            "--output trained/asked"
        )

    def before_scoring(self) -> None:
        """Other seeds of the reference model, a target corpus, a table, and parts of a corpus."""
        found = texts(90)
        for seed in range(3):
            shutil.copytree(self.folder / "trained/reference", self.folder / f"trained/seed{seed}")
        write(self.folder / "wanted.jsonl.gz", found[::3])
        for part in range(2):
            write(self.folder / f"web/{part}.jsonl.gz", found[part::2])
        hashes = [text_hash(text.encode()) for text in found]
        table = pa.table({"text_hash": hashes, "edu_score": [float(i % 5) for i in range(90)]})
        pq.write_table(table, self.folder / "edu.parquet")
        self.prune(
            "score embedding --source jsonl:web/*.jsonl.gz --model trained/reference "
            "--output scores/parts"
        )
        for part in range(2):
            self.prune(
                f"fit density --embeddings scores/parts --num_shards 2 --shard_index {part} "
                f"--output part{part}.npz"
            )

    def before_selection(self) -> None:
        """Scores of two reference models and of two sources, and clusters."""
        for name, source in (("web", "web"), ("books", "web/0")):
            self.prune(
                f"score perplexity --source jsonl:{source}.jsonl.gz --model trained/reference "
                f"--output scores/{name}"
            )
        for size in ("small", "large"):
            shutil.copytree(self.folder / "scores/perplexity", self.folder / f"scores/{size}")
        self.prune(
            "score prototypes --embeddings scores/embeddings --settings num_clusters=4 "
            "--output scores/prototypes"
        )

    def before_report(self) -> None:
        """An experiment that is finished."""
        (self.folder / "experiments").mkdir(exist_ok=True)
        if not (self.folder / "experiments/web").exists():
            toy.write_experiment(self.folder / "experiments/web")

    def before_export(self) -> None:
        if not (self.folder / "scores/web").exists():
            self.prune("score random --source jsonl:web.jsonl.gz --output scores/web")

    def before_experiments(self) -> None:
        """A task of multiple choice, gin files for t5x, and a document that gets the table."""
        question = {
            "context": "It rained,",
            "options": ["so we ran.", "so it was dry."],
            "answer": 0,
        }
        (self.folder / "copa.jsonl").write_text(3 * (json.dumps(question) + "\n"))
        (self.folder / "docs").mkdir()
        shutil.copy(documented.ROOT / "docs/experiments.md", self.folder / "docs")
        shutil.rmtree(self.folder / "experiments", ignore_errors=True)
        for name, file in (("my_pretrain", "pretrain/tiny"), ("my_glue", "finetune/tiny")):
            shutil.copy(documented.ROOT / f"gin/{file}.gin", self.folder / f"{name}.gin")

    def before_train_with_t5x(self) -> None:
        """A checkout with two files in place of those of C4."""
        self.folder = self.folder / "checkout"
        self.folder.mkdir()
        (self.folder / "gin").symlink_to(documented.ROOT / "gin")
        found = texts(800, characters=3000)
        write(self.folder / "c4/train.json.gz", found[:700])
        write(self.folder / "c4/validation.json.gz", found[700:])
        for name, split in (("web", "train"), ("books", "validation")):
            self.prune(f"score random --source jsonl:c4/{split}.json.gz --output scores/{name}")

    def before_add_a_scorer(self) -> None:
        write(self.folder / "web.jsonl.gz", texts(90))


@pytest.fixture(scope="module")
def reader(tmp_path_factory) -> Iterator[Reader]:
    # Nearly all the time here is compilation, and speed is of no use afterwards.
    before = jax.config.read("jax_disable_most_optimizations")
    jax.config.update("jax_disable_most_optimizations", True)
    yield Reader(tmp_path_factory.mktemp("reader"))
    jax.config.update("jax_disable_most_optimizations", before)


@pytest.mark.parametrize("document", IN_SUITE)
def test_every_command_of_a_document_runs(reader, document):
    reader.follow(document)


def test_the_batch_of_the_readme_is_read(reader, monkeypatch):
    reader.follow("README.md")
    text = (documented.ROOT / "README.md").read_text()
    blocks = re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    (code,) = [block for block in blocks if "text_task" in block]
    monkeypatch.chdir(reader.folder)
    names: dict = {}
    exec(code, names)
    assert {name: len(rows) for name, rows in names["batch"].items()} == {"inputs": 8, "targets": 8}


@pytest.mark.docs
@pytest.mark.parametrize("document", LONG)
def test_every_command_of_a_long_document_runs(reader, document):
    if document in documented.BY_SHELL:
        assert HAS_T5X, "needs t5x: see the document's own Install"
    reader.follow(document)


def test_the_scorer_of_the_guide_scores(tmp_path, monkeypatch):
    (code,) = re.findall(
        r"^```python\n(.*?)^```$",
        (documented.ROOT / "docs/add_a_scorer.md").read_text(),
        re.MULTILINE | re.DOTALL,
    )
    names = {"__name__": "capitals"}
    exec(code, names)
    monkeypatch.setitem(SCORERS, "capitals", names["Capitals"])
    Reader(tmp_path).follow("docs/add_a_scorer.md")


def all_commands() -> Iterator[documented.Documented]:
    for document in documented.GUIDES:
        yield from documented.commands(document)


def test_what_is_not_run_is_named_with_its_reason():
    begins = {
        begin: [c for c in all_commands() if c.text.startswith(begin)]
        for begin in documented.NOT_RUN
    }
    assert [begin for begin, found in begins.items() if not found] == []
    elsewhere = {c.document for c in all_commands() if c.is_run} - {
        *IN_SUITE,
        *LONG,
        "docs/add_a_scorer.md",
    }
    assert elsewhere == set()


def test_every_substitution_is_of_something_documented():
    text = "\n".join(command.text for command in all_commands())
    assert [known for known in documented.SUBSTITUTIONS if known not in text] == []
    for document, own in documented.SUBSTITUTIONS_OF.items():
        text = "\n".join(command.text for command in documented.commands(document))
        assert [known for known in own if known not in text] == []
