"""The full-precision network on torch, on CPU or GPU. Needs the train extra."""

import numpy as np
import torch

from ..data.errors import InputError
from .checkpoint import Checkpoint
from .network import load_network


class TorchRuntime:
    """The safetensors network in single precision."""

    name = "torch"

    def __init__(self, checkpoint: Checkpoint, *, device: str = "cpu", threads: int | None = None) -> None:
        if threads:
            torch.set_num_threads(threads)
        try:
            torch.empty(1, device=device)
        except (RuntimeError, AssertionError) as error:
            reason = str(error).splitlines()[0]
            raise InputError(f"device {device!r} can't be used ({reason}); use cpu") from None
        self._device = device
        self._model = load_network(checkpoint.folder, checkpoint.layout, device)

    @torch.inference_mode()
    def logits(self, input_ids: np.ndarray, attention_mask: np.ndarray) -> np.ndarray:
        """See Runtime."""
        rows = len(input_ids)
        if rows == 1:
            # As in OnnxRuntime: a single row takes a path of its own whose sums differ in their last bits.
            input_ids, attention_mask = np.repeat(input_ids, 2, axis=0), np.repeat(attention_mask, 2, axis=0)
        ids = torch.from_numpy(input_ids).to(self._device)
        mask = torch.from_numpy(attention_mask).to(self._device)
        return self._model(input_ids=ids, attention_mask=mask).logits.float().cpu().numpy()[:rows]
