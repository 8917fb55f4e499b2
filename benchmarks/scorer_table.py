"""A table of every scorer: which planted damage it sees, how fast it is, which scores agree.

    python benchmarks/scorer_table.py --output scorer_table --docs docs/scorer_table.md

Half of the embedded corpus trains tiny models; the other half, with damage and duplicates
planted in it, is scored by every scorer of SCORERS. Every step is a command, which is printed; a
second call goes on where the first one stopped. Takes about a quarter of an hour on two quiet cores.
"""

import argparse
import math
import pathlib
from collections.abc import Mapping

import numpy as np
from planted import LABELS, Planted, Side, agreement, chances, read_labels
from scorer_page import (
    ScoreRow,
    SpeedRow,
    chance_table,
    draw_agreement,
    most_alike,
    noise,
    speed_table,
)
from scorer_runs import MODELS, RUNS, Run, Speed, machine, score_all, train_models
from two_halves import write_halves

from models.checkpoints import open_model
from pruning.expression_grammar import parse_expression
from pruning.ranked_documents import rank_documents
from pruning.score_store import open_store
from pruning.scorers import SCORERS
from pruning.selection import Rule
from pruning.several_stores import SeveralStores
from pruning.sources.python_docs import PythonDocsOptions

HELD_OUT = PythonDocsOptions(damage=0.4, duplicates=0.05, near_duplicates=0.05, max_documents=1_200)

# Scores of several stores, and the side that is dropped.
EXPRESSIONS: Mapping[str, Side] = {
    "gpt.nll - large.nll": "low",  # ScalingFilter
    "rank(ask.log_p_yes) - rank(gpt.nll)": "low",
    "ask.log_p_yes - ask.log_p_no": "low",
    "abs(rank(gpt.nll) - 0.5)": "high",
    "abs(rank(prior.mean_log_prior) - 0.5)": "high",
}
# A number that names something has no order.
NAMES = ("cluster",)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=pathlib.Path, required=True, help="folder for everything")
    parser.add_argument("--docs", type=pathlib.Path, required=True, help="Markdown file to write")
    parser.add_argument("--steps", type=float, default=1.0, help="share of the training steps")
    arguments = parser.parse_args()
    check_all_are_there()
    write_halves(arguments.output, HELD_OUT)
    train_models(arguments.output, arguments.steps)
    speeds = score_all(arguments.output)
    write_page(arguments.output, arguments.docs, speeds, arguments.steps)


def check_all_are_there() -> None:
    """Raises: SystemExit: a scorer has no run."""
    if missing := set(SCORERS) - {scorer for run in RUNS for scorer in run.scorers}:
        raise SystemExit(f"The table lacks {', '.join(sorted(missing))}. Add a Run for each.")


def write_page(
    output: pathlib.Path, docs: pathlib.Path, speeds: Mapping[str, Speed], share: float
) -> None:
    """Writes the page, and its picture beside it."""
    stores = SeveralStores({run.store: open_store(output / "scores" / run.store) for run in RUNS})
    planted = read_planted(stores)
    sides = dropped_sides(stores)
    scores = {name: score_values(stores, name) for name in sides}
    rows = [
        ScoreRow(
            name=name,
            dropped=sides[name],
            chances=chances(score_N, planted, sides[name]),
            scored=int(np.isfinite(score_N).sum()),
        )
        for name, score_N in scores.items()
    ]
    intact = {name: score_N[planted.intact_N] for name, score_N in scores.items()}
    # Without a copy no document differs in what counts copies.
    varying = {name: s_N for name, s_N in intact.items() if np.nanmin(s_N) < np.nanmax(s_N)}
    tau_CC = agreement(varying)
    draw_agreement(list(varying), tau_CC, docs.parent / "images" / "scorer_tau.png")
    template = pathlib.Path(__file__).with_name("scorer_table.md").read_text()
    page = template.format(
        chances=chance_table(rows, planted),
        speeds=speed_table([speed_row(run, speeds[run.store], output) for run in RUNS]),
        alike=most_alike(list(varying), tau_CC),
        noise=", ".join(noise(planted)),
        machine=machine(),
        documents=f"{len(planted.intact_N):,}",
        intact=f"{int(planted.intact_N.sum()):,}",
        steps=", ".join(f"`{name}` {share * steps:.0f}" for name, (steps, _) in MODELS.items()),
    )
    docs.write_text(page)
    print(f"\n{docs} is written.")


def read_planted(stores: SeveralStores) -> Planted:
    """The labels that the first store carries."""
    places = {name: stores.fields[name] for name in LABELS}
    tables = [table for _, table in stores.tables(places)]
    return read_labels(
        {name: np.concatenate([_objects(table[name]) for table in tables]) for name in LABELS}
    )


def dropped_sides(stores: SeveralStores) -> dict[str, Side]:
    """The side that is judged, of every score with an order: what `keeps` names stays."""
    sides: dict[str, Side] = {}
    for name, (store, column) in stores.scores.items():
        keeps = {c["name"]: c["keeps"] for c in stores.stores[store].manifest["columns"]}
        if column not in NAMES:
            sides[name] = "low" if keeps[column] == "high" else "high"
    return {**sides, **EXPRESSIONS}


def score_values(stores: SeveralStores, expression: str) -> np.ndarray:
    """What `prune select --score` ranks by, [N]; NaN where there is none."""
    parsed = parse_expression(expression, stores.scores)
    ranked = rank_documents(stores, parsed, Rule(keep="high", fraction=1.0), None)
    chunks = stores.each(ranked.chunk, ranked.places, "read scores")
    return np.concatenate([chunk.score_N for chunk in chunks])


def speed_row(run: Run, speed: Speed, output: pathlib.Path) -> SpeedRow:
    """With the sizes of the models."""
    settings = f" ({run.settings.format(output='…')})" if run.settings else ""
    return SpeedRow(
        store=run.store,
        scorers=", ".join(run.scorers) + settings,
        models=" + ".join(f"{name} {_millions(output / 'models' / name)}" for name in run.models),
        documents_per_second=speed.documents_per_second,
        learning_seconds=speed.learning_seconds,
    )


def _millions(model: pathlib.Path) -> str:
    shapes = (array.shape for array in open_model(model).params.values())
    return f"({sum(math.prod(shape) for shape in shapes) / 1e6:.1f}M)"


def _objects(column: object) -> np.ndarray:
    return np.array(column.to_pylist(), object)  # type: ignore[attr-defined]


if __name__ == "__main__":
    main()
