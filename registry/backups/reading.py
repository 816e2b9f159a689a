"""A backup read: every byte of it compared with its digest, its records with each other and with its manifest."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Engine

from registry.backups.manifest import Manifest, contents
from registry.home import Home
from registry.policies.reading import read_policy_file
from registry.records import events, objects
from registry.records.database import reading
from registry.records.events import Head
from registry.records.identity import store_id
from registry.records.integrity import verify_records
from storage.blobs import Blob, BlobStore, hash_file
from storage.errors import IntegrityFailure, MergestoreError, UsageError
from storage.files import copy_file, is_damage
from storage.objects.contract import Objects
from storage.progress import Progress

_HINT = (
    "use another backup, or copy what is damaged into this one from elsewhere; `mergestore restore --partial` makes a "
    "store of the objects that are whole"
)
_HINT_RECORDS = (
    "use another backup; while the store is there, `mergestore backup --read-data` mends this one; a store whose "
    "registry is had elsewhere (backups/registry-….db) takes what is whole of its objects by `mergestore repair --from`"
)


def unpack_registry(folder: Path, manifest: Manifest, target: Path) -> None:
    """Copy a backup's registry to a file. Raises IntegrityFailure where it is missing or damaged."""
    if not _copied(contents(folder), manifest.registry, target):
        _refuse(folder, manifest, [manifest.registry.digest])


def unpack(folder: Path, manifest: Manifest, home: Home, progress: Progress, *, partial: bool) -> list[str]:
    """Copy a backup's objects and policy to where a new store has them; each is checked.

    Raises IntegrityFailure that names everything that is missing or damaged; if ``partial``, objects that are not whole
    are left out and named in the answer.
    """
    source = contents(folder)
    damaged = []
    progress.start("restore", sum(each.size for each in manifest.objects))
    try:
        for each in manifest.objects:
            scratch = home.blobs.scratch("object")
            if _copied(source, each, scratch):
                home.blobs.adopt(scratch, each)
            else:
                damaged.append(each.digest)
            progress.advance(each.size)
    finally:
        progress.finish()
    if manifest.policy is not None and not _copied(source, manifest.policy, home.policy):
        _refuse(folder, manifest, [*damaged, manifest.policy.digest])
    if not partial:
        _refuse(folder, manifest, damaged)
    _require_policy(source, manifest)
    return damaged


def read_through(folder: Path, manifest: Manifest, progress: Progress) -> None:
    """Read every byte of a backup. Raises IntegrityFailure as ``unpack`` does; writes nothing."""
    source = contents(folder)
    damaged = []
    progress.start("check", sum(each.size for each in manifest.blobs()))
    try:
        for each in manifest.blobs():
            if not is_whole(source, each):
                damaged.append(each.digest)
            progress.advance(each.size)
    finally:
        progress.finish()
    _refuse(folder, manifest, damaged)
    _require_policy(source, manifest)


def is_whole(source: Objects, wanted: Blob) -> bool:
    """Whether an object is there with the bytes that it is named by; no where the disk fails at it."""
    try:
        return source.size(wanted.digest) == wanted.size and hash_file(source.path(wanted.digest)) == wanted
    except MergestoreError as error:
        if not is_damage(error):
            raise
        return False


def check_records(engine: Engine) -> tuple[Head, list[Blob]]:
    """The head of the audit chain, and the objects that records name, once they all agree with each other.

    Raises IntegrityFailure where they do not.
    """
    with reading(engine) as session:
        if problems := verify_records(session):
            told = f"the registry of the backup is damaged: {problems[0]['what']}"
            raise IntegrityFailure(told, hint="use another backup", details={"problems": problems})
        head = events.head(session)
        assert head is not None  # else a problem
        return head, [Blob(*each) for each in objects.sizes(session)]


def compare(engine: Engine, manifest: Manifest) -> None:
    """Raise IntegrityFailure unless the records are those that the manifest tells of."""
    head, stored = check_records(engine)
    with reading(engine) as session:
        found = store_id(session)
    if head != manifest.head or found != manifest.store_id:
        raise IntegrityFailure(
            f"the registry of the backup ends with audit event {head.sequence}, {head.hash}, of store {found}; its "
            f"manifest says {manifest.head.sequence}, {manifest.head.hash}, of store {manifest.store_id}",
            hint="use another backup",
        )
    named = {each.digest for each in manifest.objects} | set(manifest.lost)
    if absent := sorted(each.digest for each in stored if each.digest not in named):
        raise IntegrityFailure(
            f"the backup's records name objects that are not in it: {', '.join(absent)}", hint="use another backup"
        )


def _require_policy(source: BlobStore, manifest: Manifest) -> None:
    """Raise IntegrityFailure for a policy that cannot be read, with which none of the store's skills could be used."""
    if manifest.policy is None:
        return
    try:
        read_policy_file(source.path(manifest.policy.digest), "policy.yaml of the backup")
    except UsageError as error:
        raise IntegrityFailure(f"the backup is damaged: {error.message}", hint="use another backup") from error


def _copied(source: BlobStore, wanted: Blob, target: Path) -> bool:
    try:
        if source.size(wanted.digest) == wanted.size:
            copy_file(source.path(wanted.digest), target)
            if hash_file(target) == wanted:
                return True
    except MergestoreError as error:
        if not is_damage(error) or is_whole(source, wanted):  # else it is the new store's disk that fails
            raise
    target.unlink(missing_ok=True)
    return False


def _refuse(folder: Path, manifest: Manifest, damaged: list[str]) -> None:
    if not damaged:
        return
    what = {manifest.registry.digest: "its registry"}
    if manifest.policy is not None:
        what[manifest.policy.digest] = "its policy"
    hint = _HINT_RECORDS if what.keys() & set(damaged) else _HINT
    named = ", ".join(f"{what.get(each, 'object')} {each}" for each in damaged)
    raise IntegrityFailure(
        f"the backup in {folder} is damaged: missing or changed is {named}", hint=hint, details={"damaged": damaged}
    )
