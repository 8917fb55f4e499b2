"""Pruned mixtures: the right documents, rates of all three kinds, and what is refused."""

import json

import pytest
import seqio
from small_corpora import (
    VOCABULARY,
    add_text_task,
    kept_texts,
    make_selection,
    read_texts,
    write_texts,
)

from pruning.jobs.make_selection import select
from pruning.jobs.score import score
from pruning.score_store import open_store
from seqio_tasks import open_seqio_source, pruned_mixture, pruned_task
from seqio_tasks.mixtures import mixing_rates, mixing_table

LENGTHS = {"web": (40, 60), "books": (30, 20)}
SHARES = {"web": 0.3, "books": 0.8}


@pytest.fixture
def base(tmp_path):
    for name, lengths in LENGTHS.items():
        write_texts(tmp_path / name, lengths)
        files = {"train": f"{tmp_path}/{name}/*.txt"}
        count = None if name == "web" else {"train": sum(lengths)}
        add_text_task(name, seqio.TextLineDataSource(files, num_input_examples=count))
    seqio.MixtureRegistry.add("mix", [("web", 3.0), ("books", 1.0)])
    return "mix"


@pytest.fixture
def selections(tmp_path, base):
    """A folder with a subfolder for each task, and the selections by task."""
    return tmp_path / "selections", {
        name: make_selection(
            open_seqio_source(f"seqio:{name}"), tmp_path / f"selections/{name}", share
        )
        for name, share in SHARES.items()
    }


def read_mixture(name):
    """Documents of one epoch; a mixture gives their tokens only."""
    dataset = seqio.MixtureRegistry.get(name).get_dataset({"targets": 64}, num_epochs=1, seed=0)
    return [VOCABULARY.decode(x["targets"].tolist()) for x in dataset.as_numpy_iterator()]


def with_tokens(selection, kept_tokens):
    """Writes what a selection by a model's scores says of tokens."""
    path = selection.folder / "selection.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"counts": kept_tokens}))


def scores_by_text(name, store):
    source = open_seqio_source(f"seqio:{name}")
    return {
        document.text.decode(): score
        for unit, table in store.tables(["random"])
        for document, score in zip(
            source.read(unit.file, unit.first_row, unit.num_rows),
            table["random"].to_pylist(),
            strict=True,
        )
    }


def test_the_mixture_reads_what_its_selections_keep(base, selections):
    folder, chosen = selections
    name = pruned_mixture(base, folder)
    found = read_mixture(name)
    mixture = seqio.MixtureRegistry.get(name)
    # The files of both have equal texts: sets of each task's own.
    expected = {
        t for n, s in chosen.items() for t in kept_texts(open_seqio_source(f"seqio:{n}"), s)
    }
    assert found and set(found) <= expected
    for task in mixture.tasks:
        selection = next(s for n, s in chosen.items() if task.name.startswith(n))
        source = open_seqio_source(f"seqio:{task.base.name}")
        assert sorted(read_texts(task.name)) == sorted(kept_texts(source, selection))


def test_one_threshold_by_prune_select_prunes_the_mixture(base, tmp_path):
    """From scores to the documents that training sees: those with the lowest scores of all."""
    stores = {name: tmp_path / "scores" / name for name in LENGTHS}
    for name, store in stores.items():
        score(["random"], f"seqio:{name}", str(store))
    folder = tmp_path / "together"
    select(
        [f"{name}={store}" for name, store in stores.items()],
        str(folder),
        keep="low",
        fraction=0.3,
        together=True,
    )
    mixture = seqio.MixtureRegistry.get(pruned_mixture(base, folder))
    assert sum(row.kept for row in mixing_rates(mixture)) == 0.3 * 150
    scores = {name: scores_by_text(name, open_store(store)) for name, store in stores.items()}
    threshold = sorted(s for of_task in scores.values() for s in of_task.values())[44]
    for task in mixture.tasks:
        expected = {t for t, s in scores[task.base.name].items() if s <= threshold}
        assert set(read_texts(task.name)) == expected


def test_folders_can_be_named_and_a_task_left_whole(base, selections):
    _, chosen = selections
    name = pruned_mixture(base, {"web": chosen["web"].folder, "books": None}, "mine")
    assert name == "mine"
    rates = {row.base: row for row in mixing_rates(seqio.MixtureRegistry.get(name))}
    assert rates["books"].kept == rates["books"].documents == 50
    assert rates["web"].kept == chosen["web"].num_kept < rates["web"].documents == 100


