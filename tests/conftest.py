"""What the tests share, made on the spot and without a network: toy sentences, encoders, codebook, and a trained toy model."""

import os

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
os.environ["OMP_NUM_THREADS"] = "2"
os.environ["TOKENIZERS_PARALLELISM"] = "false"

import importlib.util
import json
import random
import shutil
import string
import sys
import tempfile
from pathlib import Path

import pytest

if importlib.util.find_spec("sitrep") is None:
    # A bare clone: a link makes the folders importable, also in the processes that tests start.
    bare = Path(tempfile.mkdtemp(prefix="sitrep-bare-"))
    (bare / "sitrep").symlink_to(Path(__file__).resolve().parents[1])
    (bare / "sitrep-0.dist-info").mkdir()
    (bare / "sitrep-0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: sitrep\nVersion: 0\n")
    sys.path.insert(0, str(bare))
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(bare), os.environ.get("PYTHONPATH")]))

KEYWORDS = {
    "strike": ("rockets", "missile", "barrage"),
    "march": ("marched", "rally", "crowds"),
    "talks": ("envoys", "negotiated", "summit"),
    "harm": ("died", "wounded", "killed"),
}
"""The toy labels and the words that give them; `harm` is secondary."""
_FILLER = """the a of in near old new town river bridge market road north south east west early late monday friday spring winter
minister farmer teacher driver office school window garden summer morning evening paper music football weather price wheat
train boat shop hill valley village letter report green grey quiet long short again also there where while after before"""
FILLER = _FILLER.split()

CODEBOOK = 'name = "toy"\nversion = "1"\n\n[[groups]]\nname = "all"\ntitle = "everything"\n' + "".join(
    f'\n[[labels]]\nname = "{label}"\ngroup = "all"\nkeywords = {json.dumps(list(words))}\nsecondary = {str(label == "harm").lower()}\n'
    for label, words in KEYWORDS.items()
)


def toy_sentences(count: int, seed: int) -> list[tuple[str, list[str]]]:
    """Random filler with keywords in it, and the labels that these give, primary first: by place, `harm` last."""
    rng = random.Random(seed)
    found = []
    for _ in range(count):
        labels = rng.sample(list(KEYWORDS), rng.choice((0, 1, 1, 1, 2)))
        labels.sort(key=lambda label: label == "harm")
        words = rng.choices(FILLER, k=rng.randint(4, 16))
        places = sorted(rng.sample(range(len(words) + 1), len(labels)), reverse=True)
        for place, label in zip(places, reversed(labels), strict=True):
            words.insert(place, rng.choice(KEYWORDS[label]))
        found.append((" ".join(words).capitalize() + ".", labels))
    return found


def write_jsonl(path: Path, rows: list[tuple[str, list[str]]]) -> Path:
    path.write_text("".join(json.dumps({"text": text, "labels": labels}) + "\n" for text, labels in rows), "utf-8")
    return path


@pytest.fixture(scope="session")
def toy_rows():
    """`toy_rows(count, seed)`: toy sentences with their labels."""
    return toy_sentences


@pytest.fixture(scope="session")
def toy_files(tmp_path_factory) -> dict[str, Path]:
    """Files of a toy task: `codebook`, and annotated sentences `train`, `dev` and `test`."""
    folder = tmp_path_factory.mktemp("toy")
    (folder / "codebook.toml").write_text(CODEBOOK, "utf-8")
    sizes = {"train": (320, 1), "dev": (400, 2), "test": (80, 3)}
    files = {name: write_jsonl(folder / f"{name}.jsonl", toy_sentences(*args)) for name, args in sizes.items()}
    return {"codebook": folder / "codebook.toml", **files}


@pytest.fixture(scope="session")
def toy_codebook(toy_files):
    from sitrep.data.codebook import load_codebook

    return load_codebook(toy_files["codebook"])


