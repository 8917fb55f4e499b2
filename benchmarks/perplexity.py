"""Perplexity beside a plain loss loop of Hugging Face: equal losses first, then tokens a second.

    python benchmarks/perplexity.py --source jsonl:c4.jsonl.gz --vocabulary spiece.model \\
        --dtype bfloat16

Each side scores the same documents with the same weights, on the same machine, in the
same run. The loss loop gets inputs and targets made ready, sorts them by length and pads
each batch to its longest; this project reads JSON Lines, tokenizes, makes inputs and
targets, and writes a store. Needs torch and transformers.
"""

import pathlib
import tempfile

import numpy as np
from our_scoring import Asked, open_our_scoring
from peers.hugging_face_loss import HuggingFaceLoss
from setting import make_parser, make_setting
from turns import add_arguments, best_batch_size, check_equal, print_rates, seconds_of, take_turns

# Relative, of a document's mean nll. In bfloat16 no two implementations round in the same places.
TOLERANCE = {"float32": 1e-4, "bfloat16": 5e-3}


def main() -> None:
    parser = make_parser(__doc__.partition("\n")[0])
    add_arguments(parser)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        setting = make_setting(arguments, pathlib.Path(folder))
        ours = open_our_scoring(arguments, setting, "perplexity")
        examples = ours.examples()
        peer = HuggingFaceLoss(setting.model, arguments.dtype)
        pairs = [(example.inputs, example.targets) for example in examples]
        size = _best_batch_size(peer, pairs, arguments.largest_batch_size)
        columns, done = ours.score()
        theirs = _mean_nll(examples, peer.nll(pairs, size))
        check_equal("nll", columns["nll"], theirs, "Hugging Face", TOLERANCE[arguments.dtype])
        sides = {
            "this project": lambda: seconds_of(ours.score),
            f"Hugging Face, batches of {size}": lambda: seconds_of(lambda: peer.nll(pairs, size)),
        }
        seconds = take_turns(sides, arguments.rounds)
    print_rates(seconds, arguments, documents=len(setting.texts), tokens=done.tokens)


def _best_batch_size(
    peer: HuggingFaceLoss, pairs: list[tuple[np.ndarray, np.ndarray]], largest: int
) -> int:
    sample = pairs[:largest]
    peer.nll(sample[:2], 2)  # warm
    return best_batch_size(lambda n: seconds_of(lambda: peer.nll(sample, n)), len(sample))


def _mean_nll(examples: list[Asked], nll_P: np.ndarray) -> np.ndarray:
    """Per document: windows add up."""
    documents = [example.document for example in examples]
    targets = np.bincount(documents, [len(example.targets) for example in examples])
    return np.bincount(documents, nll_P) / targets


if __name__ == "__main__":
    main()
