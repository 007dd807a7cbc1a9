"""What news copy needs on top of a general sentence splitter: cuts it makes wrongly undone, cuts it misses added.

All offsets are relative to one piece of text (a paragraph, a heading, a list item). A cut is where a sentence starts.
"""

import re
from collections.abc import Iterable, Iterator

from .segment_quotes import OPENERS, Enclosed


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


TITLES = _set(
    "Gen Gens Lt Lts Col Cols Maj Sgt Brig Capt Cpl Cmdr Cdr Adm Pvt Pfc Spc Ens Insp Supt Amb Sen Sens Rep Reps "
    "Gov Govs Pres Hon Rev Prof Dr Drs Mr Mrs Ms Messrs Mx Fr Msgr Mt Ft Ste Atty Det Dep Asst Wg Sqn Flt Bn Regt "
    "Op"
)
"""Short forms that a name follows: never the end of a sentence."""

_BEFORE_NUMBER = _set("no nos art sec ch vol fig para res pp est pop approx ca cf incl lb lbs oz sq ft")
_NEVER_LAST = _set("approx incl vs e.g i.e cf a.k.a viz")
_MAY_END = _set(
    "St Ave Blvd Rd Co Cos Corp Inc Ltd Jr Sr Bros Jan Feb Mar Apr Jun Jul Aug Sep Sept Oct Nov Dec Mon Tue Tues "
    "Wed Thu Thurs Fri Ala Ariz Ark Calif Colo Conn Del Fla Ga Ill Ind Kan Ky La Md Mich Minn Mo Mont Neb Nev Okla "
    "Ore Pa Tenn Tex Va Vt Wash Wis Wyo Mass etc al Ph.D M.D"
)
_STARTERS = _set(
    "The A An This That These Those It Its He She They We You I His Her Their Our My Your In On At By For From To "
    "With But And Or So Yet If When While As After Before Since Until Then There Here Not No All Both Some Many "
    "Most More Several Two Three However Meanwhile Nobody None Who What Where Why How Under During Last Earlier "
    "Later Now"
)

_ORDINARY = _set("may May no No me art ill miss fed Fed ID OK DC PA CA LA SC SEC PP mm s t d m re ll ve")
"""Words, and tails of words after an apostrophe, that sentencex takes for short forms or initials."""

_EXTRA = re.compile(
    r"[.!?…](?:"
    r"(?<=[^\W\d_A-Z]{2}.)(?=[A-Z])"  # run together: "is over.NATO said"
    r"|(?P<plain>(?<=\.)[\"”]?\s+(?=[A-Z]))"  # of these only the ones that `_missed` lets pass
    r"|(?<=…)[\"”’»]*\s+(?=[A-Z“\"«])"
    r"|[\"”’»]*[)\]]\s+(?=[A-Z“\"«(])"  # "(The army denies this.) Power was cut."
    r"|[\"”]?\s+\([^()]{1,200}\)\s+(?=[A-Z“\"«(])"  # "… on Friday. (Photo: A. Petrova) Two towns …"
    r"|(?<=\b[ap]\.)m\.\s+(?=[A-Z])"
    r")"
)
_WORD_CHARACTER = re.compile(r"[^\W_]")
_LAST_LETTERS = re.compile(r"(?:^|[\s'’(\"“])([^\W\d_]+)\Z")
_LIST_NUMBER = re.compile(r"\(?(?:\d{1,3}|[A-Za-z]|[ivx]{2,4})[.)]")
_INITIAL = re.compile(r"(?:^|[\s.(\[\"“-])[A-Z]\.$")
_LAST_WORD = re.compile(r"(?:^|(?<=[^\w.]))((?:\w+\.)*\w+)\.$")
_FIRST_WORD = re.compile(r"[^\W\d_]+")
_WHOLE_WORD_END = re.compile(r"[^\W\d_]{3,}\s?\.$")
_QUOTED_CRY_END = re.compile(r"[?!][\"”’»']+$")
_BRACKET_END = re.compile(r"[.!?…][\"”’»]*[)\]]$")
_TIME_END = re.compile(r"\b[ap]\.m\.$")
_TIME_START = re.compile(r"(?:At|By|Around|About|Before|After|Since|Until|From)\s(?:\w+\s)?\S+\s[ap]\.m\.")
_TIME_GOES_ON = re.compile(
    r"(?:(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)days?|Jan(?:uary)?|Feb(?:ruary)?|Mar(?:ch)?|Apr(?:il)?|May|June?|July?"
    r"|Aug(?:ust)?|Sept?(?:ember)?|Oct(?:ober)?|Nov(?:ember)?|Dec(?:ember)?|[A-Z]{1,4}T|UTC|(?:[A-Z]\w+\s){1,3}[Tt]ime)\b"
)
_ATTRIBUTION = re.compile(
    r"[A-Z][\w.’'-]*\s+(?:(?:[A-Z][\w.’'-]*|al-\w+|bin|ibn|de|van|von|of|the)\s+){0,5}"
    r"(?:said|says|asked|asks|added|told|shouted|yelled|cried|wrote|replied|called|wondered|tweeted|demanded|exclaimed)\b"
)
_ADDRESS = re.compile(
    r"://|@|^www\.|\.(?:com|net|org|info|gov|mil|edu|int|ua|ru|uk|eu|fr|de|ir|il|tr|cn|pl|tv|io)\b",
    re.IGNORECASE,
)


