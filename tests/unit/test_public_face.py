"""``import mergestore``: what it exports, how light it is, and that it refuses packages that are not its own."""

import math
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
    assert public | {"Resident", "Store", "__version__", *mergestore._METHOD_CONTRACT} == set(mergestore.__all__)
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


# Opening a store


@pytest.fixture
def bare(monkeypatch):
    """An environment that names no store, database, server or actor."""
    for name in ("MERGESTORE_HOME", "MERGESTORE_DATABASE", "MLFLOW_TRACKING_URI", "MERGESTORE_ACTOR"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


@pytest.mark.usefixtures("bare")
def test_open_makes_a_store_and_finds_it_again(tmp_path):
    for _ in range(2):
        with mergestore.open(tmp_path / "store") as store:
            assert store.list() == mergestore.Listing()
            assert store.tracking_uri == f"sqlite:///{tmp_path / 'store' / 'mlflow.db'}"
            assert "@" in store.actor
    assert (tmp_path / "store" / "registry.db").exists()


def test_the_environment_says_where_and_who(tmp_path, bare):
    bare.setenv("MERGESTORE_HOME", str(tmp_path / "home"))
    bare.setenv("MERGESTORE_DATABASE", f"sqlite:///{tmp_path / 'elsewhere.db'}")
    bare.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    bare.setenv("MERGESTORE_ACTOR", "ci@example")
    with mergestore.open() as store:
        assert (store.tracking_uri, store.actor) == ("http://127.0.0.1:9", "ci@example")
    assert (tmp_path / "elsewhere.db").exists()
    assert (tmp_path / "home").is_dir()
    assert not (tmp_path / "home" / "registry.db").exists()


def test_what_is_said_wins_over_the_environment(tmp_path, bare):
    for name in ("MERGESTORE_HOME", "MERGESTORE_DATABASE", "MLFLOW_TRACKING_URI", "MERGESTORE_ACTOR"):
        bare.setenv(name, "nonsense")
    url = f"sqlite:///{tmp_path / 'said.db'}"
    with mergestore.open(tmp_path / "home", database=url, tracking_uri="http://said", actor="me") as store:
        assert (store.tracking_uri, store.actor) == ("http://said", "me")
    assert (tmp_path / "said.db").exists()


@pytest.mark.usefixtures("bare")
@pytest.mark.parametrize("database", [None, "sqlite:///{}/typo.db"])
def test_a_store_that_is_not_there_is_said_and_not_made(tmp_path, database):
    home = tmp_path / "none"
    with pytest.raises(mergestore.EnvironmentFailure, match="there is no store in") as caught:
        mergestore.open(home, database=database and database.format(tmp_path), create=False)
    assert "mergestore init" in caught.value.hint
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("bare")
def test_a_file_in_the_way_is_an_environment_failure(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(mergestore.EnvironmentFailure, match="cannot make the store"):
        mergestore.open(tmp_path / "file" / "store")


@pytest.mark.usefixtures("bare")
def test_init_says_whether_it_made_the_store(tmp_path):
    first, second = mergestore.init(tmp_path / "store"), mergestore.init(tmp_path / "store")
    assert (first["created"], second["created"]) == (True, False)
    assert first["home"] == str(tmp_path / "store")
    assert set(first) == {
        "home",
        "database",
        "objects",
        "created",
        "schema",
        "schema_before",
        "backup",
        "guarded",
        "quota",
    }


# Arguments that only a program can give


NUMBERS = ("5GB", b"5", 1.5, -1, True, math.nan, 1 << 53)
MEANINGLESS = [
    *[
        ("a whole number", lambda store, given=given: mergestore.init(store.home.root, quota=given))
        for given in NUMBERS
    ],
    *[("a whole number", lambda store, given=given: store.collect_garbage(cache_limit=given)) for given in NUMBERS],
    *[
        ("from 1 on", lambda store, given=given: mergestore.open(store.home.root, objects_cache=given))
        for given in (*NUMBERS, 0)
    ],
    *[
        ("a number from 0 on", lambda store, given=given: store.check_store(read_data=True, seconds=given))
        for given in ("5", -1, math.nan)
    ],
    *[("5%", lambda store, given=given: store.check_store(share=given)) for given in (5, 0.5, b"5%")],
    *[("timedelta", lambda store, given=given: store.collect_garbage(grace=given)) for given in (0, 1.5, "1d", None)],
    *[("a list", lambda store, given=given: store.repair(copies=given)) for given in ("x", b"x", Path("x"), 5, None)],
    *[("pathlib.Path", lambda store, given=given: mergestore.open(given)) for given in (b"x", 5, 0, ["x"])],
    ("pathlib.Path", lambda store: store.repair(copies=[5])),
    ("pathlib.Path", lambda store: mergestore.backup(b"x", store.home.root)),
    ("current folder", lambda store: mergestore.open("")),
]


@pytest.mark.usefixtures("bare")
def test_what_is_no_argument_is_refused_and_says_what_is_wanted(tmp_path, bare):
    bare.chdir(tmp_path)
    with mergestore.open(tmp_path / "store") as store:
        before = store.find("events").total, sorted(tmp_path.rglob("*"))
        for wanted, call in MEANINGLESS:
            with pytest.raises(mergestore.UsageError) as refused:
                call(store)
            assert wanted in refused.value.hint
        assert (store.find("events").total, sorted(tmp_path.rglob("*"))) == before
