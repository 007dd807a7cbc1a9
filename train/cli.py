"""The `sitrep` command. It stands at the end of the import chain, so it lives here; each subcommand imports what it needs."""

import functools
import logging
import math
import os
import sys
from pathlib import Path

import click

# Where processors are shared, threads that spin while they wait cost several times what they save.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 110}


def fail(message: object) -> None:
    """Print one line and exit with code 2."""
    click.echo("error: " + " ".join(str(message).split()), err=True)
    sys.exit(2)


def refuse_overwriting(inputs, *outputs) -> None:
    """Raise InputError where an output is the same file as an input, or as another output."""
    from ..data.errors import InputError

    written: dict[str, str] = {}
    for path in outputs:
        if path not in (None, "-") and written.setdefault(os.path.realpath(path), path) is not path:
            raise InputError(f"{path}: is named as two outputs; give each a path of its own")
    for path in inputs:
        if path != "-" and os.path.realpath(path) in written:
            raise InputError(f"{path}: is an input and would be overwritten; name another output")


def clear_errors(command):
    """Turn what the user did wrong into one line on stderr and exit code 2; anything else stays a traceback."""

    @functools.wraps(command)
    def run(*args, **kwargs):
        from ..data.codebook import CodebookError
        from ..data.errors import InputError
        from ..model.checkpoint import CheckpointError

        expected: tuple[type[Exception], ...] = (InputError, CodebookError, CheckpointError)
        # Only a command that has loaded torch or scikit-learn can raise these.
        for module, name in (("sitrep.model.network", "EncoderError"), ("sitrep.eval.gate", "GateError")):
            if module in sys.modules:
                expected += (getattr(sys.modules[module], name),)
        try:
            return command(*args, **kwargs)
        except expected as error:
            fail(error)
        except ModuleNotFoundError as error:
            if (error.name or "").startswith("sitrep"):
                raise
            extra = "train" if command.__name__ in ("train", "export") else "eval"
            fail(f"{error.name} is not installed; this command needs: pip install 'sitrep[{extra}]'")
        except BrokenPipeError:
            # The reader of our output has gone; what is left in the buffer must not raise again at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(1)
        except KeyboardInterrupt:
            click.echo("stopped; nothing was written under the output's name", err=True)
            sys.exit(130)

    return run


@click.group(context_settings=SETTINGS)
@click.version_option(package_name="sitrep")
def main() -> None:
    """Label every sentence of conflict reporting with the events it reports."""


