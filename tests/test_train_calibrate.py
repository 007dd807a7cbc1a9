"""Calibration undoes distortions that are known, and thresholds help where labels are rare."""

import numpy as np
import pytest
from scipy.special import expit, logit
from sklearn.metrics import f1_score, log_loss

from sitrep.eval.metrics import calibration_error
from sitrep.model.decide import softmax
from sitrep.model.heads import HeadLayout
from sitrep.train.calibrate import HIGHEST, LOWEST, choose_thresholds, fit_calibration, fit_platt, fit_temperature


@pytest.mark.parametrize("temperature", [0.4, 1.0, 2.5])
def test_the_temperature_that_spoilt_the_logits_is_found(temperature):
    rng = np.random.default_rng(1)
    true = rng.normal(0, 2, (4000, 5))
    gold = np.array([rng.choice(5, p=row) for row in softmax(true)])
    found = fit_temperature(true * temperature, gold)
    assert found == pytest.approx(temperature, rel=0.08)
    assert log_loss(gold, softmax(true * temperature / found)) <= log_loss(gold, softmax(true * temperature)) + 1e-9


@pytest.mark.parametrize(("scale", "bias"), [(0.5, 1.0), (1.0, 0.0), (2.5, -1.5)])
def test_platts_scale_and_bias_are_found(scale, bias):
    rng = np.random.default_rng(2)
    logits = rng.normal(-0.5, 2, (6000, 3))
    gold = (rng.random(logits.shape) < expit(scale * logits + bias)).astype(float)
    found_scale, found_bias = fit_platt(logits, gold)
    np.testing.assert_allclose(found_scale, scale, rtol=0.12)
    np.testing.assert_allclose(found_bias, bias, atol=0.15)
    assert calibration_error(expit(found_scale * logits + found_bias), gold) < 0.02


def test_a_label_without_positives_leans_on_the_others():
    rng = np.random.default_rng(3)
    logits = rng.normal(0, 2, (3000, 2))
    gold = (rng.random(logits.shape) < expit(2 * logits)).astype(float)
    logits, gold = np.column_stack([logits, rng.normal(-6, 0.5, 3000)]), np.column_stack([gold, np.zeros(3000)])
    scale, bias = fit_platt(logits, gold)
    assert np.isfinite([*scale, *bias]).all()
    assert (scale > 0).all()
    assert expit(scale[2] * logits[:, 2] + bias[2]).max() < 0.05
    np.testing.assert_allclose(scale[:2], 2, rtol=0.15)


def skewed(rng: np.random.Generator, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Well calibrated probabilities of rare labels: above one half for few of the positives."""
    probability = rng.beta(0.3, 3.0, (rows, 6))
    return probability, (rng.random(probability.shape) < probability).astype(float)


def test_thresholds_beat_one_half_on_rare_labels():
    rng = np.random.default_rng(4)
    probability, gold = skewed(rng, 3000)
    threshold = choose_thresholds(probability, gold)
    assert threshold.shape == (6,)
    assert (threshold >= LOWEST).all()
    assert (threshold <= HIGHEST).all()
    fresh, fresh_gold = skewed(rng, 6000)
    ours = f1_score(fresh_gold, fresh >= threshold, average="micro")
    half = f1_score(fresh_gold, fresh >= 0.5, average="micro")
    assert ours > half + 0.03


def test_thresholds_of_labels_seen_little_lean_on_the_common_one():
    rng = np.random.default_rng(5)
    probability, gold = skewed(rng, 1500)
    gold[:, 5] = 0
    gold[probability[:, 5].argmax(), 5] = 1  # alone it would put the threshold at the top
    threshold = choose_thresholds(probability, gold)
    assert abs(threshold[5] - threshold[:5].mean()) < 0.1
    assert np.array_equal(choose_thresholds(probability, gold), threshold)


def test_without_any_positive_thresholds_stay_within_bounds():
    rng = np.random.default_rng(6)
    threshold = choose_thresholds(rng.random((50, 2)), np.zeros((50, 2)))
    assert ((threshold >= LOWEST) & (threshold <= HIGHEST)).all()


def test_the_whole_calibration_of_a_model_with_a_primary_head():
    rng = np.random.default_rng(7)
    true = rng.normal(-1, 2, (4000, 3))
    events = (rng.random(true.shape) < expit(true)).astype(float)
    softmax_logits = rng.normal(0, 2, (4000, 4))
    primary = np.array([rng.choice(4, p=row) for row in softmax(softmax_logits)])
    found = fit_calibration(np.hstack([2 * true + 1, 3 * softmax_logits]).astype(np.float32), events, primary, HeadLayout(3))
    np.testing.assert_allclose(found.scale, 0.5, rtol=0.1)
    np.testing.assert_allclose(found.bias, -0.5, atol=0.15)
    assert found.temperature == pytest.approx(3, rel=0.08)
    plain = fit_calibration(2 * true + 1, events, primary, HeadLayout(3, primary=False))
    np.testing.assert_allclose(plain.scale, found.scale, rtol=1e-4)
    assert plain.temperature == 1.0


def test_a_single_label_model_gets_a_temperature_and_nothing_else():
    rng = np.random.default_rng(8)
    true = rng.normal(0, 2, (3000, 3))
    gold = np.array([rng.choice(3, p=row) for row in softmax(true)])
    found = fit_calibration(true * 0.5, np.eye(3)[gold], gold, HeadLayout(3, "single_label", False))
    assert found.temperature == pytest.approx(0.5, rel=0.1)
    assert (found.scale.tolist(), found.bias.tolist(), found.threshold.tolist()) == ([1] * 3, [0] * 3, [0.5] * 3)


def test_separable_data_gives_finite_numbers():
    gold = np.array([[1.0], [0.0]] * 20)
    scale, bias = fit_platt(logit(0.02 + 0.96 * gold) * 5, gold)
    assert np.isfinite([scale[0], bias[0]]).all()
    assert np.isfinite(fit_temperature(np.eye(2)[gold[:, 0].astype(int)] * 50, gold[:, 0].astype(int)))
