"""The shipped codebook is complete, a user's own loads the same way, and each refusal says where, what and what to do."""

import dataclasses
import pickle
import re
from pathlib import Path

import pytest

from sitrep.data.codebook import Codebook, CodebookError, Example, Group, Label, load_codebook
from sitrep.data.records import NONE

ORDER = [
    *("missile_strike", "airstrike", "drone_strike", "shelling", "bombing", "shootdown"),
    *("armed_clash", "territorial_advance", "withdrawal", "troop_movement", "siege_blockade"),
    *(
        "violence_against_civilians",
        "detention",
        "casualties",
        "property_destruction",
        "weapons_seizure",
        "armed_attack",
    ),
    *("diplomatic_statement", "threat", "negotiation", "agreement", "sanctions", "military_aid"),
    *("protest", "humanitarian"),
]

# What the other schemes call things, from their own codebooks (ACLED of 2024; PLOVER with the modes of the POLECAT data;
# CAMEO 1.1b3). Of CAMEO, only the codes that the crosswalk uses, each looked up.
ACLED = {
    *("Government regains territory", "Non-state actor overtakes territory", "Armed clash", "Peaceful protest"),
    *("Excessive force against protesters", "Protest with intervention", "Violent demonstration", "Mob violence"),
    *("Chemical weapon", "Air/drone strike", "Suicide bomb", "Shelling/artillery/missile attack", "Grenade"),
    *("Remote explosive/landmine/IED", "Sexual violence", "Attack", "Abduction/forced disappearance", "Agreement"),
    *("Arrests", "Change to group/activity", "Disrupted weapons use", "Headquarters or base established", "Other"),
    *("Looting/property destruction", "Non-violent transfer of territory"),
}
PLOVER = {
    *("ACCUSE", "AGREE", "AID", "CONCEDE", "CONSULT", "COOPERATE", "PROTEST", "REJECT", "REQUEST", "SANCTION"),
    *("SUPPORT", "THREATEN", "ASSAULT", "COERCE", "MOBILIZE", "RETREAT"),
    *("ASSAULT/abduct", "ASSAULT/aerial", "ASSAULT/beat", "ASSAULT/crowd-control", "ASSAULT/destroy", "ASSAULT/drone"),
    *("ASSAULT/explosives", "ASSAULT/firearms", "ASSAULT/heavy-weapons", "ASSAULT/primitive", "ASSAULT/sexual"),
    *("ASSAULT/suicide-attack", "ASSAULT/targeted", "ASSAULT/torture", "ASSAULT/unconventional"),
    *("COERCE/arrest", "COERCE/deport", "COERCE/restrict", "COERCE/seize", "COERCE/withhold"),
    *("MOBILIZE/militia", "MOBILIZE/police", "MOBILIZE/troops", "MOBILIZE/weapons"),
    *("RETREAT/access", "RETREAT/ceasefire", "RETREAT/disarm", "RETREAT/release", "RETREAT/withdraw"),
}
CAMEO = {
    *("01", "02", "03", "04", "10", "11", "12", "13", "14", "15", "16", "18", "19", "057", "062", "072", "073", "0841"),
    *("086", "0871", "0874", "154", "171", "172", "173", "175", "181", "182", "183", "1831", "1832", "1833", "1834"),
    *("186", "190", "191", "192", "193", "194", "195", "1951", "1952", "202", "2041"),
}


@pytest.fixture(scope="module")
def book() -> Codebook:
    return load_codebook()


def refusal(tmp_path: Path, text: str | bytes) -> str:
    """The message that loading a file with this text ends in; it must be one line that starts with the file."""
    file = tmp_path / "mine.toml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(CodebookError) as caught:
        load_codebook(file)
    message = str(caught.value)
    assert message.startswith(f"{file}: ") and "\n" not in message
    return message.removeprefix(f"{file}: ")


