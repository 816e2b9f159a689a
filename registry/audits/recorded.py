"""Whether a published folder says of itself what the store has on record of publishing it.

The manifest as it was published is a part of the message that went into the outbox with its materialization, which an
event of the audit chain vouches for. Manifests never change, so neither does what they are compared with: what became
of versions since (a yank, an alias, a score) stands elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from registry.publishing import manifest_digest
from registry.records import outbox
from registry.records.recipes import message_fingerprints
from registry.records.tables import Materialization

_SHOWN = 3  # differences that a message names


@dataclass(frozen=True)
class OnRecord:
    """The record that a manifest is of, or is most like; and what it says otherwise, none where it is of it."""

    made: Materialization
    differences: tuple[str, ...]

    @property
    def told(self) -> str:
        """The first few differences, and how many more there are."""
        more = len(self.differences) - _SHOWN
        return "; ".join(self.differences[:_SHOWN]) + (f"; and {more} more" if more > 0 else "")


def on_record(session: Session, folder: Path, document: Mapping[str, Any]) -> OnRecord | None:
    """A folder's manifest beside the records of what it holds; None where this store never made such weights."""
    made = made_of_output(session, document["output_digest"])
    own = {str(folder.absolute()), str(folder.resolve())}
    made.sort(key=lambda each: (each.path not in own, each.recipe_digest != document["recipe_digest"]))
    digest = manifest_digest(document)
    nearest: OnRecord | None = None
    seen: set[str] = set()
    for each, manifest in _manifests(session, made):
        if manifest["digest"] == digest:
            return OnRecord(each, ())
        if manifest["digest"] not in seen:
            seen.add(manifest["digest"])
            found = OnRecord(each, tuple(differences(document, manifest)))
            nearest = found if nearest is None or len(found.differences) < len(nearest.differences) else nearest
    if made and nearest is None:
        return OnRecord(made[0], ("what was published is not on record any more, or that record was changed",))
    return nearest


def made_of_output(session: Session, digest: str) -> list[Materialization]:
    """Every time this came out, of whatever recipe, newest first."""
    query = select(Materialization).where(Materialization.output_digest == digest)
    return list(session.scalars(query.order_by(Materialization.created_at.desc(), Materialization.id)))


def _manifests(
    session: Session, made: Sequence[Materialization]
) -> Iterator[tuple[Materialization, Mapping[str, Any]]]:
    """What was published each time, as far as that is on record, and as the audit chain has it."""
    vouched = message_fingerprints(session, {each.recipe_digest for each in made})
    for each in made:
        message = outbox.find(session, outbox.MATERIALIZATION, each.id)
        if message is None or each.id not in vouched:
            continue
        manifest = message.payload.get("manifest")
        same = vouched[each.id] in (None, outbox.message_fingerprint(message))  # stores of old kept none
        if same and isinstance(manifest, dict) and "digest" in manifest:
            yield each, manifest


def differences(found: Mapping[str, Any], recorded: Mapping[str, Any]) -> list[str]:
    """What a manifest says otherwise than the one on record, each as a line that names where and what."""
    ours, theirs = ({**each, "digest": None} for each in (found, recorded))
    return list(_differences(ours, theirs, "")) or list(_differences(found, recorded, ""))


def _differences(found: Any, recorded: Any, where: str) -> Iterator[str]:
    if found == recorded:
        return
    ours, theirs = _parts(found), _parts(recorded)
    if ours is None or theirs is None:
        yield f"{where} is {found!r:.80}, recorded is {recorded!r:.80}"
        return
    for name in sorted(ours.keys() | theirs.keys()):
        place = f"{where}.{_plain(name)}" if where else _plain(name)
        if name not in theirs:
            yield f"{place} is not on record"
        elif name not in ours:
            yield f"{place} is left out"
        else:
            yield from _differences(ours[name], theirs[name], place)


def _parts(value: Any) -> Mapping[str, Any] | None:
    """A table by its keys, a list of versions or edges by their names; None for what is compared as a whole."""
    if isinstance(value, Mapping):
        return value
    if not isinstance(value, list):
        return None
    named = {name: each for each in value if (name := _named(each)) is not None}
    return named if len(named) == len(value) else None


def _named(part: Any) -> str | None:
    if not isinstance(part, Mapping):
        return None
    for spelled, words in (("{}@{}", ("name", "version")), ("{} of {} as {}", ("parent", "child", "role"))):
        if all(word in part for word in words):
            return spelled.format(*(part[word] for word in words))
    return str(part["skill"]) if "skill" in part else None


def _plain(name: str) -> str:
    """A word of a manifest, which anybody may have written, safe to print."""
    return f"{name if name.isprintable() else repr(name):.80}"