def test_rates_are_those_of_the_base_or_come_from_what_is_kept(base, selections):
    folder, chosen = selections
    kept = {name: selection.num_kept for name, selection in chosen.items()}
    for selection, tokens in zip(chosen.values(), (600, 1800), strict=True):
        with_tokens(selection, {"kept_tokens": tokens})
    shares = {"base": 0.75, "documents": kept["web"] / sum(kept.values()), "tokens": 0.25}
    for rates, expected in shares.items():
        mixture = seqio.MixtureRegistry.get(pruned_mixture(base, folder, rates=rates))
        row = next(r for r in mixing_rates(mixture) if r.base == "web")
        assert row.rate_before == 0.75
        assert row.rate_after == pytest.approx(expected)


def test_rates_of_the_base_that_count_examples_stay_those_of_the_base(selections):
    folder, _ = selections

    def rate(task):
        return {"web": 100, "books": 50}[task.name]

    seqio.MixtureRegistry.add("counted", ["web", "books"], default_rate=rate)
    mixture = seqio.MixtureRegistry.get(pruned_mixture("counted", folder))
    assert {r.base: r.rate_after for r in mixing_rates(mixture)} == {"web": 2 / 3, "books": 1 / 3}


def test_a_mixture_of_mixtures_is_pruned_task_by_task(base, selections):
    folder, _ = selections
    seqio.MixtureRegistry.add("outer", [("mix", 1.0), ("web", 1.0)])
    mixture = seqio.MixtureRegistry.get(pruned_mixture("outer", folder))
    row = next(r for r in mixing_rates(mixture) if r.base == "web")
    assert row.rate_before == row.rate_after == (0.75 + 1) / 2


def test_the_table_says_what_was_and_what_is(base, selections, caplog):
    folder, chosen = selections
    name = pruned_mixture(base, folder)
    caplog.set_level("INFO", logger="absl")
    read_mixture(name)
    table = mixing_table(seqio.MixtureRegistry.get(name))
    assert f"web             100   75.0%            {chosen['web'].num_kept}   75.0%" in table
    assert all(line in caplog.text for line in table.splitlines())


def test_the_same_again_is_fine_and_another_is_refused(base, selections):
    folder, chosen = selections
    assert pruned_mixture(base, folder) == pruned_mixture(base, folder)
    assert pruned_mixture(base, folder) != pruned_mixture(base, folder, rates="documents")
    pruned_mixture(base, folder, "mine")
    with pytest.raises(ValueError, match="'mine' is registered with rates 'base', not 'documents'"):
        pruned_mixture(base, folder, "mine", rates="documents")
    with pytest.raises(
        ValueError, match=r"'mine' is registered with books 'books.keep.*not 'books'"
    ):
        pruned_mixture(base, {"web": chosen["web"].folder, "books": None}, "mine")
    with pytest.raises(ValueError, match="'mix' exists and is not a pruned one"):
        pruned_mixture(base, folder, "mix")
    with pytest.raises(ValueError, match="A task 'web' exists"):
        pruned_mixture(base, folder, "web")


def test_what_does_not_fit_is_refused(base, selections, tmp_path):
    folder, chosen = selections
    with pytest.raises(ValueError, match=r"'web' is a task: prune it with `pruned_task`"):
        pruned_mixture("web", folder)
    with pytest.raises(
        ValueError, match=r"No mixture 'mux' is registered, known are: mix\. Import"
    ):
        pruned_mixture("mux", folder)
    with pytest.raises(ValueError, match="there is no selection for books"):
        pruned_mixture(base, {"web": chosen["web"].folder})
    with pytest.raises(ValueError, match="There are selections for code, but mixture 'mix'"):
        pruned_mixture(base, {"web": None, "books": None, "code": None})
    with pytest.raises(FileNotFoundError, match=r"nowhere/books is not a selection"):
        pruned_mixture(base, tmp_path / "nowhere")
    with pytest.raises(ValueError, match="Unknown rates 'bytes'; known are base, documents"):
        pruned_mixture(base, folder, rates="bytes")
    name = pruned_mixture(base, folder, rates="tokens")
    with pytest.raises(ValueError, match="has no token counts"):
        mixing_rates(seqio.MixtureRegistry.get(name))
    name = pruned_mixture(base, {"web": None, "books": None}, rates="tokens")
    with pytest.raises(ValueError, match="'books' is left whole, so nobody counted its tokens"):
        mixing_rates(seqio.MixtureRegistry.get(name))


def test_a_wrong_base_task_names_similar_ones(base, tmp_path):
    with pytest.raises(ValueError, match=r"No task 'wep' is registered\. Import .* such as web\."):
        pruned_task("wep", tmp_path)