def test_shipped_order_groups_and_version(book: Codebook) -> None:
    assert (book.name, book.version) == ("sitrep", "1.2")
    assert list(book.names) == ORDER
    assert [book.index[name] for name in book.names] == list(range(25))
    sizes = {group.name: sum(book.group_of(name) == group.name for name in book.names) for group in book.groups}
    assert sizes == {"strikes": 6, "ground": 5, "harm": 6, "diplomacy": 6, "society": 2}
    assert book.secondary == ("casualties", "property_destruction")
    assert len(book.rules) == 8


def test_shipped_labels_are_complete(book: Codebook) -> None:
    for label in book.labels:
        assert label.definition and label.group, label.name
        assert len(label.examples) >= 4, label.name
        assert 3 <= len(label.keywords) <= 10, label.name
    assert len(book.none_examples) >= 12


def test_shipped_examples_are_distinct(book: Codebook) -> None:
    texts = [example.text for label in book.labels for example in label.examples]
    texts += [example.text for example in book.none_examples]
    normal = [" ".join(re.findall(r"[a-z0-9]+", text.lower())) for text in texts]
    assert len(set(normal)) == len(normal)


def test_shipped_examples_put_secondary_labels_last(book: Codebook) -> None:
    for label in book.labels:
        for example in label.examples:
            if set(example.labels) - set(book.secondary):
                assert example.labels[0] not in book.secondary, example.text
            else:
                assert list(example.labels) == sorted(example.labels, key=book.index.__getitem__), example.text


def test_shipped_crosswalk_is_complete(book: Codebook) -> None:
    acled, plover, cameo = (book.crosswalk(scheme) for scheme in ("acled", "plover", "cameo"))
    spoken = {"casualties"} | {name for name in book.names if book.group_of(name) == "diplomacy"} - {"agreement"}
    assert {name for name in book.names if not acled[name]} == spoken
    assert {name for name in book.names if not plover[name]} == {"casualties"}
    assert {name for name in book.names if not cameo[name]} == {"casualties"}
    assert list(acled) == list(plover) == list(cameo) == ORDER


def test_shipped_crosswalk_uses_codes_that_the_schemes_have(book: Codebook) -> None:
    assert {code for codes in book.crosswalk("acled").values() for code in codes} <= ACLED
    assert {code for codes in book.crosswalk("cameo").values() for code in codes} <= CAMEO
    assert {code for codes in book.crosswalk("plover").values() for code in codes} <= PLOVER
    assert book.crosswalk("plover")["bombing"] == ["ASSAULT/explosives", "ASSAULT/suicide-attack"]
    assert book.crosswalk("plover")["armed_attack"] == ["ASSAULT"]


def matched(book: Codebook, text: str) -> set[str]:
    return {label.name for label in book.labels if any(re.search(k, text, re.IGNORECASE) for k in label.keywords)}


def test_shipped_keywords_find_most_examples_and_little_else(book: Codebook) -> None:
    found = {label.name: [label.name in matched(book, e.text) for e in label.examples] for label in book.labels}
    assert [name for name, hits in found.items() if not any(hits)] == []
    assert sum(map(sum, found.values())) >= 0.6 * sum(map(len, found.values()))
    assert sum(bool(matched(book, example.text)) for example in book.none_examples) <= len(book.none_examples) // 3


@pytest.mark.parametrize(
    ("label", "event", "metaphor"),
    [
        ("shootdown", "Gunners shot down the plane.", "Ministers shot down the tax plan."),
        ("shelling", "Rebels bombarded the port.", "Fans bombarded the singer with messages."),
        ("detention", "Police arrested the rebel.", "He suffered a cardiac arrest."),
        ("armed_clash", "The two armies clashed overnight.", "The two ministers clashed over pensions."),
        ("casualties", "Six people were killed.", "There were no casualties."),
        ("threat", "The general threatened the enclave.", "Doctors treated a life-threatening infection."),
        ("protest", "Students rallied in the square.", "A late stock rally lifted shares."),
    ],
)
def test_shipped_keywords_know_common_metaphors(book: Codebook, label: str, event: str, metaphor: str) -> None:
    assert label in matched(book, event)
    assert label not in matched(book, metaphor)


