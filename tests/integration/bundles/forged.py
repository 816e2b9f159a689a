"""Bundles written from docs/bundles.md alone, without any of the code under test: sound ones, and such as are not."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from blake3 import blake3

Json = dict[str, Any]


def canonical(document: Any) -> bytes:
    """Canonical JSON, of documents that hold no large or tiny numbers and names of letters."""
    return json.dumps(document, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode(
        "utf-8", "surrogatepass"
    )


def sha256(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def digest(data: bytes) -> str:
    return "blake3:" + blake3(data).hexdigest()


@dataclass
class Forged:
    """The parts of a bundle, to be changed and written again."""

    manifest: Json
    origin: Json
    blobs: dict[str, bytes]

    @classmethod
    def read(cls, path: Path) -> Forged:
        with tarfile.open(path) as archive:
            found = {each.name: archive.extractfile(each).read() for each in archive}  # type: ignore[union-attr]
        manifest, origin = json.loads(found.pop("manifest.json")), json.loads(found.pop("origin.json"))
        return cls(manifest, origin, {name.replace("/", ":")[6:]: data for name, data in found.items()})

    def entry(self, name: str) -> Json:
        """What the manifest says of the one version of a name."""
        (found,) = (entry for entry in self.manifest["versions"] if entry["name"] == name)
        return found  # type: ignore[no-any-return]

    def replace(self, blob: str, data: bytes) -> str:
        """Let all that is this blob be other bytes; their digest."""
        new = digest(data)
        text = json.dumps(self.manifest).replace(blob, new)
        self.manifest = json.loads(text)
        self.manifest["blobs"][new] = {"sha256": sha256(data), "size": len(data)}
        del self.blobs[blob]
        self.blobs[new] = data
        return new

    def members(self, manifest: bytes | None = None) -> list[tuple[str, bytes]]:
        """The members in their order, all digests as they must be; ``manifest``: just these bytes."""
        first = canonical(self.manifest) if manifest is None else manifest
        blobs = [(f"blobs/{name.replace(':', '/')}", self.blobs[name]) for name in sorted(self.blobs)]
        origin = {key: value for key, value in self.origin.items() if key != "digest"} | {"bundle": sha256(first)}
        origin["digest"] = sha256(canonical(origin))
        return [("manifest.json", first), *blobs, ("origin.json", canonical(origin))]

    def write(self, path: Path, manifest: bytes | None = None) -> Path:
        """Write all of it."""
        return write(path, self.members(manifest))


def write(path: Path, members: list[tuple[str, bytes] | tuple[tarfile.TarInfo, bytes]], **options: Any) -> Path:
    """A tar file of these members; of one given as an entry, with all that that says."""
    with tarfile.open(path, "w", format=options.get("format", tarfile.GNU_FORMAT)) as archive:
        for name, data in members:
            entry = name if isinstance(name, tarfile.TarInfo) else tarfile.TarInfo(name)
            if entry.isreg():
                entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return path
