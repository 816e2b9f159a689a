"""Durable files: temp file, fsync, rename, fsync the folder; directories appear whole or not at all."""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import errno
import functools
import glob
import os
import shutil
import stat
import sys
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path

from storage.errors import Conflict, EnvironmentFailure, MergestoreError
from storage.processes import is_leftover, process_name, this_host

_FICLONE = 0x40049409
_RENAME_EXCHANGE = 2
_AT_FDCWD = -100
_FLUSHES = 16
_SMALL = 1 << 16  # what SQLite keeps in memory that processes share takes 32 KiB

_HINTS = {
    errno.ENOSPC: "free some space or choose another disk, then run the same command again",
    errno.EDQUOT: "the disk quota is used up: free some space, then run the same command again",
    errno.EACCES: "check the permissions of it and of its folder",
    errno.EPERM: "check the permissions of it and of its folder",
    errno.EISDIR: "a folder is in the place of a file: move it away, then run the same command again",
    errno.EEXIST: "a file is in the place of a folder: move it away, then run the same command again",
    errno.ENOTDIR: "a file is in the place of a folder: move it away, then run the same command again",
    errno.EROFS: "this filesystem is mounted read-only",
    errno.EXDEV: "both must be on one filesystem: move the store's folder as a whole to where there is room, and link "
    "or mount none of its parts",
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
    errno.EIO: "the disk reported an error: check its health before anything else",
}

_OF_THE_FILE = (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ENXIO, errno.ELOOP, errno.ENAMETOOLONG)
_SHORT = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)


def disk_failure(error: OSError, doing: str) -> EnvironmentFailure:
    """The EnvironmentFailure that tells a user about an operating-system error met while ``doing``."""
    reason = os.strerror(error.errno) if error.errno else str(error)
    failure = EnvironmentFailure(f"{doing}: {reason}", hint=_HINTS.get(error.errno or 0))
    failure.errno = error.errno
    return failure


def is_damage(error: Exception) -> bool:
    """Whether a failure to read means that what was stored is not there as it was: gone, other bytes, a bad sector.

    All else is of the moment and says nothing of it: no right to read, no files or memory to be had, a server away.
    """
    return not isinstance(error, OSError) or error.errno in (*_OF_THE_FILE, errno.EIO)


def is_full(path: Path) -> bool:
    """Whether the filesystem of a file has no room left for the smallest of files; no where that cannot be told."""
    try:
        found = os.statvfs(path.parent)
    except OSError:
        return False
    return found.f_bavail * found.f_frsize < _SMALL


def is_shortage(error: Exception) -> bool:
    """Whether it is that the system had no more files or memory to give."""
    return isinstance(error, OSError) and error.errno in _SHORT


def is_withheld(error: Exception) -> bool:
    """Whether it is that this process has no right to a file or its folder: that says nothing of what is there."""
    return isinstance(error, OSError) and error.errno in (errno.EACCES, errno.EPERM)


@contextlib.contextmanager
def disk_errors(doing: str) -> Iterator[None]:
    """Turn an OSError of the block into an EnvironmentFailure that says what was being done."""
    try:
        yield
    except MergestoreError:
        raise
    except OSError as error:
        raise disk_failure(error, doing) from error


@contextlib.contextmanager
def refused_by_the_system(doing: str) -> Iterator[None]:
    """The same for what says nothing of the file: no right to read it, no more files or memory, a disk that fails."""
    try:
        yield
    except OSError as error:
        if error.errno not in _OF_THE_FILE:
            raise disk_failure(error, doing) from error
        raise


def regular_size(path: Path, *, follow: bool = True) -> int | None:
    """Bytes of a regular file; None where there is none. EnvironmentFailure where that cannot be told."""
    try:
        with refused_by_the_system(f"cannot look at {path}"):
            found = path.stat(follow_symlinks=follow)
    except EnvironmentFailure:
        raise
    except (OSError, ValueError):  # the latter of a NUL character, which no path holds
        return None
    return found.st_size if stat.S_ISREG(found.st_mode) else None


