"""Speed of perplexity scoring: tokens a second, fill, and the share of a plain matmul's rate.

    python benchmarks/scoring.py
    python benchmarks/scoring.py --source jsonl:c4.jsonl.gz --size t5_1_1_small \\
        --vocabulary spiece.model --dtype bfloat16

Weights are random: speed does not depend on them. The plain matmul is a square
product in the same dtype with float32 accumulation, timed in the same process
before and after, so that the share does not depend on how busy the machine is.
"""

import argparse
import dataclasses
import tempfile
import time

import jax
import jax.numpy as jnp
import numpy as np

from models.configs import T5Config, named_config
from models.partitioning import make_mesh
from models.scoring_model import make_token_nll_fn
from models.t5 import init_params
from pruning.jobs.open_source import open_source
from pruning.jobs.scoring_model import default_batch_rows, row_shape
from pruning.objectives import make_objective
from pruning.packing import RowShape
from pruning.prepared_units import Preparation
from pruning.score_store import create_or_continue, make_manifest
from pruning.scorers import make_scorers
from pruning.scoring import score_units
from pruning.tokenization import open_vocabulary


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--source", default="python_docs:max_documents=400")
    parser.add_argument("--vocabulary", default="bytes")
    parser.add_argument("--size", default="tiny")
    parser.add_argument("--dtype", default="float32", choices=["float32", "bfloat16"])
    parser.add_argument("--window", type=int, default=512)
    parser.add_argument("--long_documents", default="windows", choices=["windows", "truncate"])
    parser.add_argument("--batch_rows", type=int, default=None)
    arguments = parser.parse_args()

    vocabulary = open_vocabulary(arguments.vocabulary)
    goal = make_objective("span_corruption", vocabulary, arguments.window)
    shape = row_shape(goal, None)
    config = dataclasses.replace(
        named_config(arguments.size),
        vocab_size=-(-vocabulary.vocab_size // 128) * 128,
        dtype=arguments.dtype,
    )
    params = jax.jit(init_params, static_argnums=0)(config, jax.random.key(0))
    params = jax.tree.map(lambda p: p.astype(arguments.dtype), params)
    batch_rows = arguments.batch_rows or default_batch_rows()
    model = make_token_nll_fn(config, params, make_mesh())
    names = ("encoder_input_tokens", "encoder_segment_ids")
    names_T = ("decoder_input_tokens", "decoder_target_tokens", "decoder_segment_ids")
    empty = {n: np.ones((batch_rows, shape.encoder_length), np.int32) for n in names}
    empty |= {n: np.ones((batch_rows, shape.decoder_length), np.int32) for n in names_T}
    jax.block_until_ready(model(empty))  # compiled before the clock starts

    corpus = open_source(arguments.source)
    manifest = make_manifest(
        files=corpus.files(),
        source=corpus.describe(),
        unit_rows=16_384,
        scorers={},
        columns=[vars(c) for s in make_scorers(["perplexity"]) for c in s.columns],
        settings={},
    )
    how = Preparation(
        source=corpus,
        vocabulary=vocabulary,
        objective=goal,
        shape=shape,
        long_documents=arguments.long_documents,
    )
    before = matmul_rate(arguments.dtype)
    with tempfile.TemporaryDirectory() as folder:
        store = create_or_continue(folder, manifest)
        done = score_units(
            store,
            store.units,
            how=how,
            scorers=make_scorers(["perplexity"]),
            model=model,
            batch_rows=batch_rows,
        )
    after = matmul_rate(arguments.dtype)
    rows = done.allocated_positions / (shape.encoder_length + shape.decoder_length)
    rate = rows * matmul_flops_per_row(config, shape) / done.seconds
    plain = (before + after) / 2
    print(
        f"{arguments.size} {arguments.dtype}, rows of {shape.encoder_length} + "
        f"{shape.decoder_length}, {batch_rows} at a time, {arguments.source}\n"
        f"  documents    {done.documents:,} ({done.tokens:,} tokens)\n"
        f"  seconds      {done.seconds:.1f}\n"
        f"  tokens/s     {done.tokens_per_second:,.0f}\n"
        f"  fill         {done.fill:.1%}\n"
        f"  matmuls      {rate / 1e9:,.1f} GFLOP/s, {rate / plain:.0%} of a plain matmul's "
        f"{plain / 1e9:,.1f} GFLOP/s"
    )


def matmul_flops_per_row(config: T5Config, shape: RowShape) -> float:
    """Floating-point operations of the matrix products of one row, forward only."""
    S, T = shape.encoder_length, shape.decoder_length
    inner = config.num_heads * config.head_dim
    projection = 2 * config.d_model * inner
    mlp = 2 * config.d_model * config.d_ff * (3 if config.mlp == "gated_gelu" else 2)
    encoder = S * (4 * projection + mlp) + 4 * S * S * inner
    self_attention = T * 4 * projection + 4 * T * T * inner
    cross_attention = (2 * T + 2 * S) * projection + 4 * T * S * inner
    decoder = self_attention + cross_attention + T * mlp
    head = 2 * T * config.d_model * config.vocab_size
    return config.num_encoder_layers * encoder + config.num_decoder_layers * decoder + head


def matmul_rate(dtype: str, size: int = 2048, seconds: float = 1.0) -> float:
    """Floating-point operations a second of a square product."""
    a = jnp.ones((size, size), dtype)
    product = jax.jit(lambda a, b: jnp.matmul(a, b, preferred_element_type=jnp.float32))
    jax.block_until_ready(product(a, a))
    begun, count = time.monotonic(), 0
    while time.monotonic() - begun < seconds:
        jax.block_until_ready(product(a, a))
        count += 1
    return count * 2 * size**3 / (time.monotonic() - begun)


if __name__ == "__main__":
    main()
