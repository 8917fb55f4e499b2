"""nano-askllm, the public implementation of Ask-LLM, on a Hugging Face T5."""

import importlib
import logging
import pathlib
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

HOW_TO_GET = (
    "nano-askllm is left out. Clone https://github.com/susumuota/nano-askllm, install torch and "
    "transformers, and give --nano_askllm the checkout."
)


class NanoAskLLM:
    """Its `AskLLM` object over a model folder."""

    def __init__(
        self, checkout: str, model: pathlib.Path, *, dtype: str, window: int, yes: Sequence[str]
    ):
        import torch
        import transformers

        sys.path.append(checkout)
        logging.getLogger("nano_askllm.askllm").setLevel(logging.ERROR)
        nano_askllm: Any = importlib.import_module("nano_askllm")
        network = transformers.T5ForConditionalGeneration.from_pretrained(model)
        device = "cuda" if torch.cuda.is_available() else "cpu"
        self._tokenizer = transformers.AutoTokenizer.from_pretrained(model)
        self._asks = nano_askllm.AskLLM(
            self._tokenizer,
            network.eval().to(device, getattr(torch, dtype)),
            yes_tokens=list(yes),
            max_tokens=window,
        )

    def log_p_yes(self, texts: Sequence[str], batch_size: int) -> np.ndarray:
        """Log-probability of yes for each text, in nats."""
        batches = [texts[i : i + batch_size] for i in range(0, len(texts), batch_size)]
        return np.log(np.concatenate([self._asks.ask(batch).float().cpu() for batch in batches]))

    def token_ids(self, text: str) -> list[int]:
        """What its model reads for a text."""
        return self._tokenizer(self._asks.get_prompt(text)).input_ids
