"""The network as int8 ONNX: traced, fused where onnxruntime knows the architecture, weights and matrix products in 8 bits."""

import logging
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import onnx
import torch
from onnxruntime.quantization import QuantType, quantize_dynamic
from onnxruntime.transformers.optimizer import optimize_model
from torch import nn
from transformers import PreTrainedModel

OPSET = 17
FUSED = {"bert": "bert", "roberta": "bert", "xlm-roberta": "bert", "electra": "bert", "distilbert": "bert", "camembert": "bert"}
"""Architectures whose attention onnxruntime fuses, and the name it knows the pattern by."""


class _Logits(nn.Module):
    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        return self.model(input_ids=input_ids, attention_mask=attention_mask).logits


def write_int8(model: PreTrainedModel, path: Path) -> None:
    """Write the network, all its outputs included, as int8 ONNX.

    Inputs `input_ids` and `attention_mask`, (B, T) int64; output `logits`, (B, width) float32. Weights are quantised per
    output channel, activations by their range in each run (dynamic quantisation), so no calibration data is needed.
    """
    with tempfile.TemporaryDirectory(prefix="sitrep-onnx-") as scratch:
        traced, fused = Path(scratch) / "traced.onnx", Path(scratch) / "fused.onnx"
        _trace(model, traced)
        _fuse(model, traced, fused)
        with _quiet_root_logger():
            quantize_dynamic(
                fused,
                path,
                per_channel=True,
                weight_type=QuantType.QInt8,
                # Fused operators hide the types of what they return; they are all float.
                extra_options={"MatMulConstBOnly": True, "DefaultTensorType": onnx.TensorProto.FLOAT},
            )


@contextmanager
def _quiet_root_logger() -> Iterator[None]:
    """The quantiser gives advice that does not apply here, on the root logger."""
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)
    try:
        yield
    finally:
        root.setLevel(level)


def _trace(model: PreTrainedModel, path: Path) -> None:
    ids = torch.randint(5, model.config.vocab_size, (2, 12))
    mask = torch.ones_like(ids)
    mask[0, 7:] = 0
    with warnings.catch_warnings():
        # The tracing exporter keeps the shapes that the fusion below looks for; the newer one does not.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            _Logits(model).eval(),
            (ids, mask),
            str(path),
            input_names=["input_ids", "attention_mask"],
            output_names=["logits"],
            dynamic_axes={
                "input_ids": {0: "batch", 1: "tokens"},
                "attention_mask": {0: "batch", 1: "tokens"},
                "logits": {0: "batch"},
            },
            opset_version=OPSET,
            dynamo=False,
        )


def _fuse(model: PreTrainedModel, source: Path, target: Path) -> None:
    kind = FUSED.get(model.config.model_type)
    if kind is None:
        target.write_bytes(source.read_bytes())
        return
    heads, hidden = model.config.num_attention_heads, model.config.hidden_size
    optimize_model(str(source), model_type=kind, num_heads=heads, hidden_size=hidden, opt_level=0).save_model_to_file(str(target))
