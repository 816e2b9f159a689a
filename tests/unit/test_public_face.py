"""``import mergestore``: what it exports, how light it is, and that it refuses packages that are not its own."""

import os
import subprocess
import sys
import types
from pathlib import Path

import pytest

import mergestore

ROOT = Path(__file__).parents[2]
HEAVY = {"torch", "mlflow", "numba", "alembic", "transformers", "sqlalchemy", "numpy", "rich"}


def test_exports_are_what_all_says():
    public = {
        name
        for name, value in vars(mergestore).items()
        if not name.startswith("_") and not isinstance(value, types.ModuleType) and _is_ours(value)
    }
    assert public | {"Store", "__version__"} == set(mergestore.__all__)
    assert list(mergestore.__all__) == sorted(mergestore.__all__)


def _is_ours(value):
    return getattr(value, "__module__", "").partition(".")[0] in ("mergestore", "registry", "storage")


@pytest.mark.parametrize("name", mergestore.__all__)
def test_every_export_is_there(name):
    assert getattr(mergestore, name) is not None


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        _ = mergestore.nonsense


def test_errors_can_be_caught_as_builtins():
    assert issubclass(mergestore.NotFound, KeyError)
    assert issubclass(mergestore.UsageError, ValueError)
    assert issubclass(mergestore.InputRefused, ValueError)
    assert issubclass(mergestore.EnvironmentFailure, OSError)


def test_importing_it_loads_nothing_heavy():
    done = _python("import sys, mergestore; print(*sys.modules)", ROOT)
    assert not HEAVY & set(done.stdout.split())


@pytest.mark.parametrize("package", ["cli", "migrations", "registry", "merging", "storage"])
def test_a_rival_package_is_named(tmp_path, package):
    rival = tmp_path / package
    rival.mkdir()
    (rival / "__init__.py").write_text("")
    done = _python("import mergestore", tmp_path)
    assert done.returncode == 1
    assert "ImportError: mergestore needs its own package" in done.stderr
    assert str(rival) in done.stderr
    assert "environment of its own" in done.stderr


def test_a_rival_module_is_named(tmp_path):
    rival = tmp_path / "storage.py"
    rival.write_text("")
    done = _python("import mergestore", tmp_path)
    assert "ImportError" in done.stderr
    assert str(rival) in done.stderr


def test_a_plain_folder_of_that_name_does_no_harm(tmp_path):
    (tmp_path / "storage").mkdir()
    assert _python("import mergestore", tmp_path).returncode == 0


def _python(code, folder):
    """Run ``code`` in ``folder``, which stands first on the path, as in a notebook or a script there."""
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
