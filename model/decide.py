"""From logits to decisions: calibrated probabilities, thresholds, the primary label, abstention."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..data.records import NONE, Labelled
from .heads import SINGLE, HeadLayout

DIGITS = 4
"""Scores are rounded to this many digits, so that an answer doesn't hang on the last bits of a sum."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """What was fitted on validation data; one entry per label in each array, all of shape (n,).

    Attributes:
        scale, bias: probability = sigmoid(scale * logit + bias) (Platt 1999), per label.
        threshold: the probability from which a label is given.
        temperature: of the primary label's softmax, or of a single-label model's (Guo et al. 2017).
    """

    scale: np.ndarray
    bias: np.ndarray
    threshold: np.ndarray
    temperature: float = 1.0

    def __post_init__(self) -> None:
        if not (self.scale.shape == self.bias.shape == self.threshold.shape) or self.scale.ndim != 1:
            raise ValueError("scale, bias and threshold need one number per label")
        if not self.temperature > 0 or not (self.scale > 0).all():
            raise ValueError("temperature and scale must be above 0")
        if not ((self.threshold > 0) & (self.threshold < 1)).all():
            raise ValueError("thresholds must lie between 0 and 1")

    @classmethod
    def neutral(cls, labels: int) -> "Calibration":
        """Probabilities as the network gives them, every threshold at one half."""
        return cls(np.ones(labels), np.zeros(labels), np.full(labels, 0.5))

    def to_json(self, names: Sequence[str]) -> dict:
        """JSON-ready form, label by label."""
        per_label = zip(names, self.scale, self.bias, self.threshold, strict=True)
        return {
            "temperature": float(self.temperature),
            "labels": {name: {"scale": float(s), "bias": float(b), "threshold": float(t)} for name, s, b, t in per_label},
        }

    @classmethod
    def from_json(cls, record: dict, names: Sequence[str]) -> "Calibration":
        """Read what `to_json` wrote. Raises KeyError or ValueError where it does not fit the labels."""
        fitted = record["labels"]
        if set(fitted) != set(names):
            raise ValueError(f"calibration is for other labels: {sorted(set(fitted) ^ set(names))}")
        columns = {key: np.array([fitted[name][key] for name in names], float) for key in ("scale", "bias", "threshold")}
        return cls(**columns, temperature=float(record["temperature"]))


@dataclass(frozen=True, slots=True)
class Probabilities:
    """Calibrated probabilities of N sentences: `events` (N, n); `primary` (N, n + 1), the last column none, or None."""

    events: np.ndarray
    primary: np.ndarray | None


class Decider:
    """Turns logits into `Labelled` records.

    Args:
        names: the labels, in the order of the logits.
        secondary: labels that are primary only where no other label is given (the codebook's rule).
        min_confidence: below this confidence a sentence is marked as abstained; its labels are still given.
    """

    def __init__(
        self,
        names: Sequence[str],
        layout: HeadLayout,
        calibration: Calibration,
        *,
        secondary: Sequence[str] = (),
        min_confidence: float = 0.0,
    ) -> None:
        if not 0 <= min_confidence <= 1:
            raise ValueError(f"min_confidence is {min_confidence}; it must lie between 0 and 1")
        self.names = tuple(names)
        self.layout = layout
        self.calibration = calibration
        self.min_confidence = min_confidence
        self._main = np.array([name not in set(secondary) for name in names])

    def probabilities(self, logits: np.ndarray) -> Probabilities:
        """(N, width) logits → calibrated probabilities, in double precision."""
        events, primary = self.layout.split(np.asarray(logits, np.float64))
        if self.layout.task == SINGLE:
            return Probabilities(softmax(events / self.calibration.temperature), None)
        probability = sigmoid(self.calibration.scale * events + self.calibration.bias)
        return Probabilities(probability, None if primary is None else softmax(primary / self.calibration.temperature))

    def decide(self, logits: np.ndarray, windows: Sequence[int] | None = None) -> list[Labelled]:
        """(N, width) logits → N records, in order.

        Args:
            windows: how many rows of `logits`, in order, belong to each sentence; None for one each. Of a sentence's
                windows each label takes its highest probability; the primary label is asked of the window that is surest
                that there is an event.
        """
        found = self.probabilities(logits)
        counts = [1] * len(logits) if windows is None else list(windows)
        if len(counts) != len(logits):
            found = merge_windows(found, counts)
        given = self.given(found.events)
        primary, confidence = self.primary(found, given)
        scores = np.round(found.events, DIGITS)
        confidence = np.round(confidence, DIGITS)
        return [self._record(scores[i], given[i], primary[i], float(confidence[i]), count) for i, count in enumerate(counts)]

    def given(self, events: np.ndarray) -> np.ndarray:
        """(N, n) boolean: which labels are given."""
        if self.layout.task == SINGLE:
            return np.arange(events.shape[1]) == events.argmax(axis=1)[:, None]
        # Thresholds meet the rounded score, so that what is printed agrees with what was decided.
        return np.round(events, DIGITS) >= np.round(self.calibration.threshold, DIGITS)

    def primary(self, found: Probabilities, given: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Index of each sentence's primary label (n for none) and its confidence, both (N,)."""
        n, count = self.layout.labels, len(given)
        none = ~given.any(axis=1)
        main = given & self._main
        allowed = np.where(main.any(axis=1, keepdims=True), main, given)
        ranking = found.events if found.primary is None else found.primary[:, :n]
        primary = np.where(none, n, np.where(allowed, ranking, -1.0).argmax(axis=1))
        rows = np.arange(count)
        if found.primary is not None:
            return primary, found.primary[rows, primary]
        strongest = found.events[rows, np.minimum(primary, n - 1)]
        return primary, np.where(none, 1.0 - found.events.max(axis=1), strongest)

    def _record(self, scores: np.ndarray, given: np.ndarray, primary: int, confidence: float, windows: int) -> Labelled:
        values = scores.tolist()
        order = sorted((i for i in np.flatnonzero(given).tolist() if i != primary), key=lambda i: (-values[i], i))
        labels = () if primary == self.layout.labels else tuple(self.names[i] for i in [int(primary), *order])
        return Labelled(
            labels=labels,
            primary=labels[0] if labels else NONE,
            scores=dict(zip(self.names, values, strict=True)),
            confidence=confidence,
            abstained=confidence < self.min_confidence,
            windows=windows,
        )


def merge_windows(found: Probabilities, counts: Sequence[int]) -> Probabilities:
    """One row per sentence out of one row per window."""
    starts = np.cumsum([0, *counts[:-1]])
    events = np.maximum.reduceat(found.events, starts, axis=0)
    if found.primary is None:
        return Probabilities(events, None)
    none = found.primary[:, -1]
    surest = [start + int(none[start : start + count].argmin()) for start, count in zip(starts, counts, strict=True)]
    return Probabilities(events, found.primary[surest])


def sigmoid(x: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-x)), without overflow."""
    return 0.5 * (1.0 + np.tanh(0.5 * x))


def softmax(x: np.ndarray) -> np.ndarray:
    """Softmax over the last axis."""
    power = np.exp(x - x.max(axis=-1, keepdims=True))
    return power / power.sum(axis=-1, keepdims=True)
