"""What the doctor looks at, and what it finds: one check, as plain values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine
from sqlalchemy.engine import URL

from registry.home import Home
from storage.errors import MergestoreError

Check = dict[str, Any]


@dataclass(frozen=True)
class Patient:
    """A store to be examined: its registry, or why that cannot be opened; where it is meant to be; all around it."""

    opened: Engine | MergestoreError
    url: URL
    home: Home
    tracking_uri: str

    @property
    def registry(self) -> Engine:
        """The registry's database. Raises why it cannot be opened."""
        if isinstance(self.opened, MergestoreError):
            raise self.opened
        return self.opened

    @property
    def on_sqlite(self) -> bool:
        """Whether the registry is, or is meant to be, a SQLite file."""
        return self.url.drivername == "sqlite"


def check(name: str, level: str, detail: str, hint: str | None = None) -> Check:
    """A finding; ``level`` is ok, warning or error, ``hint`` what to do."""
    return {"name": name, "ok": level == "ok", "level": level, "detail": detail, "hint": hint}
