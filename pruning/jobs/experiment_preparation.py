"""What all arms of an experiment share: splits, vocabulary, references, selections, pairs."""

import os
from collections.abc import Iterator

import numpy as np

from pruning.experiments.arms import all_runs
from pruning.jobs.experiment_setting import Setting


def prepare(setting: Setting) -> None:
    """Makes what is missing. One process at a time; the arms then need nothing of each other."""
    from etils import epath

    from models import training_folder

    training_folder.write_or_check(epath.Path(setting.path("experiment.json")), setting.record())
    _split(setting)
    vocabulary(setting)
    for name, size in setting.references.items():
        _train_and_score_with(setting, name, size)
    _select(setting)
    _write_pairs(setting)


def check_prepared(setting: Setting) -> None:
    """Refuses to train on what is not there yet, or belongs to another experiment.

    Raises:
      ValueError: a part is missing, or the folder is of other settings.
    """
    from etils import epath

    from models import training_folder

    needed = [setting.path("experiment.json"), setting.pool]
    needed += [setting.selection(run) for run in all_runs(setting.arms, setting.seeds)]
    needed += [setting.pairs] if setting.minimal_pairs else []
    for path in needed:
        if not os.path.exists(path):
            raise ValueError(
                f"{path} is missing. Run the same command with --stage prepare first, once for all arms."
            )
    training_folder.write_or_check(epath.Path(needed[0]), setting.record())


def vocabulary(setting: Setting) -> str:
    """The one vocabulary of all models: given, or trained on what is not held out."""
    from pruning.documents import DEFAULT_UNIT_ROWS, cut_into_units
    from pruning.jobs.open_source import open_source
    from pruning.jobs.open_where import open_where
    from pruning.jobs.reference_model import (
        VOCABULARY_FILE,
        corpus_record,
        find_or_train_vocabulary,
    )
    from pruning.prepared_units import Preparation

    given = setting.training["vocabulary"]
    if given is not None:
        return given
    folder = setting.path("vocabulary")
    if not os.path.exists(os.path.join(folder, VOCABULARY_FILE)):
        source = open_source(setting.source, text_field=setting.text_field, split=setting.split)
        files = source.files()
        how = Preparation(source=source, where=open_where(setting.not_held_out, files))
        size = setting.training["vocabulary_size"]
        record = corpus_record(how, files, unit_rows=DEFAULT_UNIT_ROWS)
        find_or_train_vocabulary(
            folder,
            None,
            how=how,
            units=cut_into_units(files, DEFAULT_UNIT_ROWS),
            trained_on=record | {"vocabulary_size": size},
        )
    return os.path.join(folder, VOCABULARY_FILE)


def training_of(setting: Setting, size: str) -> dict:
    """Settings of `prune train` for a model of that size."""
    training = {k: v for k, v in setting.training.items() if k != "vocabulary_size"}
    return training | {
        "size": size,
        "vocabulary": vocabulary(setting),
        "learning_rate": setting.learning_rates.get(size),
    }


def is_complete(store: str) -> bool:
    from pruning.score_store import SUCCESS

    return os.path.exists(os.path.join(store, SUCCESS))


def _split(setting: Setting) -> None:
    """Held-out, reference and pool: disjoint parts of all documents, by their random score."""
    from pruning.jobs.score import score
    from pruning.keep_bits import read_selection
    from pruning.score_store import open_store
    from pruning.selection import Rule
    from pruning.store_counts import count as store_counts

    drawn = setting.path("splits", "random")
    if not is_complete(drawn):
        score(
            ["random"],
            output=drawn,
            **setting.corpus,
            where=setting.where,
            fields=setting.fields,
            seed=setting.seed,
        )
    if setting.held_out is None:
        _take(
            [drawn],
            setting.held_out_selection,
            Rule(keep="low", fraction=setting.held_out_fraction),
        )
    rest = setting.not_held_out
    if not setting.references:
        _take([drawn], setting.pool, Rule(keep="high", fraction=1.0), rest)
        return
    documents = store_counts(open_store(drawn))["scored"]
    number = int(setting.reference_fraction * documents)
    reference = setting.path("splits", "reference")
    _take([drawn], reference, Rule(keep="low", documents=number), rest)
    others = read_selection(reference).info["counts"]["scored"] - number
    _take([drawn], setting.pool, Rule(keep="high", documents=others), rest)


