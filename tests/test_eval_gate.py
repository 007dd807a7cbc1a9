"""The gates open for a good model only, and for the very model and data that they were set for."""

import json
import sys

import pytest

from sitrep.eval import gate
from sitrep.eval.evaluate import outcome_of, read_test_set
from sitrep.eval.gate import GateError, floor_gate, floors_for, precision_gate, read_floors
from sitrep.eval.metrics import headline
from sitrep.model import load
from sitrep.model.decide import Decider


@pytest.fixture(scope="module")
def test_set(toy_files, toy_codebook):
    return read_test_set(toy_files["test"], toy_codebook)


@pytest.fixture
def floors(toy, test_set) -> dict:
    return {"data_sha256": test_set.sha256, "model_hash": toy.checkpoint.model_hash, "floors": {"micro_f1": 0.9, "exact": 0.8}}


def test_a_good_model_passes_with_its_scores(toy, test_set, floors):
    scores = floor_gate(toy, test_set, floors)
    assert scores == headline(outcome_of(toy, test_set))
    assert scores["micro_f1"] >= 0.9


def test_a_floor_above_the_score_fails_by_name(toy, test_set, floors):
    floors["floors"]["event_f1"] = 1.01
    with pytest.raises(GateError, match=r"event_f1 is \d\.\d{4}, its floor 1\.0100"):
        floor_gate(toy, test_set, floors)
    floors["floors"] = {"micro_f1": float("nan")}
    with pytest.raises(GateError):
        floor_gate(toy, test_set, floors)


@pytest.mark.parametrize("what", ["data_sha256", "model_hash"])
def test_floors_of_other_data_or_another_model_do_not_count(toy, test_set, floors, what):
    floors[what] = "0" * 64
    with pytest.raises(
        GateError, match=r"set for (test data|model) 000000000000, this is \w{12}; set them anew with --set-floors"
    ):
        floor_gate(toy, test_set, floors)


def test_swapped_labels_fail(toy_model, test_set, floors):
    classifier = load(toy_model)
    first, second, *rest = classifier.classes_
    checkpoint = classifier.checkpoint
    classifier.decider = Decider((second, first, *rest), checkpoint.layout, checkpoint.calibration)
    with pytest.raises(GateError, match="micro_f1 is"):
        floor_gate(classifier, test_set, floors)


def test_floors_are_set_a_little_below_the_scores(toy, test_set, tmp_path):
    found = floors_for(toy, test_set)
    scores = headline(outcome_of(toy, test_set))
    assert found["floors"] == {name: pytest.approx(value - gate.NOISE, abs=1e-4) for name, value in scores.items()}
    (tmp_path / "floors.json").write_text(json.dumps(found))
    assert floor_gate(toy, test_set, read_floors(tmp_path / "floors.json")) == scores


def test_lowering_a_floor_takes_an_explicit_flag(toy, toy_files, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(gate, "load", lambda: toy)
    path = tmp_path / "floors.json"

    def run(*arguments: str) -> int | str | None:
        monkeypatch.setattr(sys, "argv", ["gate", "--data", str(toy_files["test"]), "--floors", str(path), *arguments])
        try:
            gate.main()
        except SystemExit as left:
            return left.code
        return 0

    assert run("--set-floors") == 0
    measured = path.read_text()
    assert run() == 0
    raised = json.loads(measured)
    raised["floors"]["micro_f1"] = 1.5
    path.write_text(json.dumps(raised))
    assert "micro_f1 is" in str(run())
    assert run("--set-floors") == 2
    assert "micro_f1 would be lower than now; --allow-lower" in capsys.readouterr().err
    assert json.loads(path.read_text()) == raised
    assert run("--set-floors", "--allow-lower") == 0
    assert path.read_text() == measured


def test_int8_against_full_precision(toy, test_set, tmp_path):
    found = precision_gate(toy.checkpoint, test_set.rows)
    assert found["sentences"] == 80
    assert found["drop"] == found["micro_f1"]["full"] - found["micro_f1"]["int8"] <= gate.MAX_DROP
    assert 0.95 <= found["agreement"] <= 1
    assert 0 < found["largest_score_difference"] < 0.5


def test_a_drop_above_the_limit_fails(toy, test_set, monkeypatch):
    monkeypatch.setattr(gate, "MAX_DROP", -1.0)
    with pytest.raises(GateError, match="int8 loses"):
        precision_gate(toy.checkpoint, test_set.rows)


def test_too_few_sentences_prove_nothing(toy, test_set):
    with pytest.raises(GateError, match="49 sentences are too few"):
        precision_gate(toy.checkpoint, test_set.rows[:49])
