"""A corpus, a model and a store small enough to compute by hand."""

import contextlib
import dataclasses
import functools
import json
import pathlib
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from unittest import mock

import numpy as np
import pyarrow as pa

from models.configs import named_config
from pruning.documents import SourceFile
from pruning.experiments.curves import curves_svg
from pruning.experiments.page import SECTION, Section
from pruning.experiments.results import Curve
from pruning.experiments.tables import Table
from pruning.jobs import score as score_job
from pruning.jobs import scoring_model
from pruning.jobs.forward_passes import forward_pass_of, make_objective_of
from pruning.jobs.scoring_model import ScoringModel, row_shape
from pruning.manifests import FACTS, make_manifest
from pruning.run_costs import COSTS
from pruning.score_store import ScoreStore, create_or_continue, open_store
from pruning.store_counts import count
from pruning.tokenization import open_vocabulary

ANY_T5 = named_config("tiny")

WORDS = [
    "the",
    "cat",
    "sat",
    "on",
    "a",
    "mat",
    "and",
    "it",
    "was",
    "rather",
    "good",
    "café",
    "naïve",
    "東京",
    "because",
    "of",
    "rain",
]


def texts(num: int, *, seed: int = 0, most_words: int = 30) -> list[str]:
    """Documents of 1 to `most_words` words, the same for the same seed."""
    rng = random.Random(seed)
    return [" ".join(rng.choices(WORDS, k=rng.randint(1, most_words))) for _ in range(num)]


def write_jsonl(path: pathlib.Path, documents: list[str], **fields: list[str]) -> pathlib.Path:
    """Writes one JSON object a line: the text, and the fields' values of that row."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [
        {"text": text, **{name: values[i] for name, values in fields.items()}}
        for i, text in enumerate(documents)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def token_nll(previous: int, before: int, target: int, inputs: int) -> float:
    """What the toy model charges for a target token.

    Args:
      previous: the decoder's input token at this place.
      before: sum of the decoder's input tokens of the document up to here.
      target: the token.
      inputs: sum of the document's encoder tokens.
    """
    return np.float32(1 + (31 * target + 17 * previous + 7 * before + 5 * inputs) % 1009 / 1009)


def token_statistics(batch: dict[str, np.ndarray], pause: float = 0.0) -> dict[str, np.ndarray]:
    """The toy model: it looks at all of a document and at nothing else; NaN at padding."""
    time.sleep(pause)
    nll_BT = np.full(batch["decoder_target_tokens"].shape, np.nan, np.float32)
    for row in range(len(nll_BT)):
        segments_T = batch["decoder_segment_ids"][row]
        for segment in np.unique(segments_T[segments_T > 0]):
            at = np.flatnonzero(segments_T == segment)
            own = batch["encoder_segment_ids"][row] == segment
            inputs = int(batch["encoder_input_tokens"][row][own].sum())
            previous = batch["decoder_input_tokens"][row][at].astype(np.int64)
            target = batch["decoder_target_tokens"][row][at].astype(np.int64)
            nll_BT[row, at] = token_nll(previous, np.cumsum(previous), target, inputs)
    return {"nll": nll_BT}


def answer_statistics(batch: dict[str, np.ndarray], pause: float = 0.0) -> dict[str, np.ndarray]:
    """The toy model when it is asked: what it says depends on the order of all inputs."""
    time.sleep(pause)
    shape = batch["decoder_target_tokens"].shape
    answers = {name: np.full(shape, np.nan, np.float32) for name in ("log_p_yes", "log_p_no")}
    for row, column in zip(*np.nonzero(batch["decoder_segment_ids"]), strict=True):
        assert batch["decoder_input_tokens"][row, column] == 0, "each answer is a first token"
        own = batch["encoder_segment_ids"][row] == batch["decoder_segment_ids"][row, column]
        tokens = batch["encoder_input_tokens"][row][own].astype(np.int64)
        total = int((tokens * np.arange(1, len(tokens) + 1)).sum())
        for name, prime in zip(answers, (1009, 997), strict=True):
            answers[name][row, column] = -1 - total % prime / prime
    return answers


def continuation_statistics(batch: dict[str, np.ndarray], pause: float = 0.0):
    """The toy model as it goes on: it repeats the last token of its input."""
    time.sleep(pause)
    inputs, targets = batch["encoder_input_tokens"], batch["decoder_target_tokens"]
    taken = batch["decoder_segment_ids"] > 0
    return {"match": np.where(taken, targets == inputs[:, -2:-1], np.nan).astype(np.float32)}


def embedding_statistics(batch: dict[str, np.ndarray], pause: float = 0.0):
    """The toy model's vectors: what it says when it is asked, of length 1."""
    answers = [*answer_statistics(batch, pause).values()]
    vectors_BTD = np.stack([*answers, np.ones_like(answers[0])], axis=-1)
    return {"embedding": vectors_BTD / np.linalg.norm(vectors_BTD, axis=-1, keepdims=True)}


def both_statistics(batch: dict[str, np.ndarray], pause: float = 0.0):
    """The toy model's loss, and another number of each token."""
    nll_BT = token_statistics(batch, pause)["nll"]
    return {"nll": nll_BT, "el2n": np.sqrt(nll_BT)}


STATISTICS = {
    "predict": both_statistics,
    "ask": answer_statistics,
    "continue": continuation_statistics,
    "embed": embedding_statistics,
}


