"""A child process that delivers one message, while the parent merges and then waits a little.

A process of its own, because importing MLflow takes seconds that would slow the merge down, because what MLflow
prints must not reach our output, and because a process can be stopped at any point: delivery is idempotent.

Parent to child, on standard input: a line of JSON with where, later a line with the message's kind and key. Child to
parent, on standard output: one line of JSON with the run id or the reason why there is none.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from registry.provenance.delivery import PATIENCE_SECONDS, REQUEST_SECONDS, deliver_following, deliver_message
from registry.provenance.messages import lease_name
from registry.provenance.mlflow import reachable, warm
from registry.provenance.own_tracking import bring_here
from registry.records import leases, outbox
from registry.records.database import open_engine, reading, writing
from storage.errors import MergestoreError
from storage.journal import WARNING, note

_START = (
    "import json, sys; order = json.loads(sys.stdin.readline()); sys.path[:] = order['path'];"
    "from registry.provenance.courier import run; run(order)"
)
_PROBE_SECONDS = 0.25


class Courier:
    """The parent's end. Started when the work begins; ``hand_over`` or ``abandon`` ends it."""

    def __init__(self, engine: Engine, tracking_uri: str, own_tracking: Path, actor: str):
        self._engine, self._tracking_uri = engine, tracking_uri
        self._holder = ""
        self._child: subprocess.Popen[str] | None = None
        if not reachable(tracking_uri, PATIENCE_SECONDS):
            note("provenance.unreachable", WARNING)
        else:
            self._child = subprocess.Popen(
                [sys.executable, "-c", _START],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
            self._holder = leases.new_holder(self._child.pid)  # it goes on where this process is killed
            url = engine.url.render_as_string(hide_password=False)
            self._say(
                {
                    "path": sys.path,
                    "database": url,
                    "tracking_uri": tracking_uri,
                    "own_tracking": str(own_tracking),
                    "actor": actor,
                    "holder": self._holder,
                }
            )

    def hand_over(self, kind: str, key: str) -> tuple[str | None, str | None]:
        """Deliver the message of this kind and key: (MLflow run id, if it makes one; why it was not delivered).

        Waits as long as the server answers, and at most about a second once it does not.
        """
        run, problem = self._handed_over(kind, key)
        if problem is None:
            note("provenance.delivered", kind=kind, key=key, run=run)
        elif self._child is not None:
            note("provenance.failed", WARNING, kind=kind, key=key, message=problem)
        return run, problem

    def _handed_over(self, kind: str, key: str) -> tuple[str | None, str | None]:
        if self._child is None:
            return None, "the tracking server does not answer"
        self._say({"kind": kind, "key": key})
        while True:
            try:
                out, _ = self._child.communicate(timeout=_PROBE_SECONDS)
                return _read_answer(out)
            except subprocess.TimeoutExpired:
                if not reachable(self._tracking_uri, PATIENCE_SECONDS):
                    self._stop()
                    self._release(lease_name(kind, key))
                    return None, "the tracking server stopped answering"

    def abandon(self) -> None:
        """There is nothing to deliver after all."""
        self._stop()

    def _say(self, document: dict[str, Any]) -> None:
        assert self._child is not None
        assert self._child.stdin is not None
        with contextlib.suppress(OSError):  # a child that died is noticed when its answer is read
            self._child.stdin.write(json.dumps(document) + "\n")
            self._child.stdin.flush()

    def _stop(self) -> None:
        if self._child is not None:
            self._child.kill()
            self._child.communicate()

    def _release(self, lease: str) -> None:
        with writing(self._engine) as session:
            leases.release(session, lease, self._holder)


def _read_answer(out: str) -> tuple[str | None, str | None]:
    try:
        answer = json.loads(out)
        return answer["run_id"], answer["error"]
    except (ValueError, KeyError, TypeError):
        return None, "the delivering process ended early"


def run(order: dict[str, Any]) -> None:
    """The child's end: get ready, wait for the message, deliver, answer. Ends in silence if the parent does."""
    warm(order["tracking_uri"], REQUEST_SECONDS)
    line = sys.stdin.readline()
    if not line:
        return
    asked = json.loads(line)
    sys.stdout.write(json.dumps(_answer(order, asked["kind"], asked["key"])) + "\n")


def _answer(order: dict[str, Any], kind: str, key: str) -> dict[str, str | None]:
    try:
        engine = open_engine(order["database"])
        with reading(engine) as session:
            message = outbox.find(session, kind, key)
        if message is None:
            return {"run_id": None, "error": "there is no such message"}
        bring_here(order["tracking_uri"], Path(order["own_tracking"]), REQUEST_SECONDS)
        receipt = deliver_message(engine, message, order["tracking_uri"], order["actor"], order["holder"])
        if receipt is None:
            return {"run_id": None, "error": "another process is delivering it"}
        deliver_following(engine, message, order["tracking_uri"], order["actor"])
        return {"run_id": receipt.run_id, "error": None}
    except MergestoreError as error:
        return {"run_id": None, "error": error.message}
