"""Bytes that change or stop on their way to the object storage and back."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import threading
from collections.abc import Callable, Iterator

import pytest

from mergestore import EnvironmentFailure
from storage.objects import bucket as buckets
from storage.objects.bucket import Bucket
from storage.objects.read_cache import ReadCache
from storage.objects.remote import RemoteObjects

pytestmark = pytest.mark.server

Alter = Callable[[bytes, bool], bytes | None]
"""What becomes of a piece on its way (up or not); None: the connection ends there."""


@contextlib.contextmanager
def on_the_way(port: int, alter: Alter, *, reset: bool = False) -> Iterator[str]:
    """The endpoint of somebody between the client and the server, whose connections end at once, or are ``reset``."""
    listener = socket.create_server(("127.0.0.1", 0))

    def pump(source: socket.socket, target: socket.socket, up: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                altered = alter(data, up)
                if altered is None:
                    for each in (source, target) if reset else ():
                        each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    break
                target.sendall(altered)
        for each in (source, target):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RD if reset else socket.SHUT_RDWR)  # the latter says that it is the end

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                server = socket.create_connection(("127.0.0.1", port))
                pumps = [
                    threading.Thread(target=pump, args=args, daemon=True)
                    for args in ((client, server, True), (server, client, False))
                ]
                for each in pumps:
                    each.start()
                threading.Thread(target=close, args=(pumps, client, server), daemon=True).start()

    def close(pumps: list[threading.Thread], *sockets: socket.socket) -> None:
        for each in pumps:
            each.join()
        for one in sockets:
            one.close()

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def objects_in(bucket, folder):
    return RemoteObjects(Bucket(bucket), ReadCache(folder / "objects-cache"), folder / "tmp")


@pytest.mark.parametrize("size", [1000, 20 << 20])  # whole, and in parts
def test_bytes_that_change_on_their_way_up_are_not_stored(gateway, bucket, tmp_path, monkeypatch, size):
    monkeypatch.setattr(buckets, "PATIENCE", 2.0)
    with on_the_way(gateway.port, lambda data, up: data.replace(b"untouched", b"unTouched")) as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        objects = objects_in(bucket, tmp_path)
        scratch = objects.scratch("test")
        scratch.write_bytes(b"untouched".center(size, b"."))
        with pytest.raises(EnvironmentFailure, match="SHA256"):
            objects.adopt(scratch)
        assert not scratch.exists()
        assert list(objects.digests()) == []


def test_what_breaks_off_on_its_way_back_is_asked_for_again(gateway, bucket, tmp_path, monkeypatch):
    data, cuts = os.urandom(9 << 20), [3]

    def cut(piece: bytes, up: bool) -> bytes | None:
        if not up and len(piece) > 4000 and cuts[0] > 0:
            cuts[0] -= 1
            return None
        return piece

    objects = objects_in(bucket, tmp_path)
    scratch = objects.scratch("test")
    scratch.write_bytes(data)
    digest = objects.adopt(scratch).digest
    with on_the_way(gateway.port, cut) as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        assert objects_in(bucket, tmp_path / "elsewhere").path(digest).read_bytes() == data
    assert cuts == [0]


@pytest.mark.parametrize("lost", ["request", "answer"])
def test_what_is_stored_on_a_condition_is_sent_again_where_its_connection_breaks(
    gateway, bucket, tmp_path, monkeypatch, lost
):
    """Where only the answer was lost, it is stored, and what was quicker was the same request before."""
    cuts = [lost]

    def cut(piece: bytes, up: bool) -> bytes | None:
        if cuts == ["request"] and up and piece.startswith(b"PUT "):
            cuts.clear()
            return None
        if cuts == ["answer"] and up and piece.startswith(b"PUT "):
            cuts[:] = ["next"]
        elif cuts == ["next"] and not up:
            cuts.clear()
            return None
        return piece

    with on_the_way(gateway.port, cut, reset=True) as endpoint, monkeypatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", endpoint)
        objects = objects_in(bucket, tmp_path)
        scratch = objects.scratch("test")
        scratch.write_bytes(b"good")
        digest = objects.adopt(scratch).digest
    assert cuts == []
    assert objects_in(bucket, tmp_path / "elsewhere").path(digest).read_bytes() == b"good"
