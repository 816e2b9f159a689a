"""What the machine gives a store, for the doctor: SQLite's own faults, filesystem, space, limits, kernels, clock."""

from __future__ import annotations

import errno
import os
import resource
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import select

from registry.finding import Check, Patient, check
from registry.publishing import free_space, nearest_folder
from registry.records import leases
from registry.records.database import reading
from registry.records.tables import AuditEvent
from storage.files import is_full, resolved, temporary_path

_LITTLE_SPACE = 5_000_000_000
_NO_SPACE = 10_000_000  # what the registry writes beside it for a while, and a small adapter, fit no more
_FEW_FILES = 1000
_FEW_DESCRIPTORS = 512  # a merge of many skills holds each one's file open, and the base's
_AHEAD = timedelta(minutes=1)
"""What no two clocks that are kept differ by."""

_WAL_RESET_FIXED = (3, 51, 3)
_WAL_RESET_BACKPORTED = ((3, 44, 6), (3, 50, 7))
_NETWORK = frozenset(
    {
        *("nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "lustre", "gpfs", "beegfs", "glusterfs"),
        *("fuse.sshfs", "fuse.glusterfs", "fuse.s3fs", "fuse.rclone", "fuse.gcsfuse"),
    }
)
_IN_MEMORY = frozenset({"tmpfs", "ramfs"})


def sqlite(of: Patient) -> Iterator[Check]:
    """The faults that are known of the SQLite at hand: https://sqlite.org/wal.html, "The WAL-Reset Bug"."""
    if not of.on_sqlite:
        return
    version = sqlite3.sqlite_version
    if has_wal_reset_bug(sqlite3.sqlite_version_info):
        told = f"SQLite {version} can, very rarely, damage a database that several processes write (WAL-reset bug)"
        hint = "fixed in SQLite 3.51.3, 3.50.7 and 3.44.6; let a timer run `mergestore backup`, or use PostgreSQL"
        yield check("sqlite", "warning", told, hint)
    else:
        yield check("sqlite", "ok", f"SQLite {version}")


def has_wal_reset_bug(version: tuple[int, ...]) -> bool:
    """Whether a SQLite has the race of a checkpoint with a reset of the WAL file: 3.7.0 to 3.51.2."""
    mended = any(version[:2] == each[:2] and version >= each for each in _WAL_RESET_BACKPORTED)
    return (3, 7) <= version < _WAL_RESET_FIXED and not mended


def filesystem(of: Patient) -> Iterator[Check]:
    """What kind of filesystem the store and its SQLite file are on, where the system tells (Linux)."""
    for what, place in _places(of):
        kind = filesystem_of(place)
        if kind is None:
            continue
        if kind in _NETWORK and what == "registry":
            told = f"{place} is on a network filesystem ({kind}): SQLite is safe there with one host at a time only"
            yield check("filesystem", "warning", told, "keep the registry on a local disk, or use PostgreSQL")
        elif kind in _IN_MEMORY:
            told = f"{place} is in memory ({kind}) and does not outlast a restart"
            yield check("filesystem", "warning", told, "keep the store on a disk")
        else:
            yield check("filesystem", "ok", f"{what} on {kind}")
    first, *others = (nearest_folder(each) for each in of.home.movable)
    for place in others:
        if _is_apart(first, place):
            told = f"{place} is on another filesystem than {first}, or mounted by itself: files cannot be moved there"
            hint = "move the store's folder as a whole to where there is room, and link or mount none of its parts"
            yield check("filesystem", "error", told, hint)


def _is_apart(one: Path, other: Path) -> bool:
    """Whether the system moves no file between two folders: it says so before it looks for the file."""
    nothing = temporary_path(Path(), "nothing")
    try:
        (one / nothing).rename(other / nothing)
    except OSError as error:
        return error.errno == errno.EXDEV
    return False


def _places(of: Patient) -> Iterator[tuple[str, Path]]:
    yield "store", of.home.root
    if of.on_sqlite:
        yield "registry", Path(of.url.database or "").absolute()


def filesystem_of(place: Path, mounts: str | None = None) -> str | None:
    """The kind of filesystem of a path, as ``/proc/mounts`` has it; None where there is no such file."""
    if mounts is None:
        try:
            mounts = Path("/proc/mounts").read_text(errors="surrogateescape")
        except OSError:
            return None
    found, kind = Path(), None
    where = resolved(place)
    for line in mounts.splitlines():
        point, type_ = [*line.split(" "), "", "", ""][1:3]
        mounted = Path(point.replace("\\040", " "))  # spaces are written so
        if (mounted == where or mounted in where.parents) and len(mounted.parts) >= len(found.parts):
            found, kind = mounted, type_  # of mounts in one place the last one counts
    return kind


def space(of: Patient) -> Iterator[Check]:
    """How much may still be written, and how many files, on each filesystem that the store is on."""
    hint = "`mergestore gc --cache-limit 0` tells what the cache and garbage take"
    seen = set[int]()
    for what, place in _places(of):
        folder = nearest_folder(place)
        if (device := folder.stat().st_dev) in seen:
            continue
        seen.add(device)
        found, free = os.statvfs(folder), free_space(folder)
        level = "error" if free < _NO_SPACE else "warning" if free < _LITTLE_SPACE else "ok"
        told = f"{free / 1e9:.1f} GB" if free >= _LITTLE_SPACE / 100 else f"{free:,} bytes"
        yield check("disk space", level, f"{told} free for the {what}", hint if level != "ok" else None)
        if found.f_files and found.f_favail < _FEW_FILES:  # some filesystems count no files
            level = "warning" if found.f_favail else "error"
            yield check("disk space", level, f"room for {found.f_favail} files only (inodes)", hint)


def limits(of: Patient) -> Iterator[Check]:
    """What the system lets this process have: open files, and how large one may be."""
    descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if descriptors != resource.RLIM_INFINITY and descriptors < _FEW_DESCRIPTORS:
        told = f"{descriptors} files may be open at once: too few for a merge of many skills"
        yield check("limits", "warning", told, f"raise it: ulimit -n {_FEW_DESCRIPTORS * 2}")
    size, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
    if size != resource.RLIM_INFINITY:
        told = f"no file may be larger than {size:,} bytes: larger models cannot be written"
        yield check("limits", "warning", told, "lift it: ulimit -f unlimited")
    elif descriptors == resource.RLIM_INFINITY or descriptors >= _FEW_DESCRIPTORS:
        yield check("limits", "ok", "open files and sizes of files are not limited too much")


def kernels(of: Patient) -> Iterator[Check]:
    """Where compiled kernels are kept, without which each process compiles what it needs anew."""
    from storage.encodings.kernels import cache_folder

    hint = "set NUMBA_CACHE_DIR to a folder that only this user can write: compiled code in it is run"
    folder = cache_folder()
    if folder is None:
        told = "compiled kernels are kept nowhere, for want of a folder that can be written: each process compiles anew"
        yield check("kernels", "warning", told, hint)
    elif is_full(folder / "kernel"):
        told = f"compiled kernels are kept in {folder}, and its disk is full: each process compiles anew"
        yield check("kernels", "warning", told, f"free some space there, or {hint}")
    else:
        yield check("kernels", "ok", f"compiled kernels are kept in {folder}")


def clock(of: Patient) -> Iterator[Check]:
    """The clock of this machine beside the database server's, and beside what is on record already."""
    with reading(of.registry) as session:
        server = leases.clock(session)
        newest = session.scalar(select(AuditEvent.at).order_by(AuditEvent.sequence.desc()).limit(1))
    here = datetime.now(UTC)
    findings = []
    if abs(server - here) > _AHEAD:
        findings.append(f"this machine's clock and the database server's differ by {_told(abs(server - here))}")
    if newest is not None and newest - here > _AHEAD:
        findings.append(f"the newest record is {_told(newest - here)} ahead of this machine's clock")
    for told in findings:
        yield check("clock", "warning", told, "set the clock, by NTP best: moments on record are those of the clock")
    if not findings:
        yield check("clock", "ok", "agrees with the records" + (", and the server's" if not of.on_sqlite else ""))


def _told(difference: timedelta) -> str:
    seconds = round(difference.total_seconds())
    return f"{seconds:,} seconds" if seconds < 7200 else f"{seconds / 3600:,.1f} hours"
