"""Where the blobs of a bundle to be are read from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from storage.errors import IntegrityFailure
from storage.objects.contract import Objects


@dataclass(frozen=True)
class BlobPlace:
    """An object of the store, or a file that a base refers to."""

    blobs: Objects
    digest: str
    referenced: Path | None = None

    def path(self) -> Path:
        """A file with its bytes, to be opened soon."""
        return self.referenced or self.blobs.path(self.digest)

    def size(self) -> int:
        """Its bytes. Raises IntegrityFailure where it is gone."""
        if self.referenced is not None:
            return self.referenced.stat().st_size
        found = self.blobs.size(self.digest)
        if found is None:
            raise IntegrityFailure(f"stored file is missing: {self.digest}", hint="run `mergestore verify`")
        return found
