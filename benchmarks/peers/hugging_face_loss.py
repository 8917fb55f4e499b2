"""A loss loop as one writes it with Hugging Face: sorted by length, padded to the longest."""

import pathlib
from collections.abc import Sequence

import numpy as np
import torch
import transformers

# The label that Hugging Face and torch leave out of a loss.
_IGNORED = -100


class HuggingFaceLoss:
    """T5 with its losses of token ids."""

    def __init__(self, model: pathlib.Path, dtype: str):
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        network = transformers.T5ForConditionalGeneration.from_pretrained(model)
        self._network = network.eval().to(self._device, getattr(torch, dtype))

    @torch.inference_mode()
    def nll(self, examples: Sequence[tuple[np.ndarray, np.ndarray]], batch_size: int) -> np.ndarray:
        """Sum over the targets of the negative log-likelihood of each example, in nats.

        Args:
            examples: Inputs and targets, token ids.
            batch_size: Examples at a time.
        """
        order = np.argsort([-len(inputs) for inputs, _ in examples], kind="stable")
        sums = []
        for start in range(0, len(order), batch_size):
            batch = [examples[i] for i in order[start : start + batch_size]]
            inputs = self._padded([inputs for inputs, _ in batch], 0)
            labels = self._padded([targets for _, targets in batch], _IGNORED)
            logits_BTV = self._network(
                input_ids=inputs,
                attention_mask=(inputs != 0).long(),
                decoder_input_ids=self._network.prepare_decoder_input_ids_from_labels(labels),
            ).logits
            nll = torch.nn.functional.cross_entropy(
                logits_BTV.float().flatten(0, 1), labels.flatten(), reduction="none"
            )
            sums.append(nll.view(labels.shape).sum(1))
        nll_P = np.empty(len(examples))
        nll_P[order] = torch.cat(sums).cpu().numpy()
        return nll_P

    def _padded(self, arrays: Sequence[np.ndarray], value: int) -> torch.Tensor:
        tensors = [torch.from_numpy(array.astype(np.int64)) for array in arrays]
        padded = torch.nn.utils.rnn.pad_sequence(tensors, batch_first=True, padding_value=value)
        return padded.to(self._device)
