"""Faults below the real code: the kernel asks us before it does a system call on files, and we say what comes of it.

A process that called ``listen`` is stopped at each of its calls that concern files, or its connections to one server
(seccomp's user notification, Linux 5.6 or newer); whoever has the descriptor lets the call through, makes it fail, cuts
it short, or kills the process. Nothing is patched: Python, SQLite, libpq and every library meet what a kernel may do to
them. Structures and numbers: the kernel's uapi/linux/seccomp.h and unistd.h.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import platform
import select
import signal
import socket
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

_LIBC = ctypes.CDLL(None, use_errno=True)
_MACHINES = {"x86_64": (0, 0xC000003E, 317), "aarch64": (1, 0xC00000B7, 277)}
_COLUMN, _ARCHITECTURE, _SECCOMP = _MACHINES.get(platform.machine(), (0, 0, 0))
_PIDFD_GETFD = 438
_NO_NEW_PRIVILEGES, _SET_FILTER, _NEW_LISTENER = 38, 1, 8
_ALLOW, _ASK = 0x7FFF0000, 0x7FC00000
_LOAD, _EQUAL, _RETURN = 0x20, 0x15, 0x06
_RECEIVE, _SEND = 0xC0502100, 0xC0182101
_CONTINUE = 1
_CLONE, _CREATING = 0x40049409, os.O_CREAT | os.O_TRUNC
_COMMIT = b"Q\0\0\0\x0bCOMMIT\0"  # a simple query of PostgreSQL's protocol
_HERE = 0xFFFFFF9C  # AT_FDCWD, as 32 bits


@dataclass(frozen=True)
class _Call:
    """A system call: what kind of step it is, its numbers on the machines above, which argument says where."""

    kind: str
    numbers: tuple[int | None, int]
    path: int | None = None
    folder: int | None = None

    @property
    def number(self) -> int | None:
        return self.numbers[_COLUMN]


_CALLS = {
    "write": _Call("write", (1, 64)),
    "pwrite64": _Call("write", (18, 68)),
    "writev": _Call("write", (20, 66)),
    "pwritev": _Call("write", (296, 70)),
    "sendfile": _Call("write", (40, 71)),
    "fallocate": _Call("truncate", (285, 47)),
    "ftruncate": _Call("truncate", (77, 46)),
    "fsync": _Call("sync", (74, 82)),
    "fdatasync": _Call("sync", (75, 83)),
    "ioctl": _Call("clone", (16, 29)),
    "sendto": _Call("send", (44, 206)),
    "recvfrom": _Call("receive", (45, 207)),
    "open": _Call("open", (2, -1), path=0),
    "openat": _Call("open", (257, 56), path=1, folder=0),
    "rename": _Call("rename", (82, -1), path=0),
    "renameat": _Call("rename", (264, 38), path=1, folder=0),
    "renameat2": _Call("rename", (316, 276), path=1, folder=0),
    "mkdir": _Call("mkdir", (83, -1), path=0),
    "mkdirat": _Call("mkdir", (258, 34), path=1, folder=0),
    "rmdir": _Call("unlink", (84, -1), path=0),
    "unlink": _Call("unlink", (87, -1), path=0),
    "unlinkat": _Call("unlink", (263, 35), path=1, folder=0),
}
_BY_NUMBER = {call.number: (name, call) for name, call in _CALLS.items() if call.number not in (None, -1)}

CONNECTION = ("send", "receive", "commit", "committed")
"""Steps on a connection to the database: what is sent, its answer; a COMMIT, and the answer to that."""
CHANGING = ("create", "write", "truncate", "clone", "rename", "mkdir", "unlink", "send", "commit")
"""Steps after which something is otherwise than before: what can be met by a kill."""
FAILING = {
    "write": (errno.ENOSPC, errno.EIO, errno.EDQUOT),
    "create": (errno.EMFILE, errno.ENOSPC, errno.EIO),
    "open": (errno.EMFILE, errno.EIO),
    "sync": (errno.EIO, errno.ENOSPC),
    "truncate": (errno.EIO, errno.ENOSPC),
    "clone": (errno.EIO,),
    "rename": (errno.ENOSPC, errno.EIO),
    "mkdir": (errno.ENOSPC, errno.EDQUOT),
    "unlink": (errno.EIO,),
    **dict.fromkeys(CONNECTION, (errno.ECONNRESET,)),
}
"""Which errors each kind of step is met with."""
FULL = ("write", "create", "mkdir", "truncate")
"""Steps that fail while a disk is full."""


@dataclass(frozen=True)
class Step:
    """One system call of a process on a file below its folder, or on a connection to its database's server."""

    kind: str
    path: str