@main.command(
    epilog="""\b
Examples:
  sitrep label article.txt -o labels.parquet
  sitrep label archive/ 'wire/*.jsonl.gz' -o labels.parquet --rejects bad.jsonl
  sitrep label tweets.csv --text-field body --no-split -o labels.csv
  zcat news.jsonl.gz | sitrep label - -o - | jq .primary"""
)
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...")
@click.option(
    "-o", "--output", required=True, help="Where to write: .parquet, .jsonl, .csv (also .gz, .zst), or - for JSONL on screen."
)
@click.option("--model", "folder", help="Model folder.  [default: the one that comes with sitrep]")
@click.option("--no-split", is_flag=True, help="Each record is one sentence (in a .txt, each line).")
@click.option("--text-field", default="text", show_default=True, help="Field or column that holds the text.")
@click.option("--title-field", default="title", show_default=True, help="Field or column that holds the headline.")
@click.option("--id-field", default="id", show_default=True, help="Field or column that holds the document's id.")
@click.option("--date-field", default="date", show_default=True, help="Field or column that holds the date.")
@click.option("--format", "stdin_format", help="What - holds: jsonl, txt, csv, tsv, also with .gz or .zst.")
@click.option("--min-confidence", type=click.FloatRange(0, 1), default=0.0, help="Mark sentences below it as abstained.")
@click.option("--rejects", "rejects_path", help="Where to list what was set aside.  [default: OUTPUT.rejects.jsonl]")
@click.option("--runtime", type=click.Choice(["auto", "onnx", "torch"]), default="auto", show_default=True)
@click.option("--device", default="cpu", show_default=True, help="Torch device, for the torch runtime: cpu, cuda.")
@click.option("--threads", type=click.IntRange(1), help="Processors to use.  [default: all]")
@click.option(
    "--show", type=click.IntRange(0), is_flag=False, flag_value=100, default=0, help="Print the first N sentences (100)."
)
@click.option("-q", "--quiet", is_flag=True, help="No progress bar and no summary.")
@clear_errors
def label(inputs, output, folder, no_split, text_field, title_field, id_field, date_field, stdin_format, min_confidence,
          rejects_path, runtime, device, threads, show, quiet):  # fmt: skip
    """Label the sentences of articles.

    INPUT is a file, a folder, a glob, or - for standard input: .txt .jsonl .csv .tsv .parquet, each also .gz or .zst. Records
    need a text field and may have id, title and date; other fields are passed through. What can't be used is set aside with
    its reason and counted.
    """
    from rich.console import Console

    from ..data.errors import InputError
    from ..data.output_file import named_errors
    from ..data.readers import read_articles
    from ..data.rejects import RejectsWriter
    from ..data.sources import expand
    from ..data.writers import open_writer
    from ..model import job, screen
    from ..model.classifier import load

    if math.isnan(min_confidence):
        raise InputError("--min-confidence is nan; give a number from 0 to 1")
    console = Console(stderr=True, quiet=quiet)
    sources = expand(inputs, stdin_format=stdin_format)
    if rejects_path is None and output != "-":
        rejects_path = f"{output}.rejects.jsonl"
    refuse_overwriting([source.path for source in sources], output, rejects_path)
    classifier = load(folder, runtime=runtime, device=device, threads=threads, min_confidence=min_confidence)
    if rejects_path is not None:
        # A list left by an earlier run would be taken for this one's.
        with named_errors(rejects_path):
            Path(rejects_path).unlink(missing_ok=True)
    checkpoint = classifier.checkpoint
    metadata = {
        "sitrep_model": checkpoint.model_hash,
        "sitrep_codebook": f"{checkpoint.codebook.name} {checkpoint.codebook.version}",
    }
    bar = screen.progress_bar(console)
    task = bar.add_task("", total=len(sources), sentences=0, rate=0.0)

    with (
        RejectsWriter(rejects_path) as rejects,
        open_writer(output, label_names=classifier.classes_, metadata=metadata) as writer,
        bar,
    ):

        def articles():
            fields = {"text_field": text_field, "title_field": title_field, "id_field": id_field, "date_field": date_field}
            for source in sources:
                yield from read_articles(source, lines=no_split, on_reject=rejects, **fields)
                bar.advance(task)

        def on_progress(done: job.Summary) -> None:
            bar.update(task, sentences=done.sentences, rate=done.sentences / max(done.seconds, 1e-9))

        shown = screen.Shown(writer, show)
        summary = job.label(articles(), classifier, shown, rejects, split=not no_split, on_progress=on_progress)
        if not summary.articles:
            found = ", ".join(f"{reason} {count}" for reason, count in rejects.counts.items()) or "no records"
            listed = f"; see {rejects_path}" if rejects_path and rejects.counts else ""
            raise InputError(f"{', '.join(s.name for s in sources[:3])}: nothing to label ({found}){listed}")
    if shown.rows:
        table = Console(stderr=output == "-")
        table.print(screen.sentence_table(shown.rows, classifier.codebook))
        if shown.total > len(shown.rows):
            table.print(f"… and {shown.total - len(shown.rows):,} more", style="dim")
    for line in screen.summary_lines(summary, rejects.counts, rejects_path):
        console.print(line, highlight=False)


