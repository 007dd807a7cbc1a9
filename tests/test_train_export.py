"""A model leaves the house as int8 only where that loses nothing; card and manifest say what it is."""

import json
import shutil

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from sitrep.data.codebook import CodebookError
from sitrep.data.errors import InputError
from sitrep.eval.gate import GateError
from sitrep.model import load
from sitrep.model.checkpoint import CODEBOOK, MANIFEST, ONNX, CheckpointError, read_checkpoint
from sitrep.model.heads import HeadLayout
from sitrep.model.network import classifier_layer, load_network
from sitrep.train import export as exporting
from sitrep.train.card import CARD, render_card
from sitrep.train.export import export
from sitrep.train.onnx_export import write_int8


@pytest.fixture
def keep_int8(monkeypatch):
    """Exports leave the int8 network as it is, which saves the seconds that tracing takes."""
    monkeypatch.setattr(exporting, "write_int8", lambda model, path: None)


def test_the_record_tells_the_gate_the_scores_and_the_data(toy_model):
    record = read_checkpoint(toy_model).record
    assert record["gate"]["sentences"] == record["sentences"]["validation"] == 400
    assert record["gate"]["drop"] <= 0.005
    assert len(record["gate"]["sha256"]) == 64
    for score in record["validation"]["scores"].values():
        low, high = score["interval"]
        assert low <= score["value"] <= high
    assert record == json.loads((toy_model / "run" / "record.json").read_text("utf-8"))


def test_int8_is_a_quarter_of_the_size_and_has_all_outputs(toy_model, tmp_path):
    network = load_network(toy_model, HeadLayout(4))
    single = sum(parameter.numel() * 4 for parameter in network.parameters())
    types = {tensor.data_type for tensor in onnx.load(toy_model / ONNX).graph.initializer}
    assert onnx.TensorProto.INT8 in types
    assert (toy_model / ONNX).stat().st_size < single  # so small a network is mostly description
    session = onnxruntime.InferenceSession(str(toy_model / ONNX))
    assert [entry.name for entry in session.get_inputs()] == ["input_ids", "attention_mask"]
    ids = np.array([[2, 60, 61, 3, 0, 0]], np.int64)
    found = session.run(None, {"input_ids": ids, "attention_mask": (ids > 0).astype(np.int64)})[0]
    assert found.shape == (1, 9)


def test_the_same_network_gives_the_same_int8_bytes(toy_model, tmp_path):
    write_int8(load_network(toy_model, HeadLayout(4)), tmp_path / "again.onnx")
    assert (tmp_path / "again.onnx").read_bytes() == (toy_model / ONNX).read_bytes()


def test_a_bad_int8_network_is_taken_away_and_the_model_still_works(toy_copy, monkeypatch):
    def spoilt(model, path):
        parent, leaf = classifier_layer(model)
        with torch.no_grad():
            getattr(parent, leaf).weight.neg_()
        write_int8(model, path)

    monkeypatch.setattr(exporting, "write_int8", spoilt)
    with pytest.raises(GateError, match=r"int8 loses [\d.]+ points of micro-F1 .* 0\.5 allowed"):
        export(toy_copy)
    assert not (toy_copy / ONNX).exists()
    classifier = load(toy_copy)
    assert classifier.runtime == "torch"
    assert classifier.predict(["Rockets near the old market."])[0].primary == "strike"
    assert "failed" in classifier.checkpoint.record["gate"]


def test_too_small_a_set_proves_nothing(toy_copy, toy_files, keep_int8, tmp_path):
    lines = toy_files["dev"].read_text("utf-8").splitlines(keepends=True)
    (tmp_path / "few.jsonl").write_text("".join(lines[:49]), "utf-8")
    with pytest.raises(GateError, match=r"49 sentences are too few .* --gate-data"):
        export(toy_copy, gate_data=tmp_path / "few.jsonl")


