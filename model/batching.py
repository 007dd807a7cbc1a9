"""Length-sorted batches under a token budget, in which no sentence's answer depends on its neighbours."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

STEP = 8
"""Inputs are padded to a multiple of this many tokens."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows of one padded length.

    Attributes:
        rows: (B,) positions in the input.
        input_ids, attention_mask: (B, T) int64.
    """

    rows: np.ndarray
    input_ids: np.ndarray
    attention_mask: np.ndarray


def padded_length(tokens: int) -> int:
    """How long an input of so many tokens is made. It depends on nothing else, so that neither does the answer."""
    return -(-max(tokens, 1) // STEP) * STEP


def batches(inputs: Sequence[Sequence[int]], *, budget: int, pad_id: int) -> Iterator[Batch]:
    """Group inputs of the same padded length, longest first, into batches of at most `budget` tokens.

    Longest first, so that memory peaks at once and not at the end. Every input lands in exactly one batch; an input longer
    than the budget gets a batch of its own.
    """
    if budget < 1:
        raise ValueError(f"budget is {budget}; it must be at least 1 token")
    lengths = np.array([padded_length(len(ids)) for ids in inputs], dtype=np.int64)
    order = np.argsort(-lengths, kind="stable")
    start = 0
    while start < len(order):
        length = int(lengths[order[start]])
        same = int(np.searchsorted(-lengths[order], -length, side="right"))
        stop = min(same, start + max(1, budget // length))
        rows = order[start:stop]
        ids = np.full((len(rows), length), pad_id, dtype=np.int64)
        mask = np.zeros((len(rows), length), dtype=np.int64)
        for row, source in enumerate(rows):
            tokens = inputs[source]
            ids[row, : len(tokens)] = tokens
            mask[row, : len(tokens)] = 1
        yield Batch(rows, ids, mask)
        start = stop
