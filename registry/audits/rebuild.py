"""A result made again from its lineage: every input verified, every tensor computed anew and compared by digest.

Nothing is written but the receipt, an event of the audit chain: a model's tensors are hashed as they are merged; an
adapter is made in a scratch folder, since its factors come of whole layers.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from merging.streaming.sinks import NoSink
from registry.adapters import publish_adapter
from registry.audits.audit import audit, output_of
from registry.audits.folder import audit_folder
from registry.computing import compute
from registry.directories import check_directory, read_manifest
from registry.materializing import Opened, opened
from registry.merges import stored_recipe
from registry.publishing import MANIFEST, output_digest
from registry.records import events
from registry.records.database import reading, writing
from registry.records.imports import imported_outputs
from registry.records.recipes import materializations
from registry.resolved import ResolvedMerge
from registry.results import Rebuilt
from registry.software import versions
from registry.targets import folder_instead
from registry.tasks import require_task
from registry.wish import Context, Wish
from storage.errors import IntegrityFailure, NotFound, UsageError
from storage.files import remove_tree
from storage.progress import Progress

ACTION = "audit.rebuild"
OUTCOMES = {True: "passed", False: "failed", None: "nothing to compare with"}
_MOST = 20  # folders that a receipt names, and differing tensors of each
_SAID = 5  # problems of a folder that are told in words

Tensors = Mapping[str, Mapping[str, Any]]
"""By name {dtype, shape, digest}, as manifests have them."""


@dataclass(frozen=True)
class _Made:
    """What came out of a recipe this time."""

    digest: str
    tensors: Tensors
    engine: str


def rebuild(context: Context, target: str | Path, wish: Wish, progress: Progress) -> Rebuilt:
    """Make what a version, digest or folder is again, compare it with every record and folder of it, keep a receipt.

    Raises UsageError for what is no result, NotFound for a folder of a recipe that the store does not know.
    """
    with reading(context.engine) as session:
        digest, folder = _recipe(session, target)
        recorded = materializations(session, [digest])
        known = {made.output_digest: "recorded output" for made in recorded}
        known = dict.fromkeys(imported_outputs(session, digest), "output where it was imported from") | known
        places = [Path(made.path) for made in recorded if made.path] + ([folder] if folder else [])
    # One folder may go by several paths, through links too.
    folders = sorted({place.resolve() for place in places if (place / MANIFEST).is_file()})
    gone = sorted({str(place) for place in places if not place.exists()})
    clock = time.perf_counter()
    with opened(context, lambda session: _resolved(session, digest), looking=True) as found:
        made = _adapter(context, found, wish, progress) if found.plan.recipe.adapter else _model(found, wish, progress)
    outputs = [_output(known[each], each, made) for each in sorted(known)]
    looked = [told for place in folders if (told := _folder(place, made, digest, progress))]
    compared = outputs + [each for told in looked for each in told.pop("compared")]
    differing = [each for told in looked for each in told.pop("rows")]
    ok = all(each["ok"] for each in compared) if compared else None
    with writing(context.engine) as session:
        details = {
            "ok": ok,
            "outcome": OUTCOMES[ok],
            "output_digest": made.digest,
            "outputs": {each: each == made.digest for each in sorted(known)},
            "folders": sorted(looked, key=lambda told: bool(told["ok"]))[:_MOST],
            "folders_compared": len(looked),
            "folders_gone": gone[:_MOST],
            "device": wish.device,
            "engine": made.engine,
            "versions": versions(),
        }
        event = events.append(session, actor=context.actor, action=ACTION, subject=digest, details=details)
        receipt = event.sequence
    return Rebuilt(
        ok, digest, made.digest, len(made.tensors), wish.device, made.engine, time.perf_counter() - clock, compared,
        looked, gone, differing, receipt,
    )  # fmt: skip


def _recipe(session: Session, target: str | Path) -> tuple[str, Path | None]:
    """The recipe that a target is of, and the folder that it is."""
    folder = Path(target) if isinstance(target, Path) else None
    # What came out may have been registered since: asked for is how it was made, not what it became.
    made = output_of(session, str(target)) if folder is None else None
    if made is not None:
        return made.recipe_digest, None
    try:
        found = audit_folder(folder, session, newest=1) if folder is not None else audit(session, str(target), newest=1)
    except (UsageError, NotFound) as refusal:
        folder = folder_instead(target, refusal)
        found = audit_folder(folder, session, newest=1)
    if found.recipe_digest is None:
        raise UsageError(
            f"{target} is a {found.kind}: only what was merged can be made again",
            hint="`mergestore verify` compares its bytes with its digests",
        )
    if not found.recorded:
        raise NotFound(
            f"this store has not made {target}, and knows nothing of its recipe {found.recipe_digest}",
            hint="use the store that made it",
        )
    return read_manifest(folder)["recipe_digest"] if folder is not None else found.recipe_digest, folder


def _resolved(session: Session, digest: str) -> ResolvedMerge:
    resolved = stored_recipe(session, digest)
    require_task(
        resolved, "make again what was made of one: name its folder, or the digest of its output (`mergestore audit`)"
    )
    return resolved


def _model(found: Opened, wish: Wish, progress: Progress) -> _Made:
    engine, merged = compute(found.plan, NoSink(), wish.device, wish.threads, progress)
    tensors = {each.name: {"dtype": each.dtype, "shape": list(each.shape), "digest": each.digest} for each in merged}
    return _Made(output_digest(merged), tensors, engine)


def _adapter(context: Context, found: Opened, wish: Wish, progress: Progress) -> _Made:
    scratch = context.home.blobs.scratch("rebuild")
    try:
        published = publish_adapter(found.sources, found.plan, found.config, scratch / "adapter", wish, progress)
    finally:
        remove_tree(scratch)
    return _Made(published.document["output_digest"], published.document["tensors"], published.engine)


def _output(what: str, recorded: str, made: _Made) -> dict[str, Any]:
    ok = recorded == made.digest
    detail = f"recorded is {recorded}, made was {'the same' if ok else made.digest}"
    return {"what": what, "ok": ok, "detail": detail}


def _folder(folder: Path, made: _Made, recipe: str, progress: Progress) -> dict[str, Any] | None:
    """What a folder's manifest says, and what its bytes are, beside what was made; None for another model's folder.

    {folder, ok, differing, tensors, problems} as receipts keep it, with ``compared`` and ``rows`` for the answer.
    """
    try:
        document = read_manifest(folder)
    except IntegrityFailure as error:
        damage = {"what": f"manifest of {folder}", "ok": False, "detail": error.message}
        return _told(folder, [], [error.message], [damage])
    if document["recipe_digest"] != recipe:
        return None  # another model lies there by now
    told: Tensors = document["tensors"]
    others = {name for name in told.keys() | made.tensors.keys() if told.get(name) != made.tensors.get(name)}
    _, problems = check_directory(folder, progress)
    found = {each["tensor"]: each["found"] for each in problems if "tensor" in each}
    rows = [
        {
            "where": str(folder),
            "tensor": name,
            "recorded": told[name]["digest"] if name in told else None,
            "made": made.tensors[name]["digest"] if name in made.tensors else None,
            "found": found.get(name),
        }
        for name in sorted(others | found.keys())
    ]
    said = f"{len(others)} of {len(told)} tensors differ" if others else f"all {len(told)} tensors are the same"
    words = [problem["what"] for problem in problems]
    more = [f"and {len(words) - _SAID} more"] if len(words) > _SAID else []
    bytes_ = "; ".join(words[:_SAID] + more) or "are what its manifest says"
    compared = [
        {"what": f"manifest of {folder}", "ok": not others, "detail": said},
        {"what": f"bytes of {folder}", "ok": not problems, "detail": bytes_},
    ]
    return _told(folder, rows, words[:_SAID] + more, compared)


def _told(
    folder: Path, rows: list[dict[str, Any]], problems: list[str], compared: list[dict[str, Any]]
) -> dict[str, Any]:
    return {
        "folder": str(folder),
        "ok": all(each["ok"] for each in compared),
        "differing": len(rows),
        "tensors": [row["tensor"] for row in rows[:_MOST]],
        "problems": problems,
        "compared": compared,
        "rows": rows,
    }
