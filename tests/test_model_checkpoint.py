"""A model folder is whole, or it is refused in one line that names the file."""

import json
import shutil

import pytest

from sitrep.model import load
from sitrep.model.checkpoint import (
    CALIBRATION,
    CODEBOOK,
    MANIFEST,
    ONNX,
    TOKENIZER,
    CheckpointError,
    file_hash,
    read_checkpoint,
    write_manifest,
)
from sitrep.model.heads import HeadLayout


def refusal(folder, **options) -> str:
    with pytest.raises(CheckpointError) as caught:
        load(folder, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def change(folder, **fields) -> None:
    """Rewrite fields of the manifest; None takes one out."""
    path = folder / MANIFEST
    manifest = {**json.loads(path.read_text("utf-8")), **fields}
    path.write_text(json.dumps({name: value for name, value in manifest.items() if value is not None}), "utf-8")


def vouch(folder, name: str) -> None:
    """Make the manifest agree with a file that was changed."""
    files = json.loads((folder / MANIFEST).read_text("utf-8"))["files"]
    files[name] = {"bytes": (folder / name).stat().st_size, "sha256": file_hash(folder / name)}
    change(folder, files=files)


def test_what_was_written_is_read_back(toy_model, toy_codebook):
    found = read_checkpoint(toy_model)
    assert found.layout == HeadLayout(4)
    assert found.codebook == toy_codebook
    assert found.names == toy_codebook.names
    assert (found.max_tokens, found.pad_id) == (24, 0)
    assert found.record["settings"]["max_tokens"] == 24
    assert found.calibration.to_json(found.names) == json.loads((toy_model / CALIBRATION).read_text("utf-8"))
    assert not list(toy_model.glob("*.partial"))
    assert str(toy_model) not in (toy_model / MANIFEST).read_text("utf-8")


def test_the_manifest_lists_every_file_and_no_folder(toy_model):
    listed = json.loads((toy_model / MANIFEST).read_text("utf-8"))["files"]
    assert set(listed) == {path.name for path in toy_model.iterdir() if path.is_file()} - {MANIFEST}
    assert {ONNX, TOKENIZER, CODEBOOK, CALIBRATION, "README.md", "config.json", "model.safetensors"} <= set(listed)


def test_the_hash_follows_every_file(toy_copy):
    before = read_checkpoint(toy_copy).model_hash
    assert before == read_checkpoint(toy_copy, verify=False).model_hash
    (toy_copy / "README.md").write_text("another card", "utf-8")
    found = read_checkpoint(toy_copy, verify=False)
    assert found.model_hash == before  # what the manifest states
    options = {"layout": found.layout, "max_tokens": found.max_tokens, "pad_id": found.pad_id, "record": found.record}
    write_manifest(toy_copy, **options)
    assert read_checkpoint(toy_copy).model_hash != before


def test_each_changed_cut_or_missing_file_is_named(toy_copy):
    listed = json.loads((toy_copy / MANIFEST).read_text("utf-8"))["files"]
    for name in listed:
        path = toy_copy / name
        whole = path.read_bytes()
        middle = len(whole) // 2
        for damaged in (whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :], whole[:-1], b""):
            path.write_bytes(damaged)
            assert refusal(toy_copy).startswith(f"{path}: not the file that {MANIFEST} describes")
        path.unlink()
        assert refusal(toy_copy) == f"{path}: missing; copy the model folder anew"
        path.write_bytes(whole)
    assert load(toy_copy).predict([]) == []


def test_a_file_that_the_manifest_does_not_know_is_refused(toy_copy):
    (toy_copy / "adapter.safetensors").write_bytes(b"slipped in")
    assert refusal(toy_copy).startswith(f"{toy_copy / 'adapter.safetensors'}: {MANIFEST} does not vouch for it")
    (toy_copy / "adapter.safetensors").rename(toy_copy / "notes.txt")
    assert load(toy_copy).predict([]) == []


