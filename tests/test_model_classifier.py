"""A sentence's answer depends on the sentence alone, over-long ones are read to their end, and other tools open the folder."""

import subprocess
import sys

import numpy as np
import pytest
from scipy.special import expit

from sitrep.data.errors import InputError
from sitrep.data.records import Labelled
from sitrep.model import Classifier, load
from sitrep.model.checkpoint import CheckpointError


@pytest.fixture(scope="module")
def texts(toy_rows) -> list[str]:
    """Sentences of every length, with repetitions, empty and over-long ones among them."""
    found = [text for text, _ in toy_rows(40, 7)]
    return [*found, "", " ", "x", found[0], "Garden town, " * 40 + "rockets.", "Ünïcödé ☃ 字 \u200b text", "a" * 3000]


@pytest.fixture(params=["onnx", "torch"])
def classifier(request, toy, toy_torch) -> Classifier:
    return {"onnx": toy, "torch": toy_torch}[request.param]


def test_it_has_learnt_the_toy_task(classifier, toy_rows):
    rows = toy_rows(80, 3)
    found = classifier.predict([text for text, _ in rows])
    right = sum(set(record.labels) == set(labels) for record, (_, labels) in zip(found, rows, strict=True))
    assert right >= 70
    assert sum(record.primary == (labels or ["none"])[0] for record, (_, labels) in zip(found, rows, strict=True)) >= 70


@pytest.mark.parametrize("budget", [1, 24, 100, 100_000])
def test_answers_do_not_depend_on_the_batch(classifier, texts, budget):
    together = classifier.predict(texts)
    other = Classifier(classifier.checkpoint, classifier._runtime, budget=budget)
    assert other.predict(texts) == together
    assert np.array_equal(other.predict_proba(texts), classifier.predict_proba(texts))


def test_answers_do_not_depend_on_order_or_neighbours(classifier, texts):
    together = classifier.predict(texts)
    assert classifier.predict(texts[::-1]) == together[::-1]
    assert [classifier.predict([text])[0] for text in texts] == together
    assert classifier.predict(texts[:5] + ["Rockets, rockets."] * 50 + texts[5:9])[:5] == together[:5]


def test_logits_on_onnxruntime_are_equal_to_the_last_bit(toy, texts):
    together, counts = toy.logits(texts)
    one_by_one = np.concatenate([toy.logits([text])[0] for text in texts])
    assert np.array_equal(together, one_by_one)
    assert len(together) == sum(counts)
    assert len(counts) == len(texts)


def test_the_number_of_threads_changes_nothing(toy_model, toy, texts):
    assert load(toy_model, threads=1).predict(texts) == toy.predict(texts)


def test_int8_is_close_to_full_precision(toy, toy_torch, toy_rows):
    texts = [text for text, _ in toy_rows(60, 9)]
    small, full = toy.logits(texts)[0], toy_torch.logits(texts)[0]
    assert np.abs(small - full).max() < 0.05 * np.abs(full).max()
    assert np.abs(small - full).max() > 0  # they are two networks
    given = [record.labels for record in toy.predict(texts)]
    assert sum(a == b.labels for a, b in zip(given, toy_torch.predict(texts), strict=True)) >= 58


def test_a_record_is_complete_and_rounded(toy):
    [record] = toy.predict(["Rockets near the old market."])
    assert isinstance(record, Labelled)
    assert record.primary == "strike" == record.labels[0]
    assert tuple(record.scores) == toy.classes_ == toy.codebook.names
    assert all(isinstance(score, float) and 0 <= score <= 1 and round(score, 4) == score for score in record.scores.values())
    assert (record.windows, record.abstained) == (1, False)


def test_probabilities_are_the_scores(toy, texts):
    table = toy.predict_proba(texts)
    assert table.shape == (len(texts), 4)
    assert table.tolist() == [list(record.scores.values()) for record in toy.predict(texts)]


def test_nothing_in_nothing_out(classifier):
    assert classifier.predict([]) == []
    assert classifier.predict_proba([]).shape == (0, 4)


def test_an_event_at_the_end_of_an_over_long_sentence_is_found(classifier, toy_rows):
    filler = " ".join(text.rstrip(".") for text, labels in toy_rows(60, 8) if not labels)
    plain, last, first = classifier.predict([filler, filler + " rockets.", "Rockets " + filler])
    assert plain.windows > 3
    assert last.windows > 3
    assert plain.labels == ()
    assert last.labels == ("strike",)
    assert first.labels == ("strike",)


def test_any_sequence_of_strings_will_do(toy, texts):
    expected = toy.predict(texts[:3])
    assert toy.predict(tuple(texts[:3])) == expected
    assert toy.predict(text for text in texts[:3]) == expected
    assert toy.predict(np.array(texts[:3])) == expected


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("Rockets.", r"list of sentences, not one string; use predict\(\[text\]\)"),
        (["Rockets.", None], "sentence 1 is NoneType, not str"),
        ([b"Rockets."], "sentence 0 is bytes, not str"),
        ([["Rockets."]], "sentence 0 is list, not str"),
        ([3], "sentence 0 is int, not str"),
    ],
)
def test_what_is_no_list_of_strings_is_refused(toy, given, said):
    with pytest.raises(TypeError, match=said):
        toy.predict(given)


def test_abstention_marks_the_unsure(toy_model, texts):
    records = load(toy_model, min_confidence=1.0).predict(texts)
    assert [record.abstained for record in records] == [record.confidence < 1 for record in records]
    assert any(record.abstained for record in records)
    with pytest.raises(ValueError, match="min_confidence"):
        load(toy_model, min_confidence=2)


def test_runtimes_are_chosen_and_unknown_ones_refused(toy_model, toy, toy_torch):
    assert (toy.runtime, toy_torch.runtime) == ("onnx", "torch")
    assert load(toy_model).runtime == "onnx"
    with pytest.raises(ValueError, match="'tensorflow' is unknown; use auto, onnx or torch"):
        load(toy_model, runtime="tensorflow")
    with pytest.raises(InputError, match="device 'nonsense' can't be used"):
        load(toy_model, device="nonsense")


def test_without_torch_the_torch_runtime_says_what_to_install(toy_model, monkeypatch):
    monkeypatch.setitem(sys.modules, "sitrep.model.torch_runtime", None)
    with pytest.raises(CheckpointError, match=r"pip install 'sitrep\[train\]'"):
        load(toy_model, runtime="torch")


def test_transformers_opens_the_folder_as_an_ordinary_classifier(toy_model, toy_torch):
    from transformers import pipeline

    text = "Rockets near the old market."
    [answers] = pipeline("text-classification", model=str(toy_model), top_k=None, device="cpu")([text])
    scores = {answer["label"]: answer["score"] for answer in answers}
    assert set(scores) == set(toy_torch.classes_)
    expected = expit(toy_torch.logits([text])[0][0, :4])
    assert [scores[name] for name in toy_torch.classes_] == pytest.approx(expected.tolist(), abs=5e-3)


def test_labelling_imports_neither_torch_nor_transformers(toy_model):
    code = (
        "import sys, sitrep.train.cli, sitrep.model\n"
        "[record] = sitrep.model.load(sys.argv[1]).predict(['Rockets near the old market.'])\n"
        "assert record.primary == 'strike', record\n"
        "print(sorted({'torch', 'transformers', 'sklearn', 'scipy', 'datasets'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code, toy_model], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
