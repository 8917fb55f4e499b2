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

from pruning.prompts import Question

SCORERS = ("perplexity", "el2n", "ask_llm", "embedding")


def main() -> None:
    parser = make_parser(__doc__.partition("\n")[0])
    parser.add_argument("--scorer", default="perplexity", choices=SCORERS)
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
    flops = ours.model.devices.flops_per_position
    rate = done.allocated_positions * flops / done.seconds
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


if __name__ == "__main__":
    main()