def is_there(path: Path) -> bool:
    """Whether something has this name, if only a link that leads nowhere. EnvironmentFailure as ``regular_size``."""
    try:
        with refused_by_the_system(f"cannot look at {path}"):
            path.lstat()
    except EnvironmentFailure:
        raise
    except (OSError, ValueError):
        return False
    return True


def resolved(path: Path) -> Path:
    """Where a path leads once links are followed; ``Path.resolve`` raises RuntimeError where they go in a circle."""
    return Path(os.path.realpath(path))


def open_to_read(path: Path) -> int:
    """A descriptor of a regular file. OSError for what is none, as of a socket (ENXIO): nobody waits at a pipe."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    mode = os.fstat(fd).st_mode
    if not stat.S_ISREG(mode):
        os.close(fd)
        raise OSError(errno.EISDIR if stat.S_ISDIR(mode) else errno.ENXIO, "Not a regular file", str(path))
    return fd


def write_all(fd: int, data: bytes | bytearray | memoryview) -> None:
    """Write every byte; the kernel may take fewer than it is given."""
    view = memoryview(data).cast("B")
    while view:
        view = view[os.write(fd, view) :]


def write_at(fd: int, data: bytes | bytearray | memoryview, position: int) -> None:
    """Write every byte at ``position`` of a file, on however many threads at once."""
    view = memoryview(data).cast("B")
    while view:
        count = os.pwrite(fd, view, position)
        view, position = view[count:], position + count


def fsync_path(path: Path) -> None:
    """Flush one file or folder to the disk."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def temporary_path(folder: Path, label: str) -> Path:
    """A name in ``folder`` that nothing else has. It tells whose it is, so that ``sweep`` knows what is left over."""
    return folder / f"{label}.{process_name()}.{uuid.uuid4().hex}.tmp"


