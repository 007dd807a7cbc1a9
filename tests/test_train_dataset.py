"""What is trained on: files put together, split by document, kept clear of what is measured on."""

import json

import pytest

from sitrep.data.codebook import CodebookError, load_codebook
from sitrep.data.errors import InputError
from sitrep.model.heads import HeadLayout
from sitrep.train.config import TrainConfig
from sitrep.train.dataset import crossing_pairs, prepare


@pytest.fixture
def file(tmp_path):
    """`file(name, rows)`: the path of a JSONL file, or of a file of that text."""

    def write(name: str, rows) -> str:
        path = tmp_path / name
        path.write_text(rows if isinstance(rows, str) else "".join(json.dumps(row) + "\n" for row in rows), "utf-8")
        return str(path)

    return write


def annotated(toy_rows, count: int, seed: int) -> list[dict]:
    return [{"text": text, "labels": labels} for text, labels in toy_rows(count, seed)]


def texts(rows) -> list[str]:
    return [row.text for row in rows]


def test_the_validation_split_is_held_out_of_the_first_file(toy_rows, file):
    first, second = annotated(toy_rows, 100, 1), annotated(toy_rows, 30, 2)
    data = prepare(TrainConfig(data=(file("a.jsonl", first), file("b.jsonl", second)), validation_share=0.1))
    assert len(data.validation) == 10
    assert set(texts(data.validation)) < {row["text"] for row in first}
    assert len(data.fit) == 120
    assert crossing_pairs(data) == 0
    assert data.layout == HeadLayout(4)
    assert data.dropped == {"excluded": 0, "validation": 0}


def test_documents_stay_together(toy_rows, file):
    rows = [{**row, "doc_id": f"d{i // 5}"} for i, row in enumerate(annotated(toy_rows, 100, 1))]
    data = prepare(TrainConfig(data=(file("a.jsonl", rows),), validation_share=0.2))
    assert {row.group for row in data.fit}.isdisjoint(row.group for row in data.validation)
    assert len(data.validation) == 20


def test_near_duplicates_of_what_is_measured_on_are_not_trained_on(toy_rows, file):
    train, dev, test = (annotated(toy_rows, count, seed) for count, seed in ((60, 1), (20, 2), (20, 3)))
    copies = [{**row, "text": row["text"].upper()} for row in (dev[0], test[0], test[1])]
    paths = {
        name: file(f"{name}.jsonl", rows)
        for name, rows in {"train": train + copies, "dev": [*dev, test[2]], "test": test}.items()
    }
    data = prepare(TrainConfig(data=(paths["train"],), validation=(paths["dev"],), exclude=(paths["test"],)))
    assert texts(data.fit) == [row["text"] for row in train]
    assert texts(data.validation) == [row["text"] for row in dev]
    assert data.dropped == {"excluded": 2, "validation": 1, "validation_excluded": 1}


def test_a_file_may_be_seen_more_than_once_an_epoch(toy_rows, file):
    first, second = annotated(toy_rows, 20, 1), annotated(toy_rows, 10, 2)
    dev = file("dev.jsonl", annotated(toy_rows, 5, 3))
    config = TrainConfig(data=(file("a.jsonl", first), file("b.jsonl", second)), repeat=(1, 3), validation=(dev,))
    assert texts(prepare(config).fit) == [row["text"] for row in first + 3 * second]


def test_single_labels_make_a_single_label_task_with_its_own_names(file):
    rows = "text,label\n" + "".join(f"Sentence number{i} about thing{i} and place{i}.,{'ab'[i % 2]}\n" for i in range(40))
    data = prepare(TrainConfig(data=(file("a.csv", rows),), validation_share=0.2))
    assert data.layout == HeadLayout(2, "single_label", False)
    assert data.codebook.names == ("a", "b")


def test_flags_have_no_primary_label(file):
    rows = "text,kill,arrest\n" + "".join(f"Sentence number{i} about thing{i} and place{i}.,{i % 2},0\n" for i in range(40))
    data = prepare(TrainConfig(data=(file("a.csv", rows),), validation_share=0.2))
    assert data.layout == HeadLayout(2, "multi_label", False)
    assert data.codebook.names == ("kill", "arrest")


def test_files_of_both_kinds_are_read_as_several_labels(file):
    singles = "text,label\n" + "".join(f"One number{i} about thing{i}.,{('a', 'none')[i % 2]}\n" for i in range(30))
    lists = "text,labels\n" + "".join(f"Two mumber{i} above king{i}.,{('a|b', '')[i % 2]}\n" for i in range(30))
    data = prepare(TrainConfig(data=(file("a.csv", singles), file("b.csv", lists)), validation_share=0.2))
    assert data.layout == HeadLayout(2, "multi_label", True)
    assert {row.labels for row in (*data.fit, *data.validation)} == {("a",), ("a", "b"), ()}


def test_validation_rows_must_fit_the_task(file):
    train = "text,label\n" + "".join(f"One number{i} about thing{i}.,{'ab'[i % 2]}\n" for i in range(30))
    dev = "text,label\nSomething else.,a\nAnother thing.,\n"
    with pytest.raises(InputError, match=r"dev\.csv:3: single_label needs exactly one label"):
        prepare(TrainConfig(data=(file("a.csv", train),), validation=(file("dev.csv", dev),)))


def test_the_shipped_codebook_is_taken_where_it_fits(file):
    names = load_codebook().names[:2]
    rows = [{"text": f"Sentence number{i} about thing{i}.", "labels": [names[i % 2]]} for i in range(40)]
    data = prepare(TrainConfig(data=(file("a.jsonl", rows),)))
    assert data.codebook == load_codebook()
    rows[0]["labels"] = ["something_else"]
    assert prepare(TrainConfig(data=(file("a.jsonl", rows),))).codebook.names == tuple(sorted({*names, "something_else"}))


def test_a_codebook_that_is_named_is_used_and_checked(toy_rows, toy_files, file):
    path = file("a.jsonl", annotated(toy_rows, 50, 1))
    assert prepare(TrainConfig(data=(path,), codebook=str(toy_files["codebook"]))).codebook.name == "toy"
    bad = file("b.jsonl", [*annotated(toy_rows, 50, 1), {"text": "One.", "labels": ["strkie"]}])
    with pytest.raises(CodebookError, match=r"b\.jsonl:51: unknown label 'strkie'; the nearest known is 'strike'"):
        prepare(TrainConfig(data=(bad,), codebook=str(toy_files["codebook"])))
    with pytest.raises(InputError, match=r"nowhere\.toml: can't be read"):
        prepare(TrainConfig(data=(path,), codebook="nowhere.toml"))


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([{"text": f"Number{i} is here.", "labels": []} for i in range(30)], "no labels in it; every row is none"),
        ([{"text": f"Number{i} is here.", "labels": ["a b"]} for i in range(30)], "'a b'"),
        ([{"text": f"Number{i} is here.", "labels": ["a"]} for i in range(6)], "too few to train a model"),
    ],
)
def test_data_that_cannot_be_trained_on_is_refused(file, rows, said):
    with pytest.raises(InputError, match=said):
        prepare(TrainConfig(data=(file("a.jsonl", rows),)))


def test_no_data_is_refused():
    with pytest.raises(InputError, match="nothing to train on; name a file with --data"):
        prepare(TrainConfig())


def test_one_class_alone_is_refused(file):
    rows = [
        {"text": f"sentence number {word}", "label": "x"}
        for word in ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
    ]
    with pytest.raises(InputError, match=r"a\.jsonl: every row has the same label"):
        prepare(TrainConfig(data=(file("a.jsonl", rows),)))
