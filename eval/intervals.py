"""Bootstrap intervals: of a score, and of the difference between two models on the same sentences."""

from collections.abc import Callable

import numpy as np

from .metrics import Outcome

RESAMPLES = 1000
LEVEL = 0.95

Scores = Callable[[Outcome], dict[str, float]]


def resamples(outcome: Outcome, count: int, seed: int):
    """Yield index arrays: document groups drawn with replacement (sentences, where there are no groups)."""
    rng = np.random.default_rng(seed)
    if outcome.groups is None:
        for _ in range(count):
            yield rng.integers(0, len(outcome), len(outcome))
        return
    _, member = np.unique(np.array(outcome.groups), return_inverse=True)
    rows = np.split(np.argsort(member, kind="stable"), np.cumsum(np.bincount(member))[:-1])
    for _ in range(count):
        yield np.concatenate([rows[i] for i in rng.integers(0, len(rows), len(rows))])


def take(outcome: Outcome, rows: np.ndarray) -> Outcome:
    """The outcome on some of its sentences."""

    def pick(values):
        return None if values is None else values[rows]

    return Outcome(
        outcome.names,
        outcome.gold[rows],
        outcome.given[rows],
        pick(outcome.gold_primary),
        pick(outcome.given_primary),
        pick(outcome.probability),
    )


def fast_headline(outcome: Outcome, counted: np.ndarray) -> dict[str, float]:
    """`metrics.headline` in plain numpy, macro-F1 over the given labels: a thousand resamples are a thousand calls."""
    tp = (outcome.gold & outcome.given).sum(axis=0)
    size = outcome.gold.sum(axis=0) + outcome.given.sum(axis=0)
    f1 = 2 * tp[counted] / np.maximum(size[counted], 1)
    gold_event, given_event = outcome.gold.any(axis=1), outcome.given.any(axis=1)
    per_row = outcome.gold.sum(axis=1) + outcome.given.sum(axis=1)
    shared = (outcome.gold & outcome.given).sum(axis=1)
    scores = {
        "micro_f1": 2 * tp.sum() / max(size.sum(), 1),
        "macro_f1": f1.mean() if len(f1) else 0.0,
        "event_f1": 2 * (gold_event & given_event).sum() / max(gold_event.sum() + given_event.sum(), 1),
        "example_f1": (2 * shared[per_row > 0] / per_row[per_row > 0]).mean() if (per_row > 0).any() else 1.0,
        "exact": (outcome.gold == outcome.given).all(axis=1).mean(),
    }
    if outcome.gold_primary is not None and outcome.given_primary is not None:
        scores["primary_accuracy"] = (outcome.gold_primary == outcome.given_primary).mean()
    return {name: float(value) for name, value in scores.items()}


def interval(outcome: Outcome, *, count: int = RESAMPLES, seed: int = 0) -> dict[str, tuple[float, float]]:
    """Percentile bootstrap intervals (Efron & Tibshirani 1993) of the headline scores, at LEVEL.

    Macro-F1 is taken over the same labels in every resample, those of the whole set.
    """
    counted = outcome.counted()
    drawn = [fast_headline(take(outcome, rows), counted) for rows in resamples(outcome, count, seed)]
    return percentiles(drawn)


def percentiles(drawn: list[dict[str, float]]) -> dict[str, tuple[float, float]]:
    """Both ends of the interval of each score over its resamples, at LEVEL."""
    low, high = 100 * (1 - LEVEL) / 2, 100 * (1 + LEVEL) / 2
    found = {}
    for name in drawn[0]:
        values = [scores[name] for scores in drawn]
        found[name] = (float(np.percentile(values, low)), float(np.percentile(values, high)))
    return found


def difference(ours: Outcome, other: Outcome, *, count: int = RESAMPLES, seed: int = 0) -> dict[str, tuple[float, float]]:
    """Paired bootstrap intervals of ours minus other, the same sentences drawn for both."""
    if ours.gold.shape != other.gold.shape or (ours.gold != other.gold).any():
        raise ValueError("the two outcomes are not on the same sentences")
    counted = ours.counted()
    drawn = []
    for rows in resamples(ours, count, seed):
        a, b = fast_headline(take(ours, rows), counted), fast_headline(take(other, rows), counted)
        drawn.append({name: a[name] - b[name] for name in a if name in b})
    return percentiles(drawn)
