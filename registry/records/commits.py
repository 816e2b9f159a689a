"""What became of a transaction when the connection broke at its COMMIT: PostgreSQL knows, and is asked.

https://www.postgresql.org/docs/current/functions-info.html#FUNCTIONS-PG-SNAPSHOT (``pg_xact_status``, from 13 on)
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from registry.records.database_errors import shown_url
from storage.errors import Undecided

PATIENCE = 5.0
"""How many seconds a server may be away, or not have seen that the connection is gone."""
_PAUSE = 0.1
_NUMBER = "mergestore_transaction"
_STATUS = text("SELECT pg_xact_status(CAST(CAST(:number AS text) AS xid8))")


def remember(connection: Connection, number: str) -> None:
    """Keep the number that the server has given to a connection's transaction."""
    connection.info[_NUMBER] = number


@contextlib.contextmanager
def committing(connection: Connection) -> Iterator[None]:
    """A block that commits. Where the connection breaks in it, and the server has committed, the block ends well.

    Raises Undecided where the server cannot be asked, and the driver's error where nothing was committed.
    """
    engine, number = connection.engine, connection.info.get(_NUMBER)
    try:
        yield
    except DBAPIError as error:
        if number is None or not error.connection_invalidated:
            raise
        became = _became(engine, number)
        if became == "aborted":
            raise
        if became != "committed":
            raise Undecided(
                f"the connection to the database {shown_url(engine.url)} broke at the very end: what was done is on "
                "record, or is not",
                hint="when the server answers again, run the same command again: what is on record comes in once",
            ) from error


def _became(engine: Engine, number: str) -> str | None:
    """``committed``, ``aborted``, or what it is when our patience ends."""
    deadline = time.monotonic() + PATIENCE
    while True:
        found = None
        with contextlib.suppress(DBAPIError), engine.connect() as connection:
            found = connection.scalar(_STATUS, {"number": number})
        if found in ("committed", "aborted") or time.monotonic() > deadline:
            return found
        time.sleep(_PAUSE)
