"""Segmentation: the hand-written gold cases, the invariants every text must keep, and the cost of hostile texts."""

import json
from pathlib import Path

import pytest
import sentencex
from hypothesis import given, settings
from hypothesis import strategies as st

from sitrep.data import segment
from sitrep.data.records import Article
from sitrep.data.segment import sentences, split
from sitrep.data.segment_quotes import MAX_QUOTE
from sitrep.eval import compare_segmenters as compare

GOLD = Path(__file__).parent / "data" / "segmentation.jsonl"
CASES = compare.read_gold(GOLD)
DECORATION = set("•▪●◦‣■►*_=~#·-–—")
INVISIBLE = set("\u200b\u2060\ufeff")


def texts(text: str) -> list[str]:
    return [text[start:end] for start, end in split(text)]


# --- the gold cases ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", [c for c in CASES if c["split"] == "dev"], ids=lambda c: f"{c['capability']}:{c['text'][:30]!r}")
def test_every_dev_case_is_split_exactly(case):
    assert texts(case["text"]) == case["sentences"]


def test_held_out_cases_stay_above_the_floor_and_above_the_bare_library():
    held_out = [case for case in CASES if case["split"] == "test"]
    bare = compare.LIBRARIES["sentencex"][1](sentencex)
    ours, theirs = (compare.score(splitter, held_out)["all"] for splitter in (split, bare))
    assert ours.f1 >= 0.98
    assert ours.f1 > theirs.f1 + 0.05


def test_gold_covers_both_splits_of_every_capability_without_repeats():
    assert len(CASES) >= 120
    by_split = {part: {c["capability"] for c in CASES if c["split"] == part} for part in ("dev", "test")}
    assert by_split["dev"] == by_split["test"]
    assert len({case["text"] for case in CASES}) == len(CASES)


# --- behaviour the gold file cannot show ------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["", " ", "\n\n", "\u200b", "•", "- ", "----\n* * *\n"])
def test_nothing_to_say_gives_no_sentence(text):
    assert split(text) == []


@pytest.mark.parametrize(
    "text",
    [
        "They met 1st Lt. Kim, Spc. Dahl, Atty. Gen. Ho and Gen. (ret.) Bo in Sault Ste. Marie.",
        "They found 200 lbs. of explosives.",
        "The trial opens at 8 p.m. EST on Friday.",
        "The list is on https://news.example.org/a.B?c=D.E, on Gazeta.Ru and at desk@army.example.org.",
        "The play Who Fired First? is banned.",
        "Growth was 8.5%-9.% this year.",
        "“Why now?” President Okoro asked the U.S. Congress.",
        "The premier (who left in May. He never said why) is back.",
    ],
)
def test_one_sentence_stays_one(text):
    assert texts(text) == [text]


@pytest.mark.parametrize(
    "pieces",
    [
        ("They couldn’t.", " Moscow could."),
        ("The town fell in May.", " Kyiv denied it."),
        ("No.", " Kyiv said no."),
        ("The talks are over.", "NATO left."),
        ("The army left.", "\u200b The rebels came."),
        ("Two fled .", " .", " The rest stayed ."),
        ("He won the vote.", ' "He is our man, they said.'),
    ],
)
def test_boundaries_the_library_misses(pieces):
    expected = [piece.strip(" \u200b") for piece in pieces]
    if " ." in pieces:  # a stray full stop goes with the sentence before it
        expected = [pieces[0] + pieces[1], pieces[2].strip()]
    assert texts("".join(pieces)) == expected


def test_a_quotation_is_kept_whole_only_up_to_the_limit():
    inner = "We will hold the river line until the last man. "
    short = f"“{inner}{inner}Nobody will pass,” he said."
    assert texts(short) == [short]
    times = MAX_QUOTE // len(inner) + 1
    long = f"“{inner * times}Nobody will pass,” he said."
    assert len(texts(long)) == times + 1


def test_the_title_is_sentence_zero_and_never_split():
    article = Article("a-1", "The camp fell. Nobody was held.", title="  Camp falls. Army silent \n")
    first, *rest = sentences(article)
    assert (first.sentence_id, first.part, first.text) == (0, "title", "Camp falls. Army silent")
    assert article.title[first.start : first.end] == first.text
    assert [(s.sentence_id, s.part, s.text) for s in rest] == [
        (1, "text", "The camp fell."),
        (2, "text", "Nobody was held."),
    ]


@pytest.mark.parametrize("title", ["", " \u00a0"])
def test_without_a_title_the_text_still_starts_at_one(title):
    assert [s.sentence_id for s in sentences(Article("a-1", "One fell. Two stood.", title=title))] == [1, 2]


def test_offsets_are_characters_even_where_the_library_is_written_in_bytes():
    text = "🚨 Бои в городе. 停战开始。 The e\u0301tat fell 🙏. It ended."
    assert texts(text) == ["🚨 Бои в городе.", "停战开始。", "The e\u0301tat fell 🙏.", "It ended."]


