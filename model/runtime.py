"""What computes the logits: onnxruntime by default, torch where it is asked for, behind one small interface."""

import os
from pathlib import Path
from typing import Protocol

import numpy as np

from .checkpoint import ONNX, Checkpoint, CheckpointError


class Runtime(Protocol):
    """Computes logits."""

    name: str

    def logits(self, input_ids: np.ndarray, attention_mask: np.ndarray) -> np.ndarray:
        """(B, T) token ids and mask, both int64 → (B, width) float32."""
        ...


def processors() -> int:
    """Processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class OnnxRuntime:
    """The int8 network on onnxruntime, on the CPU."""

    name = "onnx"

    def __init__(self, path: Path, threads: int | None = None) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or processors()
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime raises its own unrelated classes for each way a file can be bad
            raise CheckpointError(f"{path}: onnxruntime can't open it ({str(error).splitlines()[0][:200]})") from None
        self._inputs = [entry.name for entry in self._session.get_inputs()]

    def logits(self, input_ids: np.ndarray, attention_mask: np.ndarray) -> np.ndarray:
        """See Runtime."""
        rows = len(input_ids)
        if rows == 1:
            # A single row takes a matrix-vector path that sums in another order; two rows don't.
            input_ids, attention_mask = np.repeat(input_ids, 2, axis=0), np.repeat(attention_mask, 2, axis=0)
        feed = {"input_ids": input_ids, "attention_mask": attention_mask}
        return self._session.run(None, {name: feed[name] for name in self._inputs})[0][:rows]


def open_runtime(checkpoint: Checkpoint, kind: str = "auto", *, threads: int | None = None, device: str = "cpu") -> Runtime:
    """The runtime for a checkpoint.

    Args:
        kind: `onnx`, `torch`, or `auto`: onnx where the folder has the ONNX network and the device is the CPU.
        device: a torch device, for the torch runtime.

    Raises:
        CheckpointError: the folder lacks what the runtime needs, or torch is not installed.
    """
    has_onnx = (checkpoint.folder / ONNX).is_file()
    if kind == "auto":
        kind = "onnx" if has_onnx and device == "cpu" else "torch"
    if kind == "onnx":
        if not has_onnx:
            raise CheckpointError(f"{checkpoint.folder}: no {ONNX}; make it with: sitrep export {checkpoint.folder}")
        return OnnxRuntime(checkpoint.folder / ONNX, threads)
    if kind != "torch":
        raise ValueError(f"runtime {kind!r} is unknown; use auto, onnx or torch")
    try:
        from .torch_runtime import TorchRuntime
    except ImportError as error:
        raise CheckpointError(f"the torch runtime needs torch and transformers ({error}); pip install 'sitrep[train]'") from None
    return TorchRuntime(checkpoint, device=device, threads=threads)
