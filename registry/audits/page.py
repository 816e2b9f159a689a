"""An audit as one page that opens offline: the lineage drawn, all that is known of each version, tables and checks."""

from __future__ import annotations

import json
import os
from importlib.resources import files
from pathlib import Path

from registry.audits.layout import HIGH, WIDE, layout
from registry.results import Audit
from storage.errors import Conflict, UsageError
from storage.files import disk_errors, open_to_read, write_file

_BEGINNING = b"<!doctype html"


def write(audit: Audit, path: Path) -> None:
    """Put the page into a file, whole or not at all. Raises UsageError for what cannot be one.

    Conflict: there is something else than a page in its place.
    """
    if path.is_dir() or not path.absolute().parent.is_dir():
        what = "is a folder" if path.is_dir() else f"cannot be: there is no folder {path.absolute().parent}"
        raise UsageError(f"{path} {what}", hint="name a file in a folder that is there: --html audit.html")
    if path.exists() and not _is_page(path):
        raise Conflict(f"{path} exists already, and is no page", hint="choose another file, or delete it")
    write_file(path.absolute(), render(audit).encode())


def _is_page(path: Path) -> bool:
    with disk_errors(f"cannot read {path}"), os.fdopen(open_to_read(path), "rb") as file:
        return file.read(len(_BEGINNING)).lower() == _BEGINNING


def render(audit: Audit) -> str:
    """The page's text. What the audit holds cannot leave its place in it, whatever characters it has."""
    document = audit.to_dict()
    drawn = layout(audit.lineage)
    document["lineage"] = {
        "nodes": [{**node, "at": drawn.places[node["id"]]} for node in audit.lineage["nodes"]],
        "edges": [
            {**edge, "line": line, "label": at}
            for edge, line, at in zip(audit.lineage["edges"], drawn.lines, drawn.labels, strict=True)
        ],
        "box": (WIDE, HIGH),
        "size": drawn.size,
    }
    text = json.dumps(document, ensure_ascii=True).replace("<", "\\u003c")
    return files(__package__).joinpath("page.html").read_text(encoding="utf-8").replace("{{audit}}", text)
