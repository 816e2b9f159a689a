"""Published folders whose manifest was forged by somebody who makes its digests right again: told of, or refused.

``MERGESTORE_FUZZ`` sets the examples, else few in the usual run and many in the slow one.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import mergestore
from registry.publishing import manifest_digest
from storage.digests import json_digest
from storage.errors import MergestoreError
from tests.fuzz.mutations import changed_json
from tests.fuzz.test_no_files import restored, told
from tests.integration.shell import Shell

__all__ = ["restored"]
FEW, MANY = int(os.environ.get("MERGESTORE_FUZZ", "2")), int(os.environ.get("MERGESTORE_FUZZ", "20"))

pytestmark = pytest.mark.usefixtures("surroundings")


def forged(draw: Any, text: str) -> str:
    """A manifest with other values, and the digests that it has then, as far as there are any."""
    document = json.loads(changed_json(draw, text))
    try:
        document["recipe_digest"] = json_digest(document["recipe"])
        document["digest"] = manifest_digest(document)
    except (LookupError, TypeError, AttributeError, MergestoreError):
        pass
    return json.dumps(document)


@pytest.mark.parametrize("examples", [FEW, pytest.param(MANY, marks=pytest.mark.slow)])
def test_a_forged_manifest(examples: int, restored: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(restored / "model", tmp_path / "model"))
    original = (folder / "mergestore.json").read_text()

    @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(data=st.data())
    def run(data: Any) -> None:
        text = forged(data.draw, original)
        (folder / "mergestore.json").write_text(text, errors="surrogatepass")
        shutil.rmtree(tmp_path / "store", ignore_errors=True)
        shutil.copytree(restored / "store", tmp_path / "store")
        shell = Shell(tmp_path / "store")
        for words in (
            *(("verify", folder), ("audit", folder), ("audit", folder, "--bom"), ("diff", folder, "assistant@1")),
            *(("audit", folder, "--html", tmp_path / "x.html"), ("audit", folder, "--rebuild")),
            ("audit", folder, "--tensor", "*"),
            ("evaluations", "add", folder, "--metric", "m", "--value", "1", "--dataset", "d"),
            ("attest", folder, "--unsigned", "--output", tmp_path / "x.json"),
            ("register", "base", "again", folder),
            ("register", "skill", "more", folder, "--base", "golden/base", "--encoding", "exact"),
        ):
            told(shell, *words)
        with mergestore.open(tmp_path / "store") as store:
            assert store.verify().problems == []

    run()
