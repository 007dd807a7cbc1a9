"""Every score against scikit-learn or against counting by hand; every interval against what must hold of it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference

from sitrep.eval.intervals import difference, fast_headline, interval, resamples, take
from sitrep.eval.metrics import MIN_SUPPORT, Outcome, calibration_error, example_f1, headline, indicator, per_label

NAMES = ("strike", "march", "talks", "harm")


def outcome(seed: int, rows: int = 120, agreement: float = 0.8, groups: int | None = None) -> Outcome:
    """Random gold, and an answer that agrees with it in this share of the cells."""
    rng = np.random.default_rng(seed)
    gold = rng.random((rows, 4)) < [0.4, 0.25, 0.15, 0.02]
    given = np.where(rng.random(gold.shape) < agreement, gold, rng.random(gold.shape) < 0.3)
    primary = [np.where(labels.any(axis=1), labels.argmax(axis=1), 4) for labels in (gold, given)]
    names = None if groups is None else tuple(f"doc{i}" for i in rng.integers(0, groups, rows))
    return Outcome(NAMES, gold, given, *primary, rng.random(gold.shape), names)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 150), st.floats(0, 1))
def test_the_headline_is_scikit_learns(seed, rows, agreement):
    one = outcome(seed, rows, agreement)
    found = headline(one)
    options = {"zero_division": 0.0}
    assert found["micro_f1"] == pytest.approx(reference.f1_score(one.gold, one.given, average="micro", **options))
    support = one.gold.sum(axis=0)
    counted = [i for i in range(4) if support[i] >= MIN_SUPPORT] or [i for i in range(4) if support[i]]
    macro = reference.f1_score(one.gold, one.given, average=None, **options)[counted].mean() if counted else 0.0
    assert found["macro_f1"] == pytest.approx(macro)
    assert found["event_f1"] == pytest.approx(reference.f1_score(one.gold.any(axis=1), one.given.any(axis=1), **options))
    assert found["exact"] == pytest.approx(reference.accuracy_score(one.gold, one.given))
    assert found["primary_accuracy"] == pytest.approx(reference.accuracy_score(one.gold_primary, one.given_primary))
    eventful = one.gold.any(axis=1) | one.given.any(axis=1)
    by_sentence = (
        reference.f1_score(one.gold[eventful], one.given[eventful], average="samples", **options) if eventful.any() else 1.0
    )
    assert found["example_f1"] == pytest.approx(by_sentence)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 150), st.floats(0, 1))
def test_the_fast_headline_is_the_headline(seed, rows, agreement):
    one = outcome(seed, rows, agreement)
    assert fast_headline(one, one.counted()) == pytest.approx(headline(one))


def test_example_f1_by_hand():
    gold = np.array([[1, 1, 0], [1, 0, 0], [0, 0, 0], [0, 0, 0]], bool)
    given = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 0]], bool)
    # 2·1/(2+1); nothing shared; one given where none is gold; left out
    assert example_f1(gold, given) == pytest.approx((2 / 3 + 0 + 0) / 3)
    assert example_f1(gold[3:], given[3:]) == 1.0
    assert example_f1(gold[:0], given[:0]) == 1.0


def test_rare_labels_are_left_out_of_macro_f1_unless_all_are_rare():
    one = outcome(3, rows=200)
    assert one.counted().tolist() == [0, 1, 2]
    assert one.gold[:, 3].sum() < MIN_SUPPORT
    few = take(one, np.arange(8))
    assert set(few.counted()) == set(np.flatnonzero(few.gold.any(axis=0)))


def test_each_label_and_none_as_scikit_learn_counts_them():
    one = outcome(4)
    rows = per_label(one)
    assert [row["label"] for row in rows] == [*NAMES, "none"]
    gold = np.column_stack([one.gold, ~one.gold.any(axis=1)])
    given = np.column_stack([one.given, ~one.given.any(axis=1)])
    expected = reference.precision_recall_fscore_support(gold, given, average=None, zero_division=0.0)
    for i, row in enumerate(rows):
        found = (row["precision"], row["recall"], row["f1"], row["support"])
        assert found == pytest.approx(tuple(float(column[i]) for column in expected))
        assert type(row["support"]) is int


def test_labels_become_a_matrix_and_the_first_one_primary():
    matrix, primary = indicator([("talks", "strike"), (), ["harm"]], NAMES)
    assert matrix.tolist() == [[True, False, True, False], [False] * 4, [False, False, False, True]]
    assert primary.tolist() == [2, 4, 3]
    with pytest.raises(KeyError):
        indicator([("unheard",)], NAMES)


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="for 4 labels"):
        Outcome(NAMES, np.zeros((2, 3), bool), np.zeros((2, 3), bool), None, None)
    with pytest.raises(ValueError, match="gold is"):
        Outcome(NAMES, np.zeros((2, 4), bool), np.zeros((3, 4), bool), None, None)


def test_calibration_error_by_hand_and_on_perfect_probabilities():
    probability = np.array([[0.1], [0.1], [0.9], [0.9]])
    gold = np.array([[0], [1], [1], [1]], bool)
    # two bins of two: |0.1 − 0.5| and |0.9 − 1|
    assert calibration_error(probability, gold, bins=2) == pytest.approx((2 * 0.4 + 2 * 0.1) / 4)
    rng = np.random.default_rng(0)
    probability = rng.random((20_000, 3))
    assert calibration_error(probability, rng.random(probability.shape) < probability) < 0.01
    assert calibration_error(probability, rng.random(probability.shape) < probability**2) > 0.1


# Intervals.


@pytest.mark.parametrize("groups", [None, 25])
def test_intervals_hold_the_score_and_repeat(groups):
    one = outcome(5, groups=groups)
    ends = interval(one, count=200)
    for name, value in headline(one).items():
        low, high = ends[name]
        assert 0 <= low < value < high <= 1
    assert interval(one, count=200) == ends
    assert interval(one, count=200, seed=1) != ends


def test_intervals_are_those_of_a_proportion():
    rng = np.random.default_rng(6)
    gold = rng.random((400, 1)) < 0.5
    given = np.where(rng.random((400, 1)) < 0.8, gold, ~gold)
    low, high = interval(Outcome(("a",), gold, given, None, None), count=1000)["exact"]
    share = (gold == given).mean()
    half = 1.96 * (share * (1 - share) / 400) ** 0.5
    assert (low, high) == pytest.approx((share - half, share + half), abs=0.01)


def test_documents_are_drawn_whole():
    one = outcome(7, rows=60, groups=9)
    for rows in resamples(one, 20, seed=0):
        drawn = np.bincount(rows, minlength=60)
        for name in set(one.groups):
            assert len({int(drawn[i]) for i in range(60) if one.groups[i] == name}) == 1
    assert all(len(rows) == 60 for rows in resamples(outcome(7, rows=60), 5, seed=0))


def test_sentences_of_one_document_widen_the_interval():
    once = outcome(8, rows=60)
    five_times = take(once, np.repeat(np.arange(60), 5))
    grouped = Outcome(*(getattr(five_times, name) for name in Outcome.__slots__[:-1]), tuple(str(i // 5) for i in range(300)))
    narrow, wide = (np.diff(interval(one, count=300)["exact"])[0] for one in (five_times, grouped))
    assert wide > 1.7 * narrow


def test_a_model_differs_from_itself_by_nothing_and_from_a_worse_one_by_something():
    one = outcome(9, rows=300, agreement=0.95)
    worse = Outcome(NAMES, one.gold, outcome(10, rows=300, agreement=0.5).given, one.gold_primary, None)
    assert set(difference(one, one, count=50).values()) == {(0.0, 0.0)}
    found = difference(one, worse, count=100)
    assert found["micro_f1"][0] > 0
    assert "primary_accuracy" not in found  # the other has none
    assert difference(worse, one, count=100)["micro_f1"][1] < 0
    with pytest.raises(ValueError, match="not on the same sentences"):
        difference(one, outcome(11, rows=300))
