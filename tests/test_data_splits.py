"""Nothing that is the same text, or the same document, stands on both sides of a split; the rows decide it, not their order."""

import hashlib
import random
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sitrep.data.annotated import Annotated
from sitrep.data.normalise import normalised, text_hash, words
from sitrep.data.splits import SIMILAR, groups, near_duplicates, shingles, split_off, without_near_duplicates


def row(text: str, group: str = "") -> Annotated:
    return Annotated(text, (), group, "file:1")


def test_the_hash_rule_to_the_letter():
    text = "  Fighters—shelled the town, 3 times in 2024!\n"
    assert normalised(text) == "fighters shelled the town 3 times in 2024"
    # printf 'fighters shelled the town 3 times in 2024' | sha256sum
    assert text_hash(text) == "2b9ae0fb184ff626a994e5b52ffbdc6c9499567bea7c5ffd2e65473495532b42"[:16]
    assert normalised("Çelik’s 2nd") == "elik s 2nd"  # every letter outside a-z0-9 parts words, accents included
    assert text_hash("") == hashlib.sha256(b"").hexdigest()[:16]


def test_words_keep_other_scripts():
    assert words("Обстріл міста_Харків, 3 рази!") == ["обстріл", "міста", "харків", "3", "рази"]


def test_shingles_are_word_trigrams_or_the_whole_short_text():
    assert shingles("One two, three FOUR") == {"one two three", "two three four"}
    assert shingles("One two") == {"one two"}
    assert shingles("...") == {""}


few_words = st.lists(st.sampled_from("abcd"), max_size=7).map(" ".join)


def brute_force(left: list[str], right: list[str]) -> set[tuple[int, int]]:
    found = set()
    for i, one in enumerate(left):
        for j, other in enumerate(right):
            a, b = shingles(one), shingles(other)
            if len(a & b) / len(a | b) >= SIMILAR:
                found.add((i, j))
    return found


@settings(max_examples=150, deadline=None)
@given(st.lists(few_words, max_size=8), st.lists(few_words, max_size=8))
def test_near_duplicates_are_those_of_the_definition(left, right):
    found = near_duplicates(left, right)
    assert len(found) == len(set(found))
    assert set(found) == brute_force(left, right)
    assert set(near_duplicates(left)) == {(i, j) for i, j in brute_force(left, left) if i < j}


def test_exact_duplicates_are_found_however_many_there_are():
    text = "The two sides agreed to meet again next week."
    assert near_duplicates([text.upper()], [text] * 300) == [(0, j) for j in range(300)]
    assert without_near_duplicates([row(text), row("Something else happened there today.")], [row(text)] * 300) == [
        row("Something else happened there today.")
    ]


def test_groups_join_documents_and_near_duplicates():
    rows = [
        row("Rebels shelled the port on Monday.", "doc:a"),
        row("Ministers met in the capital.", "doc:a"),
        row("Rebels shelled the port on Monday night.", "doc:b"),
        row("The harvest was good this year."),
        row("THE HARVEST WAS GOOD, THIS YEAR"),
        row("A train left the station."),
    ]
    found = groups(rows)
    assert found[0] == found[1] == found[2] == "doc:a"
    assert found[3] == found[4]
    assert len(set(found)) == 3


def test_names_in_other_scripts_stay_apart():
    documents = [row(f"First{i} second{i} third{i} fourth{i}", f"Джерело {i}") for i in range(30)]
    assert groups(documents) == [document.group for document in documents]
    sentences = [row(text) for text in ("Обстріл міста тривав годину", "Міністри зустрілися вчора", "Потяг вирушив зранку")]
    assert len(set(groups(sentences))) == 3
    rest, held = split_off([row(f"слово{i} речення{i} саме{i} по{i} собі{i}") for i in range(100)], 0.1)
    assert (len(rest), len(held)) == (90, 10)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(few_words, st.sampled_from(["", "", "doc:a", "doc:b", "doc:c"])), min_size=4, max_size=25),
    st.sampled_from([0.1, 0.3, 0.5]),
    st.randoms(use_true_random=False),
)
def test_no_pair_and_no_group_crosses_and_order_decides_nothing(pairs, share, rng):
    rows = [row(*pair) for pair in pairs]
    rest, held = split_off(rows, share)
    assert sorted(map(repr, rest + held)) == sorted(map(repr, rows))
    assert not near_duplicates([r.text for r in rest], [r.text for r in held])
    assert not {r.group for r in rest if r.group} & {r.group for r in held}
    shuffled = rng.sample(rows, len(rows))
    assert sorted(map(repr, split_off(shuffled, share)[1])) == sorted(map(repr, held))


def test_the_share_is_kept_and_another_salt_parts_otherwise():
    rng = random.Random(5)
    rows = [row(" ".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=9))) for _ in range(400)]
    rest, held = split_off(rows, 0.1)
    assert (len(rest), len(held)) == (360, 40)
    assert split_off(rows, 0.1) == (rest, held)
    assert split_off(rows, 0.1, salt="other")[1] != held
    assert [r for r in rows if r in held] == held  # in the order of the file


def test_a_group_larger_than_the_share_is_passed_over():
    rows = [row(f"Alpha{i} beta{i} gamma{i} delta{i}", "doc:large" if i < 80 else "") for i in range(100)]
    for salt in "abcdefgh":
        rest, held = split_off(rows, 0.1, salt)
        assert not any(r.group for r in held)
        assert (len(rest), len(held)) == (90, 10)


@pytest.mark.parametrize("share", [0, 1, -0.1, 1.5])
def test_a_share_that_is_none_is_refused(share):
    with pytest.raises(ValueError, match="share is"):
        split_off([row("One.")], share)


def test_without_near_duplicates_leaves_the_others_in_order():
    rows = [row("The bridge was blown up at dawn."), row("Talks went on."), row("The bridge was blown up at dusk.")]
    barred = [row("the bridge was blown up at dawn")]
    kept = without_near_duplicates(rows, barred)
    assert [r.text for r in kept] == ["Talks went on."]
    assert not any(near_duplicates([a.text], [b.text]) for a, b in combinations([*kept, *barred], 2))
