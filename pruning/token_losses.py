"""Which words made a document expensive: the loss of each of its tokens, in its text."""

import codecs
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from pruning.packing import Batch, PackedRows
from pruning.tokenization import EOS_ID, UNK_ID, ByteVocabulary, Vocabulary

_BYTE_PIECE = re.compile(r"<0x([0-9A-F]{2})>")
_FIRST_BYTE_ID = 3  # of ByT5


class TokenLoss(NamedTuple):
    """A piece of text and what the model was charged for it.

    Attributes:
      text: as the vocabulary has it, with the space before a word.
      nll: nats; None where the model was given the token.
    """

    text: str
    nll: float | None


class Predicted(NamedTuple):
    """One window of a document.

    Attributes:
      inputs, targets: int32 token ids as the model saw them.
      nll: nats of each target.
    """

    inputs: np.ndarray
    targets: np.ndarray
    nll: np.ndarray


def predict(
    packed: PackedRows,
    model: Callable[[Batch], Mapping[str, object]],
    batch_rows: int,
) -> list[Predicted]:
    """Runs a model over packed windows and takes them apart again, in their order.

    Args:
      packed: what `prepare` made.
      model: that gives `nll` of decoder positions.
      batch_rows: rows that it takes at a time.
    """
    results = [np.asarray(model(batch)["nll"]) for batch in packed.batches(batch_rows)]
    nll_RT = np.concatenate(results)
    arrays = packed.arrays
    targets, length = arrays["decoder_target_tokens"].reshape(-1), nll_RT.shape[1]
    found = []
    for at in np.split(packed.target_positions, packed.target_ends[:-1]):
        row = at[0] // length
        segment = arrays["decoder_segment_ids"].reshape(-1)[at[0]]
        inputs = arrays["encoder_input_tokens"][row][arrays["encoder_segment_ids"][row] == segment]
        found.append(Predicted(inputs, targets[at], nll_RT.reshape(-1)[at].astype(np.float64)))
    return found


def token_losses(windows: Sequence[Predicted], vocabulary: Vocabulary) -> list[TokenLoss]:
    """The text of a document's windows with the loss of what was predicted.

    Hidden spans are put back where their sentinels stand, and what follows the inputs comes
    last. Sentinels and ends of sequences are marks and no text: their losses are left out, though
    they count in `nll`. Bytes are put together into characters, whose losses add up.
    """
    tokens = (token for window in windows for token in _in_place(window, vocabulary))
    return list(_as_text(tokens, vocabulary))


def words(tokens: Sequence[TokenLoss]) -> list[TokenLoss]:
    """Tokens put together into words; the loss of a word is that of its predicted tokens."""
    found: list[TokenLoss] = []
    for token in tokens:
        if not found or token.text[:1].isspace() or found[-1].text[-1:].isspace():
            found.append(token)
            continue
        text, nll = found[-1]
        losses = [x for x in (nll, token.nll) if x is not None]
        found[-1] = TokenLoss(text + token.text, sum(losses) if losses else None)
    return found


def _in_place(window: Predicted, vocabulary: Vocabulary) -> Iterator[tuple[int, float | None]]:
    """Token ids in the order of the document, with losses."""
    spans, sentinel = _spans(window, vocabulary.vocab_size - 1), vocabulary.vocab_size - 1
    for token in window.inputs.tolist():
        if spans and token == sentinel and token in spans:
            yield from spans.pop(token)
            sentinel -= 1
        elif token != EOS_ID:
            yield token, None
    for span in spans.values():
        yield from span


def _spans(window: Predicted, sentinel: int) -> dict[int, list[tuple[int, float | None]]]:
    """Targets by the sentinel before them; all under 0 where the inputs have none."""
    spans: dict[int, list[tuple[int, float | None]]] = {0: []}
    has_sentinels = sentinel in window.inputs
    here = spans[0]
    for token, nll in zip(window.targets.tolist(), window.nll.tolist(), strict=True):
        if has_sentinels and token == sentinel:  # they come in this order, each once
            here = spans[token] = []
            sentinel -= 1
        elif token != EOS_ID:
            here.append((token, nll))
    return spans


def _as_text(
    tokens: Iterable[tuple[int, float | None]], vocabulary: Vocabulary
) -> Iterator[TokenLoss]:
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    waiting: float | None = None
    for token, nll in tokens:
        text = decoder.decode(_bytes(token, vocabulary))
        if nll is not None:
            waiting = nll + (waiting or 0.0)
        if text:
            yield TokenLoss(text, waiting)
            waiting = None
    if rest := decoder.decode(b"", final=True):  # the last window ends within a character
        yield TokenLoss(rest, waiting)


def _bytes(token: int, vocabulary: Vocabulary) -> bytes:
    if isinstance(vocabulary, ByteVocabulary):
        is_byte = token >= _FIRST_BYTE_ID
        return bytes([token - _FIRST_BYTE_ID]) if is_byte else vocabulary.piece(token).encode()
    piece = vocabulary.piece(token)
    if found := _BYTE_PIECE.fullmatch(piece):
        return bytes([int(found[1], 16)])
    # SentencePiece writes a space as U+2581.
    return (" \ufffd" if token == UNK_ID else piece.replace("\u2581", " ")).encode()
