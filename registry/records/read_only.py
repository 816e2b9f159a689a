"""A SQLite registry that this process cannot write: its filesystem is read-only, or it has no right to.

SQLite shares a database in WAL mode through two files beside it, ``-wal`` and ``-shm``. Where they are, it is read as
ever. Where they are not and cannot be made, nobody has it open on this side, and it is read as a file that stays as it
is (``immutable``: https://sqlite.org/wal.html, "Read-Only Databases").
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from urllib.parse import quote

from sqlalchemy.engine import URL

from storage.errors import EnvironmentFailure


def is_read_only_file(url: URL) -> bool:
    """Whether ``url`` is that of a SQLite file which is there, and which this process cannot write or share."""
    if url.drivername != "sqlite" or not url.database:
        return False
    file = Path(url.database).absolute()
    return file.exists() and not (os.access(file, os.W_OK) and os.access(file.parent, os.W_OK))


def on_read_only_filesystem(file: Path) -> bool:
    """Whether the filesystem is: SQLite says of that only that it cannot open the file."""
    try:
        return bool(os.statvfs(file.absolute().parent).f_flag & os.ST_RDONLY)
    except OSError:
        return False


def connect(file: Path, seconds: float) -> sqlite3.Connection:
    """Open such a file. Raises EnvironmentFailure where its newest changes are in a WAL file that cannot be read."""
    wal, shared = (file.with_name(f"{file.name}-{beside}") for beside in ("wal", "shm"))
    if wal.exists() and shared.exists():
        mode = "mode=ro"
    elif wal.exists() and wal.stat().st_size:
        raise EnvironmentFailure(
            f"cannot read the registry {file}: its newest changes are in {wal.name}, which SQLite only reads where it "
            "can write beside it",
            hint="copy the store to where it can be written; or let its owner run any command, which moves them in",
        )
    else:
        mode = "mode=ro&immutable=1"
    return sqlite3.connect(
        f"file:{quote(str(file.absolute()))}?{mode}", uri=True, timeout=seconds, check_same_thread=False
    )
