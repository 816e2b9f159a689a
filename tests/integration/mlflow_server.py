"""A real ``mlflow server`` on loopback that can be killed, stopped and restarted, and a line that can be cut."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

START_SECONDS = 180  # the first start on a cold machine compiles and migrates for a minute and more


class MlflowServer:
    """One server, always on the same port and the same database, in a process group of its own."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        environment = {
            **os.environ,
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        }
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                self._command(), stdout=log, stderr=log, env=environment, cwd=self.folder, start_new_session=True
            )
        self._wait_until_healthy()

    def kill(self) -> None:
        """End every process of the server at once, as a power cut would."""
        if self._process is not None:
            self._signal(signal.SIGKILL)
            self._process.wait()
            self._process = None

    @contextlib.contextmanager
    def stopped(self):
        """The server hangs: it holds its port and answers nothing."""
        self._signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._signal(signal.SIGCONT)

    def _command(self) -> list[str]:
        return [
            *(sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(self.port)),
            *("--backend-store-uri", f"sqlite:///{self.folder / 'server.db'}", "--serve-artifacts"),
            *("--artifacts-destination", str(self.folder / "artifacts"), "--workers", "1"),
        ]

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        os.killpg(self._process.pid, number)

    def _wait_until_healthy(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            assert self._process is not None
            assert self._process.poll() is None, (self.folder / "server.log").read_text()[-3000:]
            with contextlib.suppress(OSError), urllib.request.urlopen(self.url + "/health", timeout=1):
                return
            time.sleep(0.1)
        raise AssertionError("mlflow server did not start: " + (self.folder / "server.log").read_text()[-3000:])


class Line:
    """A line to a server that dies with request number ``cut_at``: done by the server, its answer lost.

    Requests count from 0, each has a connection of its own; None lets everything pass.
    """

    def __init__(self, port: int):
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.requests = 0
        self.cut_at: int | None = None
        threading.Thread(target=self._serve, daemon=True).start()

    def reset(self, cut_at: int | None) -> None:
        self.requests, self.cut_at = 0, cut_at

    def close(self) -> None:
        self._listener.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                self._carry(self._listener.accept()[0])

    def _carry(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):
            number, self.requests = self.requests, self.requests + 1
            if self.cut_at is not None and number > self.cut_at:
                return
            request = _read_message(client)
            with socket.create_connection(("127.0.0.1", self._target)) as server:
                server.sendall(_closing(request))
                answer = _read_to_end(server)
            if number != self.cut_at:
                client.sendall(_closing(answer))


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _read_message(source: socket.socket) -> bytes:
    message = b""
    while b"\r\n\r\n" not in message:
        message += _more(source)
    head, _, body = message.partition(b"\r\n\r\n")
    length = next(
        (int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0
    )
    while len(body) < length:
        body += _more(source)
    return head + b"\r\n\r\n" + body


def _more(source: socket.socket) -> bytes:
    data = source.recv(1 << 16)
    if not data:
        raise OSError("closed")
    return data


def _read_to_end(source: socket.socket) -> bytes:
    data = bytearray()
    while part := source.recv(1 << 16):
        data += part
    return bytes(data)


def _closing(message: bytes) -> bytes:
    """The message with ``Connection: close``, so that every request has its own connection."""
    head, _, body = message.partition(b"\r\n\r\n")
    lines = [line for line in head.split(b"\r\n") if not line.lower().startswith(b"connection:")]
    return b"\r\n".join([*lines, b"Connection: close"]) + b"\r\n\r\n" + body
