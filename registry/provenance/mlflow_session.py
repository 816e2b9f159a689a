"""MLflow inside this process: imported late, quiet, every request bounded, one caller at a time.

MLflow reads its time-outs, retries, telemetry and printing from the environment, at each request, and
nowhere else: neither the client nor its stores take them as arguments. So they are set while a session is
open and put back after it. No retries: a repeated POST would double what the lost answer had already made.
"""

from __future__ import annotations

import json
import logging
import math
import os
import re
import socket
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from storage.errors import EnvironmentFailure

ARTIFACTS = "mlflow-artifacts"
"""The folder of artifacts beside a SQLite database."""

_ONE_AT_A_TIME = threading.RLock()  # the environment and MLflow's stores belong to the whole process
_DATABASES = {"sqlite": 0, "postgresql": 5432, "mysql": 3306, "mssql": 1433}  # and their usual ports
_AT_WORK = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_READONLY)  # the last: a killed writer's journal
_BARE_WORDS = ("databricks", "databricks-uc", "uc")  # tracking URIs without a scheme that are no paths
_EXAMPLES = "use a database, such as sqlite:////path/to/mlflow.db, or a server, such as http://host:5000"
_LATER = "the record waits in the store: run `mergestore sync` once the tracking {} answers"


@contextmanager
def environment(**values: str) -> Iterator[None]:
    """Environment variables for the time of a block; what was there before comes back."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def session(tracking_uri: str, timeout: float) -> Iterator[Any]:
    """An ``MlflowClient`` whose every request ends within ``timeout``, rounded up to whole seconds.

    Whatever goes wrong between us and the tracking server leaves as EnvironmentFailure.
    """
    refuse_unusable(tracking_uri)
    with _ONE_AT_A_TIME, environment(**_bounds(timeout)):
        client_class, failures = _import_mlflow()
        try:
            with _quiet_loggers():
                _refuse_dead_database(tracking_uri, timeout)
                uri = _spelled_for_mlflow(tracking_uri)
                yield client_class(tracking_uri=uri, registry_uri=uri)
        except EnvironmentFailure:
            raise
        except failures as error:
            raise failure(tracking_uri, error) from error


def is_server(tracking_uri: str) -> bool:
    """Whether the URI names an MLflow server over HTTP."""
    return tracking_uri.startswith(("http://", "https://"))


def is_database(tracking_uri: str) -> bool:
    """Whether the URI names a database that this process would write itself."""
    return _dialect(tracking_uri) in _DATABASES


def masked(tracking_uri: str) -> str:
    """The URI without its password, fit for a message."""
    return _hide_password(tracking_uri, tracking_uri)


def refuse_unusable(tracking_uri: str) -> None:
    """Raise EnvironmentFailure for a malformed URI and for a path or ``file:`` one: no file store any more."""
    try:
        parts = urlsplit(tracking_uri)
        _ = parts.port  # parsed, and refused, when it is asked for
    except ValueError as error:
        raise EnvironmentFailure(
            f"the tracking URI {masked(tracking_uri)!r} is malformed: {error}", hint=_EXAMPLES
        ) from error
    if tracking_uri in _BARE_WORDS or parts.scheme not in ("", "file"):
        return
    raise EnvironmentFailure(
        f"the tracking URI {tracking_uri!r} is a folder: MLflow gave up its file store with version 3.13",
        hint=_EXAMPLES,
    )


def artifact_location(tracking_uri: str, artifact_root: str | None) -> str | None:
    """Where a new experiment keeps its files: the server's choice, else ``mlflow-artifacts`` by the database.

    Without this, MLflow would put them into ``./mlruns`` of whatever folder the process runs in.
    """
    if artifact_root is not None:
        return artifact_root if "://" in artifact_root else Path(artifact_root).absolute().as_uri()
    if not is_database(tracking_uri):
        return None
    if file := sqlite_file(tracking_uri):
        return (file.parent / ARTIFACTS).as_uri()
    raise EnvironmentFailure(
        f"MLflow's database {masked(tracking_uri)} has no experiment yet, and says nothing of where files go",
        hint="create the experiment with `mlflow experiments create --artifact-location`, or use a server",
    )


def examine_database(tracking_uri: str, timeout: float) -> None:
    """Raise EnvironmentFailure where a database's server is away, or a SQLite file is not what MLflow made of it."""
    file = sqlite_file(tracking_uri)
    try:
        if file is not None:
            _examine_file(file, timeout)
        else:
            _reach(tracking_uri, timeout)
    except (OSError, sqlite3.Error) as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in _AT_WORK:
            return
        place = masked(tracking_uri)
        waits = "; what is not delivered waits in the outbox"
        hint = "restore that file, or move it away: `mergestore sync` makes another" if file else "see to its server"
        raise EnvironmentFailure(f"MLflow's database {place} cannot be used: {error}", hint=hint + waits) from error


