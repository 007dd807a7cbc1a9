"""The model that ships: whole, small, readable by others, and as good as its floors say."""

import json
from importlib import resources

import pytest

from sitrep.data.codebook import load_codebook
from sitrep.eval.evaluate import read_test_set
from sitrep.eval.gate import floor_gate, precision_gate, read_floors
from sitrep.model import load
from sitrep.model.checkpoint import read_checkpoint, shipped_weights

TEST_SPLIT = str(resources.files("sitrep.data") / "corpus" / "test.jsonl")


@pytest.fixture(scope="module")
def shipped():
    return load()


def test_every_file_is_named_in_the_manifest_and_all_are_small_enough():
    folder = shipped_weights()
    manifest = json.loads((folder / "sitrep.json").read_text())
    assert {path.name for path in folder.iterdir()} == {*manifest["files"], "sitrep.json"}
    assert sum(path.stat().st_size for path in folder.iterdir()) < 75_000_000
    assert not [name for name in manifest["files"] if name.endswith((".bin", ".pt", ".pkl", ".npy", ".jsonl"))]


def test_it_was_fitted_for_the_shipped_codebook(shipped):
    ours, its = load_codebook(), shipped.codebook
    assert (its.names, its.version, its.secondary) == (ours.names, ours.version, ours.secondary)


def test_the_model_card_tells_what_the_manifest_records(shipped):
    card = (shipped_weights() / "README.md").read_text()
    record = shipped.checkpoint.record
    assert f"{record['sentences']['fit']:,} sentences" in card
    assert f"{record['validation']['scores']['micro_f1']['value']:.3f}" in card


def test_quality_gate_on_the_held_out_split(shipped):
    scores = floor_gate(shipped, read_test_set(TEST_SPLIT, shipped.codebook), read_floors())
    assert scores["micro_f1"] < 0.95, "too good to be true: look for a leak"


def test_int8_keeps_up_with_full_precision():
    rows = read_test_set(TEST_SPLIT, load_codebook()).rows
    assert precision_gate(read_checkpoint(), rows)["agreement"] > 0.9


def test_it_opens_with_transformers_alone():
    from transformers import pipeline

    [found] = pipeline("text-classification", model=str(shipped_weights()), top_k=None)(
        ["Gunners shelled the port with mortars."]
    )
    assert {entry["label"] for entry in found} == set(load_codebook().names)
    assert found[0]["label"] == "shelling"


@pytest.mark.parametrize(
    ("sentence", "primary"),
    [
        ("Six cruise missiles slammed into the depot overnight.", "missile_strike"),
        ("The two generals met in Geneva for a third day of talks.", "negotiation"),
        ("Police fired tear gas at thousands of demonstrators outside parliament.", "protest"),
        ("The striker's late missile from 30 yards settled the derby.", "none"),
        ("By Marta Kowalczyk in Geneva", "none"),
    ],
)
def test_plain_cases(shipped, sentence, primary):
    assert shipped.predict([sentence])[0].primary == primary


def test_most_of_the_codebooks_own_examples_are_labelled_as_it_says(shipped):
    codebook = load_codebook()
    examples = [example for label in codebook.labels for example in label.examples]
    found = shipped.predict([example.text for example in examples])
    right = sum(record.primary == example.labels[0] for record, example in zip(found, examples, strict=True))
    assert right / len(examples) > 0.7
