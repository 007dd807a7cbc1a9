"""A user's file of annotated sentences is understood whatever its form, or refused by file and line."""

import csv
import io
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sitrep.data.annotated import MULTI, SINGLE, check_labels, read_annotated
from sitrep.data.codebook import Codebook, CodebookError
from sitrep.data.errors import InputError


@pytest.fixture
def read(tmp_path):
    """`read(name, content, **options)`: what `read_annotated` makes of a file of that name and content."""

    def read(name, content, **options):
        path = tmp_path / name
        if isinstance(content, dict):
            pq.write_table(pa.table(content), path)
        else:
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_annotated(path, **options)

    return read


def pairs(file) -> list[tuple[str, tuple[str, ...]]]:
    return [(row.text, row.labels) for row in file.rows]


# The three forms in which the public tasks come: tab-separated, no header.


def test_class_after_the_text_without_header(read):
    file = read("train.tsv", "The two ministers spoke.\t0\nThey signed a pact.\t2\nShots were fired.\t4\nThey spoke.\t0\n")
    assert pairs(file) == [
        ("The two ministers spoke.", ("0",)),
        ("They signed a pact.", ("2",)),
        ("Shots were fired.", ("4",)),
        ("They spoke.", ("0",)),
    ]
    assert (file.task, file.ordered, file.names) == (SINGLE, False, ("0", "2", "4"))
    assert [row.where.rsplit(":")[-1] for row in file.rows] == ["1", "2", "3", "4"]


def test_four_flags_after_a_paragraph_without_header(read):
    file = read(
        "train.tsv", "A long paragraph. It has two sentences.\t1\t0\t0\t1\nAnother one.\t0\t0\t0\t0\nA third.\t0\t1\t0\t0\n"
    )
    assert [row.labels for row in file.rows] == [("column_2", "column_5"), (), ("column_3",)]
    assert (file.task, file.ordered, file.names) == (MULTI, False, ("column_2", "column_3", "column_4", "column_5"))


def test_five_rare_flags_and_quoted_text_without_header(read):
    quoted = '"He said ""go"", and they went."\t0\t0\t1\t0\t1\n'
    file = read("train.tsv", "Nothing happened.\t0\t0\t0\t0\t0\n" * 60 + quoted)
    assert pairs(file)[-1] == ('He said "go", and they went.', ("column_4", "column_6"))
    assert len(file.rows) == 61
    assert len(file.names) == 5  # a flag that no row has is a label all the same
    assert file.rows[-1].primary == "column_4"
    assert file.rows[0].primary == "none"


# Tables.


def test_header_is_recognised_by_a_usual_name(read):
    file = read("a.csv", "text,label\nShots rang out.,strike\nTalks opened.,talks\n")
    assert pairs(file) == [("Shots rang out.", ("strike",)), ("Talks opened.", ("talks",))]
    assert file.rows[0].where.endswith("a.csv:2")
    assert (file.task, file.names) == (SINGLE, ("strike", "talks"))


def test_header_is_recognised_by_an_asked_name(read):
    file = read("a.csv", "Was,Wo\nSchüsse fielen.,Mitte\n", text_column="Was", label_columns=["Wo"])
    assert pairs(file) == [("Schüsse fielen.", ("Mitte",))]


def test_header_is_recognised_by_cells_unlike_the_column(read):
    file = read("a.csv", "utterance,kind\nShots rang out over the whole of the old town.,x\nTalks opened.,x\n")
    assert pairs(file) == [("Shots rang out over the whole of the old town.", ("x",)), ("Talks opened.", ("x",))]


def test_table_without_header_keeps_its_first_row(read):
    file = read("a.csv", "Shots rang out.,strike\nTalks opened.,talks\nMore shots.,strike\n")
    assert [row.labels for row in file.rows] == [("strike",), ("talks",), ("strike",)]
    assert file.rows[0].where.endswith(":1")


def test_upper_case_column_names_count_and_asked_labels_are_not_the_text(read):
    assert pairs(read("a.csv", "LABEL,Sentence\nx,One.\n")) == [("One.", ("x",))]
    file = read("b.csv", "title,body,notes\nyes,One thing happened.,n\n", label_columns=["title"])
    assert pairs(file) == [("One thing happened.", ("yes",))]