def _examine_file(file: Path, timeout: float) -> None:
    if not file.exists():
        return
    with closing(sqlite3.connect(f"file:{quote(str(file))}?mode=ro", uri=True, timeout=timeout)) as connection:
        names = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        ((found,),) = connection.execute("PRAGMA quick_check(1)")
    if found != "ok":
        raise sqlite3.DatabaseError(found)
    if names and "alembic_version" not in names:
        raise sqlite3.DatabaseError("its tables were not made to the end")


def sqlite_file(tracking_uri: str) -> Path | None:
    """The file of a SQLite database; None of any other, and of one in memory."""
    import sqlalchemy

    url = sqlalchemy.make_url(tracking_uri)
    return Path(url.database).absolute() if url.get_backend_name() == "sqlite" and url.database else None


def _reach(tracking_uri: str, timeout: float) -> None:
    """Connect with a database's server, where it is one that is reached by a host's name."""
    parts = urlsplit(tracking_uri)
    if parts.hostname:
        port = parts.port or _DATABASES[_dialect(tracking_uri)]
        socket.create_connection((parts.hostname, port), timeout).close()


def _bounds(timeout: float) -> dict[str, str]:
    return {
        "MLFLOW_HTTP_REQUEST_TIMEOUT": str(max(1, math.ceil(timeout))),  # MLflow takes whole seconds only
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    }


def _import_mlflow() -> tuple[Any, tuple[type[Exception], ...]]:
    """The client class, and every way in which MLflow reports that the world failed it."""
    try:
        from mlflow import MlflowClient
        from mlflow.entities import LoggedModelInput  # noqa: F401  MLflow 2 has none
        from mlflow.exceptions import MlflowException
        from sqlalchemy.exc import SQLAlchemyError
    except ImportError as error:
        raise EnvironmentFailure(
            f"MLflow cannot be used: {error}",
            hint="install it: pip install 'mergestore[mlflow]' (MLflow 3.10 or newer)",
        ) from error
    return MlflowClient, (MlflowException, SQLAlchemyError, OSError, ImportError, json.JSONDecodeError)


@contextmanager
def _quiet_loggers() -> Iterator[None]:
    """MLflow and Alembic tell of every table they create; warnings and errors still pass."""
    loggers = [logging.getLogger(name) for name in ("mlflow", "alembic")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(max(logger.level, logging.WARNING))
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _refuse_dead_database(tracking_uri: str, timeout: float) -> None:
    """Try the database ourselves: MLflow would try ten times, for 100 seconds, before it says anything."""
    if not is_database(tracking_uri):
        return
    import sqlalchemy

    _reach(tracking_uri, timeout)
    if file := sqlite_file(tracking_uri):
        file.parent.mkdir(parents=True, exist_ok=True)
    engine = sqlalchemy.create_engine(tracking_uri, poolclass=sqlalchemy.NullPool)
    with engine.connect() as connection:
        sqlalchemy.inspect(connection).has_table("alembic_version")


def failure(tracking_uri: str, error: Exception) -> EnvironmentFailure:
    """What went wrong between us and the tracking server, as an error of ours."""
    reason = _hide_password(str(error).strip().partition("\n")[0], tracking_uri)
    return EnvironmentFailure(
        f"MLflow at {masked(tracking_uri)} did not take the record: {reason or type(error).__name__}",
        hint=_LATER.format("server" if is_server(tracking_uri) else "database"),
    )


def _spelled_for_mlflow(tracking_uri: str) -> str:
    """With the driver's name: MLflow takes what follows ``sqlite:///`` for a path, and makes its folder, escaped."""
    return tracking_uri.replace("sqlite:", "sqlite+pysqlite:", 1) if "%" in tracking_uri else tracking_uri


def _dialect(tracking_uri: str) -> str:
    return tracking_uri.partition("://")[0].partition("+")[0]


def _hide_password(text: str, tracking_uri: str) -> str:
    """``text`` with the password of the URI's ``user:password@host`` masked wherever the URI is quoted."""
    found = re.search(r"://[^/@]*:([^/@]+)@", tracking_uri)
    return text.replace(f":{found[1]}@", ":***@") if found else text
