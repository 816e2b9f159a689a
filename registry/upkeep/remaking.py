"""Objects made again from what they were made of: deltas from their fine-tunes, a merge's vector from its skills."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from registry.merges import stored_merge
from registry.opening import open_base
from registry.records.catalog import resolve
from registry.records.contents import load_delta
from registry.records.database import reading
from registry.records.objects import Stored
from registry.records.tables import Delta, ModelVersion
from registry.registering.coding_options import CodingOptions, choose_coding
from registry.registering.register_skill import DELTA_FILE, build
from registry.unified import FILE, write_vector
from registry.wish import Context
from storage.blobs import hash_file
from storage.checkpoints.adapter import is_adapter
from storage.errors import MergestoreError
from storage.files import is_damage, is_there, is_withheld, remove_tree
from storage.progress import Progress


def remade(context: Context, use: tuple[str, str], stored: Stored, scratch: Path, progress: Progress) -> str | None:
    """Make an object again in ``scratch``, as the file of a version that it is; how, if it is the same to the bit."""
    reference, path = use
    with reading(context.engine) as session:
        version = resolve(session, reference)
        delta = load_delta(session, version.id)
    try:
        if version.kind == "skill" and path == DELTA_FILE and delta is not None:
            how = _delta(context, version, delta, scratch, progress)
        elif version.kind == "merge" and path == FILE:
            how = _vector(context, version, scratch, progress)
        else:
            return None
        if how is not None and hash_file(scratch).digest == stored.digest:
            return how
    except MergestoreError as error:
        if not is_damage(error) and not is_withheld(error):
            raise
        # What it is made of is not there, not sound, or not to be read, itself.
    remove_tree(scratch)
    return None


def _delta(context: Context, version: ModelVersion, delta: Delta, scratch: Path, progress: Progress) -> str | None:
    source = Path(version.source or "")
    if not source.is_absolute() or not is_there(source):
        return None
    dare = delta.encoding == "dare"
    options = CodingOptions(
        delta.encoding,
        delta.values,
        delta.drop_rate if dare else None,
        delta.seed if dare else None,
        delta.parameters.get("density"),
        delta.parameters.get("trim"),
    )
    adapter = is_adapter(source)
    encoding, coding = choose_coding(options, adapter=adapter)
    with reading(context.engine) as session:
        base = session.get_one(ModelVersion, delta.base_version_id)
        model = open_base(session, context.home, base)
    with closing(model.source):
        build(source, adapter, model, encoding, coding, scratch, progress, allow_missing=True)
    return f"made again from {source} and {base.reference}"


def _vector(context: Context, version: ModelVersion, scratch: Path, progress: Progress) -> str:
    with reading(context.engine) as session:
        resolved = stored_merge(session, version)
    write_vector(context.engine, context.home, resolved, scratch, progress)
    return f"made again from the skills of {version.reference}"
