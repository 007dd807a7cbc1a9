"""Splits by document group, decided by hash, that no near-duplicate pair crosses."""

import hashlib
from collections import Counter
from collections.abc import Sequence

from .annotated import Annotated
from .normalise import normalised, words

SHINGLE = 3
"""Words a shingle."""
SIMILAR = 0.5
"""Jaccard similarity of word shingles from which two sentences are near duplicates."""
_COMMON = 200
"""Shingles in more sentences than this ("president of the") say nothing and would make the join quadratic."""


def shingles(text: str) -> set[str]:
    """The text's word trigrams; the whole text where it is shorter."""
    tokens = words(text)
    return {" ".join(tokens[i : i + SHINGLE]) for i in range(len(tokens) - SHINGLE + 1)} or {" ".join(tokens)}


def near_duplicates(left: Sequence[str], right: Sequence[str] | None = None) -> list[tuple[int, int]]:
    """Index pairs of near-duplicate texts: within `left` (i < j), or between `left` and `right`."""
    within = right is None
    left_sets = [shingles(text) for text in left]
    right_sets = left_sets if right is None else [shingles(text) for text in right]
    index: dict[str, list[int]] = {}
    same: dict[str, list[int]] = {}
    for j, (text, grams) in enumerate(zip(left if right is None else right, right_sets, strict=True)):
        same.setdefault(" ".join(words(text)), []).append(j)
        for gram in grams:
            index.setdefault(gram, []).append(j)
    pairs = []
    for i, grams in enumerate(left_sets):
        shared: Counter[int] = Counter()
        for gram in grams:
            posting = index.get(gram, ())
            if len(posting) <= _COMMON:
                shared.update(posting)
        # Exact duplicates are found even where every shingle of theirs is common.
        shared.update({j: len(grams) - shared[j] for j in same.get(" ".join(words(left[i])), ())})
        for j, count in shared.items():
            if (not within or i < j) and count >= SIMILAR * (len(grams) + len(right_sets[j]) - count):
                pairs.append((i, j))
    return pairs


def groups(rows: Sequence[Annotated]) -> list[str]:
    """One name per row: rows of one document group, or near duplicates of each other, share it."""
    parent = list(range(len(rows)))

    def find(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    def join(i: int, j: int) -> None:
        a, b = sorted((find(i), find(j)))
        parent[b] = a

    first: dict[str, int] = {}
    for i, row in enumerate(rows):
        if row.group:
            join(first.setdefault(row.group, i), i)
    for i, j in near_duplicates([row.text for row in rows]):
        join(i, j)
    # The smallest hash in a group names it, so that the order of the file decides nothing.
    names: dict[int, str] = {}
    for i, row in enumerate(rows):
        # The id of a text in another script than Latin is the hash of nothing.
        name = row.group or (row.id if normalised(row.text) else row.text)
        names[find(i)] = min(names.get(find(i), name), name)
    return [names[find(i)] for i in range(len(rows))]


def split_off(rows: Sequence[Annotated], share: float, salt: str = "sitrep") -> tuple[list[Annotated], list[Annotated]]:
    """Part the rows into (rest, held out), about `share` of them held out, whole groups at a time.

    Groups are taken in the order of their salted hash, so the same rows always part the same way.
    """
    if not 0 < share < 1:
        raise ValueError(f"share is {share}; it must lie between 0 and 1")
    names = groups(rows)
    size = Counter(names)
    wanted, held = share * len(rows), set()
    taken = 0
    for name in sorted(size, key=lambda name: hashlib.sha256(f"{salt}|{name}".encode()).hexdigest()):
        # A group that would overshoot by more than the whole share is passed over, not taken.
        if taken < wanted and taken + size[name] <= 1.5 * wanted + 1:
            held.add(name)
            taken += size[name]
    rest = [row for row, name in zip(rows, names, strict=True) if name not in held]
    return rest, [row for row, name in zip(rows, names, strict=True) if name in held]


def without_near_duplicates(rows: Sequence[Annotated], of: Sequence[Annotated]) -> list[Annotated]:
    """The rows that are no near duplicate of any sentence in `of`."""
    dropped = {i for i, _ in near_duplicates([row.text for row in rows], [row.text for row in of])}
    return [row for i, row in enumerate(rows) if i not in dropped]
