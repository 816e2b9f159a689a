"""What a registration is told beside the content: who registers, and under which licence it comes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

_LICENCE = re.compile(r"^licen[sc]e:[ \t]*[\"']?([^\s\"'#]+)", re.MULTILINE)


@dataclass(frozen=True)
class Who:
    """Who registers, and under which licence the content comes."""

    actor: str
    licence: str | None = None


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
