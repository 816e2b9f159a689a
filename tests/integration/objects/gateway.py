"""A real S3-compatible server, Ceph's RGW with all that stands behind it, in memory and on loopback."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
import uuid
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

KEY, SECRET = "test", "testtest"
PROGRAMS = ("ceph-mon", "ceph-osd", "radosgw", "radosgw-admin", "monmaptool")
PACKAGES = "ceph-mon ceph-osd radosgw ceph-common"

_SETTINGS = """
[global]
fsid = {fsid}
mon host = v1:127.0.0.1:{monitor}
auth cluster required = none
auth service required = none
auth client required = none
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 4
osd pool default pgp num = 4
mon allow pool size one = true
mon warn on pool no redundancy = false
osd crush chooseleaf type = 0
run dir = {home}/run
admin socket = {home}/run/$name.$pid.asok
log file = {home}/log/$name.log
pid file = {home}/run/$name.pid
crash dir = {home}/crash
public addr = 127.0.0.1
cluster addr = 127.0.0.1
ms bind ipv4 = true
[mon]
mon data = {home}/mon
mon initial members = a
mon data avail crit = 1
[mon.a]
host = localhost
mon addr = 127.0.0.1:{monitor}
[osd]
osd class update on start = false
osd data = {home}/osd
osd objectstore = memstore
memstore device bytes = {room}
osd client watch timeout = 3
osd max object name len = 256
osd max object namespace len = 64
[client.rgw]
rgw frontends = beast endpoint=127.0.0.1:{port}
rgw thread pool size = 32
rgw dns name = localhost
rgw data = {home}/rgw
rgw crypt require ssl = false
rgw enable usage log = false
rgw run sync thread = false
rgw cache enabled = false
"""


def missing() -> list[str]:
    """The programs that are not installed."""
    return [name for name in PROGRAMS if shutil.which(name) is None]


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@dataclass(frozen=True)
class Gateway:
    """A server in a folder of its own."""

    home: Path
    port: int
    monitor: int
    room: int = 1 << 30  # bytes of memory for what is stored

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def environment(self) -> dict[str, str]:
        """What a client is told by its environment."""
        return {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_ENDPOINT_URL": self.endpoint}

    def start(self) -> None:
        for folder in ("mon", "osd", "run", "log", "rgw"):
            (self.home / folder).mkdir()
        fsid, one = uuid.uuid4(), uuid.uuid4()
        settings = _SETTINGS.format(fsid=fsid, home=self.home, port=self.port, monitor=self.monitor, room=self.room)
        (self.home / "ceph.conf").write_text(settings)
        map_ = self.home / "monmap"
        self._run("monmaptool", "--create", "--fsid", fsid, "--addv", "a", f"v1:127.0.0.1:{self.monitor}", map_)
        self._run("ceph-mon", "--mkfs", "-i", "a", "--monmap", map_)
        self._run("ceph-mon", "-i", "a")
        number = self._again("ceph", "osd", "create").strip()
        self._run("ceph-osd", "-i", number, "--mkfs", "--osd-uuid", one)
        self._again("ceph-osd", "-i", number)
        self.start_gateway()
        words = f"user create --uid=ci --display-name=ci --access-key={KEY} --secret-key={SECRET}".split()
        self._run("radosgw-admin", "-n", "client.rgw", *words)

    def start_gateway(self) -> None:
        """Start the part that speaks S3, and wait until it does."""
        self._run("radosgw", "-n", "client.rgw")
        for _ in range(600):
            try:
                urllib.request.urlopen(self.endpoint, timeout=5).close()
                return
            except OSError:
                time.sleep(0.05)
        raise AssertionError(f"the gateway does not answer: {self.home}/log")

    def kill_gateway(self) -> None:
        """``kill -9`` the part that speaks S3; what is stored stays."""
        _kill(self.home / "run" / "client.rgw.pid")

    def stop(self) -> None:
        for pid in (self.home / "run").glob("*.pid"):
            _kill(pid)

    def make_bucket(self) -> str:
        """A bucket of its own, as a URL."""
        import obstore
        from obstore.store import S3Store

        name = f"b{uuid.uuid4().hex}"
        store = S3Store(
            name,
            endpoint=self.endpoint,
            access_key_id=KEY,
            secret_access_key=SECRET,
            client_options={"allow_http": True},
        )
        url = obstore.sign(store, "PUT", "", timedelta(minutes=5))
        # The signature has no type of content.
        asked = urllib.request.Request(url, method="PUT", data=b"", headers={"Content-Type": ""})
        urllib.request.urlopen(asked, timeout=30).close()
        return f"s3://{name}"

    def _again(self, *words: str) -> str:
        """Run what asks the monitor for something: one that has just started may answer that it is another's."""
        for _ in range(20):
            try:
                return self._run(*words)
            except subprocess.CalledProcessError:
                time.sleep(0.2)
        return self._run(*words)

    def _run(self, program: str, *words: object) -> str:
        environment = {**os.environ, "CEPH_CONF": str(self.home / "ceph.conf")}
        log = self.home / "log" / "started"
        with log.open("ab") as errors:
            done = subprocess.run(
                [program, *map(str, words)],
                check=True,
                env=environment,
                stdout=subprocess.PIPE if program == "ceph" else errors,
                stderr=errors,
                stdin=subprocess.DEVNULL,
            )
        return (done.stdout or b"").decode()


def _kill(pid: Path) -> None:
    number = int(pid.read_text())
    os.kill(number, signal.SIGKILL)
    while Path(f"/proc/{number}").exists() and "zombie" not in Path(f"/proc/{number}/status").read_text():
        time.sleep(0.01)
    pid.unlink(missing_ok=True)
