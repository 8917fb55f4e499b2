"""This project's side: the loop of `prune score`, from files of text to a store of scores."""

import argparse
import dataclasses
import tempfile
from typing import NamedTuple

import numpy as np
from setting import Setting

from pruning.documents import cut_into_units
from pruning.jobs.open_source import open_source
from pruning.jobs.scoring_model import ScoringModel, embedding_size, open_scoring_model
from pruning.manifests import make_manifest
from pruning.prepared_units import Preparation, prepare
from pruning.prompts import Question
from pruning.score_store import create_or_continue
from pruning.scorers import Scorer, make_scorers
from pruning.scoring import score_units
from pruning.throughput import Throughput


class Asked(NamedTuple):
    """What the model reads and must predict, and of which document it is."""

    document: int
    inputs: np.ndarray
    targets: np.ndarray


@dataclasses.dataclass(frozen=True, kw_only=True)
class OurScoring:
    """One scorer with its model, loaded."""

    setting: Setting
    scorer: Scorer
    model: ScoringModel

    def score(self) -> tuple[dict[str, np.ndarray], Throughput]:
        """Scores all documents into a new store.

        Returns:
            The store's columns, and what the loop says about itself.
        """
        corpus = open_source(self.setting.source)
        manifest = make_manifest(
            files=corpus.files(),
            source=corpus.describe(),
            unit_rows=16_384,
            scorers={},
            columns=[vars(column) for column in self.scorer.columns],
            settings={},
        )
        with tempfile.TemporaryDirectory() as folder:
            store = create_or_continue(folder, manifest)
            done = score_units(
                store,
                store.units,
                how=self._how(),
                scorers=[self.scorer],
                model=self.model.token_statistics,
                batch_rows=self.model.batch_rows,
            )
            tables = [table for _, table in store.tables()]
        names = tables[0].column_names
        return {n: np.concatenate([table[n].to_numpy() for table in tables]) for n in names}, done

    def examples(self) -> list[Asked]:
        """The same token ids as the model's, one document after the other, for peers."""
        corpus = open_source(self.setting.source)
        (unit,) = cut_into_units(corpus.files())
        prepared = prepare(unit, self._how())
        packed = prepared.packed
        assert packed is not None
        rows = packed.arrays
        first_targets = np.concatenate([[0], packed.target_ends[:-1]])
        row_P, at_P = np.divmod(
            packed.target_positions[first_targets], rows["decoder_segment_ids"].shape[1]
        )
        asked = []
        for document, row, at in zip(prepared.document_P, row_P, at_P, strict=True):
            segment = rows["decoder_segment_ids"][row, at]
            inputs = rows["encoder_input_tokens"][row, rows["encoder_segment_ids"][row] == segment]
            targets = rows["decoder_target_tokens"][
                row, rows["decoder_segment_ids"][row] == segment
            ]
            asked.append(Asked(int(prepared.scorable[document]), inputs, targets))
        return asked

    def _how(self) -> Preparation:
        return self.model.prepare_with(Preparation(source=open_source(self.setting.source)))


def open_our_scoring(
    arguments: argparse.Namespace, setting: Setting, scorer: str, question: Question | None = None
) -> OurScoring:
    """Loads the model."""
    paths = [str(setting.model)]
    size = embedding_size(paths) if scorer == "embedding" else None
    (made,) = make_scorers([scorer], question=question, size=size)
    model = open_scoring_model(
        paths,
        [made],
        vocabulary=setting.vocabulary,
        objective=None,
        question=question,
        window=arguments.window,
        row_length=arguments.row_length,
        batch_rows=arguments.batch_rows,
        dtype=arguments.dtype,
    )
    return OurScoring(setting=setting, scorer=made, model=model)
