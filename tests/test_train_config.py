"""A recipe is read strictly: what is unknown, of the wrong type or out of range is refused by name."""

import json
from pathlib import Path

import pytest

from sitrep.data.errors import InputError
from sitrep.model.network import DEFAULT_ENCODER
from sitrep.train.config import TrainConfig, load_recipe

SHIPPED = Path(__file__).parents[1] / "train" / "recipes" / "shipped.toml"

OUT_OF_RANGE = [
    {"task": "ranking"},
    {"epochs": 0},
    {"epochs": float("nan")},
    {"epochs": float("inf")},
    {"batch_size": 0},
    {"learning_rate": 0},
    {"learning_rate": 1},
    {"layer_decay": 0},
    {"layer_decay": 1.1},
    {"validation_share": 0},
    {"validation_share": 0.5},
    {"max_tokens": 15},
    {"word_dropout": -0.1},
    {"word_dropout": 0.5},
    {"weight_decay": -1},
    {"warmup": 1},
    {"dropout": 1.0},
    {"dropout": -0.1},
    {"head_dropout": 1.5},
    {"primary_weight": -0.5},
    {"precision": "fp16"},
    {"seed": -1},
    {"seed": 2**32},
]


@pytest.mark.parametrize("setting", OUT_OF_RANGE, ids=str)
def test_each_setting_out_of_range_is_refused_by_name_and_value(setting):
    [(name, value)] = setting.items()
    with pytest.raises(InputError, match=f"^{name} is {value!r}; "):
        TrainConfig(**setting)


def test_repeat_goes_with_the_files():
    assert TrainConfig(data=("a.csv", "b.csv"), repeat=(1, 3)).repeat == (1, 3)
    with pytest.raises(InputError, match="repeat has 1 numbers for 2 data files"):
        TrainConfig(data=("a.csv", "b.csv"), repeat=(3,))
    with pytest.raises(InputError, match="each must be above 0"):
        TrainConfig(data=("a.csv",), repeat=(0,))


def test_defaults_pass_and_are_json_ready():
    config = TrainConfig()
    assert config.encoder == DEFAULT_ENCODER
    assert TrainConfig(
        **{**json.loads(json.dumps(config.as_dict())), **{n: tuple(v) for n, v in config.as_dict().items() if v == ()}}
    )
    with pytest.raises(AttributeError):
        config.epochs = 3


def test_the_shipped_recipe_is_one():
    config = load_recipe(SHIPPED)
    assert config.encoder == DEFAULT_ENCODER
    assert config.data == ()


def recipe(tmp_path, content: str | bytes) -> Path:
    path = tmp_path / "recipe.toml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_options_take_precedence_and_unset_ones_do_not(tmp_path):
    path = recipe(tmp_path, 'data = ["a.csv", "b.csv"]\nepochs = 3\nseed = 4\ndropout = 0\n')
    config = load_recipe(path, seed=5, epochs=None, data=["c.csv"])
    assert (config.data, config.epochs, config.seed, config.dropout) == (("c.csv",), 3, 5, 0)
    assert load_recipe(None, seed=3) == TrainConfig(seed=3)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("epoch = 3\n", "unknown setting 'epoch'; known are data, "),
        ('data = "a.csv"\n', "data is 'a.csv'; it must be a list of strings"),
        ("data = [1]\n", "data is (1,); it must be a list of strings"),
        ('repeat = ["2"]\n', "it must be a list of whole numbers"),
        ('epochs = "four"\n', "epochs is 'four'; it must be a number"),
        ("batch_size = 16.5\n", "batch_size is 16.5; it must be a whole number"),
        ("seed = true\n", "seed is True; it must be a whole number"),
        ("encoder = 3\n", "encoder is 3; it must be a string"),
        ('dropout = "none"\n', "dropout is 'none'; it must be a number"),
        ("epochs = \n", "not valid TOML"),
        (b'encoder = "\xff"\n', "not valid TOML"),
    ],
)
def test_a_recipe_that_is_none_is_refused(tmp_path, content, said):
    with pytest.raises(InputError) as caught:
        load_recipe(recipe(tmp_path, content))
    message = str(caught.value)
    assert said in message
    assert message.startswith(f"{tmp_path / 'recipe.toml'}: ")
    assert "\n" not in message


def test_missing_recipes_and_unknown_options_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"nowhere\.toml: can't be read \(No such file"):
        load_recipe(tmp_path / "nowhere.toml")
    with pytest.raises(InputError, match="settings: unknown setting 'epoch'"):
        load_recipe(None, epoch=3)
