"""Ed25519 keys in PEM files: what evidence is signed with, and what signatures are checked with.

Private keys are PKCS #8 (RFC 5958), also encrypted with a password; public ones are SubjectPublicKeyInfo (RFC 8410).
A key's id is the SHA-256 of its public half as SubjectPublicKeyInfo in DER.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from storage.digests import sha256_digest
from storage.errors import EnvironmentFailure, UsageError
from storage.paths import as_path

Password = Callable[[], str]
"""Asked for only where a key is encrypted."""

_LARGEST = 1 << 16  # bytes of a key's file
_READABLE = 0o077
_PKCS8 = "keys are made with: openssl genpkey -algorithm ed25519 -out key.pem"
_OTHER_PASSWORD = (
    "give the right one: the first line of --password-file FILE, else $MERGESTORE_KEY_PASSWORD, else at the prompt; "
    "`openssl pkey -in KEY.pem -noout` tries one"
)
_SPKI = "its public half is had with: openssl pkey -in key.pem -pubout -out public.pem"


@dataclass(frozen=True)
class Signer:
    """A private key: its id, what signs with it, and what is to be said about its file."""

    id: str
    sign: Callable[[bytes], bytes]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Verifier:
    """A public key: its id, and whether a signature (first) is that of a message under it."""

    id: str
    fits: Callable[[bytes, bytes], bool]


def signer(key: str | Path | None, password: Password | None) -> Signer | None:
    """The private key in a file, if one is named."""
    return read_signer(as_path(key), password) if key is not None else None


def read_signer(path: Path, password: Password | None = None) -> Signer:
    """The private key in a file. Raises UsageError for what is none of Ed25519, or locked to us."""
    from storage.files import disk_errors

    library = _library()
    data = _read(path)
    if b"PRIVATE KEY-----" not in data:
        raise UsageError(f"{path} holds no private key", hint=_PKCS8)
    if b"OPENSSH PRIVATE KEY" in data:
        raise UsageError(f"{path} is a key of OpenSSH", hint=f"evidence is signed with a key in PKCS #8; {_PKCS8}")
    locked = b"ENCRYPTED" in data
    if locked and password is None:
        raise UsageError(f"the key {path} is encrypted, and no password was given for it", hint="give its password")
    opening = password().encode() if locked and password else None
    try:
        key = library.load_pem_private_key(data, opening)
    except (ValueError, TypeError, library.UnsupportedAlgorithm) as error:
        if locked:
            raise UsageError(f"the key {path} cannot be opened with this password", hint=_OTHER_PASSWORD) from error
        raise UsageError(f"the key {path} cannot be read: {str(error).splitlines()[0]}", hint=_PKCS8) from error
    if not isinstance(key, library.Ed25519PrivateKey):
        raise UsageError(f"{path} is a key of another kind: {type(key).__name__}", hint=f"Ed25519 {_PKCS8}")
    with disk_errors(f"cannot read {path}"):
        open_to_others = path.stat().st_mode & _READABLE
    notes = (f"others may read the key {path}: chmod 600 {path}",) if open_to_others else ()
    return Signer(_id(library, key.public_key()), key.sign, notes)


def read_verifier(path: Path) -> Verifier:
    """The public key in a file. Raises UsageError for what is none of Ed25519."""
    library = _library()
    data = _read(path)
    if b"PRIVATE KEY-----" in data:
        raise UsageError(f"{path} holds a private key, which no one needs in order to verify", hint=_SPKI)
    try:
        key = library.load_pem_public_key(data)
    except (ValueError, TypeError, library.UnsupportedAlgorithm) as error:
        raise UsageError(f"{path} holds no public key in PEM that can be read", hint=_SPKI) from error
    if not isinstance(key, library.Ed25519PublicKey):
        raise UsageError(f"{path} is a key of another kind: {type(key).__name__}", hint="evidence has Ed25519 keys")

    def fits(signature: bytes, message: bytes) -> bool:
        try:
            key.verify(signature, message)
        except library.InvalidSignature:
            return False
        return True

    return Verifier(_id(library, key), fits)


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST + 1)
    except OSError as error:
        raise UsageError(f"cannot read the key {path}: {error.strerror}", hint="name a PEM file") from error
    if len(data) > _LARGEST:
        raise UsageError(f"{path} is no key: it is larger than {_LARGEST} bytes", hint="name a PEM file")
    return data


def _id(library: Any, public: Any) -> str:
    return sha256_digest(public.public_bytes(library.Encoding.DER, library.PublicFormat.SubjectPublicKeyInfo))


def _library() -> Any:
    """What is used of cryptography. Raises EnvironmentFailure naming the extra where it is missing."""
    from types import SimpleNamespace

    try:
        from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
        from cryptography.hazmat.primitives.serialization import (
            Encoding,
            PublicFormat,
            load_pem_private_key,
            load_pem_public_key,
        )
    except ImportError as error:
        raise EnvironmentFailure(
            f"signatures need the library cryptography: {error}", hint="install it with: pip install 'mergestore[sign]'"
        ) from error
    return SimpleNamespace(
        InvalidSignature=InvalidSignature,
        UnsupportedAlgorithm=UnsupportedAlgorithm,
        Ed25519PrivateKey=Ed25519PrivateKey,
        Ed25519PublicKey=Ed25519PublicKey,
        Encoding=Encoding,
        PublicFormat=PublicFormat,
        load_pem_private_key=load_pem_private_key,
        load_pem_public_key=load_pem_public_key,
    )
