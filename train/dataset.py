"""What a run trains on and validates on: files of annotated sentences, read, checked, split and guarded."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ..data.annotated import MULTI, SINGLE, Annotated, AnnotatedFile, check_labels, read_annotated
from ..data.codebook import Codebook, CodebookError, load_codebook
from ..data.errors import InputError
from ..data.splits import near_duplicates, split_off, without_near_duplicates
from ..model.heads import HeadLayout
from .config import TrainConfig


@dataclass(frozen=True, slots=True)
class TrainingData:
    """Sentences to fit on and to validate on; `dropped` counts those that an excluded file or the validation split barred."""

    fit: tuple[Annotated, ...]
    validation: tuple[Annotated, ...]
    codebook: Codebook
    layout: HeadLayout
    dropped: dict[str, int]


def prepare(config: TrainConfig) -> TrainingData:
    """Read the files of a run and part them.

    The validation split comes out of the first file, whole document groups at a time, unless files of its own are named.
    A sentence is left out of fitting where it is a near duplicate of one that is validated on or that is excluded.

    Raises:
        InputError: no data, a file that can't be read, or too few sentences.
        CodebookError: a label that is not in the codebook.
    """
    if not config.data:
        raise InputError("nothing to train on; name a file with --data or in the recipe's data")
    files = [_read(path, config) for path in config.data]
    task = config.task or files[0].task
    if any(file.task != task for file in files):
        # One label a row here and several there: read again as what holds for all.
        task = MULTI
        files = [_read(path, replace(config, task=MULTI)) for path in config.data]
    codebook = _codebook(config, files)
    for file in files:
        check_labels(file.rows, codebook)
    if task == SINGLE and len({row.primary for file in files for row in file.rows}) < 2:
        raise InputError(f"{config.data[0]}: every row has the same label; a single-label model needs at least two")

    fit = [list(file.rows) for file in files]
    if config.validation:
        validation = [row for path in config.validation for row in _read(path, replace(config, task=task)).rows]
        check_labels(validation, codebook)
    else:
        fit[0], validation = split_off(fit[0], config.validation_share)
    excluded = [row for path in config.exclude for row in _read(path, config).rows]
    dropped = {}
    for name, barred in (("excluded", excluded), ("validation", validation)):
        before = sum(map(len, fit))
        fit = [without_near_duplicates(rows, barred) for rows in fit]
        dropped[name] = before - sum(map(len, fit))
    if excluded:
        kept = without_near_duplicates(validation, excluded)
        dropped["validation_excluded"] = len(validation) - len(kept)
        validation = kept
    rows = [row for part, times in zip(fit, config.repeat or (1,) * len(fit), strict=True) for row in part * times]
    if len(rows) < 8 or len(validation) < 2:
        raise InputError(f"{len(rows)} sentences to fit on and {len(validation)} to validate on are too few to train a model")
    primary = task == MULTI and all(file.ordered for file in files)
    return TrainingData(tuple(rows), tuple(validation), codebook, HeadLayout(len(codebook.names), task, primary), dropped)


def crossing_pairs(data: TrainingData) -> int:
    """Near-duplicate pairs between fit and validation: must be 0."""
    return len(near_duplicates([row.text for row in data.fit], [row.text for row in data.validation]))


def _read(path: str, config: TrainConfig) -> AnnotatedFile:
    return read_annotated(
        path, text_column=config.text_column or None, label_columns=config.label_columns, task=config.task or None
    )


def _codebook(config: TrainConfig, files: Sequence[AnnotatedFile]) -> Codebook:
    """The codebook that is named; else the shipped one where it knows every label; else the data's own names."""
    if config.codebook:
        try:
            return load_codebook(config.codebook)
        except OSError as error:
            raise InputError(f"{config.codebook}: can't be read ({error.strerror}); name a codebook file") from None
    names = list(dict.fromkeys(name for file in files for name in file.names))
    shipped = load_codebook()
    if set(names) <= set(shipped.names) and len(names) > 1:
        return shipped
    if len(names) < 1:
        raise InputError(f"{config.data[0]}: no labels in it; every row is none")
    try:
        return Codebook.from_names(names)
    except CodebookError as error:
        raise InputError(f"{config.data[0]}: {error}") from None