def toy_tokenizer():
    """WordPiece over the toy words, with single letters for everything else."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    letters = string.ascii_lowercase + string.digits
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *".,;:!?'-", *letters, *(f"##{letter}" for letter in letters)]
    words = [*FILLER, *(word for each in KEYWORDS.values() for word in each)]
    vocabulary = {piece: i for i, piece in enumerate(dict.fromkeys([*pieces, *words]))}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    ends = [("[CLS]", vocabulary["[CLS]"]), ("[SEP]", vocabulary["[SEP]"])]
    tokenizer.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=ends)
    special = {f"{name}_token": f"[{name.upper()}]" for name in ("pad", "unk", "cls", "sep", "mask")}
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_input_names=["input_ids", "attention_mask"], **special)


def write_encoder(folder: Path, kind: str) -> Path:
    """A randomly initialised encoder of two layers, 32 wide, with its tokenizer.

    In place of a pretraining, it knows filler from keywords: all filler words lie close together, and positions say little.
    So it learns the toy task within seconds, and by a margin that neither int8 nor another processor's rounding can undo.
    """
    import torch
    import transformers

    tokenizer = toy_tokenizer()
    sizes = {"vocab_size": len(tokenizer), "max_position_embeddings": 64, "pad_token_id": tokenizer.pad_token_id}
    wide = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    ids = {"cls_token_id": 2, "bos_token_id": 2, "sep_token_id": 3, "eos_token_id": 3}
    extra = {
        "bert": wide,
        "distilbert": {"dim": 32, "n_layers": 2, "n_heads": 2, "hidden_dim": 64},
        "roberta": wide,
        "modernbert": {**wide, **ids, "local_attention": 16, "reference_compile": False},
        "deberta-v2": {**wide, "relative_attention": True, "position_buckets": 16, "pos_att_type": ["p2c", "c2p"]},
    }[kind]
    torch.manual_seed(0)
    config = transformers.AutoConfig.for_model(kind, **{**sizes, **extra}, initializer_range=0.1)
    model = transformers.AutoModel.from_config(config)
    filler = tokenizer.convert_tokens_to_ids([*FILLER, "."])
    with torch.no_grad():
        words = model.get_input_embeddings().weight
        words[filler] = words[filler[0]] + 0.1 * words[filler]
        for name, parameter in model.named_parameters():
            if "position_embeddings" in name:
                parameter *= 0.1
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def make_encoder(tmp_path_factory):
    """`make_encoder(kind)`: the folder of a toy encoder of that architecture, made once."""
    made: dict[str, Path] = {}

    def make(kind: str) -> Path:
        if kind not in made:
            made[kind] = write_encoder(tmp_path_factory.mktemp(kind), kind)
        return made[kind]

    return make


@pytest.fixture(scope="session")
def toy_settings(toy_files, make_encoder) -> dict:
    """Settings under which a toy encoder learns the toy task within seconds."""
    return {
        "data": (str(toy_files["train"]),),
        "validation": (str(toy_files["dev"]),),
        "codebook": str(toy_files["codebook"]),
        "encoder": str(make_encoder("bert")),
        "epochs": 6.0,
        "batch_size": 16,
        "learning_rate": 5e-3,
        "dropout": 0.0,
        "head_dropout": 0.0,
        "max_tokens": 24,
        "precision": "fp32",
    }


@pytest.fixture(scope="session")
def toy_model(toy_settings, tmp_path_factory) -> Path:
    """The folder of a toy model, trained and exported. Read only: change a `toy_copy`."""
    from sitrep.train.config import TrainConfig
    from sitrep.train.export import export
    from sitrep.train.run import train

    folder = tmp_path_factory.mktemp("model") / "toy"
    train(TrainConfig(**toy_settings), folder)
    export(folder)
    return folder


@pytest.fixture
def toy_copy(toy_model, tmp_path) -> Path:
    """A copy of the toy model for this test alone."""
    return Path(shutil.copytree(toy_model, tmp_path / "copy"))


@pytest.fixture(scope="session")
def toy(toy_model):
    """The toy model, on onnxruntime."""
    from sitrep.model import load

    return load(toy_model, threads=2)


@pytest.fixture(scope="session")
def toy_torch(toy_model):
    """The toy model, on torch."""
    from sitrep.model import load

    return load(toy_model, runtime="torch", threads=2)
