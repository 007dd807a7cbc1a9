"""The model card, rendered from the run's own record."""

from importlib.metadata import version
from pathlib import Path

from ..eval.evaluate import score_cell
from ..model.checkpoint import Checkpoint

CARD = "README.md"

LIMITS = """\
English only. It reads one sentence at a time and knows nothing of the article around it: a pronoun stays a pronoun, and a
claim stays a claim. It labels what a sentence says happened, not what happened. A label is a lead for an analyst, not
evidence; don't act on single sentences against people."""


def write_card(folder: Path, checkpoint: Checkpoint, record: dict) -> None:
    """Write the card, in the form that the Hugging Face hub reads, into the model folder."""
    (folder / CARD).write_text(render_card(checkpoint, record), encoding="utf-8")


def render_card(checkpoint: Checkpoint, record: dict) -> str:
    """The card's Markdown. Every number in it comes out of the record."""
    settings, sentences = record["settings"], record["sentences"]
    scores, gate = record["validation"]["scores"], record["gate"]
    thresholds = dict(zip(checkpoint.names, checkpoint.calibration.threshold, strict=True))
    kind = "several labels a sentence" if checkpoint.layout.task == "multi_label" else "one label a sentence"
    lines = [
        "---",
        "library_name: transformers",
        "pipeline_tag: text-classification",
        "license: apache-2.0",
        "language: en",
        f"base_model: {record['base_encoder']}",
        "---",
        "",
        f"# sitrep {version('sitrep')}: sentences labelled with {len(checkpoint.names)} types",
        "",
        f"A fine-tuned `{record['base_encoder']}`; {kind}" + (", one of them primary." if checkpoint.layout.primary else "."),
        f"Codebook {checkpoint.codebook.name} {checkpoint.codebook.version}. "
        f"Fitted on {sentences['fit']:,} sentences, validated on {sentences['validation']:,} of other documents, "
        f"with seed {settings['seed']}, in {record['minutes']} minutes.",
        "",
        "## Use",
        "",
        "```python",
        "from sitrep.model import load",
        'load("THIS FOLDER").predict(["…"])',
        "```",
        "",
        '`transformers.pipeline("text-classification", model="THIS FOLDER", top_k=None)` opens it too; that gives uncalibrated',
        "scores and no primary label.",
        "",
        "## Intended use and limits",
        "",
        LIMITS,
        "",
        "## Scores on the validation split",
        "",
        "The split also chose the epoch, the calibration and the thresholds, so these run a little high; the README has the",
        "scores on sentences that chose nothing.",
        "",
        "| score | value (95% interval) |",
        "|---|---|",
        *(f"| {name.replace('_', ' ')} | {score_cell(score)} |" for name, score in scores.items()),
        f"| expected calibration error | {100 * record['validation'].get('calibration_error', float('nan')):.2f}% |",
        "",
        f"int8 against full precision on {gate['sentences']:,} sentences: micro-F1 {gate['micro_f1']['int8']:.4f} against "
        f"{gate['micro_f1']['full']:.4f}; equal labels on {100 * gate['agreement']:.1f}% of them.",
        "",
        "| label | precision | recall | F1 | gold | threshold |",
        "|---|---|---|---|---|---|",
    ]
    for row in record["validation"]["labels"]:
        threshold = f"{thresholds[row['label']]:.2f}" if row["label"] in thresholds else ""
        values = f"{row['precision']:.2f} | {row['recall']:.2f} | {row['f1']:.2f} | {row['support']}"
        lines.append(f"| {row['label']} | {values} | {threshold} |")
    return "\n".join(lines) + "\n"
