"""Early writing out: ranges are told once, in order, by a thread that ends; a full disk says so at once."""

import errno
import os
import sys

import pytest

from storage import writeback
from storage.checkpoints.safetensors_file import SafetensorsWriter
from storage.errors import EnvironmentFailure

STEP = 32 << 20


@pytest.fixture
def told(monkeypatch):
    """What the kernel would be told, as (start, bytes)."""
    ranges = []
    call = lambda descriptor, start, nbytes, flags: ranges.append((start, nbytes)) or 0  # noqa: E731
    monkeypatch.setattr(writeback, "_linux", lambda name, *types: call)
    return ranges


def test_every_range_is_told_once_and_none_is_small(told):
    early = writeback.Writeback(9)
    for position in range(0, 10 * STEP + 1, STEP // 4):
        early.reach(position)
    while sum(nbytes for _, nbytes in told) < 9 * STEP:
        early.reach(10 * STEP)
    early.end()
    assert not early._thread.is_alive()
    assert [start for start, _ in told] == [0, *(start + nbytes for start, nbytes in told[:-1])]
    assert all(nbytes >= STEP for _, nbytes in told)


def test_a_small_file_needs_no_thread(told):
    early = writeback.Writeback(9)
    early.reach(STEP - 1)
    early.end()
    assert early._thread is None
    assert told == []


def test_elsewhere_it_does_nothing(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "platform", "darwin")
    early = writeback.Writeback(-1)
    early.reach(STEP)
    early.end()
    writeback.reserve(-1, STEP)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux only")
def test_reserved_blocks_do_not_change_the_size(tmp_path):
    descriptor = os.open(tmp_path / "f", os.O_RDWR | os.O_CREAT)
    try:
        writeback.reserve(descriptor, STEP)
        status = os.fstat(descriptor)
        assert (status.st_size, status.st_blocks * 512 >= STEP) == (0, True) or status.st_blocks == 0
        early = writeback.Writeback(descriptor)
        os.write(descriptor, bytes(STEP))
        early.reach(STEP)
        early.end()
    finally:
        os.close(descriptor)


def refusing(code):
    def allocate(*arguments):
        writeback.ctypes.set_errno(code)
        return -1

    return lambda name, *types: allocate


def test_a_full_disk_is_told_before_anything_is_computed(monkeypatch, tmp_path):
    monkeypatch.setattr(writeback, "_linux", refusing(errno.ENOSPC))
    closed = []
    monkeypatch.setattr(os, "close", lambda descriptor, close=os.close: closed.append(close(descriptor)))
    with pytest.raises(EnvironmentFailure, match="No space left"):
        SafetensorsWriter(tmp_path / "m", [("a", "U8", (STEP,))])
    assert len(closed) == 1


def test_a_filesystem_that_cannot_reserve_is_written_to_all_the_same(monkeypatch, tmp_path):
    monkeypatch.setattr(writeback, "_linux", refusing(errno.EOPNOTSUPP))
    SafetensorsWriter(tmp_path / "m", [("a", "U8", (STEP,))]).abandon()
