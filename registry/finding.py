"""What the doctor finds: one check, as plain values."""

from __future__ import annotations

from typing import Any

Check = dict[str, Any]


def check(name: str, level: str, detail: str, hint: str | None = None) -> Check:
    """A finding; ``level`` is ok, warning or error, ``hint`` what to do."""
    return {"name": name, "ok": level == "ok", "level": level, "detail": detail, "hint": hint}