def test_a_copy_is_the_model_without_the_run(toy_copy, toy, keep_int8, tmp_path):
    out = tmp_path / "out" / "weights"
    record = export(toy_copy, out=out)
    assert {path.name for path in out.iterdir()} == {path.name for path in toy_copy.iterdir()} - {"run"}
    copied = load(out)
    assert copied.checkpoint.model_hash == read_checkpoint(toy_copy).model_hash
    assert copied.checkpoint.record == json.loads(json.dumps(record))
    texts = ["Rockets near the old market.", "Crowds and envoys.", "A quiet day."]
    assert copied.predict(texts) == toy.predict(texts)
    (out / "stale.bin").write_bytes(b"left over")
    export(toy_copy, out=out)
    assert not (out / "stale.bin").exists()


def test_a_shipped_copy_can_be_exported_again_with_its_own_gate_data(toy_copy, toy_files, keep_int8):
    shutil.rmtree(toy_copy / "run")
    with pytest.raises(InputError, match=r"name annotated sentences .* with --gate-data"):
        export(toy_copy)
    (toy_copy / "run").mkdir()
    record = export(toy_copy, gate_data=toy_files["test"])
    assert record["gate"]["sentences"] == 80
    assert record["settings"]["max_tokens"] == 24


def test_nothing_is_deleted_where_something_else_lies(toy_copy, keep_int8, tmp_path):
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis.txt").write_text("years of work")
    with pytest.raises(InputError, match="holds files that are not a model's"):
        export(toy_copy, out=tmp_path / "home")
    assert (tmp_path / "home" / "thesis.txt").read_text() == "years of work"
    with pytest.raises(InputError, match="is the model folder itself"):
        export(toy_copy, out=toy_copy / ".." / toy_copy.name)
    assert load(toy_copy).runtime == "onnx"
    with pytest.raises(InputError, match="can't be written"):
        export(toy_copy, out=tmp_path / "home" / "thesis.txt" / "model")


def test_folders_that_are_no_trained_model_are_refused(tmp_path, toy_copy):
    with pytest.raises(CheckpointError, match=r"no trained model \(run/run\.json is missing\)"):
        export(tmp_path)
    (toy_copy / CODEBOOK).unlink()
    with pytest.raises(CheckpointError, match="not a whole trained model"):
        export(toy_copy)
    for content in ("{", "[]"):
        (toy_copy / "run" / "run.json").write_text(content)
        with pytest.raises(CheckpointError, match=r"run\.json: damaged"):
            export(toy_copy)


def test_gate_data_with_an_unknown_label_changes_nothing(toy_copy, tmp_path):
    before = (toy_copy / MANIFEST).read_bytes()
    (tmp_path / "bad.jsonl").write_text('{"text": "One.", "labels": ["strkie"]}\n')
    with pytest.raises(CodebookError, match=r"bad\.jsonl:1: unknown label 'strkie'"):
        export(toy_copy, gate_data=tmp_path / "bad.jsonl")
    assert (toy_copy / MANIFEST).read_bytes() == before
    assert load(toy_copy).runtime == "onnx"


def test_the_card_has_the_records_numbers(toy_model):
    checkpoint = read_checkpoint(toy_model)
    record = checkpoint.record
    card = (toy_model / CARD).read_text("utf-8")
    assert card == render_card(checkpoint, record)
    head, body = card.removeprefix("---\n").split("---\n", 1)
    assert "pipeline_tag: text-classification" in head
    assert f"base_model: {record['settings']['encoder']}" in head
    assert "Fitted on 320 sentences, validated on 400" in body
    assert "toy 1" in body
    for name, score in record["validation"]["scores"].items():
        low, high = score["interval"]
        assert f"| {name.replace('_', ' ')} | {score['value']:.3f} ({low:.3f}–{high:.3f}) |" in body
    for row in record["validation"]["labels"]:
        assert f"| {row['label']} | {row['precision']:.2f} | {row['recall']:.2f} | {row['f1']:.2f} | {row['support']} |" in body
    for name, threshold in zip(checkpoint.names, checkpoint.calibration.threshold, strict=True):
        [line] = [line for line in body.splitlines() if line.startswith(f"| {name} |")]
        assert line.endswith(f"| {threshold:.2f} |")
    assert "English only" in body
