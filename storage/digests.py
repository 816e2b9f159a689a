"""Identity: digests of tensors, models and JSON documents, always written with their prefix."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from typing import Any

import rfc8785
from blake3 import blake3

from storage.bounded import refuse_marks
from storage.errors import InputRefused

_LARGEST_INTEGER = 1 << 53
_DIGEST = re.compile(r"(blake3|sha256):[0-9a-f]{64}")


def is_digest(text: str) -> bool:
    """Whether ``text`` is a whole digest with its prefix."""
    return _DIGEST.fullmatch(text) is not None


def canonical_json(document: Any) -> bytes:
    """RFC 8785 (JCS) bytes of a JSON document: sorted keys, one spelling of every number."""
    try:
        return rfc8785.dumps(document)
    except rfc8785.CanonicalizationError as error:
        raise InputRefused(f"not expressible as canonical JSON: {error}") from error


def parse_json(text: str | bytes) -> Any:
    """A document from its canonical JSON, such that ``canonical_json`` gives the same text again.

    Canonical JSON writes a large float (1e16) with integer digits; integers beyond 2^53 can only be such floats.
    Raises ValueError for what is not JSON, or means more values than are taken.
    """
    refuse_marks(text)
    return json.loads(text, parse_int=_number)


def _number(digits: str) -> int | float:
    value = int(digits) if len(digits) <= 17 else float(digits)
    return value if isinstance(value, float) or abs(value) < _LARGEST_INTEGER else float(value)


def blake3_digest(data: bytes | bytearray | memoryview) -> str:
    """``blake3:…`` of raw bytes, hashed on all cores when large."""
    threads = blake3.AUTO if len(data) >= 1 << 20 else 1
    return "blake3:" + blake3(data, max_threads=threads).hexdigest()


def sha256_digest(data: bytes | bytearray | memoryview) -> str:
    """``sha256:…`` of raw bytes."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


class Hashes:
    """BLAKE3 and SHA-256 of the same bytes, piece by piece."""

    def __init__(self) -> None:
        self._blake3, self._sha256 = blake3(max_threads=blake3.AUTO), hashlib.sha256()

    def update(self, piece: bytes | memoryview) -> None:
        """Take in what comes next."""
        self._blake3.update(piece)
        self._sha256.update(piece)

    @property
    def blake3(self) -> str:
        """``blake3:…`` of all so far."""
        return "blake3:" + self._blake3.hexdigest()

    @property
    def sha256(self) -> str:
        """``sha256:…`` of all so far."""
        return "sha256:" + self._sha256.hexdigest()


def json_digest(document: Any) -> str:
    """``sha256:…`` of a document's canonical JSON."""
    return sha256_digest(canonical_json(document))


def model_digest(tensors: Iterable[tuple[str, str, tuple[int, ...], str]]) -> str:
    """Digest of a model from (name, dtype, shape, tensor digest) of each tensor; sharding plays no part."""
    rows = sorted([name, dtype, list(shape), digest] for name, dtype, shape, digest in tensors)
    return blake3_digest(canonical_json(rows))