def repair(text: str, cuts: Iterable[int], enclosed: Enclosed) -> list[int]:
    """The cuts to make in `text`, ascending, each at the first character of a sentence, given a splitter's `cuts`.

    Every cut has a letter or digit on both sides.
    """
    end = len(text)
    while end and not text[end - 1].isalnum():
        end -= 1
    kept: list[int] = []
    start, first = 0, _first_letter(text, 0)
    for cut in sorted({enclosed.leave(cut) for cut in (*cuts, *_missed(text))}):
        if first < cut < end and not enclosed.holds(cut) and _stands(text, start, cut):
            kept.append(cut)
            start, first = cut, _first_letter(text, cut)
    return kept


def _missed(text: str) -> Iterator[int]:
    """Cuts that a general splitter leaves out."""
    for found in _EXTRA.finditer(text):
        at, cut = found.span()
        if found["plain"] and _word(text[cut : cut + 12]) not in _STARTERS:
            word = _LAST_LETTERS.search(text, max(0, at - 8), at)
            if not word or word[1] not in _ORDINARY:
                continue
        yield cut


def _first_letter(text: str, at: int) -> int:
    found = _WORD_CHARACTER.search(text, at)
    return found.start() if found else len(text)


def _stands(text: str, start: int, cut: int) -> bool:
    """Whether the cut really ends a sentence that begins at `start`, judged by the words around it."""
    left, right = text[max(start, cut - 80) : cut].rstrip(), text[cut : cut + 80]
    if right[0] in ".,;:%)]}?!":
        return False
    if cut - start <= 6 and _LIST_NUMBER.fullmatch(left):
        return False
    if not text[cut - 1].isspace() and left[-1] in ".?!" and not _may_run_together(text, cut, left, right):
        return False
    if _BRACKET_END.search(left) and text[start] not in "([" and _word(right) not in _STARTERS:
        return False  # "Gen. (ret.) Rao", not "(The army denies this.) Power was cut."
    if _QUOTED_CRY_END.search(left):
        return not right[0].islower() and (_word(right) in _STARTERS or not _ATTRIBUTION.match(right))
    if _TIME_END.search(left):
        return right[0].isupper() and not _TIME_GOES_ON.match(right) and not _TIME_START.fullmatch(left)
    if _abbreviates(left, right):
        return False
    return not right[0].islower() or bool(_WHOLE_WORD_END.search(left))


def _may_run_together(text: str, cut: int, left: str, right: str) -> bool:
    """Whether a full stop with no space after it may end a sentence: not in a number, an acronym or an address."""
    if right[0].islower() or not (right[0].isalpha() or right[0] in OPENERS) or _INITIAL.search(left):
        return False
    before = left.split()[-1] if left.split() else ""
    return not _ADDRESS.search(before + right.split(maxsplit=1)[0])


def _abbreviates(left: str, right: str) -> bool:
    """Whether the full stop that ends `left` belongs to a short form that goes on in `right`."""
    starter = _word(right) in _STARTERS
    if _INITIAL.search(left):
        return not starter
    found = _LAST_WORD.search(left)
    if not found:
        return False
    word = found[1]
    if word in TITLES or word.lower() in _NEVER_LAST or (word.isupper() and word.title() in TITLES):
        return True
    if word.lower() in _BEFORE_NUMBER and (right[0].isdigit() or right[0].islower()):
        return True
    return word in _MAY_END and not starter and right[0] not in OPENERS


def _word(right: str) -> str:
    found = _FIRST_WORD.match(right)
    return found[0] if found else ""
