"""The codebook: which labels there are, what each means, and what other schemes call it.

The shipped codebook is `codebook.toml`, beside this module; a user's own is read by the same function and needs no more
than a name for each label.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

import tomli_w

from . import strict_toml as toml
from .records import NONE

_NAME = re.compile(r"[A-Za-z0-9_.:-]+")
_BOOK = toml.kinds(text="name version", texts="rules", tables="groups labels none_examples")
_GROUP = toml.kinds(text="name title")
_LABEL = toml.kinds(
    text="name group definition exclusions", flag="secondary", texts="keywords", tables="examples", table="crosswalk"
)
_EXAMPLE = toml.kinds(text="text", texts="labels")
_NONE_EXAMPLE = toml.kinds(text="text")
_CODE = toml.kinds(text="event", texts="modes")


class CodebookError(ValueError):
    """A codebook that cannot be used, or a label that its codebook does not have; one line says where and what."""


@dataclass(frozen=True, slots=True)
class Example:
    """A sentence written for the codebook, with its labels, primary first; none at all for a `none` example."""

    text: str
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Group:
    """A family of labels: a short name to refer to it, a title to print."""

    name: str
    title: str = ""


@dataclass(frozen=True, slots=True)
class Label:
    """One event type; only the name is required.

    Attributes:
        secondary: primary only where it stands alone, or with other secondary labels.
        keywords: regular expressions for a keyword baseline, searched for regardless of case.
        examples: sentences that carry this label, first or further down.
        crosswalk: by scheme, the codes of its counterparts as flat strings, `EVENT` or `EVENT/mode`.
    """

    name: str
    group: str = ""
    definition: str = ""
    exclusions: str = ""
    secondary: bool = False
    keywords: tuple[str, ...] = ()
    examples: tuple[Example, ...] = ()
    crosswalk: Mapping[str, tuple[str, ...]] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        where = f"label {self.name!r}"
        if not _NAME.fullmatch(self.name):
            raise CodebookError(f"{where}: a name is made of letters A-Z a-z, digits and _ . : - only, without spaces")
        if self.name.lower() == NONE:
            raise CodebookError(f"{where}: this name is reserved for sentences without a label; choose another")
        for pattern in self.keywords:
            try:
                re.compile(pattern, re.IGNORECASE)
            except (re.error, OverflowError, RecursionError) as err:
                raise CodebookError(f"{where}: keyword {pattern!r} is not a regular expression: {err}") from None
        for example in self.examples:
            if self.name not in example.labels:
                raise CodebookError(f"{where}: its example {example.text!r} lacks the label itself; add it or move it")


@dataclass(frozen=True, slots=True)
class Codebook:
    """All labels, in the order that every array of scores follows.

    Attributes:
        none_examples: sentences that carry no label.
        names: the labels' names in order.
        index: the place of each name in that order.
    """

    name: str
    labels: tuple[Label, ...]
    version: str = ""
    rules: tuple[str, ...] = ()
    groups: tuple[Group, ...] = ()
    none_examples: tuple[Example, ...] = ()
    names: tuple[str, ...] = field(init=False, repr=False, compare=False)
    index: Mapping[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        names = tuple(label.name for label in self.labels)
        groups = tuple(group.name for group in self.groups)
        if not self.name or not names:
            raise CodebookError("a codebook needs a name and at least one label")
        for what, known in (("label", names), ("group", groups)):
            for name in [name for name, times in Counter(known).items() if times > 1]:
                raise CodebookError(f"{what} {name!r}: the name is used more than once; keep one")
        # Through object because the class is frozen: both follow from labels, and are read too often to make each time.
        object.__setattr__(self, "names", names)
        object.__setattr__(self, "index", {name: place for place, name in enumerate(names)})
        for label in self.labels:
            where = f"label {label.name!r}"
            if label.group and label.group not in groups:
                raise CodebookError(f"{where}: unknown group {label.group!r}; {toml.nearest(label.group, groups)}")
            for example in label.examples:
                self.check(example.labels, f"{where}, example {example.text!r}")
        for example in self.none_examples:
            if example.labels:
                raise CodebookError(f"none example {example.text!r} has labels; give it to one of them")

    @classmethod
    def from_names(cls, names: Iterable[str], name: str = "user") -> "Codebook":
        """A codebook for data that comes with bare label names, in the order given."""
        return cls(name, tuple(Label(each) for each in names))

    @property
    def secondary(self) -> tuple[str, ...]:
        """Names of the labels that are primary only where they stand alone, or with each other."""
        return tuple(label.name for label in self.labels if label.secondary)

    def group_of(self, name: str) -> str:
        """Name of the group that a label belongs to, empty where it has none. Raises KeyError for an unknown label."""
        return self.labels[self.index[name]].group

    def crosswalk(self, scheme: str) -> dict[str, list[str]]:
        """Codes of every label in another scheme, an empty list where it has no counterpart there."""
        schemes = sorted({known for label in self.labels for known in label.crosswalk})
        if scheme not in schemes:
            near = toml.nearest(scheme, schemes)
            raise CodebookError(f"codebook {self.name!r} has no crosswalk to {scheme!r}; {near}")
        return {label.name: list(label.crosswalk.get(scheme, ())) for label in self.labels}

    def check(self, labels: Iterable[str], where: str) -> tuple[str, ...]:
        """The labels as a tuple, or a CodebookError that names `where`, the bad label and the nearest known one."""
        if isinstance(labels, str):  # going through it would complain of its first letter
            raise CodebookError(f"{where}: labels must be a list of names, not the string {labels!r}")
        given = tuple(labels)
        for label in given:
            if label == NONE:
                raise CodebookError(f"{where}: {NONE!r} is not a label; an empty list says that none applies")
            if not isinstance(label, str) or label not in self.index:
                raise CodebookError(f"{where}: unknown label {label!r}; {toml.nearest(str(label), self.names)}")
            if given.count(label) > 1:
                raise CodebookError(f"{where}: label {label!r} is listed more than once; keep one")
        return given

    def to_toml(self) -> str:
        """The codebook as TOML that `load_codebook` reads back to an equal one; empty fields are left out."""
        table = asdict(self)
        del table["names"], table["index"]
        return tomli_w.dumps(_without_empty(table))


def load_codebook(path: str | Path | None = None) -> Codebook:
    """Read a codebook from a TOML file, or the shipped one where no path is given.

    Raises CodebookError, in one line that names the file and the label, for anything that is not a codebook;
    OSError where the file cannot be read.
    """
    file = resources.files(__package__).joinpath("codebook.toml") if path is None else Path(path)
    try:
        return _codebook(toml.parse(file.read_bytes()))
    except (CodebookError, toml.StrictError) as err:
        raise CodebookError(f"{file}: {err}") from None


def _codebook(data: dict[str, Any]) -> Codebook:
    toml.expect(data, _BOOK, ("labels",), "top level")
    groups = toml.items(data.get("groups", ()), _GROUP, ("name",), "group")
    none_examples = toml.items(data.get("none_examples", ()), _NONE_EXAMPLE, ("text",), "none example")
    return Codebook(
        name=data.get("name", "user"),
        labels=tuple(_label(table, where) for table, where in toml.items(data["labels"], _LABEL, ("name",), "label")),
        version=data.get("version", ""),
        rules=tuple(data.get("rules", ())),
        groups=tuple(Group(**table) for table, _ in groups),
        none_examples=tuple(Example(**table) for table, _ in none_examples),
    )


def _label(table: dict[str, Any], where: str) -> Label:
    examples = toml.items(table.get("examples", ()), _EXAMPLE, ("text", "labels"), f"{where}, example")
    table["keywords"] = tuple(table.get("keywords", ()))
    table["examples"] = tuple(Example(example["text"], tuple(example["labels"])) for example, _ in examples)
    table["crosswalk"] = {
        scheme: found  # an empty list says that the scheme has no counterpart, as leaving it out does
        for scheme, codes in table.get("crosswalk", {}).items()
        if (found := tuple(_codes(codes, f"{where}, crosswalk to {scheme!r}")))
    }
    return Label(**table)


def _codes(codes: Any, where: str) -> Iterator[str]:
    if not isinstance(codes, list):
        raise CodebookError(f"{where}: must be a list of codes, not {codes!r}")
    for code in codes:
        if isinstance(code, str):
            yield code
        elif isinstance(code, dict):
            toml.expect(code, _CODE, ("event",), where)
            yield from [f"{code['event']}/{mode}" for mode in code.get("modes", ())] or [code["event"]]
        else:
            raise CodebookError(f"{where}: {code!r} is neither a string nor a table with event and modes")


def _without_empty(value: Any) -> Any:
    if isinstance(value, dict):
        kept = {key: _without_empty(each) for key, each in value.items()}
        return {key: each for key, each in kept.items() if each not in ("", (), {}, False)}
    return tuple(_without_empty(each) for each in value) if isinstance(value, tuple) else value