def test_an_unpaired_surrogate_is_carried_through():
    text = "The army \ud83d left. The rebels \udc00 came."
    assert texts(text) == ["The army \ud83d left.", "The rebels \udc00 came."]


# --- invariants -------------------------------------------------------------------------------------------------------

WORDS = "The|army|left|U.S.|Gen.|al-Rao|No.|3.5|a.m.|J.|said|He|Kyiv.ua|www.example.com|。|🙏|e\u0301|\ud800|\x00"
MARKS = '“|”|"|""|\'|(|)|.|!|?|…|...|,| | | |\n|\n\n|\r\n|•|- |----|\u00a0|\u200b|\u2028'
NEWS = st.lists(st.sampled_from(f"{WORDS}|{MARKS}".split("|")), max_size=60).map("".join)


@settings(max_examples=300, deadline=None)
@given(st.one_of(NEWS, st.text(max_size=120)))
def test_spans_are_ordered_trimmed_and_leave_out_only_decoration(text):
    end = 0
    left_out = []
    for start, stop in split(text):
        assert end <= start < stop <= len(text)
        assert not {text[start], text[stop - 1]} & INVISIBLE
        assert text[start:stop] == text[start:stop].strip()
        left_out.append(text[end:start])
        end = stop
    left_out.append(text[end:])
    assert {c for c in "".join(left_out) if not c.isspace()} <= DECORATION | INVISIBLE


@settings(max_examples=100, deadline=None)
@given(NEWS, NEWS)
def test_paragraphs_do_not_influence_each_other(one, two):
    first = split(one)
    at = len(one) + 2
    assert split(f"{one}\n\n{two}") == first + [(at + start, at + end) for start, end in split(two)]


# --- cost -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "word " * 40_000,
        "He left. " * 20_000,
        "“a. B" * 20_000,
        '"' + "We hold. " * 20_000 + '"',
        "." * 100_000,
        "A. " * 30_000,
        "One. " + "word " * 40_000,
    ],
    ids=["no end", "short sentences", "open quotes", "one long quotation", "full stops", "initials", "one then none"],
)
def test_the_library_sees_bounded_windows_and_each_character_a_bounded_number_of_times(text, monkeypatch):
    seen = []

    def watched(language, window):
        seen.append(len(window))
        return sentencex.get_sentence_boundaries(language, window)

    monkeypatch.setattr(segment, "get_sentence_boundaries", watched)
    spans = split(text)
    assert max(seen) <= segment.WINDOW
    assert sum(seen) <= 4 * len(text) + 2 * segment.WINDOW  # windows overlap by half at most; a long quotation is read twice
    assert spans[0][0] == 0 and spans[-1][1] == len(text.rstrip())


def test_two_megabytes_without_a_sentence_end_are_one_sentence():
    text = "word " * 400_000
    assert split(text) == [(0, len(text) - 1)]


def test_windows_do_not_cut_a_text_of_plain_sentences_anywhere_new():
    line = "The convoy of forty trucks left the camp at dawn and drove north along the river."
    text = " ".join([line] * 300)
    assert texts(text) == [line] * 300


# --- the comparison ---------------------------------------------------------------------------------------------------


def test_comparison_prints_every_capability(capsys):
    assert compare.main([str(GOLD), "--split", "dev", "--seconds", "0"]) == 0
    printed = capsys.readouterr().out
    assert {case["capability"] for case in CASES} <= set(printed.split())
    assert "sentencex" in printed and "all: f1" in printed


def test_boundaries_ignore_bullets_and_the_last_end():
    text = "• One fell. • Two stood. "
    assert compare.boundaries(text, [(0, 14), (14, len(text))]) == compare.boundaries(text, [(2, 11), (14, 24)]) == {11}


def test_tally_counts_hits_false_and_missed():
    tally = compare.Tally()
    tally.add({3, 9}, {3, 5})
    tally.add({4}, {4})
    assert (tally.hit, tally.false, tally.missed, tally.exact, tally.texts) == (2, 1, 1, 1, 2)
    assert tally.precision == tally.recall == tally.f1 == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    "line",
    [
        "{",
        json.dumps({"text": "A."}),
        json.dumps({"capability": "x", "split": "dev", "text": "A.", "sentences": ["B."]}),
    ],
)
def test_a_bad_gold_line_is_named(tmp_path, line, capsys):
    path = tmp_path / "gold.jsonl"
    good = {"capability": "x", "split": "dev", "text": "A. B.", "sentences": ["A.", "B."]}
    path.write_text(json.dumps(good) + "\n" + line + "\n", encoding="utf-8")
    assert compare.main([str(path)]) == 2
    assert f"{path}:2: not a gold case" in capsys.readouterr().err


def test_a_missing_gold_file_says_what_to_do(tmp_path, capsys):
    assert compare.main([str(tmp_path / "none.jsonl")]) == 2
    assert "no such file" in capsys.readouterr().err
