"""Speed of scoring: tokens a second, fill, and the share of a plain matmul's rate.

    python benchmarks/scoring.py --size tiny
    python benchmarks/scoring.py --source jsonl:c4.jsonl.gz --vocabulary spiece.model \\
        --scorer ask_llm --dtype bfloat16

Weights are random: speed does not depend on them. The plain matmul is a square
product in the same dtype with float32 accumulation, timed in the same process
before and after, so that the share does not depend on how busy the machine is.
"""

import pathlib
import tempfile

from machine import matmul_rate
from our_scoring import open_our_scoring
from setting import make_parser, make_setting

from models.configs import T5Config
from pruning.packing import RowShape
from pruning.prompts import Question

# Scorers, and whether the decoder runs.
READS_TARGETS = {"perplexity": True, "el2n": True, "ask_llm": True, "embedding": False}


def main() -> None:
    parser = make_parser(__doc__.partition("\n")[0])
    parser.add_argument("--scorer", default="perplexity", choices=[*READS_TARGETS])
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        setting = make_setting(arguments, pathlib.Path(folder))
        question = Question() if arguments.scorer == "ask_llm" else None
        ours = open_our_scoring(arguments, setting, arguments.scorer, question)
        ours.score()  # compiles
        before = matmul_rate(arguments.dtype)
        _, done = ours.score()
        after = matmul_rate(arguments.dtype)
    shape, batch_rows = ours.model.shape, ours.model.batch_rows
    rows = done.allocated_positions / (shape.encoder_length + shape.decoder_length)
    reads_targets = READS_TARGETS[arguments.scorer]
    flops = matmul_flops_per_row(setting.config, shape, has_decoder=reads_targets)
    rate = rows * flops / done.seconds
    plain = (before + after) / 2
    print(
        f"{arguments.scorer}, {arguments.model or arguments.size} {arguments.dtype}, rows of "
        f"{shape.encoder_length} + {shape.decoder_length}, {batch_rows} at a time, "
        f"{arguments.source}\n"
        f"  documents    {done.documents:,} ({done.tokens:,} tokens)\n"
        f"  seconds      {done.seconds:.1f}\n"
        f"  documents/s  {done.documents / done.seconds:,.1f}\n"
        f"  tokens/s     {done.tokens_per_second:,.0f}\n"
        f"  fill         {done.fill:.1%}\n"
        f"  matmuls      {rate / 1e9:,.1f} GFLOP/s, {rate / plain:.0%} of a plain matmul's "
        f"{plain / 1e9:,.1f} GFLOP/s"
    )


def matmul_flops_per_row(config: T5Config, shape: RowShape, *, has_decoder: bool) -> float:
    """Floating-point operations of the matrix products of one row, forward only."""
    S, T = shape.encoder_length, shape.decoder_length
    inner = config.num_heads * config.head_dim
    projection = 2 * config.d_model * inner
    mlp = 2 * config.d_model * config.d_ff * (3 if config.mlp == "gated_gelu" else 2)
    encoder = S * (4 * projection + mlp) + 4 * S * S * inner
    if not has_decoder:
        return config.num_encoder_layers * encoder
    self_attention = T * 4 * projection + 4 * T * T * inner
    # Few queries go to the memory; many, and it is projected to keys and values.
    projected = 2 * S * projection + 4 * T * S * inner
    unprojected = 2 * T * projection + 4 * T * S * config.num_heads * config.d_model
    cross_attention = 2 * T * projection + min(projected, unprojected)
    decoder = self_attention + cross_attention + T * mlp
    head = 2 * T * config.d_model * config.vocab_size
    return config.num_encoder_layers * encoder + config.num_decoder_layers * decoder + head


if __name__ == "__main__":
    main()
