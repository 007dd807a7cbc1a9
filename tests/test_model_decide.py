"""Thresholds, the primary label, windows and abstention, against scipy and against the rules in words."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import special

from sitrep.model.decide import Calibration, Decider, Probabilities, merge_windows, sigmoid, softmax
from sitrep.model.heads import MULTI, SINGLE, HeadLayout

NAMES = ("strike", "march", "talks", "harm")
LAYOUT = HeadLayout(4)
PLAIN = HeadLayout(4, primary=False)


def logit(*probabilities: float) -> np.ndarray:
    return special.logit(np.array(probabilities, float))


def decider(layout=LAYOUT, calibration=None, **options) -> Decider:
    return Decider(NAMES, layout, calibration or Calibration.neutral(4), **options)


def joint(events: list[float], primary: list[float]) -> np.ndarray:
    """Logits of one sentence that give these event probabilities and this softmax."""
    return np.concatenate([logit(*events), np.log(primary)])[None]


wide = st.floats(-800, 800, width=32)


@given(arrays(np.float64, (3, 5), elements=wide))
def test_sigmoid_and_softmax_are_scipys_and_never_overflow(x):
    with np.errstate(over="raise", invalid="raise"):
        ours = sigmoid(x), softmax(x)
    np.testing.assert_allclose(ours[0], special.expit(x), atol=1e-15)
    np.testing.assert_allclose(ours[1], special.softmax(x, axis=-1), atol=1e-15)


def test_probabilities_are_platts_sigmoid_and_the_tempered_softmax():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(6, 9)).astype(np.float32)
    fitted = Calibration(np.array([1.5, 0.7, 1, 2]), np.array([0.1, -1, 0, 2]), np.full(4, 0.5), temperature=1.7)
    found = decider(calibration=fitted).probabilities(logits)
    events, primary = logits[:, :4].astype(float), logits[:, 4:].astype(float)
    np.testing.assert_allclose(found.events, special.expit(fitted.scale * events + fitted.bias), rtol=1e-12)
    np.testing.assert_allclose(found.primary, special.softmax(primary / 1.7, axis=1), rtol=1e-12)
    single = Decider(NAMES, HeadLayout(4, SINGLE, False), fitted).probabilities(logits[:, :4])
    np.testing.assert_allclose(single.events, special.softmax(events / 1.7, axis=1), rtol=1e-12)
    assert single.primary is None


def test_each_label_has_its_own_threshold_and_meets_it():
    thresholds = Calibration(np.ones(4), np.zeros(4), np.array([0.3, 0.5, 0.6, 0.9]))
    [record] = decider(PLAIN, thresholds).decide(logit(0.31, 0.5, 0.59, 0.91)[None])
    assert set(record.labels) == {"strike", "march", "harm"}
    assert record.scores == {"strike": 0.31, "march": 0.5, "talks": 0.59, "harm": 0.91}


def test_what_is_printed_agrees_with_what_is_decided():
    [record] = decider(PLAIN).decide(logit(0.49996, 0.49994, 0.1, 0.1)[None])
    assert record.scores["strike"] == 0.5
    assert record.labels == ("strike",)
    assert record.scores["march"] == 0.4999


def test_no_label_is_none_with_the_confidence_of_none():
    [record] = decider().decide(joint([0.1, 0.2, 0.1, 0.1], [0.2, 0.1, 0.05, 0.05, 0.6]))
    assert (record.labels, record.primary, record.confidence) == ((), "none", 0.6)
    [record] = decider(PLAIN).decide(logit(0.1, 0.2, 0.1, 0.1)[None])
    assert (record.labels, record.primary, record.confidence) == ((), "none", 0.8)


def test_primary_is_the_likeliest_of_the_labels_given():
    # The primary head prefers talks, which is not given, and then march.
    [record] = decider().decide(joint([0.9, 0.8, 0.2, 0.7], [0.1, 0.25, 0.5, 0.05, 0.1]))
    assert record.labels == ("march", "strike", "harm")  # the rest by score
    assert record.confidence == 0.25
    # Without a primary head the score ranks.
    [record] = decider(PLAIN).decide(logit(0.8, 0.9, 0.2, 0.7)[None])
    assert record.labels == ("march", "strike", "harm")
    assert record.confidence == 0.9


def test_secondary_labels_are_primary_only_among_themselves():
    secondary = ("harm", "talks")
    [record] = decider(secondary=secondary).decide(joint([0.6, 0.1, 0.1, 0.9], [0.1, 0.1, 0.1, 0.6, 0.1]))
    assert record.labels == ("strike", "harm")
    assert record.confidence == 0.1
    [record] = decider(secondary=secondary).decide(joint([0.1, 0.1, 0.8, 0.9], [0.1, 0.1, 0.4, 0.3, 0.1]))
    assert record.labels == ("talks", "harm")


def test_single_label_gives_the_likeliest_whatever_its_score():
    single = Decider(NAMES, HeadLayout(4, SINGLE, False), Calibration.neutral(4))
    records = single.decide(np.log([[0.3, 0.28, 0.22, 0.2], [0.1, 0.1, 0.7, 0.1]]))
    assert [record.labels for record in records] == [("strike",), ("talks",)]
    assert [record.confidence for record in records] == [0.3, 0.7]
    assert sum(records[0].scores.values()) == pytest.approx(1)


def test_abstention_marks_and_keeps_the_labels():
    logits = np.concatenate([joint([0.9, 0.1, 0.1, 0.1], [share, 0.1, 0.05, 0.05, 0.8 - share]) for share in (0.3, 0.6)])
    records = decider(min_confidence=0.6).decide(logits)
    assert [record.abstained for record in records] == [True, False]
    assert all(record.labels == ("strike",) for record in records)


def test_windows_merge_into_one_sentence():
    logits = np.concatenate(
        [
            joint([0.1, 0.2, 0.1, 0.1], [0.1, 0.1, 0.1, 0.1, 0.6]),
            joint([0.7, 0.1, 0.1, 0.1], [0.6, 0.1, 0.1, 0.1, 0.1]),
            joint([0.3, 0.6, 0.1, 0.1], [0.1, 0.4, 0.1, 0.1, 0.3]),
            joint([0.1, 0.1, 0.8, 0.1], [0.1, 0.1, 0.7, 0.05, 0.05]),
        ]
    )
    first, second = decider().decide(logits, [3, 1])
    assert first.labels == ("strike", "march")
    assert first.scores == {"strike": 0.7, "march": 0.6, "talks": 0.1, "harm": 0.1}
    assert first.confidence == 0.6  # of the window that is surest of an event
    assert (first.windows, second.windows) == (3, 1)
    assert second == decider().decide(logits[3:])[0]


@given(st.lists(st.integers(1, 4), min_size=1, max_size=6), st.integers(0, 2**32 - 1))
def test_merged_windows_take_the_highest_of_each_label(counts, seed):
    rng = np.random.default_rng(seed)
    events, primary = rng.random((sum(counts), 3)), rng.random((sum(counts), 4))
    found = merge_windows(Probabilities(events, primary), counts)
    at = 0
    for row, count in enumerate(counts):
        window = slice(at, at + count)
        np.testing.assert_array_equal(found.events[row], events[window].max(axis=0))
        np.testing.assert_array_equal(found.primary[row], primary[window][primary[window][:, -1].argmin()])
        at += count
    assert merge_windows(Probabilities(events, None), counts).primary is None


@settings(max_examples=150)
@given(
    arrays(np.float32, (4, 9), elements=st.floats(-6, 6, width=32)),
    arrays(np.float64, 4, elements=st.floats(0.05, 0.95)),
    st.sets(st.sampled_from(NAMES)),
    st.floats(0, 1),
)
def test_the_rules_hold_for_any_logits(logits, threshold, secondary, least):
    calibration = Calibration(np.ones(4), np.zeros(4), threshold)
    judge = decider(calibration=calibration, secondary=tuple(secondary), min_confidence=least)
    records = judge.decide(logits)
    assert records == [judge.decide(logits[i : i + 1])[0] for i in range(4)]
    limits = dict(zip(NAMES, threshold.round(4), strict=True))
    for record in records:
        assert tuple(record.scores) == NAMES
        assert set(record.labels) == {name for name in NAMES if record.scores[name] >= limits[name]}
        assert len(set(record.labels)) == len(record.labels)
        assert record.primary == (record.labels[0] if record.labels else "none")
        assert record.primary not in secondary or secondary >= set(record.labels)
        rest = [record.scores[label] for label in record.labels[1:]]
        assert rest == sorted(rest, reverse=True)
        assert record.abstained == (record.confidence < least)


def test_empty_input_is_an_empty_answer():
    assert decider().decide(np.zeros((0, 9)), []) == []


def test_calibration_survives_json_whatever_the_order():
    fitted = Calibration(np.array([1.5, 0.7, 1, 2]), np.array([0.1, -1, 0, 2]), np.array([0.2, 0.3, 0.4, 0.5]), 0.8)
    record = fitted.to_json(NAMES)
    record["labels"] = dict(reversed(record["labels"].items()))
    back = Calibration.from_json(record, NAMES)
    assert back.to_json(NAMES) == fitted.to_json(NAMES)
    with pytest.raises(ValueError, match=r"other labels.*'harm'"):
        Calibration.from_json(record, NAMES[:3])
    del record["labels"]["harm"]["bias"]
    with pytest.raises(KeyError, match="bias"):
        Calibration.from_json(record, NAMES)


@pytest.mark.parametrize(
    ("scale", "bias", "threshold", "temperature", "said"),
    [
        ([1, 1], [0], [0.5, 0.5], 1, "one number per label"),
        ([[1, 1]], [[0, 0]], [[0.5, 0.5]], 1, "one number per label"),
        ([1, 0], [0, 0], [0.5, 0.5], 1, "above 0"),
        ([1, 1], [0, 0], [0.5, 0.5], 0, "above 0"),
        ([1, 1], [0, 0], [0.5, 0.5], float("nan"), "above 0"),
        ([1, 1], [0, 0], [0.5, 1], 1, "between 0 and 1"),
        ([1, 1], [0, 0], [0, 0.5], 1, "between 0 and 1"),
    ],
)
def test_impossible_calibration_is_refused(scale, bias, threshold, temperature, said):
    with pytest.raises(ValueError, match=said):
        Calibration(*(np.array(values, float) for values in (scale, bias, threshold)), temperature)


def test_impossible_settings_and_layouts_are_refused():
    with pytest.raises(ValueError, match="min_confidence"):
        decider(min_confidence=1.2)
    with pytest.raises(ValueError, match="4 logits, this layout wants 9"):
        decider().decide(np.zeros((1, 4)))
    with pytest.raises(ValueError, match="'regression'"):
        HeadLayout(4, "regression")
    with pytest.raises(ValueError, match="no primary head"):
        HeadLayout(4, SINGLE, True)
    assert (HeadLayout(4).width, HeadLayout(4, MULTI, False).width, HeadLayout(4, SINGLE, False).width) == (9, 4, 4)
