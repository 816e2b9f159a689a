"""Whatever a file holds, reading it gives an answer or an error of ours: no other, no hang, no file anywhere else.

``MERGESTORE_FUZZ`` sets the examples of each reader, else few in the usual run and many in the slow one.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import mergestore
from mergestore import MergestoreError
from merging.engines import numba_engine
from merging.engines.combination import Contribution
from merging.mergekit.config import read_config
from merging.recipes.document import load_document
from merging.recipes.recipe_file import read_file
from registry.backups.manifest import MANIFEST
from registry.backups.manifest import read as read_backup
from registry.evidence.envelope import parse_payload, read_envelopes
from registry.policies.reading import read_policy_file
from storage.checkpoints.adapter_config import read_settings
from storage.checkpoints.checkpoint import open_checkpoint
from storage.checkpoints.json_files import read_json_object
from storage.checkpoints.tokenizer import read_tokenizer
from storage.deltas.delta import DeltaFile
from storage.deltas.unified import UnifiedFile
from storage.dtypes import DTYPES
from storage.encodings.chunks import dense
from storage.statistics.statistics_file import StatisticsFile
from tests.fuzz.mutations import changed_bytes, changed_safetensors, changed_text
from tests.fuzz.patience import patience
from tests.integration.golden_stores import GOLDEN
from tests.integration.shell import Shell, listing

FEW, MANY = int(os.environ.get("MERGESTORE_FUZZ", "15")), int(os.environ.get("MERGESTORE_FUZZ", "400"))
PATIENCE = 20  # seconds that one file may take

RECIPE = {
    "base": "llama", "method": "ties", "parameters": {"density": 0.5, "lambda": 1.0},
    "skills": [{"skill": "math@2", "weight": 0.6}, {"skill": "code", "weight": -0.4}],
}  # fmt: skip
MERGEKIT = {
    "merge_method": "ties", "base_model": "llama", "dtype": "bfloat16", "parameters": {"normalize": True},
    "models": [{"model": "math", "parameters": {"weight": [0.1, 0.9], "density": [{"filter": "mlp", "value": 0.5}]}}],
    "tokenizer": {"source": "union", "tokens": {"<x>": {"source": "math", "force": True}}},
}  # fmt: skip
SLICES = {
    "merge_method": "passthrough", "dtype": "float16",
    "slices": [{"sources": [{"model": "llama", "layer_range": [0, 2]}]}],
}  # fmt: skip
POLICY = {
    "policy": 1, "licences": {"allowed": ["apache-2.0"], "unstated": "allow"},
    "bases": {"metadata": {"source": "hf:*"}},
    "skills": {"forbidden": ["math@2"], "required": [{"skill": "safety@prod", "at_least": 0.1}]},
    "evaluations": [{"metric": "recall", "dataset": "d", "at_least": 0.8}],
}  # fmt: skip
ENVELOPE = {
    "payloadType": "application/vnd.in-toto+json", "payload": "eyJhIjoxfQ==",
    "signatures": [{"keyid": "k", "sig": "AA=="}]
}  # fmt: skip
ADAPTER = {
    "peft_type": "LORA", "r": 8, "lora_alpha": 16, "rank_pattern": {"q_.*": 4}, "alpha_pattern": {"k": 2},
    "target_modules": ["q_proj"], "use_rslora": False, "base_model_name_or_path": "llama",
}  # fmt: skip
TOKENIZER = {
    "model": {"type": "BPE", "vocab": {"a": 0, "b": 1}, "merges": []},
    "added_tokens": [{"id": 2, "content": "<x>", "special": True}],
}  # fmt: skip
INDEX = {"metadata": {"total_size": 2}, "weight_map": {"half.weight": "model.safetensors"}}


def read_delta(path: Path) -> None:
    """Opened, all its content checked, and each first chunk decoded, by the compiled way and the plain one."""
    with DeltaFile.open(path) as delta:
        for name, tensor in delta.manifest.tensors.items():
            with contextlib.suppress(MergestoreError):
                delta.check_content(name)
            term = delta.term(name)
            if term is None:
                continue
            chunk = term.chunk(0)
            base = _zeros(tensor.dtype, chunk.count)
            out = np.empty(chunk.count, np.float32)
            numba_engine.values(Contribution(chunk, 1.0, 1.0), base, out)
            assert np.array_equal(out, dense(chunk, base), equal_nan=True)


def _zeros(dtype: str, count: int) -> Any:
    return np.zeros(count, np.uint32 if DTYPES[dtype].itemsize == 4 else np.uint16)


def read_unified(path: Path) -> None:
    with UnifiedFile.open(path) as unified:
        for name in unified.manifest.tensors:
            unified.check_content(name)


def read_statistics(path: Path) -> None:
    with StatisticsFile.open(path) as statistics:
        for name, use in statistics.manifest.tensors.items():
            statistics.values(name, 0, min(10, statistics.manifest.payloads[use.payload].elements))
        for payload in statistics.manifest.payloads:
            statistics.check_content(payload)


def read_index(path: Path) -> None:
    shutil.copy(GOLDEN / "format1" / "models" / "base" / "model.safetensors", path.parent)
    path.replace(path.parent / "model.safetensors.index.json")
    (path.parent / "config.json").write_text("{}")
    open_checkpoint(path.parent)


def read_manifest(path: Path) -> None:
    path.replace(path.parent / MANIFEST)
    read_backup(path.parent)


def read_evidence(path: Path) -> None:
    for envelope in read_envelopes(path):
        parse_payload(envelope, str(path))


def _golden(*patterns: str) -> list[bytes]:
    return [path.read_bytes() for pattern in patterns for path in sorted(GOLDEN.glob(pattern))]


def _json(*documents: Any) -> list[bytes]:
    return [json.dumps(document).encode() for document in documents]


Reader = tuple[list[bytes], Callable[..., bytes], Callable[[Path], object]]
READERS: dict[str, Reader] = {
    "delta": (_golden("format[12]/*.safetensors"), changed_safetensors, read_delta),
    "unified": (_golden("unified1/*.safetensors"), changed_safetensors, read_unified),
    "statistics": (_golden("statistics1/*.safetensors"), changed_safetensors, read_statistics),
    "checkpoint": (_golden("format1/models/*/*.safetensors"), changed_safetensors, open_checkpoint),
    "index": (_json(INDEX), changed_text, read_index),
    "recipe": (_json(RECIPE), changed_text, read_file),
    "mergekit": (_json(MERGEKIT, SLICES), changed_text, lambda path: read_config(load_document(path), str(path))),
    "policy": (_json(POLICY), changed_text, lambda path: read_policy_file(path, "policy.yaml")),
    "envelope": (_json(ENVELOPE), changed_text, read_evidence),
    "adapter": (_json(ADAPTER), changed_text, lambda path: read_settings(read_json_object(path), str(path))),
    "tokenizer": (
        _json(TOKENIZER),
        changed_text,
        lambda path: read_tokenizer({"tokenizer.json": path.read_bytes()}, str(path)),
    ),
    "backup": (_golden("store*/backup/manifest.json"), changed_text, read_manifest),
}


@contextlib.contextmanager
def watched(folder: Path) -> Iterator[Path]:
    """A folder to read in, at the end of whose reading nothing lies elsewhere; and no longer than patience lasts."""
    inner = folder / "inner"
    shutil.rmtree(inner, ignore_errors=True)
    inner.mkdir()
    before = listing(folder)
    with patience(PATIENCE):
        yield inner
    shutil.rmtree(inner)
    inner.mkdir()
    assert listing(folder) == before


def fuzz(name: str, folder: Path, examples: int) -> None:
    seeds, change, read = READERS[name]
    with watched(folder) as inner:  # what is not changed is read
        for seed in seeds:
            (inner / "x.safetensors").write_bytes(seed)
            read(inner / "x.safetensors")

    @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(data=st.data())
    def run(data: Any) -> None:
        changed = change(data.draw, data.draw(st.sampled_from(seeds)))
        with watched(folder) as inner:
            (inner / "x.safetensors").write_bytes(changed)
            told = ""
            try:
                read(inner / "x.safetensors")
            except MergestoreError as error:
                told = error.message
            assert told.replace("\n", "").isprintable()
            assert len(told) < 20_000

    run()


@pytest.mark.parametrize("name", READERS)
def test_a_changed_file_is_read_or_refused(name: str, tmp_path: Path) -> None:
    fuzz(name, tmp_path, FEW)


@pytest.mark.slow
@pytest.mark.parametrize("name", READERS)
def test_many_changed_files_are_read_or_refused(name: str, tmp_path: Path) -> None:
    fuzz(name, tmp_path, MANY)


# --- whole archives ---------------------------------------------------------------------------------------


@pytest.mark.usefixtures("surroundings")
@pytest.mark.parametrize("examples", [FEW // 2, pytest.param(MANY // 10, marks=pytest.mark.slow)])
def test_a_changed_bundle_is_imported_whole_or_refused(examples: int, tmp_path: Path) -> None:
    original = (GOLDEN / "store3" / "everything.bundle").read_bytes()
    shell = Shell(tmp_path / "store")
    shell.json("init")
    path = tmp_path / "x.bundle"

    @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(data=st.data())
    def run(data: Any) -> None:
        changed = changed_bytes(data.draw, original)
        path.write_bytes(changed)
        before = listing(tmp_path)
        try:
            with mergestore.open(shell.home) as store:
                store.import_bundle(path)
            assert changed == original
        except MergestoreError:
            assert listing(tmp_path) == before

    run()
