"""Measure a model, and the baselines beside it, on a file of annotated sentences."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..data.annotated import SINGLE, Annotated, check_labels, read_annotated
from ..data.codebook import Codebook
from ..data.errors import InputError
from ..data.splits import split_off, without_near_duplicates
from ..model.classifier import Classifier
from .baselines import KeywordRules, TfidfLogistic
from .intervals import RESAMPLES, interval
from .metrics import Outcome, calibration_error, headline, indicator, per_label

VALIDATION_SHARE = 0.08


@dataclass(frozen=True, slots=True)
class TestSet:
    """Annotated sentences to measure on.

    Attributes:
        sha256: of the file, in hex.
        has_primary: whether the order of the labels is gold.
    """

    path: str
    rows: tuple[Annotated, ...]
    sha256: str
    has_primary: bool


def read_test_set(path: str | Path, codebook: Codebook, *, text_column: str = "", label_columns: Sequence[str] = ()) -> TestSet:
    """Read and check a test file.

    Raises:
        InputError, CodebookError: the file can't be used, or has a label that the model doesn't know.
    """
    file = read_annotated(path, text_column=text_column or None, label_columns=label_columns)
    check_labels(file.rows, codebook)
    if not file.rows:
        raise InputError(f"{path}: no sentences to measure on")
    digest = hashlib.sha256(Path(path).read_bytes()).hexdigest()
    return TestSet(str(path), file.rows, digest, file.ordered or file.task == SINGLE)


def outcome_of(classifier: Classifier, test: TestSet) -> Outcome:
    """What the model says of a test set."""
    found = classifier.predict([row.text for row in test.rows])
    given, given_primary = indicator([record.labels for record in found], classifier.classes_)
    probability = [[record.scores[name] for name in classifier.classes_] for record in found]
    return _outcome(test, classifier.classes_, given, given_primary, probability)


def baseline_outcomes(codebook: Codebook, test: TestSet, training: Sequence[str | Path]) -> dict[str, Outcome]:
    """What the baselines say of a test set.

    Keyword rules need no training. TF-IDF with logistic regression is fitted on the training files, less the near duplicates
    of the test sentences and less the share of the first file that chooses its threshold: the split that `sitrep train`
    makes, so that both see the same sentences.
    """
    sentences = [row.text for row in test.rows]
    outcomes = {KeywordRules.name: _outcome(test, codebook.names, *KeywordRules(codebook).predict(sentences))}
    if training:
        parts = [list(read_annotated(path).rows) for path in training]
        for part in parts:
            check_labels(part, codebook)
        parts[0], validation = split_off(parts[0], VALIDATION_SHARE)
        fit = without_near_duplicates([row for part in parts for row in part], test.rows)
        gold, primary = indicator([row.labels for row in fit], codebook.names)
        held_out, _ = indicator([row.labels for row in validation], codebook.names)
        model = TfidfLogistic(codebook.names).fit([row.text for row in fit], gold, primary)
        model.choose_threshold([row.text for row in validation], held_out)
        outcomes[TfidfLogistic.name] = _outcome(test, codebook.names, *model.predict(sentences))
    return outcomes


def measure(outcome: Outcome, *, resamples: int = RESAMPLES) -> dict:
    """Scores with intervals, per-label scores and calibration error, JSON-ready."""
    ends = interval(outcome, count=resamples)
    record = {
        "sentences": len(outcome),
        "macro_labels": len(outcome.counted()),
        "scores": {name: {"value": value, "interval": ends[name]} for name, value in headline(outcome).items()},
        "labels": per_label(outcome),
    }
    if outcome.probability is not None:
        record["calibration_error"] = calibration_error(outcome.probability, outcome.gold)
    return record


def evaluate(classifier: Classifier, test: TestSet, training: Sequence[str | Path] = (), *, baselines: bool = False) -> dict:
    """The whole record of an evaluation: the model's scores, the baselines', and what was measured with what."""
    models = {"sitrep": outcome_of(classifier, test)}
    if baselines:
        models.update(baseline_outcomes(classifier.codebook, test, training))
    return {
        "data": {"path": Path(test.path).name, "sha256": test.sha256, "sentences": len(test.rows)},
        "model": {"hash": classifier.checkpoint.model_hash, "runtime": classifier.runtime},
        "results": {name: measure(outcome) for name, outcome in models.items()},
    }


def write_report(record: dict, folder: str | Path) -> None:
    """Write `metrics.json` and `report.md` into a folder, made where it is missing.

    Raises:
        InputError: the folder can't be written.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "metrics.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        (folder / "report.md").write_text(markdown(record), encoding="utf-8")
    except OSError as error:
        raise InputError(f"{folder}: can't be written ({error.strerror}); name another folder with -o") from None


def markdown(record: dict) -> str:
    """The record as two Markdown tables: headline scores by model, and the model's labels."""
    results = record["results"]
    names = list(next(iter(results.values()))["scores"])
    data = record["data"]
    lines = [
        f"{data['sentences']} sentences of `{data['path']}` (sha256 {data['sha256'][:12]}), "
        f"model {record['model']['hash'][:12]} on {record['model']['runtime']}; 95% bootstrap intervals.",
        "",
        "| model | " + " | ".join(name.replace("_", " ") for name in names) + " |",
        "|---|" + "---|" * len(names),
    ]
    for model, result in results.items():
        cells = [score_cell(result["scores"].get(name)) for name in names]
        lines.append(f"| {model} | " + " | ".join(cells) + " |")
    ours = next(iter(results.values()))
    lines += ["", f"Macro-F1 is over the {ours['macro_labels']} labels with enough gold sentences."]
    if "calibration_error" in ours:
        lines[-1] += f" Expected calibration error {100 * ours['calibration_error']:.1f}%."
    lines += ["", "| label | precision | recall | F1 | gold |", "|---|---|---|---|---|"]
    lines += [
        f"| {r['label']} | {r['precision']:.2f} | {r['recall']:.2f} | {r['f1']:.2f} | {r['support']} |" for r in ours["labels"]
    ]
    return "\n".join(lines) + "\n"


def score_cell(score: dict | None) -> str:
    """`0.871 (0.853–0.889)`, or a dash."""
    if score is None:
        return "–"
    low, high = score["interval"]
    return f"{score['value']:.3f} ({low:.3f}–{high:.3f})"


def _outcome(test: TestSet, names: Sequence[str], given, given_primary, probability=None) -> Outcome:
    import numpy as np

    gold, gold_primary = indicator([row.labels for row in test.rows], names)
    return Outcome(
        tuple(names),
        gold,
        given,
        gold_primary if test.has_primary else None,
        np.asarray(given_primary) if test.has_primary else None,
        None if probability is None else np.asarray(probability),
        tuple(row.group or row.id for row in test.rows),
    )
