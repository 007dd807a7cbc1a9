"""The `sitrep` command does what its help says; what the user did wrong is one line on stderr and exit code 2."""

import gzip
import json
import logging
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from sitrep.model.checkpoint import MANIFEST, ONNX, read_checkpoint
from sitrep.train import cli


@pytest.fixture
def run(tmp_path, monkeypatch):
    """`run(*arguments)`: what the command answers, run in an empty folder."""
    monkeypatch.chdir(tmp_path)
    # Training reports through logging, which would keep the runner's stderr.
    monkeypatch.setattr(logging, "basicConfig", lambda **options: None)
    return lambda *arguments, **options: CliRunner().invoke(cli.main, [str(each) for each in arguments], **options)


@pytest.fixture
def refused(run):
    """`refused(*arguments)`: the one line with which the command refuses."""

    def refused(*arguments) -> str:
        done = run(*arguments)
        assert done.exit_code == 2, done.output
        errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
        assert len(errors) == 1, done.stderr
        assert "Traceback" not in done.output
        return errors[0].removeprefix("error: ")

    return refused


@pytest.fixture
def articles(tmp_path):
    """A file of three articles and one broken line."""
    rows = [
        {
            "id": "a",
            "title": "Rockets",
            "text": "Rockets near the old market. The farmer in the garden.",
            "date": "2024-05-01",
            "desk": "x",
        },
        {"id": "b", "text": "Crowds in the town. Envoys in the office."},
        {"id": "c", "text": "Nine died near the bridge."},
    ]
    path = tmp_path / "wire.jsonl"
    path.write_text("\n".join([*map(json.dumps, rows), "{broken"]) + "\n", "utf-8")
    return path


# label


def test_label_writes_every_sentence_and_lists_what_it_set_aside(run, articles, toy_model, toy):
    done = run("label", articles, "-o", "out.parquet", "--model", toy_model)
    assert done.exit_code == 0, done.output
    table = pq.read_table("out.parquet")
    rows = table.to_pylist()
    assert [(row["doc_id"], row["sentence_id"], row["text"]) for row in rows] == [
        ("a", 0, "Rockets"),
        ("a", 1, "Rockets near the old market."),
        ("a", 2, "The farmer in the garden."),
        ("b", 1, "Crowds in the town."),
        ("b", 2, "Envoys in the office."),
        ("c", 1, "Nine died near the bridge."),
    ]
    for row, record in zip(rows, toy.predict([row["text"] for row in rows]), strict=True):
        assert (tuple(row["labels"]), row["primary"]) == (record.labels, record.primary)
        assert row["scores"] == pytest.approx(dict(record.scores), abs=1e-6)
    assert (rows[1]["labels"], rows[2]["labels"]) == (["strike"], [])
    assert (rows[0]["desk"], rows[0]["date"], rows[5]["desk"]) == ("x", "2024-05-01", None)
    assert table.schema.metadata[b"sitrep_model"].decode() == toy.checkpoint.model_hash
    [reject] = [json.loads(line) for line in Path("out.parquet.rejects.jsonl").read_text("utf-8").splitlines()]
    assert (reject["where"].rsplit(":")[-1], reject["reason"]) == ("4", "bad_json")
    assert "3 articles, 6 sentences" in done.stderr
    assert "set aside: 1 (bad_json 1); listed in out.parquet.rejects.jsonl" in " ".join(done.stderr.split())


def test_label_writes_the_same_whatever_the_form_and_runs_quietly(run, articles, toy_model):
    for name in ("out.jsonl", "out.csv", "again.jsonl"):
        done = run("label", articles, "-o", name, "--model", toy_model, "-q", "--threads", 1)
        assert (done.exit_code, done.output) == (0, "")
    lines = Path("out.jsonl").read_text("utf-8")
    assert lines == Path("again.jsonl").read_text("utf-8")
    assert [json.loads(line)["primary"] for line in lines.splitlines()][:3] == ["strike", "strike", "none"]
    assert Path("out.csv").read_text("utf-8").count("\n") == 7


