"""What a reader holds at most, as docs/format.md says, compared with the code and with what is measured."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from merging.recipes import document
from registry.backups import manifest as backup
from registry.bundles.manifest import LARGEST_MANIFEST
from registry.evidence import envelope
from registry.registering.training import LARGEST_FILE
from storage import bounded
from storage.checkpoints.safetensors_header import MAX_HEADER
from storage.deltas.unified import MANIFESTS
from tests.fuzz.appetite import KINDS

ROOT = Path(__file__).parents[2]
ROW = re.compile(r"^\| `(\w+)` \|.*\| ([\d,]+) \| ([\d,]+) MB \|$", re.MULTILINE)
SIZES = {
    **dict.fromkeys(("weights", "delta"), MAX_HEADER),
    **dict.fromkeys(("adapter", "index", "tokenizer", "published"), bounded.JSON),
    **{"backup": backup.LARGEST, "bundle": LARGEST_MANIFEST, "document": document.LARGEST},
    **{"training": LARGEST_FILE, "envelope": envelope.LARGEST},
}


def stated() -> dict[str, tuple[int, int]]:
    """By kind: the bytes that are read at most, and those of memory."""
    text = (ROOT / "docs" / "format.md").read_text()
    return {
        kind: (int(size.replace(",", "")), int(memory.replace(",", "")) * 10**6)
        for kind, size, memory in ROW.findall(text)
    }


def test_the_table_says_what_the_code_takes() -> None:
    found = stated()
    assert found.keys() == KINDS.keys()
    assert {kind: size for kind, (size, _) in found.items() if kind in SIZES} == SIZES
    text = (ROOT / "docs" / "format.md").read_text()
    for number in (bounded.MARKS, bounded.FEW_MARKS, backup.MARKS, MANIFESTS):
        assert f"{number:,}" in text


@pytest.mark.parametrize(
    "kind", [pytest.param(each, marks=() if each == "frame" else pytest.mark.slow) for each in KINDS]
)
def test_no_file_takes_more_memory_than_is_said(kind: str) -> None:
    command = [sys.executable, "-m", "tests.fuzz.appetite", kind]
    done = subprocess.run(command, cwd=ROOT, env=dict(os.environ), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert found
    for each in found:
        assert each["peak"] <= stated()[kind][1], each
        assert each["told"].partition(":")[0] in ("read", "InputRefused", "IntegrityFailure", "UsageError")
