"""Provenance in MLflow: one outbox payload becomes one run, its models and its registered version.

``deliver`` is idempotent: it may be repeated, and interrupted, at will. Nothing here touches the store.
"""

from __future__ import annotations

import ssl
import threading
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from registry.provenance.mlflow_delivery import deliver_record
from registry.provenance.mlflow_record import describe
from registry.provenance.mlflow_session import (
    artifact_location,
    examine_database,
    is_database,
    is_server,
    refuse_unusable,
    session,
)
from registry.provenance.mlflow_standing import Came, Standing, keep_registered, link_run
from storage.errors import EnvironmentFailure

EXPERIMENT = "mergestore"


@dataclass(frozen=True)
class Delivered:
    """Where a record stands in MLflow; ``registered_version`` only for a named merge."""

    run_id: str
    registered_version: int | None


def deliver(
    payload: Mapping[str, Any],
    tracking_uri: str,
    *,
    timeout: float,
    experiment: str = EXPERIMENT,
    artifact_root: str | None = None,
    page: str | None = None,
) -> Delivered:
    """Write one materialization's record into MLflow, or finish writing it.

    However often it is called, and wherever an earlier call died, there is one finished run, one output
    LoggedModel and, for a named merge, one registered version. No single request to a server takes longer
    than ``timeout`` seconds, rounded up to whole ones. ``artifact_root`` (a folder or URI) is used when a
    database gets its first experiment: default ``mlflow-artifacts`` beside a SQLite file. ``page`` is the audit
    of what was made, as HTML, which MLflow shows among the artifacts.

    Raises EnvironmentFailure when MLflow is not installed, does not answer or refuses; try again later.
    """
    record = describe(payload, page)
    with session(tracking_uri, timeout) as client:
        run_id, version = deliver_record(
            client,
            record,
            experiment=experiment,
            artifacts=lambda: artifact_location(tracking_uri, artifact_root),
            tracking_uri=client.tracking_uri,
        )
    return Delivered(run_id, version)


def keep_in_step(standing: Standing, tracking_uri: str, *, timeout: float) -> bool:
    """Let the registered model of a merge show its aliases and states; whether anything was changed.

    Does nothing for a merge that MLflow does not know. Raises Conflict where the registered model is another store's,
    EnvironmentFailure as ``deliver``.
    """
    with session(tracking_uri, timeout) as client:
        return keep_registered(client, standing)


def link_training(run: str, came: Came, store: str, tracking_uri: str, *, timeout: float) -> None:
    """Tell a training run what came of it. Raises NotFound for one that MLflow does not know."""
    with session(tracking_uri, timeout) as client:
        link_run(client, run, came, store)


def warm(tracking_uri: str, timeout: float = 5.0) -> bool:
    """Import what ``deliver`` needs, and create a new SQLite database, so that a thread does it meanwhile.

    No request goes to a server. False when MLflow cannot be used; ``deliver`` then says why.
    """
    try:
        with session(tracking_uri, timeout):
            return True
    except EnvironmentFailure:
        return False


def reachable(tracking_uri: str, timeout: float = 0.5) -> bool:
    """Whether a delivery is worth trying now: a server must answer at ``/health`` within ``timeout`` seconds.

    Databases and other stores count as reachable. Never blocks longer, whatever the network or the name
    service does; imports nothing of MLflow.
    """
    if not is_server(tracking_uri):
        return True
    answers: list[bool] = []
    # A name look-up obeys no time-out: what hangs is left behind in its thread.
    asking = threading.Thread(target=lambda: answers.append(_healthy(tracking_uri, timeout)), daemon=True)
    asking.start()
    asking.join(timeout)
    return any(answers)


def examine(tracking_uri: str, timeout: float = 0.5) -> None:
    """Raise EnvironmentFailure where nothing could be delivered: a URI of no use, nobody there, a damaged SQLite file.

    Changes nothing, and imports nothing of MLflow. A SQLite file that is not there yet is made by the first delivery.
    """
    refuse_unusable(tracking_uri)
    if not reachable(tracking_uri, timeout):
        raise EnvironmentFailure(
            "the tracking server does not answer",
            hint="provenance waits in the outbox; deliver it later with `mergestore sync`",
        )
    if is_database(tracking_uri):
        examine_database(tracking_uri, timeout)


def _healthy(tracking_uri: str, timeout: float) -> bool:
    try:
        with urllib.request.urlopen(_health_address(tracking_uri), timeout=timeout):
            return True
    except urllib.error.HTTPError as error:
        error.close()
        return error.code < 500  # it answers, if only to ask who we are
    except urllib.error.URLError as error:
        return isinstance(error.reason, ssl.SSLError)  # MLflow has its own certificates
    except (OSError, ValueError, HTTPException):
        return False


def _health_address(tracking_uri: str) -> str:
    parts = urlsplit(tracking_uri)
    place = parts.netloc.rpartition("@")[2]  # a password is MLflow's business
    return urlunsplit((parts.scheme, place, parts.path.rstrip("/") + "/health", "", ""))
