"""A model is one folder: network, tokenizer, codebook, calibration, card, and a manifest with every file's hash.

The manifest, `sitrep.json`, is written last: where it exists, the folder is whole.
"""

import hashlib
import json
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from ..data.codebook import Codebook, load_codebook
from .decide import Calibration
from .heads import HeadLayout

FORMAT = 1
MANIFEST = "sitrep.json"
CODEBOOK = "codebook.toml"
CALIBRATION = "calibration.json"
ONNX = "model.int8.onnx"
TOKENIZER = "tokenizer.json"


class CheckpointError(ValueError):
    """A model folder is missing, incomplete, damaged or of another format."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A model folder that was read and whose files have the hashes that its manifest states.

    Attributes:
        model_hash: sha256 over the manifest's list of files, so over everything the model is.
    """

    folder: Path
    layout: HeadLayout
    codebook: Codebook
    calibration: Calibration
    max_tokens: int
    pad_id: int
    model_hash: str
    record: dict

    @property
    def names(self) -> tuple[str, ...]:
        """The labels in the order of the logits."""
        return self.codebook.names


def shipped_weights() -> Path:
    """The folder of the model that comes with the package."""
    return Path(str(resources.files("sitrep.model"))) / "weights"


def file_hash(path: Path) -> str:
    """sha256 of a file, in hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def write_manifest(folder: Path, *, layout: HeadLayout, max_tokens: int, pad_id: int, record: dict) -> None:
    """Hash every file in the folder and write the manifest that makes it a checkpoint.

    Args:
        record: what else is to be remembered (base encoder, data, seed, scores), JSON-ready.
    """
    files = sorted(path for path in folder.iterdir() if path.is_file() and path.name != MANIFEST)
    manifest = {
        "format": FORMAT,
        "task": layout.task,
        "primary_head": layout.primary,
        "labels": layout.labels,
        "max_tokens": max_tokens,
        "pad_id": pad_id,
        "record": record,
        "files": {path.name: {"bytes": path.stat().st_size, "sha256": file_hash(path)} for path in files},
    }
    partial = folder / (MANIFEST + ".partial")
    partial.write_text(json.dumps(manifest, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    partial.replace(folder / MANIFEST)


def read_checkpoint(folder: str | Path | None = None, *, verify: bool = True) -> Checkpoint:
    """Open a model folder; None for the shipped one.

    Args:
        verify: compare every file with its hash (0.1 s for the shipped model); only turn it off for a folder just verified.

    Raises:
        CheckpointError: what is wrong and which file it is in.
    """
    folder = shipped_weights() if folder is None else Path(folder)
    if not folder.is_dir():
        raise CheckpointError(f"{folder}: no such model folder")
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        if manifest["format"] != FORMAT:
            raise CheckpointError(f"{folder}: model format {manifest['format']}, this version reads {FORMAT}; update sitrep")
        layout = HeadLayout(manifest["labels"], manifest["task"], manifest["primary_head"])
        files = {name: (int(stated["bytes"]), str(stated["sha256"])) for name, stated in manifest["files"].items()}
        max_tokens, pad_id, record = int(manifest["max_tokens"]), int(manifest["pad_id"]), manifest["record"]
    except OSError:
        raise CheckpointError(f"{folder}: no {MANIFEST}, so no finished sitrep model; train one or name another folder") from None
    except CheckpointError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(
            f"{folder}/{MANIFEST}: damaged ({type(error).__name__}: {error}); copy the model folder anew"
        ) from None
    if verify:
        _verify(folder, files)
    try:
        codebook = load_codebook(folder / CODEBOOK)
        record_of_calibration = json.loads((folder / CALIBRATION).read_text(encoding="utf-8"))
        calibration = Calibration.from_json(record_of_calibration, codebook.names)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{folder}: codebook or calibration can't be read ({error}); copy the model folder anew") from None
    if len(codebook.names) != layout.labels:
        raise CheckpointError(f"{folder}: the codebook has {len(codebook.names)} labels, the network {layout.labels}")
    digest = hashlib.sha256(json.dumps(manifest["files"], sort_keys=True).encode()).hexdigest()
    return Checkpoint(folder, layout, codebook, calibration, max_tokens, pad_id, digest, record)


def _verify(folder: Path, files: dict[str, tuple[int, str]]) -> None:
    present = {path.name for path in folder.iterdir() if path.suffix in (".onnx", ".safetensors", ".toml", ".json")}
    for name in sorted(present - set(files) - {MANIFEST}):
        raise CheckpointError(f"{folder / name}: {MANIFEST} does not vouch for it; delete it or copy the model folder anew")
    for name, (size, digest) in files.items():
        path = folder / name
        if Path(name).name != name:
            raise CheckpointError(f"{folder}/{MANIFEST}: {name!r} is not a plain file name; don't use this model")
        if not path.is_file():
            raise CheckpointError(f"{path}: missing; copy the model folder anew")
        if path.stat().st_size != size or file_hash(path) != digest:
            raise CheckpointError(f"{path}: not the file that {MANIFEST} describes (sha256 differs); copy the model folder anew")