def test_round_trip_of_the_shipped_codebook(book: Codebook, tmp_path: Path) -> None:
    file = tmp_path / "codebook.toml"
    file.write_text(book.to_toml(), encoding="utf-8")
    assert load_codebook(file) == book
    assert load_codebook(str(file)).to_toml() == book.to_toml()
    assert pickle.loads(pickle.dumps(book)) == book  # worker processes receive it that way


def test_a_users_codebook_needs_only_names(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('[[labels]]\nname = "raid"\n[[labels]]\nname = "talk:v1.0"\n', encoding="utf-8")
    book = load_codebook(file)
    assert book == Codebook.from_names(["raid", "talk:v1.0"])
    assert (book.name, book.version, book.groups, book.secondary) == ("user", "", (), ())
    assert book.group_of("raid") == ""
    file.write_text(book.to_toml(), encoding="utf-8")
    assert load_codebook(file) == book


def test_from_names_keeps_the_order_and_takes_a_name() -> None:
    book = Codebook.from_names((name for name in ("b", "a")), name="two")
    assert (book.name, book.names, dict(book.index)) == ("two", ("b", "a"), {"b": 0, "a": 1})


def test_byte_order_mark_and_windows_line_ends_are_read(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_bytes(b'\xef\xbb\xbf[[labels]]\r\nname = "raid"\r\n')
    assert load_codebook(file).names == ("raid",)


def test_records_are_frozen() -> None:
    book = Codebook.from_names(["a"])
    for record, change in ((book, "name"), (book.labels[0], "name"), (Group("g"), "title"), (Example("t"), "text")):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(record, change, "other")


RAID = '[[labels]]\nname = "raid"\n'


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("nmae = 'x'\n" + RAID, "top level: unknown key 'nmae'; the nearest known is 'name'"),
        (RAID + "keyword = []", "label 'raid': unknown key 'keyword'; the nearest known is 'keywords'"),
        ("[[groups]]\nname = 'g'\ntitel = ''\n" + RAID, "group 'g': unknown key 'titel'; the nearest known is 'title'"),
        (RAID + "examples = [{text = 't', label = ['raid']}]", "label 'raid', example 't': unknown key 'label'"),
        ("none_examples = [{text = 't', labels = []}]\n" + RAID, "none example 't': unknown key 'labels'"),
        (
            RAID + "crosswalk.plover = [{event = 'X', mode = 'y'}]",
            "label 'raid', crosswalk to 'plover': unknown key 'mode'",
        ),
        ("name = 'x'", "top level: 'labels' is missing or empty"),
        ("labels = []", "top level: 'labels' is missing or empty"),
        (RAID + "[[labels]]\ngroup = 'g'", "label number 2: 'name' is missing or empty"),
        ("[[groups]]\ntitle = 'g'\n" + RAID, "group number 1: 'name' is missing or empty"),
        (RAID + "examples = [{text = 't'}]", "label 'raid', example 't': 'labels' is missing or empty"),
        (RAID + "examples = [{labels = ['raid']}]", "label 'raid', example number 1: 'text' is missing or empty"),
        (
            RAID + "crosswalk.plover = [{modes = ['y']}]",
            "label 'raid', crosswalk to 'plover': 'event' is missing or empty",
        ),
        ("version = 1.2\n" + RAID, "top level: 'version' must be a string, not 1.2"),
        ("labels = ['raid']", "top level: 'labels' must be a list of tables, not ['raid']"),
        (RAID + "secondary = 'yes'", "label 'raid': 'secondary' must be true or false, not 'yes'"),
        (RAID + "keywords = 'x'", "label 'raid': 'keywords' must be a list of strings, not 'x'"),
        (RAID + "crosswalk = ['x']", "label 'raid': 'crosswalk' must be a table, not ['x']"),
        (RAID + "crosswalk.cameo = 194", "label 'raid', crosswalk to 'cameo': must be a list of codes, not 194"),
        (RAID + "crosswalk.cameo = [194]", "label 'raid', crosswalk to 'cameo': 194 is neither a string nor a table"),
        (RAID + RAID, "label 'raid': the name is used more than once"),
        ("[[groups]]\nname = 'g'\n" * 2 + RAID, "group 'g': the name is used more than once"),
        (
            RAID + "group = 'gruond'\n[[groups]]\nname = 'ground'",
            "label 'raid': unknown group 'gruond'; the nearest known is",
        ),
        (RAID + "group = 'g'", "label 'raid': unknown group 'g'; none is known"),
        ("[[labels]]\nname = 'air raid'", "label 'air raid': a name is made of letters"),
        ("[[labels]]\nname = 'Überfall'", "label 'Überfall': a name is made of letters"),
        (f"[[labels]]\nname = '{NONE}'", f"label '{NONE}': this name is reserved"),
        (f"[[labels]]\nname = '{NONE.title()}'", f"label '{NONE.title()}': this name is reserved"),
        (RAID + "keywords = ['a', '(b']", "label 'raid': keyword '(b' is not a regular expression: missing )"),
        (RAID + "examples = [{text = 't', labels = ['x']}]", "label 'raid': its example 't' lacks the label itself"),
        (
            RAID + "examples = [{text = 't', labels = ['raid', 'radi']}]",
            "label 'raid', example 't': unknown label 'radi'; the nearest known is 'raid'",
        ),
        (RAID + "examples = [{text = 't', labels = ['raid', 'raid']}]", "label 'raid' is listed more than once"),
        (RAID + "group = ", "not valid TOML: Invalid value (at line 3, "),
        (RAID + "group = 'g", "not valid TOML: "),
        (RAID + "keywords = ['a',\n'b'\n", "(at line 4, the end of the file)"),
        (b'[[labels]]\nname = "\xe9t\xe9"', "line 2 is not UTF-8"),
    ],
)
def test_each_fault_is_refused_in_one_line(tmp_path: Path, text: str | bytes, says: str) -> None:
    assert says in refusal(tmp_path, text)


