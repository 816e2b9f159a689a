"""A part of a bucket, through obstore: keys and bytes, with retries, and errors in words.

What is sent is signed with its SHA-256 (Signature Version 4), so that the server itself refuses bytes that changed on
the way. Endpoint, region and credentials come from the environment, as obstore reads it.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import cached_property
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from storage.errors import EnvironmentFailure, IntegrityFailure, UsageError

if TYPE_CHECKING:
    from obstore.store import S3Store

PATIENCE = 60.0
"""Seconds for which a request is tried again where the server is away or fails: restarts are waited out."""

BRIEFLY = 10.0
"""The same of deleting, which others have to wait for: less than the half minute in which they give up."""

_PART = 16 << 20  # bytes of one part of an upload: S3 takes ten thousand of 5 MiB at least
_PARTS = 9_000
_AT_ONCE = 4
_PAUSE = 0.2  # seconds before a request is made again
_URL = re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])((?:/[A-Za-z0-9._=-]+)*)/?")
_CODE = re.compile(r"<Code>(\w+)</Code>")
_CREDENTIALS = "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and that they may read, write, list and delete"
_REFUSED = {
    "ExpiredToken": ("these credentials have expired", "get new ones, and run the same command again"),
    "TokenRefreshRequired": ("these credentials have expired", "get new ones, and run the same command again"),
    "RequestTimeTooSkewed": ("this machine's clock is wrong", "set it, by NTP best"),
}
"""Reasons that S3 gives for a refusal, and what to do about each."""
_AWAY = "check AWS_ENDPOINT_URL, AWS_REGION, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and that the server runs"


def parse_url(text: str) -> str:
    """An object storage as it is recorded: ``s3://bucket/prefix``. Raises UsageError for anything else."""
    found = _URL.fullmatch(text.strip())
    if found is None or {".", ".."} & set(found[2].split("/")):
        hint = "write s3://bucket or s3://bucket/prefix; keys and endpoint come from the environment (AWS_…)"
        raise UsageError(f"{text!r} names no object storage", hint=hint)
    return f"s3://{found[1]}{found[2]}"


