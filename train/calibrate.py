"""Fit calibration and thresholds on validation data."""

import numpy as np
from scipy.optimize import minimize, minimize_scalar

from ..model.decide import Calibration, sigmoid, softmax
from ..model.heads import SINGLE, HeadLayout

RESAMPLES = 40
LOWEST, HIGHEST = 0.2, 0.75
"""Thresholds stay between these: beyond them a small validation split decides by luck."""


def fit_calibration(
    logits: np.ndarray, events: np.ndarray, primary: np.ndarray, layout: HeadLayout, seed: int = 0
) -> Calibration:
    """Calibrate on validation sentences.

    Args:
        logits: (N, width).
        events: (N, n) gold zeros and ones.
        primary: (N,) gold index of the primary label, n for none.
    """
    event_logits, primary_logits = layout.split(np.asarray(logits, np.float64))
    if layout.task == SINGLE:
        neutral = Calibration.neutral(layout.labels)
        return Calibration(neutral.scale, neutral.bias, neutral.threshold, fit_temperature(event_logits, primary))
    scale, bias = fit_platt(event_logits, events)
    threshold = choose_thresholds(sigmoid(scale * event_logits + bias), events, seed)
    return Calibration(scale, bias, threshold, 1.0 if primary_logits is None else fit_temperature(primary_logits, primary))


def fit_temperature(logits: np.ndarray, gold: np.ndarray) -> float:
    """The temperature of the softmax's highest log-likelihood (Guo et al. 2017, On Calibration of Modern Neural Networks)."""

    def loss(log_temperature: float) -> float:
        probability = softmax(logits / np.exp(log_temperature))
        return float(-np.log(probability[np.arange(len(gold)), gold] + 1e-12).mean())

    return float(np.exp(minimize_scalar(loss, bounds=(-2.0, 2.0), method="bounded").x))


def fit_platt(logits: np.ndarray, gold: np.ndarray, strength: float = 4.0) -> tuple[np.ndarray, np.ndarray]:
    """Platt scaling per label, drawn towards the scale and bias that fit all labels together.

    A label with few positives in the validation split stays near the common fit; one with many follows its own data.
    `strength` is the weight of that pull, in sentences' worth of squared deviation.
    """

    def fit(z: np.ndarray, y: np.ndarray, centre: np.ndarray, pull: float) -> np.ndarray:
        def loss(parameters: np.ndarray) -> tuple[float, np.ndarray]:
            log_scale, bias = parameters
            score = np.exp(log_scale) * z + bias
            value = np.logaddexp(0.0, score).sum() - (y * score).sum()
            residual = sigmoid(score) - y
            away = parameters - centre
            gradient = np.array([(residual * z).sum() * np.exp(log_scale), residual.sum()]) + 2 * pull * away
            return value + pull * (away**2).sum(), gradient

        return minimize(loss, centre, jac=True, method="L-BFGS-B", bounds=[(-1.5, 1.5), (-3.0, 3.0)]).x

    common = fit(logits.ravel(), gold.ravel(), np.zeros(2), 1e-3)
    each = np.array([fit(logits[:, i], gold[:, i], common, strength) for i in range(logits.shape[1])])
    return np.exp(each[:, 0]), each[:, 1]


def choose_thresholds(probability: np.ndarray, gold: np.ndarray, seed: int = 0) -> np.ndarray:
    """Per label, the threshold of the best F1, averaged over bootstrap resamples and drawn towards the common one.

    The pull is that of 20 positives: a label with fewer of them in the split leans on what is best for all together.
    """
    grid = np.round(np.arange(LOWEST, HIGHEST + 1e-9, 0.01), 2)
    given = probability[:, :, None] >= grid
    hits = given & (gold[:, :, None] > 0)
    rng = np.random.default_rng(seed)
    own, common = [], []
    for _ in range(RESAMPLES):
        weight = np.bincount(rng.integers(0, len(gold), len(gold)), minlength=len(gold)).astype(np.float32)
        tp = np.tensordot(weight, hits, axes=1)
        size = np.tensordot(weight, given, axes=1) + (weight @ gold)[:, None]
        own.append(grid[(2 * tp / np.maximum(size, 1)).argmax(axis=1)])
        common.append(grid[(2 * tp.sum(0) / size.sum(0)).argmax()])
    positives = gold.sum(axis=0)
    trust = positives / (positives + 20.0)
    return np.round(trust * np.mean(own, axis=0) + (1 - trust) * np.mean(common), 3)