def open_model(
    paths,
    scorers,
    *,
    objective,
    window,
    long_documents,
    row_length,
    batch_rows,
    question=None,
    vocabulary=None,
    pause=0.0,
    statistics=None,
    **_,
) -> ScoringModel:
    """In place of `pruning.jobs.scoring_model.open_scoring_model`; the path is the digest."""
    opened, (path,) = open_vocabulary(vocabulary or "bytes"), paths
    forward_pass = forward_pass_of(scorers)
    goal = make_objective_of(
        scorers,
        {},
        path,
        config=ANY_T5,
        vocabulary=opened,
        objective=objective,
        question=question,
        window=window or (48 if forward_pass == "ask" else 32),
        long_documents=long_documents,
    )
    default = STATISTICS[forward_pass]
    return ScoringModel(
        name=path,
        digest=path,
        dtype="float32",
        vocabulary=opened,
        vocabulary_name=vocabulary or "bytes",
        objective=goal,
        shape=row_shape(goal, row_length),
        batch_rows=batch_rows or 2,
        token_statistics=statistics or functools.partial(default, pause=pause),
    )


def score(
    scorers: Sequence[str],
    source: str,
    output: pathlib.Path,
    *,
    model: str = "toy",
    opener=open_model,
    **settings,
) -> ScoreStore:
    """`prune score` with the toy model."""
    with opened_by(opener):
        score_job.score(scorers, source, str(output), model=model, **settings)
    return open_store(output)


@contextlib.contextmanager
def opened_by(opener=open_model) -> Iterator[None]:
    """The toy model in place of every other; not on several threads, who would not take it back."""
    real = scoring_model.open_scoring_model
    assert real.__module__ == scoring_model.__name__, "another toy model is in place"
    with (
        mock.patch.object(scoring_model, "open_scoring_model", opener),
        mock.patch.object(scoring_model, "embedding_size", return_value=3),
    ):
        yield


def write_store(
    folder: pathlib.Path,
    scores: dict[str, np.ndarray],
    *,
    domains: dict[str, list[str | None]] | None = None,
    unit_rows: int = 7,
    leave_out: int = 0,
    more: Mapping[str, dict[str, np.ndarray]] | None = None,
    first_hash: int = 1000,
) -> ScoreStore:
    """A store with these scores in column `nll`; rows of NaN are `empty`.

    `more` are other score columns, by name and file. Row i has i % 5 + 1 tokens and 10 times as many bytes, and text hash first_hash + i.
    The last `leave_out` units are not written.
    """
    fields = ["domain"] if domains else []
    files = [
        SourceFile(path=path, size=99, mark="m", num_rows=len(score_N))
        for path, score_N in scores.items()
    ]
    store = create_or_continue(
        folder,
        make_manifest(
            files=files,
            source={
                "spec": "jsonl:/nowhere/*",
                "text_field": "text",
                "fields": fields,
                "split": "train",
            },
            unit_rows=unit_rows,
            scorers={"perplexity": {}},
            columns=[
                {"name": name, "unit": "nats", "keeps": "low", "meaning": "loss"}
                for name in ("nll", *(more or {}))
            ],
            settings={"code_version": "test"},
        ),
    )
    for unit in store.units[: len(store.units) - leave_out]:
        rows_N = unit.first_row + np.arange(unit.num_rows)
        score_N = np.asarray(scores[unit.file], np.float32)[rows_N]
        scored_N = ~np.isnan(score_N)
        n_tokens_N = rows_N % 5 + 1
        columns = {
            "nll": score_N,
            **{name: of[unit.file][rows_N] for name, of in (more or {}).items()},
            "reason": [None if scored else "empty" for scored in scored_N],
            "note": [None] * unit.num_rows,
            "text_hash": first_hash + rows_N,
            "n_bytes": 10 * n_tokens_N,
            "n_tokens": pa.array(n_tokens_N, pa.int64(), mask=~scored_N),
            "n_targets": n_tokens_N,
            "n_windows": [1] * unit.num_rows,
            "truncated": [False] * unit.num_rows,
        }
        assert [*columns][1 + len(more or {}) :] == [*FACTS]
        if domains:
            columns["domain"] = [domains[unit.file][row] for row in rows_N]
        arrays = [pa.array(columns[f.name], f.type) for f in store.schema]
        store.write(unit, pa.Table.from_arrays(arrays, schema=store.schema))
    if not leave_out:
        store.write_success(count(store))
    return store


def write_experiment(folder: pathlib.Path, *, arms: Sequence[str] = ("full", "low50")) -> str:
    """What `prune report` reads of an experiment, with intervals and learning curves."""
    seeds = {0: [4.0, 3.5, 3.25], 1: [4.25, 3.5, 3.0]}
    curve = Curve(steps=[100, 200, 300], mean=[4.125, 3.5, 3.125], by_seed=seeds)
    shown = Section(
        command="prune experiment --output <small>",
        how_to_read="Numbers are means; `− random` is a difference.",
        findings=tuple(f"{arm} cannot be told from random50." for arm in arms),
        tables=(
            Table("Arms", ("arm", "loss"), tuple((arm, "3.1 ± 0.1 [2.9, 3.3]") for arm in arms)),
            Table(
                "By domain", ("arm", *"abcdefghijkl"), tuple((arm, *("3.1",) * 12) for arm in arms)
            ),
        ),
        curves={"loss": curves_svg(dict.fromkeys(arms, curve), "held-out loss")},
    )
    folder.mkdir()
    (folder / SECTION).write_text(json.dumps(dataclasses.asdict(shown)))
    return str(folder)


def tree(folder: pathlib.Path) -> dict[str, bytes]:
    """Every file below a folder with its bytes, but for what runs cost, which differs each time."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(pathlib.Path(folder).rglob("*"))
        if path.is_file() and path.parent.name != COSTS
    }


def column(store: ScoreStore, name: str) -> list:
    """A column over all units, in order of file and row."""
    return [value for _, table in store.tables([name]) for value in table[name].to_pylist()]