def test_label_reads_stdin_and_writes_stdout(run, toy_model):
    done = run("label", "-", "-o", "-", "--model", toy_model, input='{"text": "Rockets near the old market."}\n')
    assert done.exit_code == 0, done.output
    assert [json.loads(line)["primary"] for line in done.stdout.splitlines()] == ["strike"]
    packed = gzip.compress(b"body\nCrowds in the town. Envoys in the office.\n")
    options = ("--format", "csv.gz", "--text-field", "body", "--no-split", "-q")
    done = run("label", "-", "-o", "-", "--model", toy_model, *options, input=packed)
    [row] = [json.loads(line) for line in done.stdout.splitlines()]
    assert set(row["labels"]) == {"march", "talks"}


def test_label_shows_what_it_found_and_abstains_where_told(run, articles, toy_model):
    done = run("label", articles, "-o", "out.jsonl", "--model", toy_model, "--show", 2, "--min-confidence", "1.0")
    assert done.exit_code == 0, done.output
    assert "Rockets near the old market." in " ".join(done.stdout.split())
    assert "— a" in done.stdout
    assert "… and 4 more" in done.stdout
    marked = [json.loads(line)["abstained"] for line in Path("out.jsonl").read_text("utf-8").splitlines()]
    confidences = [json.loads(line)["confidence"] for line in Path("out.jsonl").read_text("utf-8").splitlines()]
    assert marked == [confidence < 1 for confidence in confidences]


def test_label_runs_on_torch_too(run, articles, toy_model):
    done = run("label", articles, "-o", "out.jsonl", "--model", toy_model, "--runtime", "torch", "-q")
    assert done.exit_code == 0, done.output
    assert json.loads(Path("out.jsonl").read_text("utf-8").splitlines()[0])["primary"] == "strike"


def test_an_earlier_runs_rejects_do_not_stay(run, articles, toy_model):
    run("label", articles, "-o", "out.jsonl", "--model", toy_model, "-q")
    assert Path("out.jsonl.rejects.jsonl").exists()
    articles.write_text('{"text": "One thing."}\n')
    run("label", articles, "-o", "out.jsonl", "--model", toy_model, "-q")
    assert not Path("out.jsonl.rejects.jsonl").exists()


def test_label_refuses_in_one_line(refused, articles, toy_model, tmp_path):
    def label(*arguments) -> str:
        return refused("label", *arguments, "--model", toy_model)

    assert label("nowhere.txt", "-o", "out.jsonl") == "nowhere.txt: no such file or folder; check the path, or use - for stdin"
    (tmp_path / "photo.png").write_bytes(b"x")
    assert "photo.png: unknown extension" in label("photo.png", "-o", "out.jsonl")
    assert "out.xlsx: unknown output format" in label(articles, "-o", "out.xlsx")
    (tmp_path / "table.csv").write_text("Body,id\nOne.,1\n")
    assert "no field 'text'; it has: Body, id; " in label("table.csv", "-o", "out.jsonl")
    assert "there is no folder" in label(articles, "-o", "missing/out.jsonl")
    assert "cannot be written: Not a directory" in label(articles, "-o", "table.csv/out.jsonl")
    assert "cannot be written" in label(articles, "-o", "out.jsonl", "--rejects", tmp_path)
    assert "unknown format 'docx'" in label("-", "-o", "out.jsonl", "--format", "docx")
    assert not (tmp_path / "out.jsonl").exists()


def test_nothing_is_written_over_an_input_or_another_output(refused, articles, toy_model, tmp_path):
    before = articles.read_bytes()
    assert "is an input and would be overwritten" in refused("label", articles, "-o", articles, "--model", toy_model)
    (tmp_path / "link.jsonl").symlink_to(articles)
    assert "is an input and would be overwritten" in refused("label", articles, "-o", "link.jsonl", "--model", toy_model)
    assert "would be overwritten" in refused("label", articles, "-o", "o.jsonl", "--rejects", articles, "--model", toy_model)
    assert "named as two outputs" in refused("label", articles, "-o", "o.jsonl", "--rejects", "./o.jsonl", "--model", toy_model)
    assert "would be overwritten" in refused("report", "labels.parquet", "-o", "./labels.parquet")
    assert articles.read_bytes() == before
    assert not (tmp_path / "o.jsonl").exists()


