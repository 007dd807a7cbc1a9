"""Speed of `sitrep label` against transformers.pipeline with its defaults: same sentences, same weights, one run.

    python -m sitrep.eval.bench [--data FILE] [--sentences N] [--rounds R] [--output FOLDER]

The two take turns, so that a machine whose speed drifts slows all; a ratio is the median of the rounds'. The pipeline gets the
sentences as a list, in the order of the file, as a user would call it. `sitrep label` is the whole command: reading, batching,
inference, decisions, Parquet.

The weights are stored in float16, which the pipeline by default computes in too; many processors are slow at that, so it is
also measured in float32. The ratio to quote is the one to the faster of the two.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

from ..data.annotated import read_annotated
from ..model.checkpoint import read_checkpoint
from ..model.runtime import processors

SITREP, PEER, PEER32 = "sitrep label", "transformers.pipeline", "  the same in float32"


def sitrep_label(sentences: list[str], folder: Path, scratch: Path) -> float:
    """Seconds the command takes for the sentences, without the start of the interpreter and the loading of the model.

    The command says itself how long it took from the first record read to the last row written.
    """
    source, target = scratch / "sentences.jsonl", scratch / "labels.parquet"
    source.write_text("".join(json.dumps({"text": text}) + "\n" for text in sentences), encoding="utf-8")
    command = [
        sys.executable,
        "-m",
        "sitrep.train.cli",
        "label",
        str(source),
        "--no-split",
        "--model",
        str(folder),
        "-o",
        str(target),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    line = next(line for line in done.stderr.splitlines() if " articles, " in line)
    return float(line.split(" sentences, ")[1].split(" s,")[0].replace(",", ""))


def pipeline_runner(folder: Path, **settings) -> Callable[[list[str]], float]:
    """transformers.pipeline on the same folder, defaults throughout but for returning every label's score."""
    from transformers import pipeline

    classify = pipeline("text-classification", model=str(folder), top_k=None, **settings)
    classify(["warm up"])

    def run(sentences: list[str]) -> float:
        started = time.perf_counter()
        classify(sentences)
        return time.perf_counter() - started

    return run


def benchmark(sentences: list[str], folder: Path, rounds: int) -> dict:
    """All in turns; rates in sentences per second, ratios of ours to each peer's."""
    peers = {PEER: pipeline_runner(folder), PEER32: pipeline_runner(folder, dtype="float32")}
    seconds: dict[str, list[float]] = {name: [] for name in (SITREP, *peers)}
    with tempfile.TemporaryDirectory(prefix="sitrep-bench-") as scratch:
        for _ in range(rounds):
            seconds[SITREP].append(sitrep_label(sentences, folder, Path(scratch)))
            for name, peer in peers.items():
                seconds[name].append(peer(sentences))
    rates = {name: [len(sentences) / s for s in taken] for name, taken in seconds.items()}
    return {
        "sentences": len(sentences),
        "words": statistics.mean(len(text.split()) for text in sentences),
        "rounds": rounds,
        "processors": processors(),
        "machine": platform.processor() or platform.machine(),
        "rates": {name: {"median": statistics.median(r), "min": min(r), "max": max(r)} for name, r in rates.items()},
        "ratios": {name: statistics.median(a / b for a, b in zip(rates[SITREP], rates[name], strict=True)) for name in peers},
    }


def table(record: dict) -> str:
    """The record for people."""
    lines = [
        f"{record['sentences']} sentences of {record['words']:.0f} words, "
        f"{record['rounds']} rounds, {record['processors']} processors",
        f"{'':24} {'sentences/s':>12} {'min':>8} {'max':>8}",
    ]
    for name, rate in record["rates"].items():
        lines.append(f"{name:24} {rate['median']:12.0f} {rate['min']:8.0f} {rate['max']:8.0f}")
    lines += [f"sitrep is {ratio:.1f} times as fast as {name.strip()}" for name, ratio in record["ratios"].items()]
    return "\n".join(lines)


def main() -> None:
    """Run the benchmark and print a table, then one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", default="data/corpus/test.jsonl", help="annotated file whose sentences are used")
    parser.add_argument("--sentences", type=int, default=2000, help="at most so many, from the start")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--model", help="model folder; the shipped one by default")
    parser.add_argument("--output", help="folder for bench.json")
    arguments = parser.parse_args()
    sentences = [row.text for row in read_annotated(arguments.data).rows][: arguments.sentences]
    record = benchmark(sentences, read_checkpoint(arguments.model).folder, arguments.rounds)
    print(table(record))
    print(json.dumps(record))
    if arguments.output:
        Path(arguments.output).mkdir(parents=True, exist_ok=True)
        (Path(arguments.output) / "bench.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
