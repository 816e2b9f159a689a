"""Where faults are tried: a folder that is the same before every trial, who meets them, and what is looked at then."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from blake3 import blake3
from sqlalchemy import Engine, inspect, text

import mergestore
import migrations
from migrations import VERSION_TABLE
from tests.integration.conftest import Server
from tests.integration.faults.scenarios import DATABASE, Scenario, database, stock
from tests.integration.faults.syscalls import Fault, Step
from tests.integration.shell import Shell, rows

ROOT = Path(__file__).parents[3]
BACKUP = "backup"
WORK, KEPT, STOCK = "work", "kept", "stock"
"""The states that there are: of a folder below the laboratory's, and of a database of this name."""
SECONDS = 60
"""How long a server may take to see that a client is gone."""
PASSING = {"lease", "garbage", "outbox", "alias", "store_meta", "sqlite_sequence", VERSION_TABLE}
"""Tables whose rows may change or go."""
ONCE = ("model", "model_version", "version_file", "tensor", "delta", "recipe", "recipe_input", "lineage_edge", "blob")
"""Tables that have the same number of rows whether something was done once or twice."""
CONFLICT = 4
Rows = dict[str, list[Any]]


@dataclass(frozen=True)
class Trial:
    """How a process ended: its exit status, how often it met the fault, its steps, and what it said if it could."""

    status: int
    met: int
    steps: list[Step]
    answers: list[dict[str, Any]] = field(default_factory=list)


class Laboratory:
    """A forking process, and the folder that its children work in.

    ``server``: the registry is there, in the database ``WORK``, which the environment names for all.
    """

    def __init__(self, folder: Path, server: Server | None = None):
        self.root, self.server = folder / WORK, server
        self._folder, self._said = folder, folder / "said.json"
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "NUMBA_NUM_THREADS": "2"}
        command = [sys.executable, "-m", "tests.integration.faults.worker"]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment
        )
        self.root.mkdir()
        self._make_database("template1", WORK)
        stock(self.root)
        self._copy(WORK, STOCK)
        assert self._heard() == "ready"

    def prepare(self, scenario: Scenario) -> None:
        """Bring about the state that a scenario begins with, and keep it."""
        self._copy(STOCK, WORK)
        scenario.state(self.root)
        self._copy(WORK, KEPT)

    def reset(self) -> None:
        """The state that was kept."""
        self._copy(KEPT, WORK)

    def trial(self, scenario: Scenario, fault: Fault | None = None, limits: Sequence[tuple[int, int]] = ()) -> Trial:
        """Let a process run the scenario's command line over what is there, with a fault, or limits of the kernel."""
        self._said.unlink(missing_ok=True)
        ended = self._order(lines=scenario.lines(self.root), limits=limits, fault=asdict(fault) if fault else None)
        said = json.loads(self._said.read_text()) if self._said.exists() else {"answers": [], "modules": []}
        if fault is None and not limits:
            self._say({"modules": said["modules"]})  # for all after it: what was imported late
        steps = [Step(*step) for step in ended["steps"]]
        return Trial(ended["status"], ended["met"], steps, said["answers"])

    def close(self) -> None:
        """End the process."""
        with self._process:
            assert self._process.stdin is not None
            self._process.stdin.close()

    def _order(self, **order: Any) -> dict[str, Any]:
        return self._say(
            {"root": str(self.root), "said": str(self._said), "port": self.server and self.server.port, **order}
        )

    def _say(self, order: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._heard())
        return answer

    def _heard(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def _copy(self, source: str, target: str) -> None:
        """Make one of the states the same as another."""
        folder = self._folder / target
        folder.mkdir(exist_ok=True)
        for each in folder.iterdir():  # the folder itself may be where a filesystem is mounted
            shutil.rmtree(each) if each.is_dir() else each.unlink()
        shutil.copytree(self._folder / source, folder, dirs_exist_ok=True)
        self._make_database(source, target)

    def _make_database(self, source: str, target: str) -> None:
        if self.server is not None:
            self.server.run(f"DROP DATABASE IF EXISTS {target} WITH (FORCE)")
            self.server.run(f"CREATE DATABASE {target} TEMPLATE {source}")

    def called(self, name: str) -> str:
        """A scenario by its name and where the registry is."""
        return f"{name}, PostgreSQL" if self.server is not None else name


# --- what is looked at ------------------------------------------------------------------------------------


def content(root: Path) -> dict[str, str]:
    """Every file below a folder by what is in it; of papers with a date in them, and of backups, the name only."""
    found = {}
    for path in sorted(root.rglob("*")):
        name = str(path.relative_to(root))
        if (
            not path.is_file()
            or path.name.startswith(("registry.db", "store-id"))
            or BACKUP in path.parts[len(root.parts)]
        ):
            continue
        if path.parent.name == "backups":  # of the registry: its schema and the moment stand in its name
            found[str(Path(name).with_name(path.name.split("-")[1]))] = ""
        else:
            dated = path.name in ("mergestore.json", "README.md") or path.suffix == ".bundle"
            found[name] = "" if dated else blake3(path.read_bytes()).hexdigest()
    return found


def temporary(root: Path) -> list[str]:
    """Temporary files and folders, wherever they lie."""
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.suffix.startswith((".tmp", ".note")))