def test_nothing_to_label_is_an_error_that_says_why(refused, toy_model, tmp_path):
    (tmp_path / "empty.jsonl").write_text("")
    assert "empty.jsonl: nothing to label (empty_file 1)" in refused(
        "label", "empty.jsonl", "-o", "out.jsonl", "--model", toy_model
    )
    (tmp_path / "blank.jsonl").write_text('{"text": " "}\n{"text": null}\n')
    message = refused("label", "blank.jsonl", "-o", "out.jsonl", "--model", toy_model)
    assert "blank.jsonl: nothing to label (blank_text 1, null_text 1); see out.jsonl.rejects.jsonl" in message
    assert not (tmp_path / "out.jsonl").exists()


def test_a_damaged_model_is_refused(refused, articles, toy_copy):
    def label(*options) -> str:
        return refused("label", articles, "-o", "out.jsonl", "--model", toy_copy, *options)

    (toy_copy / ONNX).write_bytes(b"nonsense")
    assert label().startswith(f"{toy_copy / ONNX}: not the file that {MANIFEST} describes")
    (toy_copy / MANIFEST).unlink()
    assert "no finished sitrep model" in label()
    assert "no such model folder" in refused("label", articles, "-o", "out.jsonl", "--model", "nowhere")


def test_a_device_that_is_none_is_refused(refused, articles, toy_model):
    message = refused("label", articles, "-o", "out.jsonl", "--model", toy_model, "--device", "nonsense")
    assert message.startswith("device 'nonsense' can't be used")


# train, export


@pytest.fixture
def recipe(toy_settings, tmp_path):
    lines = [f"{name} = {json.dumps(value)}\n" for name, value in toy_settings.items() if name != "data"]
    path = tmp_path / "toy.toml"
    path.write_text("".join(lines), "utf-8")
    return path


def test_train_export_label_from_the_command_line(run, recipe, toy_files, toy_model):
    done = run("train", recipe, "--data", toy_files["train"], "-o", "model", "--epochs", 7)
    assert done.exit_code == 0, done.output
    assert "int8: micro-F1" in done.output
    assert "validation: micro_f1" in done.output
    assert "model: model" in done.output
    assert read_checkpoint("model").record["settings"]["epochs"] == 7.0
    done = run("export", "model", "-o", "shipped")
    assert done.exit_code == 0, done.output
    assert "model: shipped" in done.output
    done = run("label", "-", "-o", "-", "--model", "shipped", "-q", input='{"text": "Rockets near the old market."}\n')
    assert json.loads(done.stdout)["primary"] == "strike"


def test_train_refuses_in_one_line(refused, recipe, toy_files, tmp_path):
    def train(*arguments) -> str:
        return refused("train", *arguments, "-o", "model")

    data = ("--data", toy_files["train"])
    assert train() == "nothing to train on; name a file with --data or in the recipe's data"
    assert "nowhere.toml: can't be read" in train("nowhere.toml", *data)
    (tmp_path / "odd.toml").write_text("epoch = 3\n")
    assert "odd.toml: unknown setting 'epoch'; known are data, " in train("odd.toml", *data)
    assert "nowhere.csv: no such file" in train(recipe, "--data", "nowhere.csv")
    (tmp_path / "data.docx").write_text("x")
    assert "data.docx: unknown extension '.docx'" in train(recipe, "--data", "data.docx")
    assert "no column 'body'; it has 'text', 'labels'" in train(recipe, *data, "--text-column", "body")
    assert "no column 'kind'" in train(recipe, *data, "--label-column", "kind")
    (tmp_path / "bad.jsonl").write_text('{"text": "One.", "labels": ["strkie"]}\n')
    assert "bad.jsonl:1: unknown label 'strkie'; the nearest known is 'strike'" in train(recipe, "--data", "bad.jsonl")
    assert "nowhere.toml: can't be read" in train(recipe, *data, "--codebook", "nowhere.toml")
    assert "seed is -1" in train(recipe, *data, "--seed", "-1")
    assert "neither a folder nor to be had from the hub" in train(recipe, *data, "--encoder", "no-team/no-encoder")
    assert "max_tokens is 65; " in train(recipe, *data, "--max-tokens", "65")
    (tmp_path / "file").write_text("x")
    assert "not a folder" in refused("train", recipe, *data, "-o", "file")
    assert "can't be written" in refused("train", recipe, *data, "-o", "file/model")
    assert not (tmp_path / "model" / MANIFEST).exists()