def test_text_is_the_longest_column_where_no_name_tells(read):
    file = read("a.csv", "code,what,kind\n1,A long enough sentence.,x\n2,Another long sentence.,y\n", label_columns=["kind"])
    assert [row.text for row in file.rows] == ["A long enough sentence.", "Another long sentence."]


@pytest.mark.parametrize("mark", [";", "\t", "|"])
def test_delimiter_of_a_csv_is_found(read, mark):
    assert pairs(read("a.csv", f"text{mark}label\nOne, two.{mark}x\n")) == [("One, two.", ("x",))]


def test_byte_order_mark_and_windows_line_ends(read):
    file = read("a.csv", "\ufefftext,label\r\nOne.,x\r\nTwo.,y\r\n".encode())
    assert pairs(file) == [("One.", ("x",)), ("Two.", ("y",))]


def test_several_labels_in_one_cell_carry_their_order(read):
    file = read("a.csv", "text,labels\nOne.,b|a\nTwo.,b ; c\nThree.,\nFour.,none\nFive.,a|a\n")
    assert [row.labels for row in file.rows] == [("b", "a"), ("b", "c"), (), (), ("a",)]
    assert (file.task, file.ordered, file.names) == (MULTI, True, ("a", "b", "c"))
    assert [row.primary for row in file.rows] == ["b", "b", "none", "none", "a"]


def test_lists_written_as_strings(read):
    file = read("a.csv", 'text,labels\nOne.,"[\'b\', \'a\']"\nTwo.,[]\nThree.,"[""c""]"\n')
    assert [row.labels for row in file.rows] == [("b", "a"), (), ("c",)]
    assert file.task == MULTI


def test_flag_columns_with_a_header(read):
    file = read("a.csv", "text,kill,arrest,fail\nOne.,1,0,0\nTwo.,TRUE,yes,no\nThree.,,0.0,1.0\nFour.,0,0,0\n")
    assert [row.labels for row in file.rows] == [("kill",), ("kill", "arrest"), ("fail",), ()]
    assert (file.task, file.ordered, file.names) == (MULTI, False, ("kill", "arrest", "fail"))


def test_one_flag_column_is_two_classes_or_one_label(read):
    content = "text,relevant\nOne.,1\nTwo.,0\n"
    assert pairs(read("a.csv", content)) == [("One.", ("1",)), ("Two.", ("0",))]
    assert pairs(read("a.csv", content, task=MULTI)) == [("One.", ("relevant",)), ("Two.", ())]


def test_asked_columns_decide(read):
    content = "text,other,kill,arrest\nOne.,1,1,0\nTwo.,0,0,1\n"
    assert read("a.csv", content, label_columns=["kill", "arrest"]).names == ("kill", "arrest")
    assert pairs(read("a.csv", content, text_column="other", label_columns=["kill"]))[0] == ("1", ("1",))


def test_none_is_a_class_unless_several_labels_are_allowed(read):
    content = "text,label\nOne.,strike\nTwo.,none\n"
    assert [row.labels for row in read("a.csv", content).rows] == [("strike",), ("none",)]
    file = read("a.csv", content, task=MULTI)
    assert [row.labels for row in file.rows] == [("strike",), ()]
    assert (file.task, file.ordered, file.names) == (MULTI, True, ("strike",))


def test_stray_quotes_in_a_tsv_are_text(read):
    file = read("a.tsv", 'text\tlabel\n"Go," he said.\tx\n"Never closed\ty\nThe 5" gun.\tx\n')
    assert [row.text for row in file.rows] == ['"Go," he said.', '"Never closed', 'The 5" gun.']


def test_tabs_and_line_ends_in_quoted_cells(read):
    assert [row.text for row in read("a.tsv", 'text\tlabel\n"One\ttwo"\tx\nThree\ty\n').rows] == ["One\ttwo", "Three"]
    file = read("a.csv", 'text,label\n"One\ntwo",x\nThree,y\n')
    assert [row.text for row in file.rows] == ["One\ntwo", "Three"]
    assert [row.where.rsplit(":")[-1] for row in file.rows] == ["3", "4"]


