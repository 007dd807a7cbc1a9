import json
from collections import Counter, defaultdict
from importlib import resources

import pytest

from sitrep.data.codebook import load_codebook
from sitrep.data.hydrate import read_stand_off
from sitrep.data.normalise import text_hash
from sitrep.data.splits import near_duplicates

VOICES = {
    *("wire_lead", "headline", "situation_report", "eyewitness", "communique", "social_post"),
    *("translated_agency", "alert", "body", "caption", "feature", "background"),
}


def rows_of(split):
    text = (resources.files("sitrep.data") / "corpus" / f"{split}.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.parametrize("split", ["train", "test"])
def test_every_line_is_whole_and_labelled_by_the_codebook(split):
    codebook = load_codebook()
    rows = rows_of(split)
    for number, row in enumerate(rows, 1):
        assert row["id"] == text_hash(row["text"])
        codebook.check(row["labels"], f"{split}:{number}")
        assert row["voice"] in VOICES and row["kind"] in ("plain", "contrast") and row["conflict"]
        # The codebook's primary rule: these stand first only where nothing else does.
        if row["labels"] and row["labels"][0] in codebook.secondary:
            assert set(row["labels"]) <= set(codebook.secondary), row["text"]
    assert len({row["id"] for row in rows}) == len(rows)
    counts = Counter(label for row in rows for label in row["labels"])
    assert min(counts[name] for name in codebook.names) >= 18


@pytest.mark.parametrize("split", ["train", "test"])
def test_contrast_pairs_flip_their_labels(split):
    pairs = defaultdict(list)
    for row in rows_of(split):
        if row["kind"] == "contrast":
            pairs[row["pair"]].append(row)
    assert len(pairs) >= 50
    for name, members in pairs.items():
        assert len(members) >= 2, name
        assert len({tuple(row["labels"]) for row in members}) >= 2, name


def test_no_near_duplicate_pair_crosses_from_train_to_test():
    train, test = ([row["text"] for row in rows_of(split)] for split in ("train", "test"))
    assert near_duplicates(test, train) == []


def test_the_guard_would_see_a_leak():
    train, test = ([row["text"] for row in rows_of(split)] for split in ("train", "test"))
    assert near_duplicates(test, [*train, test[7].upper() + " Again"]) == [(7, len(train))]


def test_no_annotated_news_sentence_is_in_the_test_split():
    assert {record.id for record in read_stand_off()}.isdisjoint(row["id"] for row in rows_of("test"))
