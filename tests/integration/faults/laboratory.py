"""Where faults are tried: a folder that is as it was before every trial, a process to meet them, and what is looked at."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from blake3 import blake3

from tests.integration.faults.scenarios import Scenario, stock
from tests.integration.faults.syscalls import Fault, Step
from tests.integration.shell import Shell, rows

ROOT = Path(__file__).parents[3]
PASSING = {"lease", "garbage", "outbox", "alias", "store_meta", "alembic_version", "mergestore_schema"}
"""Tables whose rows may change or go."""
_REGISTRY = ("registry.db", "registry.db-wal", "registry.db-shm")


@dataclass(frozen=True)
class Trial:
    """How a process ended: its exit status, how often it met the fault, its steps, and what it said if it could."""

    status: int
    met: int
    steps: list[Step]
    answers: list[dict[str, Any]] = field(default_factory=list)


class Laboratory:
    """A forking process, and the folder that its children work in."""

    def __init__(self, folder: Path):
        self.root, self._said, self._kept = folder / "work", folder / "said.json", folder / "kept"
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "NUMBA_NUM_THREADS": "2"}
        command = [sys.executable, "-m", "tests.integration.faults.worker"]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment
        )
        self.root.mkdir()
        stock(self.root)
        shutil.copytree(self.root, folder / "stock")
        self._stock = folder / "stock"
        assert self._heard() == "ready"

    def prepare(self, scenario: Scenario) -> None:
        """Bring about the state that a scenario begins with, and keep it."""
        self._copy(self._stock, self.root)
        scenario.state(self.root)
        self._copy(self.root, self._kept)

    def reset(self) -> None:
        """The state that was kept."""
        self._copy(self._kept, self.root)

    def trial(self, scenario: Scenario, fault: Fault | None = None) -> Trial:
        """Let a process run the scenario's command lines over what is there, and meet a fault."""
        self._said.unlink(missing_ok=True)
        ended = self._order(lines=scenario.lines(self.root), fault=asdict(fault) if fault else None)
        said = json.loads(self._said.read_text()) if self._said.exists() else {"answers": [], "modules": []}
        if fault is None:
            self._say({"modules": said["modules"]})  # for all after it: what was imported late
        steps = [Step(*step) for step in ended["steps"]]
        return Trial(ended["status"], ended["met"], steps, said["answers"])

    def close(self) -> None:
        """End the process."""
        with self._process:
            assert self._process.stdin is not None
            self._process.stdin.close()

    def _order(self, **order: Any) -> dict[str, Any]:
        return self._say({"root": str(self.root), "said": str(self._said), "sockets": False, **order})

    def _say(self, order: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._heard())
        return answer

    def _heard(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def _copy(self, source: Path, target: Path) -> None:
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(source, target)


# --- what is looked at ------------------------------------------------------------------------------------


def files(root: Path) -> dict[str, str]:
    """Every file below a folder by what is in it; of the registry and of papers with a date in them the name only."""
    found = {}
    for path in sorted(root.rglob("*")):
        if path.is_file() and path.name not in _REGISTRY:
            dated = path.name in ("mergestore.json", "README.md", "backup.json")
            found[str(path.relative_to(root))] = "" if dated else blake3(path.read_bytes()).hexdigest()
    return found


def kept_rows(before: dict[str, list[Any]], after: dict[str, list[Any]]) -> Iterator[str]:
    """Rows that were committed and are not there any more."""
    for table in sorted(before.keys() - PASSING):
        now = set(after.get(table, ()))
        columns = len(before[table][0]) if before[table] else 0
        for row in before[table]:
            if table == "blob":  # the last column tells when it was read last
                if not any(each[: columns - 1] == row[: columns - 1] for each in now):
                    yield f"{table}: {row}"
            elif row not in now:
                yield f"{table}: {row}"


def registry_is_sound(file: Path) -> bool:
    """Whether SQLite itself finds nothing wrong."""
    with closing(sqlite3.connect(file)) as connection:
        return connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def records(root: Path) -> dict[str, list[Any]]:
    """Every row of the store's registry."""
    return rows(root / "store" / "registry.db")


def shell(root: Path) -> Shell:
    """The command line on the store, in this process."""
    return Shell(root / "store")