text_cells = st.text(st.characters(exclude_characters="\r\0", exclude_categories=["Cs"]), min_size=1).filter(str.strip)


@settings(max_examples=100, deadline=None)
@given(st.lists(text_cells, min_size=1, max_size=5))
def test_whatever_a_csv_writer_writes_is_read_back(tmp_path_factory, texts):
    path = tmp_path_factory.getbasetemp() / "written.csv"
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerows([("text", "label"), *((text, "x") for text in texts)])
    path.write_bytes(stream.getvalue().encode())
    assert [row.text for row in read_annotated(path).rows] == texts


@settings(max_examples=100, deadline=None)
@given(st.lists(text_cells.map(lambda text: " ".join(text.split()) or "x"), min_size=1, max_size=5))
def test_a_tsv_of_plain_lines_is_read_back_to_the_letter(tmp_path_factory, texts):
    texts = [text.lstrip('"') or "x" for text in texts]
    path = tmp_path_factory.getbasetemp() / "plain.tsv"
    path.write_bytes("".join(f"{text}\tx\n" for text in ("text", *texts)).replace("\tx", "\tlabel", 1).encode())
    assert [row.text for row in read_annotated(path).rows] == texts


# JSON lines and Parquet.


def test_json_lines_with_lists(read):
    rows = [{"text": "One.", "labels": ["b", "a"]}, {"text": "Two.", "labels": []}, {"text": "Three.", "labels": ["none"]}]
    file = read("a.jsonl", "\n".join(map(json.dumps, rows)) + "\n\n")
    assert [row.labels for row in file.rows] == [("b", "a"), (), ()]
    assert (file.task, file.ordered, file.names) == (MULTI, True, ("a", "b"))


def test_json_lines_with_one_label_each_are_still_lists(read):
    file = read("a.ndjson", '{"text": "One.", "labels": ["a"]}\n{"text": "Two.", "labels": ["b"]}\n')
    assert file.task == MULTI
    assert read("b.jsonl", '{"text": "One.", "labels": ["a"]}\n', task=SINGLE).task == SINGLE


def test_json_lines_with_strings_numbers_and_flags(read):
    assert read("a.jsonl", '{"text": "One.", "label": "a"}\n{"text": "Two.", "label": "b"}\n').task == SINGLE
    assert [row.labels for row in read("b.jsonl", '{"text": "One.", "class": 3}\n{"text": "Two.", "class": 0}\n').rows] == [
        ("3",),
        ("0",),
    ]
    file = read(
        "c.jsonl", '{"text": "One.", "kill": true, "hit": false}\n{"text": "Two.", "kill": 0, "hit": 1}\n{"text": "Three."}\n'
    )
    assert [row.labels for row in file.rows] == [("kill",), ("hit",), ()]


def test_line_separators_within_a_json_string_end_no_line(read):
    row = {"text": "One\u2028two\u0085three", "labels": ["a"]}
    assert [r.text for r in read("a.jsonl", json.dumps(row, ensure_ascii=False) + "\n").rows] == [row["text"]]


def test_parquet_with_lists_integers_or_flags(read):
    assert [row.labels for row in read("a.parquet", {"text": ["One.", "Two."], "labels": [["b", "a"], []]}).rows] == [
        ("b", "a"),
        (),
    ]
    file = read("b.parquet", {"sentence": ["One.", "Two."], "label": [1, 0]})
    assert (pairs(file), file.task) == ([("One.", ("1",)), ("Two.", ("0",))], SINGLE)
    file = read("c.parquet", {"text": ["One.", "Two."], "kill": [True, None], "hit": [False, True]})
    assert [row.labels for row in file.rows] == [("kill",), ("hit",)]
    assert file.rows[1].where.endswith("c.parquet:2")


# Rows.


def test_rows_without_text_are_left_out(read):
    file = read("a.jsonl", '{"text": " ", "labels": ["a"]}\n{"text": null, "labels": []}\n{"text": "One.", "labels": ["b"]}\n')
    assert pairs(file) == [("One.", ("b",))]
    assert file.rows[0].where.endswith(":3")


