"""The quality gates: int8 must not lose against full precision, and a release must not fall below its floor."""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from importlib import resources
from pathlib import Path

import numpy as np

from ..data.annotated import Annotated
from ..model.checkpoint import ONNX, Checkpoint
from ..model.classifier import Classifier, load
from ..model.runtime import OnnxRuntime, open_runtime
from .evaluate import TestSet, outcome_of, read_test_set
from .metrics import headline

MAX_DROP = 0.005
"""Micro-F1 (accuracy, for a single label) that int8 may lose against full precision."""

NOISE = 0.01
"""How far below the measured score a floor is set: other processors round int8 products differently."""


class GateError(ValueError):
    """A model is not good enough to leave the house."""


def precision_gate(checkpoint: Checkpoint, rows: Sequence[Annotated], *, onnx: Path | None = None) -> dict:
    """Compare the int8 network with the full-precision one on a fixed set.

    Args:
        rows: the fixed set, at least 50 sentences.
        onnx: the int8 network; None for the checkpoint's own.

    Returns:
        `micro_f1` of both, their `drop`, and `agreement`, the share of sentences with equal labels.

    Raises:
        GateError: the drop is above MAX_DROP.
    """
    if len(rows) < 50:
        raise GateError(
            f"{len(rows)} sentences are too few to compare int8 with full precision; give at least 50 with --gate-data"
        )
    test = TestSet("gate", tuple(rows), "", True)
    full = outcome_of(Classifier(checkpoint, open_runtime(checkpoint, "torch")), test)
    small = outcome_of(Classifier(checkpoint, OnnxRuntime(onnx or checkpoint.folder / ONNX)), test)
    assert full.probability is not None and small.probability is not None
    before, after = headline(full)["micro_f1"], headline(small)["micro_f1"]
    result = {
        "sentences": len(rows),
        "micro_f1": {"full": before, "int8": after},
        "drop": before - after,
        "agreement": float((full.given == small.given).all(axis=1).mean()),
        "largest_score_difference": float(np.abs(full.probability - small.probability).max()),
    }
    if before - after > MAX_DROP:
        raise GateError(
            f"int8 loses {100 * (before - after):.2f} points of micro-F1 ({before:.4f} to {after:.4f}), {100 * MAX_DROP} allowed"
        )
    return result


def read_floors(path: str | Path | None = None) -> dict:
    """The floors file; None for the shipped one."""
    text = (
        Path(path).read_text(encoding="utf-8")
        if path
        else resources.files(__package__).joinpath("floors.json").read_text("utf-8")
    )
    return json.loads(text)


def floor_gate(classifier: Classifier, test: TestSet, floors: dict) -> dict[str, float]:
    """Measure the model on the shipped test split and hold it to the floors.

    Returns:
        The scores.

    Raises:
        GateError: a score is below its floor, or the floors were set for another test file or another model.
    """
    for what, stated, actual in (
        ("test data", floors["data_sha256"], test.sha256),
        ("model", floors["model_hash"], classifier.checkpoint.model_hash),
    ):
        if stated != actual:
            raise GateError(
                f"the floors were set for {what} {stated[:12]}, this is {actual[:12]}; set them anew with --set-floors"
            )
    scores = headline(replace(outcome_of(classifier, test), groups=None))
    for name, floor in floors["floors"].items():
        if not scores[name] >= floor:
            raise GateError(f"{name} is {scores[name]:.4f}, its floor {floor:.4f}")
    return scores


def floors_for(classifier: Classifier, test: TestSet) -> dict:
    """Floors for a model and a test file, at what it reaches now less NOISE."""
    scores = headline(outcome_of(classifier, test))
    return {
        "data_sha256": test.sha256,
        "model_hash": classifier.checkpoint.model_hash,
        "noise": NOISE,
        "floors": {name: round(value - NOISE, 4) for name, value in scores.items()},
    }


def main() -> None:
    """Hold the shipped model to its floors; with --set-floors, set them anew, lower ones only with --allow-lower."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--data", default="data/corpus/test.jsonl")
    parser.add_argument("--floors", default="eval/floors.json")
    parser.add_argument("--set-floors", action="store_true")
    parser.add_argument("--allow-lower", action="store_true")
    arguments = parser.parse_args()
    classifier = load()
    test = read_test_set(arguments.data, classifier.codebook)
    path = Path(arguments.floors)
    if arguments.set_floors:
        found = floors_for(classifier, test)
        before = read_floors(path)["floors"] if path.exists() else {}
        lower = [name for name, floor in found["floors"].items() if floor < before.get(name, 0.0)]
        if lower and not arguments.allow_lower:
            parser.error(f"{', '.join(lower)} would be lower than now; --allow-lower if that is meant")
        path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        print(json.dumps(found["floors"]))
        return
    try:
        print(json.dumps(floor_gate(classifier, test, read_floors(path))))
    except GateError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