def test_no_folder_no_manifest(tmp_path, toy_copy):
    assert refusal(tmp_path / "nowhere") == f"{tmp_path / 'nowhere'}: no such model folder"
    (toy_copy / MANIFEST).unlink()
    assert refusal(toy_copy).startswith(f"{toy_copy}: no {MANIFEST}, so no finished sitrep model")


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"\xff", b"{}"])
def test_a_manifest_that_is_none_is_refused(toy_copy, content):
    (toy_copy / MANIFEST).write_bytes(content)
    assert f"{MANIFEST}: damaged" in refusal(toy_copy)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"format": 2}, "model format 2, this version reads 1; update sitrep"),
        ({"labels": 5}, "the codebook has 4 labels, the network 5"),
        ({"task": "regression"}, "damaged"),
        ({"task": "single_label"}, "damaged"),
        ({"max_tokens": None}, "damaged (KeyError: 'max_tokens')"),
        ({"pad_id": "zero"}, "damaged"),
        ({"record": None}, "damaged"),
        ({"files": []}, "damaged"),
        ({"files": {"config.json": {}}}, "damaged"),
        ({"files": {"config.json": "sha"}}, "damaged"),
        ({"files": {"../outside": {"bytes": 4, "sha256": "0"}}}, "'../outside' is not a plain file name; don't use this model"),
        ({"files": {"/etc/hostname": {"bytes": 4, "sha256": "0"}}}, "is not a plain file name"),
        ({"files": {"..": {"bytes": 4, "sha256": "0"}}}, "missing"),
    ],
)
def test_a_manifest_that_lies_is_refused(toy_copy, fields, said):
    (toy_copy.parent / "outside").write_text("here")
    path = toy_copy / MANIFEST
    manifest = json.loads(path.read_text("utf-8"))
    for name, value in fields.items():
        manifest[name] = {**manifest[name], **value} if isinstance(value, dict) else value
        if value is None:
            del manifest[name]
    path.write_text(json.dumps(manifest), "utf-8")
    message = refusal(toy_copy)
    assert said in message
    assert str(toy_copy) in message


@pytest.mark.parametrize(
    ("name", "content"),
    [
        (CODEBOOK, 'name = "toy"'),
        (CALIBRATION, "{}"),
        (CALIBRATION, "not JSON"),
        (CALIBRATION, '{"temperature": 1, "labels": {}}'),
    ],
)
def test_a_codebook_or_calibration_that_does_not_fit_is_refused(toy_copy, name, content):
    (toy_copy / name).write_text(content, "utf-8")
    vouch(toy_copy, name)
    assert "codebook or calibration can't be read" in refusal(toy_copy)


def test_another_models_codebook_is_refused(toy_copy):
    path = toy_copy / CODEBOOK
    path.write_text(path.read_text("utf-8").replace('"harm"', '"other"'), "utf-8")
    vouch(toy_copy, CODEBOOK)
    assert "'harm', 'other'" in refusal(toy_copy)


def test_networks_and_tokenizers_that_cannot_be_opened_are_named(toy_copy):
    for name in (ONNX, TOKENIZER):
        whole = (toy_copy / name).read_bytes()
        (toy_copy / name).write_bytes(b"nonsense")
        vouch(toy_copy, name)
        assert refusal(toy_copy).startswith(f"{toy_copy / name}: ")
        (toy_copy / name).write_bytes(whole)
        vouch(toy_copy, name)
    assert load(toy_copy).runtime == "onnx"


def test_without_the_int8_network_torch_takes_over_unless_onnx_was_asked(toy_copy):
    (toy_copy / ONNX).unlink()
    files = json.loads((toy_copy / MANIFEST).read_text("utf-8"))["files"]
    change(toy_copy, files={name: stated for name, stated in files.items() if name != ONNX})
    assert load(toy_copy).runtime == "torch"
    assert f"no {ONNX}; make it with: sitrep export" in refusal(toy_copy, runtime="onnx")


def test_a_copy_elsewhere_is_the_same_model(toy_model, tmp_path):
    shutil.copytree(toy_model, tmp_path / "moved", ignore=shutil.ignore_patterns("run"))
    assert read_checkpoint(str(tmp_path / "moved")).model_hash == read_checkpoint(toy_model).model_hash


def test_a_network_that_the_manifest_does_not_name_is_refused(toy_model, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(toy_model, folder)
    manifest = json.loads((folder / "sitrep.json").read_text())
    del manifest["files"]["model.int8.onnx"]
    (folder / "sitrep.json").write_text(json.dumps(manifest))
    with pytest.raises(CheckpointError, match=r"model\.int8\.onnx: .*does not vouch"):
        read_checkpoint(folder)