def lost_rows(before: Rows, after: Rows) -> list[str]:
    """Rows that were committed and are not there any more."""
    lost = []
    for table in sorted(before.keys() - PASSING):
        columns = 2 if table == "blob" else None  # when it was read last, and its SHA-256, come later
        now = {row[:columns] for row in after.get(table, ())}
        lost += [f"{table}: {row}" for row in before[table] if row[:columns] not in now]
    return lost


def records(root: Path) -> Rows:
    """Every row of the store's registry, which SQLite itself finds nothing wrong with.

    Of a database on a server, when it has seen that all clients but this one are gone.
    """
    with database() as engine:
        if engine is not None:
            return _rows_on_server(engine)
    file = root / "store" / "registry.db"
    if file.exists():
        with closing(sqlite3.connect(file)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    return rows(file)


def _rows_on_server(engine: Engine) -> Rows:
    others = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        deadline = time.monotonic() + SECONDS
        while connection.scalar(text(others)):
            assert time.monotonic() < deadline, "a connection of a dead process is there for ever"
            time.sleep(0.005)
        names = inspect(connection).get_table_names()
        return {name: list(map(_hashable, connection.execute(text(f'SELECT * FROM "{name}"')))) for name in names}


def _hashable(row: Iterable[Any]) -> tuple[Any, ...]:
    """A row whose JSON documents are text, as they are in SQLite."""
    return tuple(json.dumps(value, sort_keys=True) if isinstance(value, dict | list) else value for value in row)


def schema(found: Rows) -> str | None:
    """Which schema a registry has; None before it has any."""
    versions = found.get(VERSION_TABLE)
    return str(versions[0][0]) if versions else None


def require_sound(root: Path, scenario: Scenario, before: Rows) -> None:
    """Whatever happened: what was committed is there, and all that is there is whole."""
    after = records(root)
    if not scenario.lost and schema(after) == schema(before):
        assert lost_rows(before, after) == []
    if schema(after) == migrations.head() and scenario.verb != "repair":
        with mergestore.open(root / "store", create=False) as store:
            verified = store.verify()
        assert verified.problems == []


def finish(root: Path, scenario: Scenario, *, thorough: bool = False) -> dict[str, str]:
    """Do it again, to its end, and clear up; what there is then, byte for byte, and how many records. Nothing temporary
    is left.

    ``thorough``: the store itself says that all is well; what is the same as then is so too.
    """
    shell = Shell(root / "store")
    if not (scenario.once and schema(records(root))):
        _do_again(root, scenario, shell)
    if scenario.verb == "backup":
        Shell(root / "elsewhere").text("restore", "--check", scenario.lines(root)[0][-1])
    if scenario.verb == "export":
        shell.text("import", "--dry-run", root / "new.bundle")
    if schema(records(root)) != migrations.head():
        shell.text("init")
    shell.text("gc", "--apply", "--grace", "0s")
    if thorough:
        assert shell.json("check", "--read-data")["problems"] == []
        collected = shell.json("gc")
        assert (collected["objects"], collected["leftovers"], collected["strangers"]) == ([], [], [])
    assert temporary(root) == []
    found = records(root)
    return content(root) | {f"rows of {table}": str(len(found[table])) for table in ONCE}


def _do_again(root: Path, scenario: Scenario, shell: Shell) -> None:
    for _, _, *words in scenario.lines(root):
        code, _, said = shell(*words)
        if code == CONFLICT and scenario.once and DATABASE in os.environ:
            # Folder and database are two places: what a kill left in one is in the way, which is told.
            shutil.rmtree(root / "store")
            code, _, said = shell(*words)
        assert code == 0, said
