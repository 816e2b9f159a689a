"""Objects in an S3-compatible storage, under the names that they have in a folder: ``blake3/ab/abcd…``."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path

from blake3 import blake3

from storage.blobs import RESTORE, Blob, compare, digest_of, free_place, hash_file, key_of, scratch_path
from storage.errors import IntegrityFailure
from storage.files import disk_errors, fsync_path, write_all
from storage.objects.bucket import Bucket
from storage.objects.owner import KEY
from storage.objects.ranges import Blocks, RangeReader
from storage.objects.read_cache import ReadCache

_SHARE = 4  # what is as large as this part of the read cache does not go there when it is stored


class RemoteObjects:
    """The objects below one prefix of a bucket, with a read cache on this machine."""

    def __init__(
        self,
        bucket: Bucket,
        cache: ReadCache,
        temporary: Path,
        spare: Callable[[str], None] | None = None,
        claim: Callable[[Bucket], None] | None = None,
    ):
        """``spare``: called with the digest of an object before it is looked at: something new will rely on it.

        ``claim``: called once before anything is stored; raises Conflict where the place is another store's.
        """
        self.bucket = bucket
        self.cache = cache
        self.temporary = temporary
        self._spare = spare
        self._claim = claim

    def path(self, digest: str) -> Path:
        """A file of the read cache with an object's bytes, fetched if need be, compared with their digest."""
        found = self.cache.find(digest)
        if found is not None:
            return found
        place = self.scratch("object")
        try:
            return self.cache.keep(place, self._fetch(digest, place))
        finally:
            place.unlink(missing_ok=True)

    def checked(self, digest: str) -> Path:
        """The same: what comes here is compared on the way."""
        return self.path(digest)

    def ranges(self, digest: str) -> RangeReader | None:
        """How to read parts of an object; None where the read cache has it."""
        return None if self.cache.find(digest) is not None else self._reader(digest)

    def has(self, digest: str) -> bool:
        """Whether an object of this digest is stored."""
        return self.size(digest) is not None

    def size(self, digest: str) -> int | None:
        """Bytes of an object; None when there is none."""
        return self.bucket.size(key_of(digest))

    def absence(self, digest: str) -> str:
        """What is wrong with an object that has no size: a server knows of nothing but objects."""
        return "is missing"

    def sizes(self, *, lenient: bool = False) -> Iterator[tuple[str, int]]:
        """Every object there is, in order of digests, and its bytes."""
        for key, size in self.bucket.list():
            if (digest := digest_of(key)) is not None:
                yield digest, size

    def digests(self) -> Iterator[str]:
        """Every object there is, in order."""
        for digest, _ in self.sizes():
            yield digest

    def strangers(self) -> Iterator[str]:
        """What lies below the prefix and is no object."""
        for key, _ in self.bucket.list():
            if digest_of(key) is None and key != KEY:
                yield f"{self.bucket.url}/{key}"

    def scratch(self, label: str) -> Path:
        """A fresh path on this machine, to be written and given to ``adopt``."""
        return scratch_path(self.temporary, label)

    def adopt(self, temporary: Path, blob: Blob | None = None) -> Blob:
        """Store a finished file; the same content twice is stored once, and takes the place of damaged bytes."""
        try:
            if self._claim is not None:
                self._claim(self.bucket)
                self._claim = None
            blob = blob or hash_file(temporary)
            if self._spare is not None:
                # First of all, whether it is there or not: what was found to be garbage may be deleted until then.
                self._spare(blob.digest)
            if not self._intact(blob):
                self._store(temporary, blob)
            if blob.size * _SHARE <= self.cache.limit:
                self.cache.keep(temporary, blob)
            return blob
        finally:
            temporary.unlink(missing_ok=True)

    def verify(self, digest: str, sha256: str | None = None) -> Blob:
        """Read an object whole where it is stored, and compare it with its name and its recorded SHA-256.

        Raises IntegrityFailure when it is missing or its bytes have changed.
        """
        public = hashlib.sha256() if sha256 is not None else None
        found = self._hashed(digest, lambda piece: public.update(piece) if public is not None else None)
        return compare(digest, self._told(digest), found, public, sha256)

    def set_aside(self, digest: str, place: Path) -> None:
        """Bring whatever is stored under an object's name to a file on this machine, and delete it there."""
        if not self.has(digest):
            return
        with disk_errors(f"cannot write {place}"):
            place = free_place(place)
            fd = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
            try:
                self._hashed(digest, lambda piece: write_all(fd, piece))
            finally:
                os.close(fd)
            fsync_path(place)
            fsync_path(place.parent)
        self.remove(digest)

    def remove(self, digest: str) -> None:
        """Delete an object, and its copy here; absent is fine. Whoever calls makes sure that nobody needs it."""
        self.bucket.delete(key_of(digest))
        self.cache.drop(digest)

    @cached_property
    def _blocks(self) -> Blocks:
        return Blocks(self.bucket.read)

    def _reader(self, digest: str) -> RangeReader:
        size = self.size(digest)
        if size is None:
            raise IntegrityFailure(f"blob {digest} {self.absence(digest)}: expected {self._told(digest)}", hint=RESTORE)
        return RangeReader(self._blocks, key_of(digest), size)

    def _hashed(self, digest: str, take: Callable[[memoryview], None]) -> Blob:
        """What is stored under an object's name, hashed while ``take`` gets it piece by piece."""
        reader, hasher = self._reader(digest), blake3(max_threads=blake3.AUTO)
        for piece in reader.pieces():
            hasher.update(piece)
            take(piece)
        return Blob("blake3:" + hasher.hexdigest(), reader.size)

    def _fetch(self, digest: str, place: Path) -> Blob:
        with disk_errors(f"cannot write {place}"):
            fd = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
            try:
                found = self._hashed(digest, lambda piece: write_all(fd, piece))
            finally:
                os.close(fd)
        return compare(digest, self._told(digest), found)

    def _store(self, temporary: Path, blob: Blob) -> None:
        key = key_of(blob.digest)
        # Where another process stored the same just now, nothing is left to do; what is damaged gives way.
        if not self.bucket.create(key, temporary, blob.size) and not self._intact(blob):
            self.bucket.replace(key, temporary, blob.size)
        found = self.bucket.size(key)
        if found != blob.size:
            told = f"{self._told(blob.digest)} has {found} bytes after {blob.size} were stored"
            raise IntegrityFailure(told, hint="look after the object storage, then run the same command again")

    def _intact(self, blob: Blob) -> bool:
        return self.size(blob.digest) == blob.size and self._hashed(blob.digest, lambda piece: None) == blob

    def _told(self, digest: str) -> str:
        return f"{self.bucket.url}/{key_of(digest)}"
