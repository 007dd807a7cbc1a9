"""From a training run to a model that can be used and shipped: int8 network, gate, card, manifest."""

import json
import logging
import shutil
from pathlib import Path

from ..data.annotated import check_labels, read_annotated
from ..data.codebook import load_codebook
from ..data.errors import InputError
from ..eval.evaluate import TestSet, measure, outcome_of
from ..eval.gate import GateError, precision_gate
from ..model.checkpoint import CODEBOOK, MANIFEST, ONNX, CheckpointError, file_hash, read_checkpoint, write_manifest
from ..model.classifier import Classifier
from ..model.heads import HeadLayout
from ..model.network import load_network
from ..model.runtime import open_runtime
from .card import write_card
from .onnx_export import write_int8
from .run import RUN, write_json

log = logging.getLogger(__name__)


def export(folder: str | Path, *, out: str | Path | None = None, gate_data: str | Path | None = None) -> dict:
    """Add the int8 network, the model card and the manifest to a trained folder.

    Args:
        out: copy the finished model, without the run's own files, to this folder.
        gate_data: annotated sentences on which int8 is held to full precision; None for the run's validation split.

    Returns:
        The record that the manifest carries.

    Raises:
        InputError, CheckpointError: the folder is not a trained model, or `out` can't be written.
        GateError: int8 loses too much; the folder is left without it and works on the torch runtime.
    """
    folder = Path(folder)
    run = _run_record(folder)
    try:
        codebook = load_codebook(folder / CODEBOOK)
        layout = HeadLayout(len(codebook.names), run["task"], run["primary_head"])
    except (OSError, KeyError) as error:
        raise CheckpointError(f"{folder}: not a whole trained model ({type(error).__name__}: {error}); train anew") from None
    if out is not None:
        _check_free(folder, Path(out))
    fixed = Path(gate_data) if gate_data else folder / RUN / "validation.jsonl"
    if not fixed.is_file():
        raise InputError(f"{fixed}: no such file; name annotated sentences for the int8 gate with --gate-data")
    rows = read_annotated(fixed, text_column="text", label_columns=("labels",)).rows
    check_labels(rows, codebook)

    def manifest(record: dict) -> None:
        write_manifest(folder, layout=layout, max_tokens=run["max_tokens"], pad_id=run["pad_id"], record=record)

    write_int8(load_network(folder, layout), folder / ONNX)
    record = {key: run[key] for key in ("settings", "base_encoder", "sentences", "minutes", "task", "primary_head") if key in run}
    manifest(record)
    checkpoint = read_checkpoint(folder)
    try:
        record["gate"] = precision_gate(checkpoint, rows)
    except GateError:
        (folder / ONNX).unlink()
        manifest({**record, "gate": "failed: no int8 network"})
        raise
    record["gate"]["sha256"] = file_hash(fixed)
    test = TestSet("validation", rows, file_hash(fixed), layout.primary)
    record["validation"] = measure(outcome_of(Classifier(checkpoint, open_runtime(checkpoint)), test), resamples=200)
    write_json(folder / RUN / "record.json", record)
    write_card(folder, checkpoint, record)
    manifest(record)
    read_checkpoint(folder)
    if out is not None:
        _copy(folder, Path(out))
    return record


def _run_record(folder: Path) -> dict:
    """What the run, or an earlier export's manifest, says of the network."""
    for path in (folder / RUN / "run.json", folder / MANIFEST):
        if path.is_file():
            try:
                found = json.loads(path.read_text(encoding="utf-8"))
            except ValueError as error:
                raise CheckpointError(f"{path}: damaged ({error}); train anew") from None
            if isinstance(found, dict):
                return {**found.get("record", {}), **found}
            raise CheckpointError(f"{path}: damaged (not a JSON object); train anew")
    raise CheckpointError(f"{folder}: no trained model ({RUN}/run.json is missing); make one with: sitrep train … -o {folder}")


def _check_free(folder: Path, out: Path) -> None:
    """Refuse to copy where something else than an earlier copy would be deleted."""
    if out.resolve() == folder.resolve():
        raise InputError(f"{out}: is the model folder itself; leave -o out, or name another folder")
    if out.is_dir() and any(path.is_file() for path in out.iterdir()) and not (out / MANIFEST).is_file():
        raise InputError(f"{out}: holds files that are not a model's; name a new folder with -o")


def _copy(folder: Path, out: Path) -> None:
    names = [*json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["files"], MANIFEST]
    try:
        out.mkdir(parents=True, exist_ok=True)
        for old in out.iterdir():
            if old.is_file():
                old.unlink()
        # The manifest goes last: a copy that broke off has none and is refused.
        for name in names:
            shutil.copyfile(folder / name, out / name)
    except OSError as error:
        raise InputError(f"{out}: can't be written ({error.strerror}); name another folder with -o") from None
