"""What computes the logits: onnxruntime by default, torch where it is asked for, behind one small interface."""

import os
from concurrent.futures import ThreadPoolExecutor
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
    """The int8 network on onnxruntime, on the CPU.

    The int8 kernels take the scale of their activations from the whole input. Rows run together would share it, and an answer
    would depend on its neighbours; so each row runs on its own, without its padding, and the threads work on different rows.
    On short sentences that costs nothing: it was as fast as batches of 8 and faster than batches of 32.
    """

    name = "onnx"

    def __init__(self, path: Path, threads: int | None = None) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime raises its own unrelated classes for each way a file can be bad
            raise CheckpointError(f"{path}: onnxruntime can't open it ({str(error).splitlines()[0][:200]})") from None
        self._pool = ThreadPoolExecutor(threads or processors(), thread_name_prefix="sitrep-onnx")

    def logits(self, input_ids: np.ndarray, attention_mask: np.ndarray) -> np.ndarray:
        """See Runtime."""
        lengths = attention_mask.sum(axis=1).tolist()
        return np.concatenate(list(self._pool.map(self._row, input_ids, lengths)))

    def _row(self, ids: np.ndarray, length: int) -> np.ndarray:
        row = ids[None, :length]
        return self._session.run(None, {"input_ids": row, "attention_mask": np.ones_like(row)})[0]


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
