"""A training run from files to a finished model folder."""

import json
import logging
import time
from pathlib import Path

import numpy as np

from ..data.annotated import Annotated
from ..data.errors import InputError
from ..model.checkpoint import CALIBRATION, CODEBOOK, MANIFEST
from ..model.network import save_network
from .calibrate import fit_calibration
from .config import TrainConfig
from .dataset import TrainingData, prepare
from .finetune import finetune, targets

log = logging.getLogger(__name__)

RUN = "run"
"""Folder inside the model folder for what belongs to the run, not to the model: it is not shipped."""


def train(config: TrainConfig, folder: str | Path) -> TrainingData:
    """Fit, calibrate and save a model; `export` then adds the ONNX network and the manifest.

    Writes to `folder` the Hugging Face network, tokenizer, codebook and calibration, and to `folder/run` the resolved
    settings, the training log and the validation split.

    Raises:
        InputError: the data can't be used, or the folder holds something else.
    """
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder}: not a folder; name a new one with -o")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / RUN).is_dir():
        raise InputError(f"{folder}: holds files that are not a training run's; name a new folder with -o")
    started = time.monotonic()
    data = prepare(config)
    try:
        (folder / RUN).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder}: can't be written ({error.strerror}); name another folder with -o") from None
    log.info(
        "%d sentences to fit on, %d to validate on, %d labels (%s%s); left out: %s",
        len(data.fit), len(data.validation), len(data.codebook.names), data.layout.task,
        ", primary head" if data.layout.primary else "", data.dropped or "none",
    )  # fmt: skip
    log_path = folder / RUN / "log.jsonl"
    log_path.unlink(missing_ok=True)
    model, tokenizer, logits = finetune(data, config, log_path)

    events, primary = targets(data.validation, data.codebook.names)
    calibration = fit_calibration(logits, events, primary, data.layout, config.seed)
    # An earlier run's manifest would vouch for files that change now; until here its model could be used.
    (folder / MANIFEST).unlink(missing_ok=True)
    tokenizer.save_pretrained(folder)
    save_network(model, folder, data.layout, data.codebook.names)
    (folder / CODEBOOK).write_text(data.codebook.to_toml(), encoding="utf-8")
    write_json(folder / CALIBRATION, calibration.to_json(data.codebook.names))
    write_rows(folder / RUN / "validation.jsonl", data.validation)
    np.save(folder / RUN / "validation_logits.npy", logits, allow_pickle=False)
    record = {
        "settings": config.as_dict(),
        "base_encoder": base_encoder(config.encoder),
        "sentences": {"fit": len(data.fit), "validation": len(data.validation), "left_out": data.dropped},
        "task": data.layout.task,
        "primary_head": data.layout.primary,
        "max_tokens": config.max_tokens,
        "pad_id": tokenizer.pad_token_id,
        "minutes": round((time.monotonic() - started) / 60, 1),
    }
    write_json(folder / RUN / "run.json", record)
    return data


def base_encoder(encoder: str) -> str:
    """The encoder that a chain of runs started from: that of a run's folder is the one the run names."""
    earlier = Path(encoder) / RUN / "run.json"
    if not earlier.is_file():
        return encoder
    record = json.loads(earlier.read_text(encoding="utf-8"))
    return record.get("base_encoder") or record["settings"]["encoder"]


def write_json(path: Path, record: dict) -> None:
    """Indented JSON with a final newline."""
    path.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def write_rows(path: Path, rows: tuple[Annotated, ...]) -> None:
    """Annotated sentences as JSON lines that `read_annotated` reads back."""
    with path.open("w", encoding="utf-8") as stream:
        for row in rows:
            record = {"text": row.text, "labels": list(row.labels), "source": row.source, "group": row.group}
            stream.write(json.dumps(record, ensure_ascii=False) + "\n")
