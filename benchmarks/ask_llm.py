"""Ask-LLM beside nano-askllm and t5x's `infer`: equal scores first, then documents a second.

    python benchmarks/ask_llm.py --source jsonl:c4.jsonl.gz --vocabulary spiece.model \\
        --dtype bfloat16 --nano_askllm ../nano-askllm

Each side scores the same documents with the same weights, on the same machine, in the
same run. From text to scores: this project also reads JSON Lines and writes a store.
t5x gets token ids, for it cannot cut a document inside a prompt, and what it reports for
its loop counts, without its first chunk, in which it compiles. Where t5x is not
importable or --nano_askllm is not given, the rest is measured.
"""

import argparse
import pathlib
import tempfile

import numpy as np
from our_scoring import Asked, open_our_scoring
from peers import nano_askllm, t5x_infer
from setting import Setting, make_parser, make_setting
from turns import (
    Run,
    add_arguments,
    best_batch_size,
    check_equal,
    print_rates,
    seconds_of,
    take_turns,
)

from pruning.prompts import Question

# Relative, of log P(yes). In bfloat16 no two implementations round in the same places.
TOLERANCE = {"float32": 1e-4, "bfloat16": 2e-2}
T5X_TOLERANCE = {"float32": 1e-3, "bfloat16": 2e-2}

# As nano-askllm cuts documents; and with one spelling of yes, for t5x scores one target.
QUESTION = Question(cut="text")

# Scores that differ less than this between documents say nothing when they are equal.
LEAST_DEVIATION = 0.05
# Share of the documents that two tokenizers may read differently.
MOST_READ_OTHERWISE = 0.02


def main() -> None:
    parser = make_parser(__doc__.partition("\n")[0])
    parser.add_argument("--nano_askllm", help="checkout of nano-askllm")
    parser.add_argument("--t5x_batch_size", type=int, default=8, help="rows of t5x's batches")
    add_arguments(parser)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        setting = make_setting(arguments, pathlib.Path(folder))
        ours = open_our_scoring(arguments, setting, "ask_llm", QUESTION)
        examples = ours.examples()
        log_p_yes = ours.score()[0]["log_p_yes"]
        _check_they_differ(log_p_yes)
        sides: dict[str, Run] = {"this project": lambda: seconds_of(ours.score)}
        for add in (_add_nano_askllm, _add_t5x):
            sides |= add(arguments, setting, examples, log_p_yes)
        seconds = take_turns(sides, arguments.rounds)
    tokens = sum(len(example.inputs) for example in examples)
    print_rates(seconds, arguments, documents=len(setting.texts), tokens=tokens)


def _check_they_differ(log_p_yes: np.ndarray) -> None:
    if not log_p_yes.std() > LEAST_DEVIATION:
        raise SystemExit(
            f"log P(yes) is {log_p_yes.mean():.4f} for all documents, with a standard deviation of "
            f"{log_p_yes.std():.4f}: equal scores would prove nothing. Give another --model."
        )


def _add_nano_askllm(
    arguments: argparse.Namespace,
    setting: Setting,
    examples: list[Asked],
    log_p_yes: np.ndarray,
) -> dict[str, Run]:
    if not arguments.nano_askllm:
        print(nano_askllm.HOW_TO_GET)
        return {}
    peer = nano_askllm.NanoAskLLM(
        arguments.nano_askllm,
        setting.model,
        dtype=arguments.dtype,
        window=arguments.window,
        yes=QUESTION.yes,
    )
    sample = setting.texts[: arguments.largest_batch_size]
    peer.log_p_yes(sample[:2], 2)  # warm
    size = best_batch_size(lambda n: seconds_of(lambda: peer.log_p_yes(sample, n)), len(sample))
    read_alike = np.array(
        [
            peer.token_ids(text) == example.inputs.tolist()
            for text, example in zip(setting.texts, examples, strict=True)
        ]
    )
    if (others := np.flatnonzero(~read_alike)).size:
        print(f"nano-askllm's tokenizer reads documents {others.tolist()} otherwise.")
    if others.size > MOST_READ_OTHERWISE * len(read_alike):
        raise SystemExit("These are too many for a comparison.")
    theirs = peer.log_p_yes(setting.texts, size)
    ours, tolerance = log_p_yes[read_alike], TOLERANCE[arguments.dtype]
    check_equal("log P(yes)", ours, theirs[read_alike], "nano-askllm", tolerance)
    name = f"nano-askllm, batches of {size}"
    return {name: lambda: seconds_of(lambda: peer.log_p_yes(setting.texts, size))}


def _add_t5x(
    arguments: argparse.Namespace,
    setting: Setting,
    examples: list[Asked],
    log_p_yes: np.ndarray,
) -> dict[str, Run]:
    if not t5x_infer.is_there():
        print(t5x_infer.HOW_TO_GET)
        return {}
    peer = t5x_infer.T5xInfer(
        folder=setting.folder,
        checkpoint=setting.t5x_checkpoint(),
        config=setting.config,
        vocabulary=pathlib.Path(setting.vocabulary),
        lengths=(arguments.window, 1),
        batch_size=arguments.t5x_batch_size,
    )
    peer.write_examples([(example.inputs, example.targets) for example in examples])
    theirs, _ = peer.score()
    check_equal("log P(yes)", log_p_yes, theirs, "t5x infer", T5X_TOLERANCE[arguments.dtype])
    return {f"t5x infer, batches of {peer.batch_size}": lambda: peer.score()[1]}


if __name__ == "__main__":
    main()