@functools.cache
def folder_of_this_process() -> Path:
    """A folder for temporary files, in $TMPDIR, that is deleted when the process ends."""
    with disk_errors("cannot make a temporary folder"):
        folder = Path(tempfile.mkdtemp(prefix="mergestore-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def sweep(folder: Path, label: str = "*") -> None:
    """Delete temporary files and folders whose process, on this host, has died: what a kill left behind."""
    for path in folder.glob(f"{label}.{this_host()}.*.*.tmp*"):  # and what SQLite has beside it
        if is_leftover(path):
            remove_tree(path)


def make_folder(folder: Path) -> None:
    """Make a folder, and those it lies in, where they are missing.

    Raises EnvironmentFailure where a file stands there, or a link that leads nowhere, which ``mkdir`` takes for one.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        for place in (folder, *folder.parents):
            if place.is_symlink() and not place.exists():
                raise EnvironmentFailure(
                    f"{place} is a link to {place.readlink()}, and that is not there",
                    hint="mount the disk that it is on, or let the link lead to where it is now",
                ) from None
            if place.exists():
                break
        raise EnvironmentFailure(f"{place} is a file, in the place of a folder", hint=_HINTS[errno.EEXIST]) from None


def publish_file(temporary: Path, final: Path, folders: int = 1) -> None:
    """Give a finished temporary file its name, durably; so many of the folders above may be new."""
    with disk_errors(f"cannot store {final}"):
        fsync_path(temporary)
        make_folder(final.parent)
        temporary.rename(final)
        settle(final, folders)


def flush(files: Sequence[Path], folders: int) -> None:
    """Flush many files, and the nearest folders that each stands in, to the disk, several at once.

    A filesystem with a journal writes that once for all that ask at the same time.
    """
    from concurrent.futures import ThreadPoolExecutor

    above = {folder for file in files for folder in list(file.parents)[:folders]}
    with ThreadPoolExecutor(_FLUSHES) as pool:
        for paths in (files, sorted(above)):
            for _ in pool.map(fsync_path, paths):
                pass


def settle(path: Path, folders: int) -> None:
    """Flush the nearest folders that a name stands in."""
    for folder in list(path.parents)[:folders]:
        fsync_path(folder)


def write_file(final: Path, data: bytes) -> None:
    """Write a small file durably in one step, replacing what has this name."""
    temporary = temporary_path(final.parent, final.name)
    with disk_errors(f"cannot write {final}"):
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        try:
            write_all(fd, data)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        finally:
            os.close(fd)
    try:
        publish_file(temporary, final)
    finally:
        temporary.unlink(missing_ok=True)


def copy_file(source: Path, target: Path) -> None:
    """Copy a file's content: shared blocks where the filesystem can, bytes where it cannot."""
    with (
        disk_errors(f"cannot copy {source} to {target}"),
        os.fdopen(open_to_read(source), "rb") as reader,
        target.open("xb") as writer,
    ):
        if not share_blocks(reader.fileno(), writer.fileno()):
            shutil.copyfileobj(reader, writer, 8 << 20)


def share_blocks(source: int, target: int) -> bool:
    """Let an empty file share all blocks of another, by their descriptors; False where the filesystem cannot."""
    if sys.platform != "linux":
        return False
    import fcntl

    try:
        fcntl.ioctl(target, _FICLONE, source)
    except OSError:
        return False
    return True


def staging_directory(target: Path) -> Path:
    """Make an empty folder beside ``target``, on its filesystem, that ``publish_directory`` can rename."""
    with disk_errors(f"cannot write beside {target}"):
        target.parent.mkdir(parents=True, exist_ok=True)
        sweep(target.parent, f".{glob.escape(target.name)}")
        staging = temporary_path(target.parent, f".{target.name}")
        staging.mkdir()
        return staging


@contextlib.contextmanager
def staged_directory(target: Path) -> Iterator[Path]:
    """A ``staging_directory`` to publish; if it was not, it is gone after the block, and the parents made for it."""
    made = [folder for folder in target.parents if not folder.exists()]
    try:
        staging = staging_directory(target)
        try:
            yield staging
        finally:
            remove_tree(staging)
    finally:
        for folder in made:
            with contextlib.suppress(OSError):  # where the target was published they are not empty
                folder.rmdir()


def publish_directory(staging: Path, target: Path, *, replace: bool = False) -> None:
    """Make a finished folder appear as ``target`` by one rename, after everything in it is on the disk.

    Raises Conflict when ``target`` exists and ``replace`` is not set.
    """
    with disk_errors(f"cannot publish {target}"):
        for folder, _, names in os.walk(staging):
            for name in names:
                fsync_path(Path(folder, name))
            fsync_path(Path(folder))
        if replace and os.path.lexists(target):
            _replace_directory(staging, target)
        else:
            _claim_directory(staging, target)
        fsync_path(target.parent)


def _claim_directory(staging: Path, target: Path) -> None:
    # rename(2) would silently take the place of an empty folder, so look first.
    if os.path.lexists(target):
        raise Conflict(f"{target} exists already", hint="choose another folder, or pass --force to replace it")
    try:
        staging.rename(target)
    except OSError as error:
        if error.errno in (errno.EEXIST, errno.ENOTEMPTY):
            raise Conflict(f"{target} exists already", hint="another process has just made it") from error
        raise


def _replace_directory(staging: Path, target: Path) -> None:
    """Swap the two atomically where the kernel can, so that ``target`` is never absent."""
    if not _exchange(staging, target):
        old = temporary_path(target.parent, f".{target.name}")
        target.rename(old)
        staging.rename(target)
        staging = old
    remove_tree(staging)


def _exchange(a: Path, b: Path) -> bool:
    if sys.platform != "linux":
        return False
    renameat2 = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if renameat2 is None:
        return False
    code: int = renameat2(_AT_FDCWD, os.fsencode(a), _AT_FDCWD, os.fsencode(b), _RENAME_EXCHANGE)
    return code == 0


def remove_tree(path: Path) -> None:
    """Delete a file or folder and everything in it; absent is fine."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
