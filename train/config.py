"""The settings of a training run: one dataclass, every check in one place, readable from a recipe file."""

import tomllib
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, get_args, get_origin

from ..data.annotated import MULTI, SINGLE
from ..data.errors import InputError
from ..model.network import DEFAULT_ENCODER

_KINDS = {
    tuple[str, ...]: "a list of strings",
    tuple[int, ...]: "a list of whole numbers",
    str: "a string",
    int: "a whole number",
    float: "a number",
    float | None: "a number",
}
"""What a field of each type is called in a message."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainConfig:
    """Everything that decides a run. A line under each field says what it does."""

    data: tuple[str, ...] = ()
    """Files of annotated sentences."""
    repeat: tuple[int, ...] = ()
    """How often each file of `data` is seen in an epoch; empty for once each."""
    validation: tuple[str, ...] = ()
    """Files to validate on; empty to hold out `validation_share` of the data, by document group."""
    validation_share: float = 0.08
    """Share of the first data file that is held out for choosing thresholds, calibration and the checkpoint."""
    exclude: tuple[str, ...] = ()
    """Files whose sentences, and near duplicates of them, must not be trained on (a benchmark's test split)."""
    codebook: str = ""
    """Codebook file; empty for the shipped one where its labels fit the data, else the data's own label names."""
    encoder: str = DEFAULT_ENCODER
    """Hub id or folder of the base encoder."""
    task: str = ""
    """`multi_label` or `single_label`; empty to infer it from the data."""
    text_column: str = ""
    label_columns: tuple[str, ...] = ()
    """Names of the columns; empty to find them."""
    epochs: float = 4.0
    batch_size: int = 32
    learning_rate: float = 2e-4
    layer_decay: float = 1.0
    """Each layer below the top learns at this times the rate of the one above it."""
    weight_decay: float = 0.01
    warmup: float = 0.06
    """Share of the steps over which the learning rate rises."""
    max_tokens: int = 128
    """Sentence pieces a sentence is cut to in training; longer ones are read in windows of this size when labelling."""
    dropout: float | None = None
    """Of hidden states and attention; unset keeps the encoder's own."""
    head_dropout: float | None = None
    """Of the classifier's input; unset keeps the encoder's own."""
    word_dropout: float = 0.0
    """Share of input tokens replaced by the mask token in training."""
    primary_weight: float = 0.5
    """Weight of the primary label's loss beside that of the event labels."""
    precision: str = "auto"
    """`bf16`, `fp32`, or `auto`: bf16 where the processor computes it natively."""
    seed: int = 17

    def __post_init__(self) -> None:
        checks = (
            (self.task in ("", SINGLE, MULTI), f"task is {self.task!r}; use {SINGLE} or {MULTI}, or leave it out"),
            (0 < self.epochs <= 1000, f"epochs is {self.epochs}; it must lie between 0 and 1000"),
            (self.batch_size > 0, f"batch_size is {self.batch_size}; it must be above 0"),
            (0 < self.learning_rate < 1, f"learning_rate is {self.learning_rate}; it must lie between 0 and 1"),
            (0 < self.layer_decay <= 1, f"layer_decay is {self.layer_decay}; it must lie between 0 and 1"),
            (0 < self.validation_share < 0.5, f"validation_share is {self.validation_share}; it must lie between 0 and 0.5"),
            (self.max_tokens >= 16, f"max_tokens is {self.max_tokens}; it must be at least 16"),
            (0 <= self.word_dropout < 0.5, f"word_dropout is {self.word_dropout}; it must lie between 0 and 0.5"),
            (self.weight_decay >= 0, f"weight_decay is {self.weight_decay}; it must not be below 0"),
            (0 <= self.warmup < 1, f"warmup is {self.warmup}; it must lie between 0 and 1"),
            (0 <= (self.dropout or 0) < 1, f"dropout is {self.dropout}; it must lie between 0 and 1"),
            (0 <= (self.head_dropout or 0) < 1, f"head_dropout is {self.head_dropout}; it must lie between 0 and 1"),
            (self.primary_weight >= 0, f"primary_weight is {self.primary_weight}; it must not be below 0"),
            (0 <= self.seed < 2**32, f"seed is {self.seed}; it must lie between 0 and 2**32 - 1"),
            (self.precision in ("auto", "bf16", "fp32"), f"precision is {self.precision!r}; use auto, bf16 or fp32"),
            (
                not self.repeat or len(self.repeat) == len(self.data),
                f"repeat has {len(self.repeat)} numbers for {len(self.data)} data files",
            ),
            (all(times > 0 for times in self.repeat), f"repeat is {list(self.repeat)}; each must be above 0"),
        )
        for passed, message in checks:
            if not passed:
                raise InputError(message)

    def as_dict(self) -> dict:
        """The resolved settings, JSON-ready."""
        return asdict(self)


def load_recipe(path: str | Path | None, **overrides) -> TrainConfig:
    """A recipe file's settings, with the given ones in place of its own; None for the defaults.

    Raises:
        InputError: no such file, not TOML, an unknown setting, or a value of the wrong type or out of range.
    """
    settings: dict = {}
    if path is not None:
        try:
            settings = tomllib.loads(Path(path).read_text(encoding="utf-8"))
        except OSError as error:
            raise InputError(f"{path}: can't be read ({error.strerror})") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise InputError(f"{path}: not valid TOML: {error}") from None
    known: dict[str, Any] = {field.name: field.type for field in fields(TrainConfig)}
    settings.update({name: value for name, value in overrides.items() if value is not None})
    unknown = sorted(set(settings) - set(known))
    if unknown:
        raise InputError(f"{path or 'settings'}: unknown setting {unknown[0]!r}; known are {', '.join(known)}")
    settings = {name: tuple(value) if isinstance(value, list) else value for name, value in settings.items()}
    for name, value in settings.items():
        if not _fits(value, known[name]):
            raise InputError(f"{path or 'settings'}: {name} is {value!r}; it must be {_KINDS[known[name]]}")
    return TrainConfig(**settings)


def _fits(value: Any, kind: Any) -> bool:
    """Whether a value is of a field's type; a whole number will do for a float."""
    if get_origin(kind) is tuple:
        return isinstance(value, tuple) and all(_fits(item, get_args(kind)[0]) for item in value)
    kinds = get_args(kind) or (kind,)
    return not isinstance(value, bool) and (isinstance(value, kinds) or (float in kinds and isinstance(value, int)))
