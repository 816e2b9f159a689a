"""Signed envelopes: DSSE version 1, https://github.com/secure-systems-lab/dsse (protocol.md, envelope.md).

What is signed is the pre-authentication encoding of payload type and payload, so that neither can pass for another.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from registry.evidence.keys import Signer, Verifier
from storage.bounded import FEW_MARKS, refuse_marks
from storage.digests import canonical_json
from storage.errors import InputRefused, UsageError, in_words

LARGEST = 16 << 20
"""Bytes of a file with envelopes that are read."""


@dataclass(frozen=True)
class Envelope:
    """A payload with signatures, each the key's id that it claims (which proves nothing) and its bytes."""

    payload_type: str
    payload: bytes
    signatures: tuple[tuple[str | None, bytes], ...]

    @property
    def key_ids(self) -> tuple[str, ...]:
        """The ids that signatures claim."""
        return tuple(id_ for id_, _ in self.signatures if id_)

    def is_signed_by(self, key: Verifier) -> bool:
        """Whether one of the signatures is that of this key, whatever ids they claim."""
        message = pae(self.payload_type, self.payload)
        return any(key.fits(signature, message) for _, signature in self.signatures)

    def to_dict(self) -> dict[str, Any]:
        """The envelope as its JSON document."""
        signatures = [
            {**({"keyid": id_} if id_ else {}), "sig": base64.b64encode(signature).decode()}
            for id_, signature in self.signatures
        ]
        payload = base64.b64encode(self.payload).decode()
        return {"payload": payload, "payloadType": self.payload_type, "signatures": signatures}

    def to_bytes(self) -> bytes:
        """The envelope as one line of canonical JSON."""
        return canonical_json(self.to_dict()) + b"\n"


def pae(payload_type: str, payload: bytes) -> bytes:
    """The pre-authentication encoding: DSSEv1, then each part with its length in bytes before it."""
    kind = payload_type.encode()
    return b" ".join([b"DSSEv1", b"%d" % len(kind), kind, b"%d" % len(payload), payload])


def sign(payload_type: str, payload: bytes, key: Signer) -> Envelope:
    """The payload in an envelope with the key's signature. Ed25519 draws nothing: the same again is the same bytes."""
    return Envelope(payload_type, payload, ((key.id, key.sign(pae(payload_type, payload))),))


def read_envelopes(path: Path) -> list[Envelope]:
    """The envelopes in a file: one JSON document, or one on each line. Raises UsageError, InputRefused."""
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}", hint="name a file with signed envelopes") from error
    return [parse_envelope(document, str(path)) for document in _documents(path, data)]


def with_envelope(path: Path, data: bytes, envelope: Envelope) -> bytes:
    """What a file with envelopes, ``data`` until now, holds with one more: each on a line, as it was; each once.

    Raises InputRefused where it holds anything else, or would become too large to be read.
    """
    documents = _documents(path, data)
    if envelope in [parse_envelope(document, str(path)) for document in documents]:
        return data
    lines = b"".join(canonical_json(document) + b"\n" for document in documents) + envelope.to_bytes()
    if len(lines) > LARGEST:
        raise InputRefused(f"{path} would be larger than {LARGEST:,} bytes, and is read no more", hint="begin another")
    return lines


def _documents(path: Path, data: bytes) -> list[Any]:
    """The JSON documents in a file: one, or one on each line."""
    if len(data) > LARGEST:
        raise InputRefused(f"{path} is no envelope: it is larger than {LARGEST:,} bytes")
    try:
        refuse_marks(data, FEW_MARKS)
    except ValueError as error:
        raise InputRefused(f"{path} is no envelope: {error}") from error
    try:
        return [json.loads(data)]
    except (ValueError, RecursionError):
        return [_line(path, number, line) for number, line in enumerate(data.splitlines(), 1) if line.strip()]


def parse_envelope(document: Any, where: str) -> Envelope:
    """An envelope from its JSON document. Raises InputRefused, naming ``where`` it stands, for what is none."""
    try:
        signatures = tuple((_text_or_none(each.get("keyid")), _decoded(each["sig"])) for each in document["signatures"])
        found = Envelope(_text(document["payloadType"]), _decoded(document["payload"]), signatures)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise InputRefused(
            f"{where} is no signed envelope: {in_words(error):.120}",
            hint="`mergestore attest` writes such files (DSSE)",
        ) from error
    return found


def parse_payload(envelope: Envelope, where: str) -> dict[str, Any]:
    """The JSON object that is signed. Raises InputRefused; to be called once a signature fits."""
    try:
        refuse_marks(envelope.payload, FEW_MARKS)
        document = json.loads(envelope.payload)
    except (ValueError, RecursionError) as error:
        raise InputRefused(f"what is signed in {where} is no JSON: {in_words(error):.120}") from error
    if not isinstance(document, Mapping):
        raise InputRefused(f"what is signed in {where} is no JSON object")
    return dict(document)


def _line(path: Path, number: int, line: bytes) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InputRefused(f"{path}, line {number}: neither one JSON document nor one a line") from error


def _decoded(text: Any) -> bytes:
    """Bytes in base64, by the usual alphabet or that of URLs: readers have to take both."""
    plain = _text(text).translate({ord("-"): "+", ord("_"): "/"})
    try:
        return base64.b64decode(plain, validate=True)
    except binascii.Error as error:
        raise ValueError(f"no base64: {error}") from error


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value.isprintable():
        raise TypeError(f"expected a line of text, found {value!r:.40}")
    return value


def _text_or_none(value: Any) -> str | None:
    return None if value is None else _text(value)
