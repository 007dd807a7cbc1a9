"""An evaluation reads the test file, measures the model beside its baselines, and writes what it measured with what."""

import hashlib
import json

import numpy as np
import pytest

from sitrep.data.codebook import Codebook, CodebookError, Label
from sitrep.data.errors import InputError
from sitrep.eval import evaluate as ev
from sitrep.eval.baselines import KeywordRules, TfidfLogistic
from sitrep.eval.metrics import headline, indicator


@pytest.fixture(scope="module")
def test_set(toy_files, toy_codebook):
    return ev.read_test_set(toy_files["test"], toy_codebook)


def test_the_test_set_is_the_file(toy_files, toy_codebook, test_set):
    assert test_set.sha256 == hashlib.sha256(toy_files["test"].read_bytes()).hexdigest()
    assert len(test_set.rows) == 80
    assert test_set.has_primary


def test_flags_have_no_primary_to_be_right_about(tmp_path, toy, toy_codebook):
    path = tmp_path / "flags.csv"
    path.write_text("text,strike,march\nRockets near the market.,1,0\nCrowds in the town.,0,1\n")
    test = ev.read_test_set(path, toy_codebook)
    assert not test.has_primary
    found = ev.outcome_of(toy, test)
    assert found.gold_primary is None
    assert "primary_accuracy" not in headline(found)


def test_unusable_test_files_are_refused(tmp_path, toy_codebook):
    path = tmp_path / "test.jsonl"
    path.write_text('{"text": "One.", "labels": ["strkie"]}\n')
    with pytest.raises(CodebookError, match=r"test\.jsonl:1: unknown label 'strkie'"):
        ev.read_test_set(path, toy_codebook)
    path.write_text('{"text": " ", "labels": ["strike"]}\n')
    with pytest.raises(InputError, match="no sentences to measure on"):
        ev.read_test_set(path, toy_codebook)
    with pytest.raises(InputError, match="no column 'kind'"):
        ev.read_test_set(path, toy_codebook, label_columns=["kind"])


def test_the_models_outcome_is_what_it_predicts(toy, test_set):
    found = ev.outcome_of(toy, test_set)
    records = toy.predict([row.text for row in test_set.rows])
    assert found.given.tolist() == [[name in record.labels for name in toy.classes_] for record in records]
    assert found.given_primary.tolist() == [(*toy.classes_, "none").index(record.primary) for record in records]
    assert found.probability.tolist() == [list(record.scores.values()) for record in records]
    assert len(set(found.groups)) == 80  # without documents each sentence is its own


def test_the_record_names_data_model_and_every_score(toy, test_set, toy_files, tmp_path):
    record = ev.evaluate(toy, test_set, [toy_files["train"]], baselines=True)
    assert list(record["results"]) == ["sitrep", KeywordRules.name, TfidfLogistic.name]
    assert record["data"] == {"path": "test.jsonl", "sha256": test_set.sha256, "sentences": 80}
    assert record["model"] == {"hash": toy.checkpoint.model_hash, "runtime": "onnx"}
    ours = record["results"]["sitrep"]
    assert {name: score["value"] for name, score in ours["scores"].items()} == headline(ev.outcome_of(toy, test_set))
    assert ours["scores"]["micro_f1"]["value"] > 0.9
    assert 0 <= ours["calibration_error"] < 0.2
    # The toy labels follow from keywords alone.
    assert record["results"][KeywordRules.name]["scores"]["micro_f1"]["value"] == 1.0
    assert record["results"][TfidfLogistic.name]["scores"]["micro_f1"]["value"] > 0.8

    ev.write_report(record, tmp_path / "new" / "report")
    assert json.loads((tmp_path / "new" / "report" / "metrics.json").read_text("utf-8")) == json.loads(json.dumps(record))
    report = (tmp_path / "new" / "report" / "report.md").read_text("utf-8")
    assert report == ev.markdown(record)
    for model, result in record["results"].items():
        assert f"| {model} | {ev.score_cell(result['scores']['micro_f1'])} |" in report
    assert test_set.sha256[:12] in report
    assert report.count("\n| none |") == 1


def test_a_report_that_cannot_be_written_is_refused(tmp_path, toy, test_set):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="can't be written"):
        ev.write_report({"results": {}}, tmp_path / "file" / "report")


def test_scores_print_with_their_interval():
    assert ev.score_cell({"value": 0.8714, "interval": (0.8531, 0.8888)}) == "0.871 (0.853–0.889)"
    assert ev.score_cell(None) == "–"


# Baselines.


def test_keyword_rules_give_every_match_and_take_the_first_as_primary():
    labels = (
        Label("hurt", secondary=True, keywords=(r"\bdied\b",)),
        Label("fire", keywords=(r"\bfired?\b", r"\bshots\b")),
        Label("talk", keywords=(r"\btalks\b",)),
        Label("mute"),
    )
    given, primary = KeywordRules(Codebook("own", labels)).predict(
        ["Two DIED as troops fired before the talks.", "Talks went on, shots rang out.", "Five died.", "A fireman ate."]
    )
    assert given.tolist() == [[True, True, True, False], [False, True, True, False], [True, False, False, False], [False] * 4]
    assert primary.tolist() == [1, 2, 0, 4]


def test_logistic_regression_learns_the_toy_task_and_its_threshold(toy_rows, toy_codebook):
    names = toy_codebook.names
    parts = [toy_rows(300, 21), toy_rows(80, 22), toy_rows(80, 23)]
    (train, train_gold), (dev, dev_gold), (test, test_gold) = [
        ([text for text, _ in rows], indicator([labels for _, labels in rows], names)) for rows in parts
    ]
    model = TfidfLogistic(names).fit(train, *train_gold)
    assert model.threshold == 0.5
    model.choose_threshold(dev, dev_gold[0])
    assert 0.1 <= model.threshold <= 0.6
    given, primary = model.predict(test)
    assert given.shape == (80, 4)
    assert (given == test_gold[0]).mean() > 0.9
    assert (primary == test_gold[1]).mean() > 0.6
    assert np.array_equal(TfidfLogistic(names).fit(train, *train_gold).choose_threshold(dev, dev_gold[0]).predict(test)[0], given)
