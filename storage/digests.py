"""Identity: digests of tensors, models and JSON documents, always written with their prefix."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from typing import Any

import rfc8785
from blake3 import blake3

from storage.errors import InputRefused

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


def blake3_digest(data: bytes | bytearray | memoryview) -> str:
    """``blake3:…`` of raw bytes, hashed on all cores when large."""
    threads = blake3.AUTO if len(data) >= 1 << 20 else 1
    return "blake3:" + blake3(data, max_threads=threads).hexdigest()


def sha256_digest(data: bytes | bytearray | memoryview) -> str:
    """``sha256:…`` of raw bytes."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def json_digest(document: Any) -> str:
    """``sha256:…`` of a document's canonical JSON."""
    return sha256_digest(canonical_json(document))


def model_digest(tensors: Iterable[tuple[str, str, tuple[int, ...], str]]) -> str:
    """Digest of a model from (name, dtype, shape, tensor digest) of each tensor; sharding plays no part."""
    rows = sorted([name, dtype, list(shape), digest] for name, dtype, shape, digest in tensors)
    return blake3_digest(canonical_json(rows))