@dataclass(frozen=True)
class Fault:
    """What the ``at``-th step of these kinds meets: ``kill``, ``terminate``, ``short`` or the number of an error; and
    after that every step of the kinds ``then``. Where ``path`` is given, all steps of these kinds on that file, as on a
    bad sector.
    """

    what: str | int
    at: int
    kinds: tuple[str, ...]
    then: tuple[str, ...] = ()
    path: str = ""


def available() -> bool:
    """Whether this kernel lets a process be asked about."""
    action = ctypes.c_uint32(_ASK)
    return _SECCOMP != 0 and _LIBC.syscall(_SECCOMP, 2, 0, ctypes.byref(action)) == 0


def listen() -> int:
    """From here on this process, and all it starts, is asked about; a descriptor for whoever answers."""
    numbers = sorted(number for number in _BY_NUMBER if number is not None)
    program = [
        *(_instruction(_LOAD, 0, 0, 4), _instruction(_EQUAL, 1, 0, _ARCHITECTURE), _instruction(_RETURN, 0, 0, _ALLOW)),
        _instruction(_LOAD, 0, 0, 0),
        *(_instruction(_EQUAL, len(numbers) - at, 0, number) for at, number in enumerate(numbers)),
        *(_instruction(_RETURN, 0, 0, _ALLOW), _instruction(_RETURN, 0, 0, _ASK)),
    ]
    code = ctypes.create_string_buffer(b"".join(program))
    whole = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(program), ctypes.addressof(code)))
    _LIBC.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    descriptor = int(_LIBC.syscall(_SECCOMP, _SET_FILTER, _NEW_LISTENER, ctypes.byref(whole)))
    if descriptor < 0:
        raise OSError(ctypes.get_errno(), "seccomp")
    return descriptor


def _instruction(code: int, yes: int, no: int, value: int) -> bytes:
    return struct.pack("HBBI", code, yes, no, value)