def test_export_refuses_in_one_line(refused, toy_copy, tmp_path):
    assert "no trained model" in refused("export", "nowhere")
    assert "no such file" in refused("export", toy_copy, "--gate-data", "nowhere.jsonl")
    (tmp_path / "few.jsonl").write_text('{"text": "Rockets near the market.", "labels": ["strike"]}\n')
    assert "is the model folder itself" in refused("export", toy_copy, "-o", toy_copy)
    assert "1 sentences are too few" in refused("export", toy_copy, "--gate-data", "few.jsonl")


# eval, report


def test_eval_measures_beside_baselines(run, toy_files, toy_model, toy):
    arguments = ("--model", toy_model, "--data", toy_files["test"], "--train-data", toy_files["train"], "-o", "eval")
    done = run("eval", *arguments)
    assert done.exit_code == 0, done.output
    record = json.loads(Path("eval/metrics.json").read_text("utf-8"))
    assert list(record["results"]) == ["sitrep", "keyword rules", "TF-IDF + logistic regression"]
    assert record["model"] == {"hash": toy.checkpoint.model_hash, "runtime": "onnx"}
    assert Path("eval/report.md").read_text("utf-8") in done.stdout
    done = run("eval", "--model", toy_model, "--data", toy_files["test"], "-o", "eval", "--runtime", "torch")
    record = json.loads(Path("eval/metrics.json").read_text("utf-8"))
    assert (list(record["results"]), record["model"]["runtime"]) == (["sitrep"], "torch")


def test_eval_refuses_in_one_line(refused, toy_files, toy_model, tmp_path):
    def evaluate(*arguments, out="eval") -> str:
        return refused("eval", "--model", toy_model, *arguments, "-o", out)

    assert "nowhere.csv: no such file" in evaluate("--data", "nowhere.csv")
    (tmp_path / "bad.csv").write_text("text,label\nOne.,strkie\nTwo.,march\n")
    assert "bad.csv:2: unknown label 'strkie'" in evaluate("--data", "bad.csv")
    assert "no column 'kind'" in evaluate("--data", "bad.csv", "--label-column", "kind")
    assert "nowhere.csv: no such file" in evaluate("--data", toy_files["test"], "--train-data", "nowhere.csv")
    assert "can't be written" in evaluate("--data", toy_files["test"], out="bad.csv/eval")


def test_report_makes_one_page_of_a_labelling_run(run, refused, tmp_path):
    from sitrep.data.codebook import load_codebook
    from sitrep.data.records import Labelled, Sentence
    from sitrep.data.writers import Row, open_writer

    names = load_codebook().names
    text = "Six rockets hit the depot."
    said = Labelled((names[0],), names[0], dict.fromkeys(names, 0.01) | {names[0]: 0.9}, 0.9)
    with open_writer("labels.parquet", label_names=names) as writer:
        writer.write([Row(Sentence("a", 1, 0, len(text), text), said, "2024-05-01", {})])
    done = run("report", "labels.parquet", "-o", "page.html", "--title", "A <test>")
    assert done.exit_code == 0, done.output
    page = (tmp_path / "page.html").read_text("utf-8")
    assert "A &lt;test&gt;" in page
    assert text in page
    assert "nowhere.parquet: no such file" in refused("report", "nowhere.parquet", "-o", "page.html")
    assert "page.html/page.html: cannot be written" in refused("report", "labels.parquet", "-o", "page.html/page.html")
    assert "nowhere.toml: can't be read" in refused("report", "labels.parquet", "-o", "page.html", "--codebook", "nowhere.toml")


