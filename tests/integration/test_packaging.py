"""The wheel holds exactly the tree, and works from another folder, in an environment that has only the wheel."""

import json
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("cli", "merging", "migrations", "registry", "storage")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    _run(sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", folder, cwd=ROOT)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """A fresh environment with the wheel; what it depends on is lent by the environment of the tests."""
    folder = tmp_path_factory.mktemp("installed") / "env"
    venv.create(folder, with_pip=False)
    python = folder / "bin" / "python"
    install = ("-m", "pip", "--python", python, "install", "--no-deps", "--no-index", "--quiet")
    _run(sys.executable, *install, "--disable-pip-version-check", wheel, cwd=folder)
    (site,) = folder.glob("lib/python*/site-packages")
    # A path file lends the packages but not their path files, so an editable mergestore there stays unseen.
    (site / "lent.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder / "bin"


def test_the_wheel_is_the_tree(wheel):
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
    files = (path for package in PACKAGES for path in (ROOT / package).rglob("*"))
    tree = {path.relative_to(ROOT).as_posix() for path in files if path.is_file() and "__pycache__" not in path.parts}
    assert packed == tree | {"mergestore.py", "mergestore_mlflow.py"}


def test_the_wheel_carries_its_metadata(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = {name.rpartition(".dist-info/")[2] for name in archive.namelist() if ".dist-info/" in name}
    assert {"METADATA", "entry_points.txt", "licenses/LICENSE"} <= names


def test_it_is_imported_from_the_wheel(installed, tmp_path):
    code = "import mergestore, migrations, storage; print(mergestore.__file__, migrations.__file__, storage.__file__)"
    for found in _run(installed / "python", "-c", code, cwd=tmp_path).split():
        assert Path(found).is_relative_to(installed.parent)


def test_it_works_in_an_empty_folder(installed, tmp_path):
    folder, store = tmp_path / "elsewhere", tmp_path / "store"
    folder.mkdir()
    made = json.loads(_run(installed / "mergestore", "init", "--store", store, "--json", cwd=folder))
    assert made["created"] is True
    listed = json.loads(_run(installed / "mergestore", "list", "--store", store, "--json", cwd=folder))
    assert listed == {"bases": [], "skills": [], "merges": []}
    assert list(folder.iterdir()) == []


def test_the_version_is_the_distribution_s(installed, wheel, tmp_path):
    version = _run(installed / "mergestore", "--version", cwd=tmp_path).strip()
    assert wheel.name.startswith(f"mergestore-{version}-")


def _run(*command, cwd):
    done = subprocess.run([str(word) for word in command], cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
