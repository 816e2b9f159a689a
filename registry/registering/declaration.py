"""What a registration is told beside the content: who registers, and under which licence it comes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from registry.licences.spdx import AND, combine, parse, understood
from registry.records.tables import ModelVersion
from storage.errors import UsageError


@dataclass(frozen=True)
class Who:
    """Who registers, under which licence the content comes, and what else is said of it."""

    actor: str
    licence: str | None = None
    meta: Mapping[str, str] = field(default_factory=dict)


def check_licence(licence: str | None) -> str | None:
    """What is said of a licence, as SPDX spells it. Raises UsageError that points at what is wrong."""
    return None if licence is None else str(parse(licence))


def stated_licence(given: str | None, training: Mapping[str, Any]) -> tuple[str | None, list[str]]:
    """(The licence that was given, or that the model card declares, as SPDX spells it; notes on what is left out.)

    A card's ``other`` means its ``license_name``; what is on no list is a LicenseRef; several licences all hold.
    """
    card = training.get("card", {})
    declared = card.get("license", card.get("licence"))
    if given is not None or declared is None:
        return given, []
    if declared == "unknown":
        return None, ["the model card says that its licence is unknown"]
    if declared == "other" and isinstance(card.get("license_name"), str):
        return str(understood(card["license_name"])), []
    each = declared if isinstance(declared, list) else [declared]
    try:
        return str(combine(AND, [parse(str(text), strict=False) for text in each])), []
    except UsageError as error:
        why = error.message.splitlines()[0]
        return None, [f"the model card's licence {declared!r:.100} is left out, --licence says another: {why}"]


def recorded_notes(version: ModelVersion, licence: str | None, training: Mapping[str, Any]) -> list[str]:
    """Notes where what is recorded of a version is not what is said of it now: the first one counts."""
    notes = []
    if str(understood(licence or "")) != str(understood(version.licence or "")):
        notes.append(f"registered before, with licence {version.licence or 'not stated'}: that does not change")
    if training != version.attributes.get("training", {}):
        notes.append("registered before, with other metadata of its training: that does not change")
    return notes