def test_group_is_the_document_else_the_outlets_day(read):
    rows = [
        {"text": "One.", "labels": [], "doc_id": "d1", "date": "2024-01-01", "source": "s"},
        {"text": "Two.", "labels": [], "date": "2024-01-01", "source": "s", "outlet": "o"},
        {"text": "Three.", "labels": [], "pair": 7},
        {"text": "Four.", "labels": [], "date": "2024-01-01"},
    ]
    file = read("a.jsonl", "\n".join(map(json.dumps, rows)))
    assert [row.group for row in file.rows] == ["doc_id:d1", "s|o|2024-01-01", "pair:7", ""]
    assert [row.source for row in file.rows] == ["s", "s", "", ""]


REFUSALS = [
    ("a.csv", "", {}, ["no rows"]),
    ("a.csv", "\n \n", {}, ["no rows"]),
    ("a.xlsx", "x", {}, ["unknown extension '.xlsx'", ".csv, .tsv, .jsonl or .parquet"]),
    ("a.csv", b"text,label\nOne.,x\n\xff\xfe,y\n", {}, ["a.csv:3:", "UTF-8"]),
    ("a.csv", "text,label\nOne.,x\nTwo,three.,x\n", {}, ["a.csv:3:", "3 cells", "has 2"]),
    ("a.csv", "text,text\nOne.,x\n", {}, ["a.csv:1:", "same name"]),
    ("a.csv", 'text,label\nOne.,x\n"Two,y\nThree,x\n', {}, ["a.csv:3:", "quote"]),
    ("a.csv", 'text,label\n"Say "go" now",x\n', {}, ["a.csv:2:", "quote"]),
    ("a.csv", "text,label\nOne.,x\n", {"text_column": "body"}, ["no column 'body'", "'text', 'label'"]),
    ("a.csv", "text,label\nOne.,x\n", {"label_columns": ["kind"]}, ["no column 'kind'"]),
    ("a.csv", "text,a,b\nOne.,x,y\n", {}, ["--label-column", "'a', 'b'"]),
    ("a.jsonl", '{"x": 1, "label": "a"}\n', {}, ["--text-column"]),
    ("a.csv", "text,a,b\nOne.,1,0\nTwo.,2,0\n", {"label_columns": ["a", "b"]}, ["a.csv:3:", "column 'a'", "'2'", "0 or 1"]),
    ("a.csv", "text,labels\nOne.,a\nTwo.,a|b\n", {"task": SINGLE}, ["a.csv:3:", "exactly one label", "multi_label"]),
    ("a.csv", "text,label\nOne.,x\n", {"task": "many"}, ["'many'", "single_label"]),
    ("a.jsonl", '{"text": "One.", "labels": []}\n{"text": \n', {}, ["a.jsonl:2:", "not valid JSON"]),
    ("a.jsonl", b'{"text": "\xff", "labels": []}\n', {}, ["a.jsonl:1:"]),
    ("a.jsonl", '{"text": "One.", "labels": []}\n[1]\n', {}, ["a.jsonl:2:", "not a JSON object"]),
    ("a.parquet", b"not a table", {}, ["a.parquet", "can't be read"]),
]


@pytest.mark.parametrize(("name", "content", "options", "said"), REFUSALS, ids=[" ".join(said) for *_, said in REFUSALS])
def test_refusals_name_the_file_and_what_to_do(read, name, content, options, said):
    with pytest.raises(InputError) as caught:
        read(name, content, **options)
    message = str(caught.value)
    assert "\n" not in message
    assert name in message or options.get("task") == "many"
    for words in said:
        assert words in message


def test_missing_file_and_folder_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"nowhere\.csv: no such file"):
        read_annotated(tmp_path / "nowhere.csv")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(InputError, match=r"folder\.csv: can't be read"):
        read_annotated(tmp_path / "folder.csv")


def test_unknown_label_is_named_with_its_line(read):
    file = read("a.csv", "text,labels\nOne.,march\nTwo.,strke\n")
    check_labels(file.rows[:1], Codebook.from_names(["march", "strike"]))
    with pytest.raises(CodebookError, match=r"a\.csv:3: unknown label 'strke'; the nearest known is 'strike'"):
        check_labels(file.rows, Codebook.from_names(["march", "strike"]))
