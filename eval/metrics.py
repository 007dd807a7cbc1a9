"""Scores of predicted against gold labels, on scikit-learn."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.metrics import f1_score, precision_recall_fscore_support

from ..data.records import NONE

MIN_SUPPORT = 10
"""Macro-F1 is taken over the labels with at least this many gold sentences: below it, one sentence moves a label by 5 points."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """Gold and predicted labels of N sentences over n labels.

    Attributes:
        names: the n labels.
        gold, given: (N, n) boolean.
        gold_primary, given_primary: (N,) index of the primary label, n for none; None where the data has no primary label.
        probability: (N, n) calibrated probabilities; None for a model that gives none.
        groups: (N,) document groups, for resampling; None for each sentence on its own.
    """

    names: tuple[str, ...]
    gold: np.ndarray
    given: np.ndarray
    gold_primary: np.ndarray | None
    given_primary: np.ndarray | None
    probability: np.ndarray | None = None
    groups: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if self.gold.shape != self.given.shape or self.gold.shape[1] != len(self.names):
            raise ValueError(f"gold is {self.gold.shape}, given {self.given.shape}, for {len(self.names)} labels")

    def __len__(self) -> int:
        return len(self.gold)

    def counted(self) -> np.ndarray:
        """Indices of the labels that macro-F1 is taken over; all that occur where none has MIN_SUPPORT."""
        support = self.gold.sum(axis=0)
        enough = np.flatnonzero(support >= MIN_SUPPORT)
        return enough if len(enough) else np.flatnonzero(support > 0)


def indicator(labels: Sequence[Sequence[str]], names: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Label lists, primary first → (N, n) boolean, and (N,) index of the primary label with n for none."""
    index = {name: i for i, name in enumerate(names)}
    matrix = np.zeros((len(labels), len(names)), dtype=bool)
    primary = np.full(len(labels), len(names))
    for row, found in enumerate(labels):
        for label in found:
            matrix[row, index[label]] = True
        if found:
            primary[row] = index[found[0]]
    return matrix, primary


def headline(outcome: Outcome) -> dict[str, float]:
    """The scores of the result table.

    `micro_f1` over all labels; `macro_f1` over those with at least MIN_SUPPORT gold sentences; `event_f1`, the F1 of "reports
    some event"; `example_f1`, the mean F1 of the sentences that have a gold or a given label; `exact` match of the whole set;
    `primary_accuracy`, none included, where there is a primary label.
    """
    gold, given = outcome.gold, outcome.given
    counted = outcome.counted()
    scores = {
        "micro_f1": f1_score(gold.ravel(), given.ravel(), zero_division=0.0),
        "macro_f1": np.mean([f1_score(gold[:, i], given[:, i], zero_division=0.0) for i in counted]) if len(counted) else 0.0,
        "event_f1": f1_score(gold.any(axis=1), given.any(axis=1), zero_division=0.0),
        "example_f1": example_f1(gold, given),
        "exact": float((gold == given).all(axis=1).mean()),
    }
    if outcome.gold_primary is not None and outcome.given_primary is not None:
        scores["primary_accuracy"] = float((outcome.gold_primary == outcome.given_primary).mean())
    return {name: float(value) for name, value in scores.items()}


def example_f1(gold: np.ndarray, given: np.ndarray) -> float:
    """Mean F1 per sentence, sentences with neither a gold nor a given label left out; 1.0 where that leaves none."""
    size = gold.sum(axis=1) + given.sum(axis=1)
    shared = (gold & given).sum(axis=1)
    return float((2 * shared[size > 0] / size[size > 0]).mean()) if (size > 0).any() else 1.0


def per_label(outcome: Outcome) -> list[dict]:
    """Precision, recall, F1 and support of each label, and of none as its complement."""
    rows = []
    none = np.atleast_2d(~outcome.gold.any(axis=1)).T, np.atleast_2d(~outcome.given.any(axis=1)).T
    for name, gold, given in [
        *((name, outcome.gold[:, [i]], outcome.given[:, [i]]) for i, name in enumerate(outcome.names)),
        (NONE, *none),
    ]:
        precision, recall, f1, _ = precision_recall_fscore_support(gold[:, 0], given[:, 0], average="binary", zero_division=0.0)
        row = {"label": name, "precision": precision, "recall": recall, "f1": f1}
        rows.append({**{k: v if isinstance(v, str) else float(v) for k, v in row.items()}, "support": int(gold.sum())})
    return rows


def calibration_error(probability: np.ndarray, gold: np.ndarray, bins: int = 15) -> float:
    """Expected calibration error over all sentence-label pairs, in equally full bins (Nguyen & O'Connor 2015).

    Args:
        probability, gold: (N, n).
    """
    order = np.argsort(probability, axis=None, kind="stable")
    p, y = probability.ravel()[order], gold.ravel()[order].astype(float)
    parts = np.array_split(np.arange(len(p)), bins)
    return float(sum(len(part) * abs(p[part].mean() - y[part].mean()) for part in parts if len(part)) / len(p))