def test_report_takes_the_codebook_of_the_model(run, refused, articles, toy_model, toy_files):
    run("label", articles, "-o", "labels.parquet", "--model", toy_model, "-q")
    assert "codebook" in refused("report", "labels.parquet", "-o", "page.html")
    done = run("report", "labels.parquet", "-o", "page.html", "--codebook", toy_files["codebook"])
    assert done.exit_code == 0, done.output
    assert "Nine died near the bridge." in Path("page.html").read_text("utf-8")


# The command itself.


@pytest.mark.parametrize("command", [[], ["label"], ["train"], ["export"], ["eval"], ["report"]])
def test_help_has_examples(run, command):
    done = run(*command, "--help")
    assert done.exit_code == 0
    assert not command or f"sitrep {command[0]} " in done.output.split("Example", 1)[1]


def test_the_installed_command_refuses_with_code_two_and_one_line(articles, tmp_path):
    command = [
        sys.executable,
        "-m",
        "sitrep.train.cli",
        "label",
        articles,
        "-o",
        tmp_path / "out.jsonl",
        "--model",
        tmp_path / "no\nwhere",
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == f"error: {tmp_path}/no where: no such model folder\n"


def test_a_reader_that_goes_away_is_no_traceback(toy_model, tmp_path):
    (tmp_path / "long.jsonl").write_text('{"text": "Rockets near the old market. The farmer in the garden."}\n' * 3000)
    command = f"{sys.executable} -m sitrep.train.cli label {tmp_path}/long.jsonl -o - --model {toy_model} -q | head -n 1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True)
    assert json.loads(done.stdout)["primary"] == "strike"
    assert done.stderr == ""


def test_errors_that_are_ours_stay_tracebacks(run, articles, toy_model, monkeypatch):
    from sitrep.model import job

    def broken(*arguments, **options):
        raise RuntimeError("a bug")

    monkeypatch.setattr(job, "label", broken)
    done = run("label", articles, "-o", "out.jsonl", "--model", toy_model)
    assert isinstance(done.exception, RuntimeError)
    assert not Path("out.jsonl").exists()


def test_an_interrupted_run_leaves_nothing(run, articles, toy_model, monkeypatch):
    from sitrep.model import job

    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(job, "label", interrupted)
    done = run("label", articles, "-o", "out.jsonl", "--model", toy_model)
    assert done.exit_code == 130
    assert "stopped; nothing was written" in done.stderr
    assert not Path("out.jsonl").exists()


def test_a_missing_extra_is_named(run, articles, toy_model, toy_files, monkeypatch):
    monkeypatch.setitem(sys.modules, "sitrep.eval.evaluate", None)
    monkeypatch.delattr("sitrep.eval.evaluate", raising=False)
    done = run("eval", "--model", toy_model, "--data", toy_files["test"], "-o", "eval")
    assert isinstance(done.exception, ModuleNotFoundError | ImportError)  # our own module missing is a bug, not an extra
    for name in [name for name in sys.modules if name.startswith(("sitrep.train.config", "sitrep.model.network"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "torch", None)
    done = run("train", "--data", toy_files["train"], "-o", "model")
    assert done.exit_code == 2
    assert done.stderr == "error: torch is not installed; this command needs: pip install 'sitrep[train]'\n"


def test_nothing_is_written_over_an_input(run, toy_model):
    before = '{"text": "The crowds marched."}\n'
    Path("keep.jsonl").write_text(before)
    for arguments in (
        ("label", "keep.jsonl", "-o", "keep.jsonl", "--model", toy_model),
        ("label", "keep.jsonl", "-o", "out.jsonl", "--rejects", "keep.jsonl", "--model", toy_model),
        ("label", "keep.jsonl", "-o", "out.jsonl", "--rejects", "./out.jsonl", "--model", toy_model),
        ("report", "keep.jsonl", "-o", "./keep.jsonl"),
        ("data", "hydrate", "--pool", "keep.jsonl", "-o", "keep.jsonl"),
    ):
        done = run(*arguments)
        assert done.exit_code == 2 and done.stderr.count("error:") == 1, arguments
        assert Path("keep.jsonl").read_text() == before
        assert not Path("out.jsonl").exists()
