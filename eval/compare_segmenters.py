"""Score sentence segmenters on hand-written news cases: `python -m sitrep.eval.compare_segmenters [GOLD.jsonl]`.

Ours is `sitrep.data.segment`; the others (sentencex, pysbd, syntok, blingfire) run raw on the same text where they are
installed. A boundary is the end of a sentence that is not the last of its text. Counts are summed over the cases of a
capability, then turned into precision, recall and F1; `exact` is the share of texts with every sentence right.
"""

import argparse
import importlib
import json
import re
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..data import segment

Spans = list[tuple[int, int]]
Splitter = Callable[[str], Spans]

GOLD = Path("tests/data/segmentation.jsonl")
_EDGES = re.compile(r"^[\s\u200b•*–—-]+|[\s\u200b•*–—-]+$")


@dataclass(slots=True)
class Tally:
    """Boundary counts over some texts, and how many of the texts were right throughout."""

    hit: int = 0
    false: int = 0
    missed: int = 0
    exact: int = 0
    texts: int = 0

    def add(self, found: set[int], gold: set[int]) -> None:
        """Count one text."""
        self.hit += len(found & gold)
        self.false += len(found - gold)
        self.missed += len(gold - found)
        self.exact += found == gold
        self.texts += 1

    @property
    def precision(self) -> float:
        """Share of the boundaries found that are right; 1 where none was found."""
        return self.hit / (self.hit + self.false) if self.hit + self.false else 1.0

    @property
    def recall(self) -> float:
        """Share of the gold boundaries found; 1 where there is none."""
        return self.hit / (self.hit + self.missed) if self.hit + self.missed else 1.0

    @property
    def f1(self) -> float:
        """Harmonic mean of the two; 1 where there is nothing to find and nothing was found."""
        return 2 * self.hit / (2 * self.hit + self.false + self.missed) if self.hit + self.false + self.missed else 1.0


def boundaries(text: str, spans: Iterable[tuple[int, int]]) -> set[int]:
    """Ends of all sentences but the last, bullets and spaces at the edges aside (raw splitters keep them)."""
    ends = []
    for start, end in spans:
        body = _EDGES.sub("", text[start:end])
        if body:
            ends.append(text.index(body, start) + len(body))
    return set(ends[:-1])


def gold_boundaries(case: dict[str, Any]) -> set[int]:
    """The same for a gold case, whose sentences are found in its text in order."""
    spans, at = [], 0
    for sentence in case["sentences"]:
        start = case["text"].index(sentence, at)
        at = start + len(sentence)
        spans.append((start, at))
    return boundaries(case["text"], spans)


def read_gold(path: Path) -> list[dict[str, Any]]:
    """Cases with `capability`, `split`, `text`, `sentences`. Raises ValueError naming the line of a bad one."""
    cases = []
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            try:
                case = json.loads(line)
                gold_boundaries(case)
                cases.append({"capability": case["capability"], "split": case["split"], **case})
            except (KeyError, ValueError, TypeError) as error:
                raise ValueError(
                    f"{path}:{number}: not a gold case ({error!r}); a case is a JSON object with capability, split, "
                    "text and sentences, each sentence an exact slice of the text, in order"
                ) from error
    return cases


def _sentencex(module: Any) -> Splitter:
    return lambda text: [(b["start_index"], b["end_index"]) for b in module.get_sentence_boundaries("en", text)]


def _pysbd(module: Any) -> Splitter:
    segmenter = module.Segmenter(language="en", clean=False, char_span=True)
    return lambda text: [(span.start, span.end) for span in segmenter.segment(text)]


def _syntok(module: Any) -> Splitter:
    def split(text: str) -> Spans:
        sentences = (tokens for paragraph in module.analyze(text) for tokens in map(list, paragraph) if tokens)
        return [(tokens[0].offset, tokens[-1].offset + len(tokens[-1].value)) for tokens in sentences]

    return split


def _blingfire(module: Any) -> Splitter:
    return lambda text: list(module.text_to_sentences_and_offsets(text)[1]) if text.strip() else []