def test_a_file_that_is_not_there_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load_codebook(tmp_path / "absent.toml")


def test_faults_are_refused_without_a_file_too() -> None:
    assert issubclass(CodebookError, ValueError)
    with pytest.raises(CodebookError, match="at least one label"):
        Codebook.from_names([])
    with pytest.raises(CodebookError, match="label 'a': the name is used more than once"):
        Codebook.from_names(["a", "b", "a"])
    with pytest.raises(CodebookError, match="none example 't' has labels"):
        Codebook("x", (Label("a"),), none_examples=(Example("t", ("a",)),))


def test_check_returns_the_labels_in_the_order_given(book: Codebook) -> None:
    assert book.check(["shootdown", "airstrike"], "f:1") == ("shootdown", "airstrike")
    assert book.check(iter(["threat"]), "f:1") == ("threat",)
    assert book.check([], "f:1") == ()


@pytest.mark.parametrize(
    ("labels", "says"),
    [
        (["threat", "air_strike"], "train.jsonl:7: unknown label 'air_strike'; the nearest known is 'airstrike'"),
        (["SHELLING"], "train.jsonl:7: unknown label 'SHELLING'; the nearest known is 'shelling'"),
        ([3], "train.jsonl:7: unknown label 3; the nearest known is "),
        ([["threat"]], "train.jsonl:7: unknown label ['threat']; the nearest known is 'threat'"),
        ([NONE], f"train.jsonl:7: '{NONE}' is not a label; an empty list says that none applies"),
        (["threat", "threat"], "train.jsonl:7: label 'threat' is listed more than once"),
        ("threat", "train.jsonl:7: labels must be a list of names, not the string 'threat'"),
    ],
)
def test_check_names_the_place_the_label_and_the_nearest(book: Codebook, labels: list[str], says: str) -> None:
    with pytest.raises(CodebookError) as caught:
        book.check(labels, "train.jsonl:7")
    assert str(caught.value).startswith(says)


def test_unknown_scheme_and_unknown_label_are_refused(book: Codebook) -> None:
    with pytest.raises(CodebookError, match="no crosswalk to 'ploverr'; the nearest known is 'plover'"):
        book.crosswalk("ploverr")
    with pytest.raises(CodebookError, match="none is known"):
        Codebook.from_names(["a"]).crosswalk("acled")
    with pytest.raises(KeyError):
        book.group_of("air_strike")