def _take(scores, output, rule, where=None, score=None) -> None:
    from pruning.jobs.select_once import select_once

    select_once(scores, output, rule, score=score, where=where)


def _train_and_score_with(setting: Setting, name: str, size: str) -> None:
    from pruning.jobs.score import score
    from pruning.jobs.train import train

    model, store = setting.path("references", name), setting.path("scores", name)
    if is_complete(store):
        return
    settings = training_of(setting, size)
    # What the arms' model learns is no matter of a reference of another family.
    own = {"num_steps": setting.reference_steps, "objective": None, "optimizer": None}
    train(
        output=model,
        **setting.corpus,
        where=setting.path("splits", "reference"),
        seed=setting.seed,
        **{**settings, **own},
    )
    score(
        ["perplexity", "el2n"],  # of one forward pass
        output=store,
        **setting.corpus,
        model=[model],
        where=setting.pool,
        fields=setting.fields,
        dtype=settings["dtype"],
    )


def _select(setting: Setting) -> None:
    from pruning.experiments.arms import RANDOM
    from pruning.jobs.selection_within import select_within

    for run in all_runs(setting.arms, setting.seeds):
        arm = setting.arm(run.arm)
        if arm.folder is not None:
            select_within(arm.folder, setting.pool, setting.selection(run))
        if arm.fraction is None:
            continue
        stores = [setting.path("splits", "random")] if arm.rule == RANDOM else setting.stores
        rule = arm.selection_rule(run.seed)
        _take(stores, setting.selection(run), rule, setting.pool, arm.score)


def _write_pairs(setting: Setting) -> None:
    from etils import epath

    from pruning.experiments.minimal_pairs import pair_lines
    from pruning.publishing import publish_bytes

    if not setting.minimal_pairs or os.path.exists(setting.pairs):
        return
    lines = pair_lines(_intact_texts(setting), setting.minimal_pairs, setting.seed)
    os.makedirs(os.path.dirname(setting.pairs), exist_ok=True)
    publish_bytes(epath.Path(setting.pairs), "".join(lines).encode())


def _intact_texts(setting: Setting) -> Iterator[str]:
    """Held-out documents that nobody damaged and no run reads, in the order of hash(id, seed)."""
    from pruning.documents import DEFAULT_UNIT_ROWS, cut_into_units
    from pruning.hashing import id_hash, text_hash
    from pruning.jobs.held_out_copies import is_in_pool
    from pruning.jobs.open_source import open_source
    from pruning.jobs.open_where import open_where
    from pruning.prepared_units import Preparation, read_documents
    from pruning.sources.damage import DAMAGE_FIELD, INTACT

    fields = [DAMAGE_FIELD] if DAMAGE_FIELD in setting.fields else []
    source = open_source(
        setting.source, text_field=setting.text_field, fields=fields, split=setting.split
    )
    files = source.files()
    how = Preparation(source=source, where=open_where(setting.held_out_selection, files))
    found = []
    for unit in cut_into_units(files, DEFAULT_UNIT_ROWS):
        for document, text in zip(*read_documents(unit, how), strict=True):
            if text and document.fields.get(DAMAGE_FIELD) in (None, INTACT):
                place = int(id_hash(unit.file, document.row, setting.seed))
                found.append((place, text, text_hash(document.text or b"")))
    found.sort()
    is_copy_I = is_in_pool(setting, np.array([hash_ for *_, hash_ in found], np.int64))
    return (text for (_, text, _), is_copy in zip(found, is_copy_I, strict=True) if not is_copy)