@main.command(
    epilog="""\b
Examples:
  sitrep train --data my_sentences.csv -o my_model
  sitrep train --data train.jsonl --validation dev.jsonl --codebook mine.toml -o my_model
  sitrep train train/recipes/shipped.toml --data news.jsonl --data data/corpus/train.jsonl -o build/model"""
)
@click.argument("recipe", required=False, type=click.Path(exists=False))
@click.option("--data", multiple=True, help="File of annotated sentences: .csv .tsv .jsonl .parquet. May be given again.")
@click.option("-o", "--output", required=True, help="Folder for the model.")
@click.option("--validation", multiple=True, help="File to validate on.  [default: a share of the data, by document group]")
@click.option("--exclude", multiple=True, help="File whose sentences and near duplicates must not be trained on.")
@click.option("--codebook", help="Codebook file.  [default: the shipped one where it fits, else the data's label names]")
@click.option("--encoder", help="Hugging Face id or folder of the base encoder.")
@click.option("--task", type=click.Choice(["single_label", "multi_label"]), help="[default: inferred from the data]")
@click.option("--text-column", help="Column that holds the text.  [default: found]")
@click.option("--label-column", "label_columns", multiple=True, help="Column of labels; again for 0/1 columns.  [default: found]")
@click.option("--epochs", type=float)
@click.option("--batch-size", type=int)
@click.option("--learning-rate", type=float)
@click.option("--max-tokens", type=int)
@click.option("--seed", type=int)
@clear_errors
def train(recipe, output, **overrides):
    """Fine-tune a model on annotated sentences: fit, calibrate, export.

    RECIPE is a TOML file of settings; options take precedence. Labels may be one column (`a` or `a|b`), a JSON list, or
    columns of 0 and 1; where rows have several labels in order, the first is the primary one.
    """
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    for noisy in ("httpx", "datasets", "absl"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    from .config import load_recipe

    overrides = {name: list(value) if isinstance(value, tuple) else value for name, value in overrides.items()}
    config = load_recipe(recipe, **{name: value for name, value in overrides.items() if value not in (None, [])})
    from .export import export as finish
    from .run import train as fit

    fit(config, output)
    _say_scores(finish(output), output)


@main.command(
    epilog="""\b
Examples:
  sitrep export my_model
  sitrep export build/model -o model/weights"""
)
@click.argument("folder")
@click.option("-o", "--output", help="Copy the finished model, without the run's own files, to this folder.")
@click.option("--gate-data", help="Sentences on which int8 is held to full precision.  [default: the run's validation split]")
@clear_errors
def export(folder, output, gate_data):
    """Make the int8 network of a trained model, hold it to full precision, and write card and manifest."""
    from .export import export as finish

    _say_scores(finish(folder, out=output, gate_data=gate_data), output or folder)


def _say_scores(record: dict, folder: str) -> None:
    gate, scores = record["gate"], record["validation"]["scores"]
    full, int8 = gate["micro_f1"]["full"], gate["micro_f1"]["int8"]
    click.echo(f"int8: micro-F1 {int8:.4f}, full precision {full:.4f} on {gate['sentences']} sentences")
    click.echo("validation: " + ", ".join(f"{name} {score['value']:.3f}" for name, score in scores.items()))
    click.echo(f"model: {folder}")


@main.command(
    "eval",
    epilog="""\b
Examples:
  sitrep eval --data data/corpus/test.jsonl -o build/eval
  sitrep eval --model my_model --data dev.csv --baselines --train-data train.csv -o build/eval""",
)
@click.option("--model", "folder", help="Model folder.  [default: the one that comes with sitrep]")
@click.option("--data", required=True, help="File of annotated sentences.")
@click.option("-o", "--output", required=True, help="Folder for metrics.json and report.md.")
@click.option("--baselines", is_flag=True, help="Measure keyword rules too and, with --train-data, TF-IDF + logistic regression.")
@click.option("--train-data", multiple=True, help="What to train the baseline on. May be given again.")
@click.option("--text-column", default="", help="Column that holds the text.  [default: found]")
@click.option("--label-column", "label_columns", multiple=True, help="Column of labels.  [default: found]")
@click.option("--runtime", type=click.Choice(["auto", "onnx", "torch"]), default="auto", show_default=True)
@clear_errors
def evaluate(folder, data, output, baselines, train_data, text_column, label_columns, runtime):
    """Measure a model on annotated sentences, with bootstrap intervals, beside baselines."""
    from ..eval import evaluate as ev
    from ..model.classifier import load

    classifier = load(folder, runtime=runtime)
    test = ev.read_test_set(data, classifier.codebook, text_column=text_column, label_columns=label_columns)
    record = ev.evaluate(classifier, test, train_data, baselines=baselines or bool(train_data))
    ev.write_report(record, output)
    click.echo(ev.markdown(record))
    click.echo(f"written to {output}", err=True)


@main.group()
def data() -> None:
    """The annotated sentences that the project keeps."""


@data.command(epilog="\b\nExample:\n  sitrep data hydrate --pool pool.jsonl.gz -o build/hydrated.jsonl")
@click.option("--pool", multiple=True, required=True, help="File, folder or glob with the text. May be given again.")
@click.option("-o", "--output", required=True, help="The JSONL file to write.")
@click.option("--annotations", help="Folder of stand-off annotations.  [default: the shipped ones]")
@clear_errors
def hydrate(pool, output, annotations):
    """Join the project's labels, which are kept without text, with a local copy of the text."""
    from ..data.hydrate import hydrate as join
    from ..data.hydrate import read_stand_off

    refuse_overwriting(pool, output)
    done = join(read_stand_off(annotations), pool, output)
    click.echo(f"{done.found:,} sentences written to {output}")
    for source, count in sorted(done.missing.items()):
        click.echo(f"not found: {count:,} of {source}")


@main.command(epilog="\b\nExample:\n  sitrep report labels.parquet -o report.html")
@click.argument("labels")
@click.option("-o", "--output", required=True, help="The HTML file to write.")
@click.option("--title", help="Heading of the page.")
@click.option("--codebook", help="Codebook of the model that labelled the file.  [default: the shipped one]")
@clear_errors
def report(labels, output, title, codebook):
    """Turn the Parquet output of `sitrep label` into one self-contained HTML page."""
    from ..data.codebook import load_codebook
    from ..data.output_file import named_errors
    from ..eval.corpus_page import write_corpus_page

    try:
        book = load_codebook(codebook)
    except OSError as error:
        fail(f"{codebook}: can't be read ({error.strerror}); name a codebook file")
    with named_errors(output):
        refuse_overwriting([labels], output)
        write_corpus_page(labels, output, codebook=book, title=title)
    click.echo(output)


if __name__ == "__main__":
    main()
