"""One linear layer, two questions: which events does the sentence report, and which of them is the main clause's.

A multi-label model with a primary label has `2n + 1` outputs for n labels: n event logits (one sigmoid each), then n + 1
primary logits (one softmax over the labels and none). On disk the first n rows are an ordinary Hugging Face classifier, so
that any tool opens the folder; the other rows lie beside it in `primary_head.safetensors`.
"""

from dataclasses import dataclass

import numpy as np

SINGLE, MULTI = "single_label", "multi_label"


@dataclass(frozen=True, slots=True)
class HeadLayout:
    """How the columns of the logits are to be read.

    Attributes:
        labels: number of labels n.
        task: `multi_label` or `single_label`.
        primary: whether the primary logits follow the event logits; only in a multi-label model.
    """

    labels: int
    task: str = MULTI
    primary: bool = True

    def __post_init__(self) -> None:
        if self.task not in (SINGLE, MULTI):
            raise ValueError(f"task {self.task!r} is neither {SINGLE} nor {MULTI}")
        if self.task == SINGLE and self.primary:
            raise ValueError("a single-label model has no primary head: its one label is the primary")

    @property
    def width(self) -> int:
        """Number of logits a sentence gets."""
        return 2 * self.labels + 1 if self.primary else self.labels

    def split(self, logits: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """(sentences, width) logits → (sentences, n) event logits and (sentences, n + 1) primary logits or None."""
        if logits.shape[-1] != self.width:
            raise ValueError(f"the network gives {logits.shape[-1]} logits, this layout wants {self.width}")
        return logits[..., : self.labels], logits[..., self.labels :] if self.primary else None