LIBRARIES: dict[str, tuple[str, Callable[[Any], Splitter]]] = {
    "sentencex": ("sentencex", _sentencex),
    "pysbd": ("pysbd", _pysbd),
    "syntok": ("syntok.segmenter", _syntok),
    "blingfire": ("blingfire", _blingfire),
}


def splitters() -> dict[str, Splitter]:
    """Ours and every library that is installed, by name."""
    found: dict[str, Splitter] = {"sitrep": segment.split}
    for name, (module, make) in LIBRARIES.items():
        try:
            found[name] = make(importlib.import_module(module))
        except ImportError:
            print(f"{name}: not installed, left out (pip install {name})", file=sys.stderr)
    return found


def score(split: Splitter, cases: Iterable[dict[str, Any]]) -> dict[str, Tally]:
    """A tally for each capability, and one over all under "all"."""
    tallies: dict[str, Tally] = defaultdict(Tally)
    for case in cases:
        found, gold = boundaries(case["text"], split(case["text"])), gold_boundaries(case)
        tallies[case["capability"]].add(found, gold)
        tallies["all"].add(found, gold)
    return dict(tallies)


def speed(split: Splitter, texts: Sequence[str], seconds: float = 1.0) -> float:
    """Characters a second of processor time, over at least `seconds`, on 2,000-character articles made of the gold texts."""
    joined = "\n\n".join(texts)
    articles = [joined[at : at + 2000] for at in range(0, len(joined), 2000)]
    split(articles[0])
    done, start = 0, time.process_time()  # processor time: a busy machine does not change it
    while (spent := time.process_time() - start) < seconds:
        for article in articles:
            split(article)
            done += len(article)
    return done / spent


def table(results: dict[str, dict[str, Tally]]) -> str:
    """F1 of each splitter by capability, then overall precision, recall, F1 and exact texts."""
    names = list(results)
    capabilities = [c for c in next(iter(results.values())) if c != "all"]
    width = max(map(len, capabilities)) + 2
    rows = [f"{'F1':<{width}}{'texts':>6}" + "".join(f"{name:>11}" for name in names)]
    for capability in capabilities:
        texts = results[names[0]][capability].texts
        rows.append(f"{capability:<{width}}{texts:>6}" + "".join(f"{results[n][capability].f1:>11.3f}" for n in names))
    overall = [results[n]["all"] for n in names]
    for what in ("precision", "recall", "f1"):
        rows.append(f"{'all: ' + what:<{width + 6}}" + "".join(f"{getattr(tally, what):>11.3f}" for tally in overall))
    rows.append(f"{'all: exact':<{width + 6}}" + "".join(f"{tally.exact / tally.texts:>11.3f}" for tally in overall))
    return "\n".join(rows)


def main(argv: Sequence[str] | None = None) -> int:
    """Print the tables; the exit status is 2 where the gold file cannot be read."""
    parser = argparse.ArgumentParser(prog="python -m sitrep.eval.compare_segmenters", description="Score segmenters.")
    parser.add_argument("gold", nargs="?", type=Path, default=GOLD, help=f"gold cases (default: {GOLD})")
    parser.add_argument("--split", choices=("dev", "test"), help="only these cases (default: a table for each)")
    parser.add_argument("--seconds", type=float, default=1.0, help="time spent measuring speed, each (0: skip)")
    args = parser.parse_args(argv)
    try:
        cases = read_gold(args.gold)
    except FileNotFoundError:
        print(f"{args.gold}: no such file; run from the repository's root, or name a file of gold cases", file=sys.stderr)
        return 2
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    found = splitters()
    for part in (args.split,) if args.split else ("dev", "test"):
        chosen = [case for case in cases if case["split"] == part]
        print(f"\n{part}: {len(chosen)} texts, {sum(len(case['sentences']) for case in chosen)} sentences")
        print(table({name: score(split, chosen) for name, split in found.items()}))
    if args.seconds > 0:
        print("\nmillion characters a second of processor time")
        for name, split in found.items():
            print(f"{name:<12}{speed(split, [case['text'] for case in cases], args.seconds) / 1e6:>8.3f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
