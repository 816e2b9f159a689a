"""Files written by this format are read for ever: the golden files, by the code and by the independent decoder."""

import hashlib
import json
from pathlib import Path

import pytest
import torch

from merging.choosing import open_engine
from merging.engines import reference
from merging.engines.torch_engine import TorchEngine
from storage.deltas.delta import DeltaFile
from storage.dtypes import DTYPES
from tests.golden import make
from tests.unit import format1_decoder as decoder
from tests.unit import format1_merge

GOLDEN = Path(__file__).parents[1] / "golden" / "format1"
EXPECTED = json.loads((GOLDEN / "expected.json").read_text())
SKILLS = EXPECTED["skills"]
FROZEN = "59ef42198cdd56e868e244a9886eea4240637ba6db5e1691e72b16dfcdaa1059"
"""SHA-256 of the list of the files' own. A change of bytes is a new format, with a folder of its own."""


@pytest.fixture
def base():
    opened = make.open_base(GOLDEN / "models" / "base")
    yield opened
    opened.source.close()


def test_the_golden_files_are_those_that_format_1_was_frozen_with():
    sums = GOLDEN / "SHA256SUMS"
    assert hashlib.sha256(sums.read_bytes()).hexdigest() == FROZEN
    listed = dict(reversed(line.split("  ")) for line in sums.read_text().splitlines())
    found = {path.relative_to(GOLDEN).as_posix(): path for path in GOLDEN.rglob("*") if path.is_file() and path != sums}
    assert {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in found.items()} == listed


def independent(name):
    return decoder.DeltaFile((GOLDEN / f"{name}.safetensors").read_bytes())


def test_the_golden_models_are_the_ones_that_make_describes():
    for folder, model in zip(("base", "tuned", "adapter"), make.models(), strict=True):
        (path,) = (GOLDEN / "models" / folder).glob("*.safetensors")
        assert decoder.read_safetensors(path.read_bytes())[0] == model


@pytest.mark.parametrize("engine", ["reference", "numba", "torch", pytest.param("cuda", marks=pytest.mark.gpu)])
def test_golden_files_are_read_with_the_same_results(base, engine):
    if engine == "cuda" and not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    engines = {"reference": lambda: reference, "numba": lambda: open_engine("cpu"), "torch": lambda: TorchEngine("cpu")}
    opened = engines.get(engine, lambda: TorchEngine(engine))()
    assert make.facts(base, GOLDEN, opened) == EXPECTED


def test_the_same_models_still_make_the_same_skills(base, tmp_path):
    make.build(base, GOLDEN / "models", tmp_path)
    for name, expected in SKILLS.items():
        with DeltaFile.open(tmp_path / f"{name}.safetensors") as delta:
            assert delta.manifest.digest == expected["digest"], name


@pytest.mark.parametrize("name", SKILLS)
def test_the_independent_decoder_reads_golden_files(name):
    delta = independent(name)
    tensors, _ = decoder.read_safetensors((GOLDEN / "models" / "base" / "model.safetensors").read_bytes())
    assert delta.digest == SKILLS[name]["digest"]
    assert delta.manifest["base"] == EXPECTED["base"]
    found = {each: delta.values(each, tensors[each][2])[0] for each in delta.tensors if delta.changes(each)}
    assert {each: decoder.blake3_digest(values.tobytes()) for each, values in found.items()} == SKILLS[name]["values"]


@pytest.mark.parametrize("expected", EXPECTED["merges"], ids=lambda merge: merge["recipe"]["method"])
def test_the_documented_arithmetic_gives_the_golden_merges(expected):
    tensors, _ = decoder.read_safetensors((GOLDEN / "models" / "base" / "model.safetensors").read_bytes())
    skills = {SKILLS[name]["digest"]: independent(name) for name in SKILLS}
    assert decoder.recipe_digest(expected["recipe"]) == expected["recipe_digest"]
    merged = format1_merge.merge(expected["recipe"], tensors, skills)
    digests = {name: decoder.blake3_digest(raw) for name, (_, _, raw) in merged.items()}
    assert digests == expected["tensors"]
    rows = {name: (dtype, shape, digests[name]) for name, (dtype, shape, _) in merged.items()}
    assert decoder.model_digest(rows) == expected["output_digest"]


def test_the_golden_files_cover_every_form_and_coding():
    manifests = [independent(name).manifest for name in SKILLS]
    entries = [entry for manifest in manifests for entry in manifest["tensors"].values()]
    assert {entry["form"] for entry in entries} == {"kept", "lora", "same", "tied"}
    codings = [entry["coding"] for entry in entries if "coding" in entry]
    assert {coding["values"] for coding in codings} == {"int4", "bf16", "exact", "sign"}
    places = {(coding["values"], coding["trim"]) for coding in codings if "trim" in coding}
    assert places == {("int4", "model"), ("bf16", "tensor"), ("exact", "model")}
    assert {manifest["encoding"] for manifest in manifests} == {"dare", "exact", "magnitude", "sign", "lora"}
    assert {entry["fine_tuned_dtype"] for entry in entries if entry["form"] == "kept"} == {"F32", "F16", "BF16"}
    assert any(manifest["head"] for manifest in manifests)
    assert any(manifest["prefix"] for manifest in manifests)
    assert {entry["dtype"] for entry in entries} <= set(DTYPES)
