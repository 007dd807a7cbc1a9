"""The Python face: `load()` a model, `predict()` sentences."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from ..data.codebook import Codebook
from ..data.records import Labelled
from .batching import batches
from .checkpoint import TOKENIZER, Checkpoint, CheckpointError, read_checkpoint
from .decide import Decider
from .runtime import Runtime, open_runtime

BUDGET = 4096
"""Tokens a batch: large enough to keep two cores busy, small enough for their cache."""


class Classifier:
    """Labels sentences. Make one with `load`.

    Answers don't depend on which other sentences are asked with them, on their order, or on the batch size.
    """

    def __init__(self, checkpoint: Checkpoint, runtime: Runtime, *, min_confidence: float = 0.0, budget: int = BUDGET) -> None:
        self.checkpoint = checkpoint
        self.decider = Decider(
            checkpoint.names,
            checkpoint.layout,
            checkpoint.calibration,
            secondary=checkpoint.codebook.secondary,
            min_confidence=min_confidence,
        )
        self._runtime = runtime
        self._budget = budget
        try:
            self._tokenizer = Tokenizer.from_file(str(checkpoint.folder / TOKENIZER))
        except Exception as error:  # the tokenizers library raises bare Exception
            raise CheckpointError(f"{checkpoint.folder / TOKENIZER}: can't be read ({error})") from None
        self._tokenizer.no_padding()
        # Longer inputs come back as windows that overlap by a quarter, each with the special tokens around it.
        self._tokenizer.enable_truncation(checkpoint.max_tokens, stride=checkpoint.max_tokens // 4)

    @property
    def classes_(self) -> tuple[str, ...]:
        """The labels, in the order of `predict_proba`'s columns."""
        return self.checkpoint.names

    @property
    def codebook(self) -> Codebook:
        """What the labels mean."""
        return self.checkpoint.codebook

    @property
    def runtime(self) -> str:
        """`onnx` or `torch`."""
        return self._runtime.name

    def predict(self, sentences: Sequence[str]) -> list[Labelled]:
        """Label sentences; one record each, in the order given.

        Raises:
            TypeError: a string instead of a list of strings, or something else than strings in it.
        """
        logits, windows = self._logits(sentences)
        return self.decider.decide(logits, windows)

    def predict_proba(self, sentences: Sequence[str]) -> np.ndarray:
        """(N, n) calibrated probability of each label."""
        logits, windows = self._logits(sentences)
        found = self.decider.decide(logits, windows)
        return np.array([[record.scores[name] for name in self.classes_] for record in found]).reshape(-1, len(self.classes_))

    def logits(self, sentences: Sequence[str]) -> tuple[np.ndarray, list[int]]:
        """Raw logits, (windows, width), and how many windows each sentence has; for evaluation and calibration."""
        return self._logits(sentences)

    def _logits(self, sentences: Sequence[str]) -> tuple[np.ndarray, list[int]]:
        if isinstance(sentences, str):
            raise TypeError("predict takes a list of sentences, not one string; use predict([text])")
        sentences = list(sentences)
        for i, sentence in enumerate(sentences):
            if not isinstance(sentence, str):
                raise TypeError(f"sentence {i} is {type(sentence).__name__}, not str")
        inputs: list[list[int]] = []
        counts = []
        for encoding in self._tokenizer.encode_batch(sentences):
            windows = [encoding, *encoding.overflowing]
            inputs.extend(window.ids for window in windows)
            counts.append(len(windows))
        logits = np.zeros((len(inputs), self.checkpoint.layout.width), np.float32)
        for batch in batches(inputs, budget=self._budget, pad_id=self.checkpoint.pad_id):
            logits[batch.rows] = self._runtime.logits(batch.input_ids, batch.attention_mask)
        return logits, counts


def load(
    folder: str | Path | None = None,
    *,
    runtime: str = "auto",
    device: str = "cpu",
    threads: int | None = None,
    min_confidence: float = 0.0,
    budget: int = BUDGET,
) -> Classifier:
    """Open a model, checking its files against their hashes.

    Args:
        folder: a trained model; None for the one that comes with the package.
        runtime: `onnx` (int8), `torch` (full precision), or `auto`.
        device: `cpu`, or a GPU for the torch runtime (`cuda`).
        threads: None for as many as there are processors.
        min_confidence: sentences whose confidence is below it are marked `abstained`.
        budget: tokens a batch.

    Raises:
        CheckpointError: the folder is missing, incomplete, damaged or tampered with.
    """
    checkpoint = read_checkpoint(folder)
    return Classifier(
        checkpoint,
        open_runtime(checkpoint, runtime, threads=threads, device=device),
        min_confidence=min_confidence,
        budget=budget,
    )
