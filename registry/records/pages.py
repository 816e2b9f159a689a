"""Whether the pages of a SQLite file make sense, as SQLite sees it, and whether it costs records where they do not."""

from __future__ import annotations

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

INDEX_HINT = (
    'its records can be copied into another file (docs/operations.md, "An index of the database is damaged"); '
    "else restore a backup (`mergestore restore`)"
)
_LONGEST = 200


def page_fault(session: Session) -> str | None:
    """The first fault of an index or of free pages; None where pages are sound. Reads the file, not what indexes say.

    Raises IntegrityFailure, when the session ends, where a table cannot be read whole.
    """
    try:
        told = str(session.scalar(text("PRAGMA quick_check(1)")))
    except DBAPIError as error:  # where it meets what it cannot go on from
        told = str(error.orig)
    if told == "ok":
        return None
    for name in session.scalars(text("SELECT name FROM sqlite_master WHERE type = 'table'")).all():
        for _ in session.connection().exec_driver_sql(f'SELECT * FROM "{name}" NOT INDEXED'):
            pass
    return " ".join(told.removeprefix("*** in database main ***").split())[:_LONGEST]
