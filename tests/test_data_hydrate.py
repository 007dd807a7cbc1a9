import gzip
import json

import pytest

from sitrep.data.codebook import CodebookError
from sitrep.data.errors import InputError
from sitrep.data.hydrate import hydrate, read_stand_off
from sitrep.data.normalise import text_hash

SHELLED, QUIET, LOST = "Rebels shelled the town.", "It rained in the hills.", "A bus was stoned."


@pytest.fixture
def folder(tmp_path):
    rows = [
        {"id": text_hash(SHELLED), "labels": ["shelling"], "source": "wire"},
        {"id": text_hash(QUIET), "labels": [], "source": "wire"},
        {"id": text_hash(LOST), "labels": ["protest"], "source": "radio"},
    ]
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations" / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path / "annotations"


def test_joins_by_the_hash_of_the_text_and_counts_what_is_missing(folder, tmp_path):
    pool = tmp_path / "pool.jsonl.gz"
    with gzip.open(pool, "wt") as stream:
        # The pool's own ids are not trusted; case and punctuation don't count.
        stream.write(json.dumps({"id": "x", "text": SHELLED.upper(), "outlet": "w.example", "date": "2020-01-02"}) + "\n")
        stream.write(json.dumps({"id": text_hash(LOST), "text": "Another sentence."}) + "\n")
        stream.write("not json\n")
        stream.write(json.dumps({"text": QUIET}) + "\n")
    out = tmp_path / "deep" / "hydrated.jsonl"
    done = hydrate(read_stand_off(folder), [str(pool)], out)
    assert (done.found, done.missing) == (2, {"radio": 1})
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert [(row["text"], row["labels"]) for row in rows] == [(SHELLED.upper(), ["shelling"]), (QUIET, [])]
    assert (rows[0]["outlet"], rows[0]["date"]) == ("w.example", "2020-01-02")


def test_refuses_a_sentence_annotated_twice_and_an_unknown_label(folder):
    line = json.dumps({"id": text_hash(SHELLED), "labels": [], "source": "wire"})
    (folder / "b.jsonl").write_text(line + "\n")
    with pytest.raises(InputError, match=r"b\.jsonl:1: .*twice"):
        read_stand_off(folder)
    (folder / "b.jsonl").write_text(json.dumps({"id": "0" * 16, "labels": ["shellling"], "source": "wire"}) + "\n")
    with pytest.raises(CodebookError, match=r"b\.jsonl:1.*shellling.*shelling"):
        read_stand_off(folder)


def test_the_shipped_annotations_hold_no_text():
    from importlib import resources

    records = read_stand_off()
    assert len(records) > 10_000
    for path in (resources.files("sitrep.data") / "annotations").iterdir():
        if path.name.endswith(".jsonl"):
            keys = {key for line in path.read_text().splitlines() for key in json.loads(line)}
            assert keys <= {"id", "labels", "source", "drawn", "reader", "second"}
