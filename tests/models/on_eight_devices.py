"""Scores small models on meshes of eight virtual devices, and prints what it found as JSON.

A program of its own: the number of devices is fixed when JAX starts.
"""

import dataclasses
import functools
import json
import sys

import jax
import numpy as np

from models.compiled_program import collectives_of
from models.configs import DecoderOnlyConfig, T5Config
from models.embeddings import make_embedding_fn
from models.families import init_params
from models.greedy_match import make_greedy_match_fn
from models.partitioning import make_mesh
from models.scoring_model import make_answer_log_prob_fn, make_token_statistics_fn

ROWS, ENCODER, DECODER = 8, 12, 5
_SHAPE = {"vocab_size": 64, "d_model": 24, "num_heads": 8, "d_ff": 32}
_T5 = {**_SHAPE, "head_dim": 4, "num_encoder_layers": 1, "num_decoder_layers": 1}
CONFIGS = {
    "gated": T5Config(**_T5, embedding_dim=16),
    "relu_tied": T5Config(**_T5, mlp="relu", tied_embedding=True),
    "gpt2": DecoderOnlyConfig(**_SHAPE, num_layers=1),
    # 2 devices divide the width of the mlp, and neither the heads nor the vocabulary.
    "uneven": T5Config(**{**_T5, "num_heads": 3, "vocab_size": 61, "d_ff": 30}),
}
SCORERS = {
    "predict": lambda c, p, m: make_token_statistics_fn(c, p, m, ("nll", "el2n")),
    "ask_llm": lambda c, p, m: make_answer_log_prob_fn(c, p, m, yes_ids=(5, 40), no_ids=(17,)),
    "embedding": make_embedding_fn,
    "greedy_match": make_greedy_match_fn,
}
CASES = (
    *(("gated", scorer) for scorer in SCORERS),
    ("relu_tied", "predict"),
    *(("gpt2", scorer) for scorer in ("predict", "greedy_match")),
    ("uneven", "predict"),
)
MESHES = ((8, 1), (4, 2), (2, 4), (1, 8))


def batch(segments: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    arrays = {}
    for side, length in (("encoder", ENCODER), ("decoder", DECODER)):
        ids = np.sort(rng.integers(1, segments + 1, (ROWS, length)))
        arrays[f"{side}_segment_ids"] = np.where(np.arange(length) < length - 1, ids, 0)
        for kind in ("input", "target"):
            arrays[f"{side}_{kind}_tokens"] = rng.integers(1, 60, (ROWS, length))
    return {name: array.astype(np.int32) for name, array in arrays.items()}


def expected_batch(config, params, scorer):
    """Of greedy continuations half of the targets are right, so that a match means something."""
    values = batch(segments=1 if scorer == "greedy_match" else 2)
    if scorer == "greedy_match":
        one = make_greedy_match_fn(config, params)
        for token in range(config.vocab_size):
            guess = np.full((ROWS, DECODER), token, np.int32)
            is_right = np.asarray(one({**values, "decoder_target_tokens": guess})["match"]) == 1
            is_right[:, 1::2] = False
            values["decoder_target_tokens"] = np.where(
                is_right, guess, values["decoder_target_tokens"]
            )
    return values


@functools.cache
def params_of(model: str):
    return jax.jit(init_params, static_argnums=0)(CONFIGS[model], jax.random.key(1))


def results(model: str, scorer: str):
    config, make = CONFIGS[model], SCORERS[scorer]
    params = params_of(model)
    values = expected_batch(config, params, scorer)
    expected = make(config, params, None)(values)
    for data, parts in MESHES:
        fn = make(config, params, make_mesh(data, parts))
        compiled = fn.trace(ROWS, ENCODER, DECODER).lower().compile()
        found = dataclasses.replace(fn, compute=compiled)(values)
        yield {
            "case": [model, scorer, data, parts],
            "mean": {name: float(np.mean(value)) for name, value in expected.items()},
            "difference": {
                name: float(np.abs(value - found[name]).max()) for name, value in expected.items()
            },
            "devices": min(len(value.sharding.device_set) for value in found.values()),
            "collectives": [vars(c) for c in collectives_of(compiled.as_text())],
        }


if __name__ == "__main__":
    assert len(jax.devices()) == 8
    json.dump([result for case in CASES for result in results(*case)], sys.stdout)
