import tomllib
from importlib.metadata import entry_points, requires
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_every_stage_is_packaged_and_there_is_no_folder_of_the_packages_name():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    stages = sorted(f"sitrep.{path.parent.name}" for path in ROOT.glob("*/__init__.py"))
    assert sorted(settings["packages"]) == stages == ["sitrep.data", "sitrep.eval", "sitrep.model", "sitrep.train"]
    assert settings["package-dir"] == {stage: stage.removeprefix("sitrep.") for stage in stages}
    assert not (ROOT / "sitrep").exists()


def test_every_data_file_of_a_stage_is_packaged():
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    for stage in ("data", "model", "eval", "train"):
        packaged = {path for pattern in declared[f"sitrep.{stage}"] for path in (ROOT / stage).glob(pattern)}
        files = {path for path in (ROOT / stage).rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc", ".md")}
        assert files - packaged == set()


def test_inference_needs_no_torch():
    plain = [need for need in requires("sitrep") if "extra ==" not in need]
    assert plain and not [need for need in plain if need.startswith(("torch", "transformers", "scikit-learn"))]


def test_the_command_is_there():
    [command] = entry_points(group="console_scripts", name="sitrep")
    assert callable(command.load())