class Supervisor:
    """Answers for one process: counts its steps below a folder, and lets the fault happen."""

    def __init__(self, process: int, listener: int, root: Path, fault: Fault | None, port: int | None = None):
        """``port``: of a server on this machine, whose connections count too."""
        self.process, self.listener, self.root, self.fault = process, listener, str(root), fault
        self.port = port
        self.steps = list[Step]()
        self.met = 0
        self._bad = self._file()
        self._seen = 0
        self._committing = False

    def watch(self, seconds: float, after: Callable[[], bool]) -> None:
        """Answer until the process has ended, as ``after`` says, or is killed for having taken too long."""
        poll = select.poll()
        poll.register(self.listener, select.POLLIN)
        waited = 0.0
        with open(f"/proc/{self.process}/mem", "rb", buffering=0) as self._memory:  # noqa: PTH123
            while not after():
                if not poll.poll(50):
                    waited += 0.05
                    if waited > seconds:
                        os.kill(self.process, signal.SIGKILL)
                    continue
                waited = 0.0
                with contextlib.suppress(FileNotFoundError):  # the process died, or its thread did
                    self._answer()

    def _answer(self) -> None:
        asked = bytearray(80)
        try:
            fcntl.ioctl(self.listener, _RECEIVE, asked)
        except OSError as error:
            raise FileNotFoundError from error
        key, thread, _, number, _, _, *arguments = struct.unpack("QIIiIQ6Q", asked)
        value, error, flags = 0, 0, _CONTINUE
        step = self._step(thread, number, arguments)
        if step is not None and self._is_met(step):
            assert self.fault is not None
            self.met += 1
            if self.fault.what == "kill":
                os.kill(self.process, signal.SIGKILL)
                return
            if self.fault.what == "terminate":
                os.kill(self.process, signal.SIGTERM)
            elif self.fault.what == "short":
                written = self._shortened(_BY_NUMBER[number][0], arguments)
                value, flags = (written, 0) if written else (0, _CONTINUE)
            else:
                error, flags = -int(self.fault.what), 0
                if step.kind in CONNECTION:  # broken for both sides, and for good
                    with contextlib.suppress(OSError), self._connection(arguments[0]) as broken:
                        broken.shutdown(socket.SHUT_RDWR)  # the server itself may have ended it meanwhile
        try:
            fcntl.ioctl(self.listener, _SEND, bytearray(struct.pack("QqiI", key, value, error, flags)))
        except OSError as gone:
            raise FileNotFoundError from gone

    def _step(self, thread: int, number: int, arguments: list[int]) -> Step | None:
        if not Path(f"/proc/{self.process}/task/{thread}").exists():
            return None  # of another process, which that one has started
        name, call = _BY_NUMBER[number]
        try:
            path = self._path(call, arguments)
        except OSError:
            return None
        if call.kind in ("send", "receive"):
            step = self._step_on_connection(call.kind, arguments)
        elif not path.startswith(self.root) or (name == "ioctl" and arguments[1] != _CLONE):
            step = None
        elif call.kind == "open":
            creating = arguments[1 if call.folder is None else 2] & _CREATING
            step = Step("create" if creating else "open", path[len(self.root) :])
        else:
            step = Step(call.kind, path[len(self.root) :])
        if step is not None:
            self.steps.append(step)
        return step

    def _step_on_connection(self, kind: str, arguments: list[int]) -> Step | None:
        try:
            with self._connection(arguments[0]) as found:
                if self.port is None or found.getpeername()[1:] != (self.port,):
                    return None
        except OSError:  # no socket, or one that was broken before
            return None
        if kind == "send":
            self._memory.seek(arguments[1])
            self._committing = self._memory.read(len(_COMMIT)) == _COMMIT
            return Step("commit" if self._committing else "send", "")
        return Step("committed" if self._committing else "receive", "")

    @contextlib.contextmanager
    def _connection(self, number: int) -> Iterator[socket.socket]:
        """A socket of the process, by its number there."""
        with socket.socket(fileno=self._taken(number)) as found:
            yield found

    def _taken(self, number: int) -> int:
        """A descriptor of the process's, as one of ours. Raises OSError."""
        owner = os.pidfd_open(self.process)
        descriptor = int(_LIBC.syscall(_PIDFD_GETFD, owner, number & 0xFFFFFFFF, 0))
        os.close(owner)
        if descriptor < 0:
            raise OSError(ctypes.get_errno(), "pidfd_getfd")
        return descriptor

    def _path(self, call: _Call, arguments: list[int]) -> str:
        """Where a call is about: the file's path, or that of an open descriptor."""
        if call.path is None:
            return str(Path(f"/proc/{self.process}/fd/{arguments[0] & 0xFFFFFFFF}").readlink())
        self._memory.seek(arguments[call.path])
        path = os.fsdecode(self._memory.read(4096).split(b"\0", 1)[0])
        if path.startswith("/"):
            return path
        folder = _HERE if call.folder is None else arguments[call.folder] & 0xFFFFFFFF
        place = "cwd" if folder == _HERE else f"fd/{folder}"
        return f"{Path(f'/proc/{self.process}/{place}').readlink()}/{path}"

    def _is_met(self, step: Step) -> bool:
        if self.fault is None:
            return False
        if self.fault.path:
            return step.kind in self.fault.kinds and step.path == self.fault.path and self._file() == self._bad
        if self.met:
            return step.kind in self.fault.then
        self._seen += step.kind in self.fault.kinds
        return step.kind in self.fault.kinds and self._seen == self.fault.at

    def _file(self) -> int | None:
        """Which file it is that the fault is of: another one of this name does not lie on the bad sector."""
        if self.fault is None or not self.fault.path:
            return None
        return os.stat(self.root + self.fault.path).st_ino  # noqa: PTH116

    def _shortened(self, name: str, arguments: list[int]) -> int:
        """Write the first half of what a call was to write, in its place; 0 where there is nothing to halve."""
        size = arguments[2] // 2
        if size == 0 or name not in ("write", "pwrite64"):
            return 0
        self._memory.seek(arguments[1])
        data = self._memory.read(size)
        descriptor = self._taken(arguments[0])
        try:
            return os.write(descriptor, data) if name == "write" else os.pwrite(descriptor, data, arguments[3])
        finally:
            os.close(descriptor)
