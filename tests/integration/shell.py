"""The command line on one store, in this process, and proof that a refused command left nothing behind."""

from __future__ import annotations

import contextlib
import io
import json
import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cli import main
from cli.console import harmless

# Different in every run: names of temporary files, and which of the shards under way meets a full disk first.
_VARYING = re.compile(r"[0-9a-f]{8}\.\d+\.[0-9a-f]{32}\.tmp|(?<=model-)\d{5}(?=-of-)")
_SIDECARS = (".db-wal", ".db-shm")  # SQLite makes and removes these when it likes


class Shell:
    """One store, and the command line on it. ``watched``: folders in which a refused command may leave nothing."""

    def __init__(self, home: Path, *watched: Path):
        self.home = home
        self.watched = watched

    def __call__(self, *words: object) -> tuple[int, str, str]:
        """Exit code, stdout and stderr of one command line."""
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main(["--store", str(self.home), *map(str, words)])
        return code, out.getvalue(), err.getvalue()

    def text(self, *words: object) -> str:
        """The answer for a person, which must be a success."""
        code, out, err = self(*words)
        assert code == 0, err
        return out

    def json(self, *words: object, code: int = 0) -> dict[str, Any]:
        """The JSON document, which must be the whole of stdout."""
        ended, out, err = self(*words, "--json")
        assert ended == code, out + err
        document: dict[str, Any] = json.loads(out)
        return document

    def refused(self, code: int, *words: object) -> dict[str, Any]:
        """The one JSON error of a command that must be refused with this code and change nothing.

        The text face must say the same, on stderr and without a traceback, and change nothing either.
        """
        before = self.state()
        document = self.json(*words, code=code)
        assert set(document) == {"error"}
        error: dict[str, Any] = document["error"]
        assert error["kind"] == KINDS[code]
        ended, out, err = self(*words)
        assert (ended, out) == (code, "")
        assert _VARYING.sub("", err).startswith(_VARYING.sub("", f"error: {harmless(error['message'])}"))
        assert harmless(error["hint"] or "") in err
        assert "Traceback" not in err
        assert self.state() == before
        return error

    def state(self) -> dict[str, Any]:
        """Every file and every database row, as far as a command may change them."""
        return {
            "files": {str(folder): listing(folder) for folder in (self.home, *self.watched)},
            "rows": rows(self.home / "registry.db"),
        }


KINDS = {2: "usage", 3: "not_found", 4: "conflict", 5: "input_refused", 6: "integrity", 7: "environment"}


def listing(folder: Path) -> dict[str, int]:
    """Every path below a folder, with the size of files (of the database, which may move its WAL in, none)."""
    return dict(_listed(folder))


def _listed(folder: Path) -> Iterator[tuple[str, int]]:
    for path in sorted(folder.rglob("*")):
        if not path.name.endswith(_SIDECARS):
            sized = path.is_file() and path.suffix != ".db"
            yield str(path.relative_to(folder)), path.stat().st_size if sized else 0


def rows(database: Path) -> dict[str, list[Any]]:
    """The whole content of a SQLite database, by table; nothing where there is none."""
    if not database.exists():
        return {}
    with contextlib.closing(sqlite3.connect(database)) as connection:
        names = connection.execute("select name from sqlite_master where type = 'table' order by name").fetchall()
        return {name: connection.execute(f'select * from "{name}"').fetchall() for (name,) in names}
