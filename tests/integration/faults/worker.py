"""A process that lets copies of itself run command lines, and meet the faults that they are to meet.

Reads orders from stdin, a JSON document a line, and forks a child for each: the child inherits everything imported and
compiled, so that a death takes a fraction of a second. This process itself has no threads, which a fork would lose.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import resource
import signal
import socket
import sys
import traceback
from importlib import import_module
from pathlib import Path
from typing import Any

from cli import main as command_line
from cli import terminate
from tests.integration.faults.syscalls import Fault, Supervisor, listen
from tests.integration.victim import warm

SECONDS = 120
"""How long a child may do nothing before it is killed as stuck."""


def run(lines: list[list[str]]) -> list[dict[str, Any]]:
    """What each command line answers; the first that fails ends it."""
    answers = []
    for words in lines:
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                code = command_line(words)
            except BaseException:  # what would be a traceback on somebody's screen
                code = -1
                traceback.print_exc()
        answers.append({"words": words, "code": code, "out": out.getvalue(), "err": err.getvalue()})
        if code:
            break
    return answers


def _child(order: dict[str, Any], channel: socket.socket) -> None:
    signal.signal(signal.SIGTERM, terminate)  # as where this is a process of its own
    descriptor = listen()
    socket.send_fds(channel, [b"."], [descriptor])
    os.close(descriptor)
    for limit, value in order["limits"]:
        resource.setrlimit(limit, (value, resource.getrlimit(limit)[1]))
    answers = run(order["lines"])
    for limit, _ in order["limits"]:
        resource.setrlimit(limit, (resource.getrlimit(limit)[1],) * 2)
    Path(order["said"]).write_text(json.dumps({"answers": answers, "modules": sorted(sys.modules)}))


def obey(order: dict[str, Any]) -> dict[str, Any]:
    """Let a child do what is ordered, and tell how it ended."""
    ours, theirs = socket.socketpair()
    child = os.fork()
    if child == 0:
        try:
            _child(order, theirs)
        finally:
            os._exit(0)
    _, (listener,), _, _ = socket.recv_fds(ours, 1, 1)
    fault = Fault(**{**order["fault"], "kinds": tuple(order["fault"]["kinds"])}) if order["fault"] else None
    supervisor = Supervisor(child, listener, Path(order["root"]), fault, order["port"])
    ended = dict[str, int]()

    def has_ended() -> bool:
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            ended["status"] = os.waitstatus_to_exitcode(status)
        return bool(found)

    supervisor.watch(SECONDS, has_ended)
    for each in (listener, ours.fileno(), theirs.fileno()):
        os.close(each)
    ours.detach(), theirs.detach()
    steps = [[step.kind, step.path] for step in supervisor.steps]
    return {"status": ended["status"], "met": supervisor.met, "steps": steps}


def main() -> None:
    warm()
    print("ready", flush=True)
    while line := sys.stdin.readline():
        order = json.loads(line)
        for name in order.get("modules", []):
            with contextlib.suppress(Exception):
                import_module(name)
        print(json.dumps(obey(order) if "lines" in order else {}), flush=True)


if __name__ == "__main__":
    main()