class Bucket:
    """The keys below one prefix. Every method raises EnvironmentFailure where the server is away or refuses."""

    def __init__(self, url: str, patience: float | None = None):
        """``patience``: seconds in which a request is tried again."""
        self.url = parse_url(url)
        self._patience = PATIENCE if patience is None else patience

    def size(self, key: str) -> int | None:
        """Bytes of what is stored under a key; None where nothing is."""
        with self._errors(f"cannot look for {key}"):
            from obstore import head

            try:
                return int(head(self._store, key)["size"])
            except FileNotFoundError:
                return None

    def read(self, key: str, start: int, length: int) -> memoryview:
        """So many bytes from ``start`` on. Raises IntegrityFailure where there is nothing, or not as much."""
        with self._errors(f"cannot read {key}"):
            from obstore import get_range

            try:
                found = memoryview(get_range(self._store, key, start=start, length=length))
            except FileNotFoundError:
                raise IntegrityFailure(f"{self.url}/{key} is missing", hint="run `mergestore verify`") from None
        if len(found) != length:
            raise IntegrityFailure(
                f"{self.url}/{key} ends at byte {start + len(found)}", hint="run `mergestore verify`"
            )
        return found

    def get(self, key: str) -> bytes | None:
        """All that is stored under a key, which must be little; None where nothing is."""
        with self._errors(f"cannot read {key}"):
            from obstore import get

            try:
                return bytes(get(self._store, key).bytes())
            except FileNotFoundError:
                return None

    def create(self, key: str, source: Path | bytes, size: int) -> bool:
        """Store a file, or a few bytes, under a key that nothing is stored under; False where another was quicker.

        A large file goes up in parts, and S3 asks no such condition when parts are put together: there the last one
        wins. That is no matter for keys that are digests.
        """
        if size <= _PART:
            return self._put(key, source, mode="create", use_multipart=False)
        if self.size(key) is not None:
            return False
        self.replace(key, source, size)
        return True

    def replace(self, key: str, source: Path | bytes, size: int) -> None:
        """Store a file under a key, in the place of what is stored there."""
        part = max(_PART, -(-size // _PARTS))
        self._put(key, source, use_multipart=size > _PART, chunk_size=part, max_concurrency=_AT_ONCE)

    def list(self) -> Iterator[tuple[str, int]]:
        """Every key below the prefix, in order, and its bytes."""
        with self._errors("cannot list what is stored"):
            from obstore import list as stream

            for page in stream(self._store, chunk_size=1000):
                for each in page:
                    yield str(each["path"]), int(each["size"])

    def delete(self, key: str) -> None:
        """Delete what is stored under a key; absent is fine. Tried again for a few seconds only."""
        with self._errors(f"cannot delete {key}"), contextlib.suppress(FileNotFoundError):
            from obstore import delete

            delete(self._hasty, key)

    def answer(self) -> None:
        """Raise EnvironmentFailure unless the bucket is there, and answers to these credentials."""
        try:
            next(self.list(), None)  # first: where this is refused the server says why
        except EnvironmentFailure as error:
            if "reason" in error.details:
                raise
            self.size("mergestore")
            hint = "make the bucket first, or check its name and whether these credentials may list it"
            raise EnvironmentFailure(error.message, hint=hint, details=error.details) from error
        self.size("mergestore")

    def clock(self, seconds: float) -> datetime | None:
        """What time it is there, by the header of an answer; None where none came within so many seconds."""
        with self._errors("cannot sign a request"):
            from obstore import sign

            url = sign(self._store, "HEAD", "mergestore", timedelta(minutes=1))
        try:
            with urlopen(Request(url, method="HEAD"), timeout=seconds) as answer:
                headers = answer.headers
        except HTTPError as refusal:  # an answer all the same: there is no such object
            headers = refusal.headers
        except (OSError, ValueError, HTTPException):
            return None
        with contextlib.suppress(TypeError, ValueError):
            return parsedate_to_datetime(headers["Date"])
        return None

    def _put(self, key: str, source: Path | bytes, **how: Any) -> bool:
        """Whether it was stored: False where something is under the key, and that was the condition."""
        with self._errors(f"cannot store {key}"):
            from obstore import put
            from obstore.exceptions import AlreadyExistsError, GenericError

            until = time.monotonic() + self._patience
            while True:
                try:
                    put(self._store, key, source, **how)
                    return True
                except AlreadyExistsError:
                    return False
                except FileNotFoundError as error:
                    told = f"cannot store {key}: {self.url} has no such bucket"
                    raise EnvironmentFailure(told, hint=_AWAY) from error
                except GenericError as error:
                    # The library sends again what breaks on its way, but for what has a condition: who was quicker may
                    # have been ourselves then. Whoever asks looks what is stored.
                    if how.get("mode") != "create" or _CODE.search(str(error)) or time.monotonic() > until:
                        raise
                    time.sleep(_PAUSE)

    @cached_property
    def _store(self) -> S3Store:
        return self._client(self._patience, 60)

    @cached_property
    def _hasty(self) -> S3Store:
        return self._client(min(self._patience, BRIEFLY), BRIEFLY)

    def _client(self, patience: float, timeout: float) -> S3Store:
        """``timeout``: seconds that one request may take."""
        try:
            from obstore.store import S3Store
        except ImportError as error:
            hint = "pip install 'mergestore[s3]'"
            raise EnvironmentFailure(f"{self.url} is reached through obstore, which is missing", hint=hint) from error
        bucket, _, prefix = self.url.removeprefix("s3://").partition("/")
        return S3Store(
            bucket,
            prefix=prefix or None,
            client_options={"allow_http": True, "connect_timeout": "5s", "timeout": timedelta(seconds=timeout)},
            retry_config={
                "backoff": {"init_backoff": timedelta(seconds=0.2), "max_backoff": timedelta(seconds=3), "base": 2},
                "max_retries": 100,
                "retry_timeout": timedelta(seconds=patience),
            },
        )

    @contextlib.contextmanager
    def _errors(self, doing: str) -> Iterator[None]:
        self._store  # noqa: B018 - what is missing for it has its own words
        from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError

        try:
            yield
        except BaseError as error:
            reason = _reason(error)
            if reason in _REFUSED:
                why, hint = _REFUSED[reason]
                told = f"{doing}: {self.url} refuses: {why}"
            elif isinstance(error, (PermissionDeniedError, UnauthenticatedError)):
                told, hint = f"{doing}: {self.url} refuses these credentials", _CREDENTIALS
            else:
                told = f"{doing}: {self.url} does not answer ({reason})"
                raise EnvironmentFailure(told, hint=_AWAY) from error
            raise EnvironmentFailure(told, hint=hint, details={"reason": reason}) from error


def _reason(error: Exception) -> str:
    """What the library says, without how long it took and what it had in memory."""
    text = str(error)
    code = _CODE.search(text)
    return code[1] if code else text.partition("\n")[0].rpartition(" - ")[2].strip()[:200]
