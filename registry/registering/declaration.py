"""What a registration is told beside the content: who registers, and under which licence it comes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from registry.records.tables import ModelVersion

_LICENCE = re.compile(r"^licen[sc]e:[ \t]*[\"']?([^\s\"'#]+)", re.MULTILINE)


@dataclass(frozen=True)
class Who:
    """Who registers, under which licence the content comes, and what else is said of it."""

    actor: str
    licence: str | None = None
    meta: Mapping[str, str] = field(default_factory=dict)


def recorded_notes(version: ModelVersion, licence: str | None, training: Mapping[str, Any]) -> list[str]:
    """Notes where what is recorded of a version is not what is said of it now: the first one counts."""
    notes = []
    if licence != version.licence:
        notes.append(f"registered before, with licence {version.licence or 'not stated'}: that does not change")
    if training != version.attributes.get("training", {}):
        notes.append("registered before, with other metadata of its training: that does not change")
    return notes


def read_licence(root: Path) -> str | None:
    """The licence that a model card beside the weights declares, in the Hugging Face front matter."""
    card = root / "README.md"
    try:
        text = card.read_text(errors="replace") if card.is_file() else ""
    except OSError:
        return None
    parts = text.split("---", 2)
    match = _LICENCE.search(parts[1]) if len(parts) == 3 and not parts[0].strip() else None
    return match[1] if match else None
