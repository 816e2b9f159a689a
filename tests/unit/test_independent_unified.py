"""Section 10 of docs/format.md is enough: a reader made from that page alone reads what the code writes."""

import ast
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.golden import make, unified
from tests.unit import format1_decoder as decoder
from tests.unit import format1_unified as reader

EXPECTED = json.loads((unified.HERE / "expected.json").read_text())
DIGESTS = {
    "pair.safetensors": "blake3:b0f808761aa79cc54f11648e9bbf1b17c3f8f83cd04d7e4fee5a82fdbe78166e",
    "three.safetensors": "blake3:9d1f7ee6c6c95fa11355a125515c56981d69d9ec321b58cbeed99da3b56a3be8",
    "expected.json": "blake3:938267bdebc9f325bc9242b7945727a87db2fe5a8fa24804aa219248ed0e3ae0",
}
"""BLAKE3 of the golden files, which never change."""


@pytest.fixture
def base():
    opened = make.open_base(make.HERE / "models" / "base")
    yield opened
    opened.source.close()


@pytest.fixture(params=unified.FILES)
def name(request):
    return request.param


@pytest.fixture
def file(name):
    return reader.UnifiedFile((unified.HERE / name).read_bytes())


@pytest.fixture
def skills(file, name):
    """The skills' own files, in the order of the vector."""
    files = [decoder.DeltaFile((make.HERE / f"{each}.safetensors").read_bytes()) for each in unified.FILES[name]]
    return [next(each for each in files if each.digest == digest) for digest in file.skills]


@pytest.fixture
def raw():
    return make.models()[0]


def test_the_reader_is_independent():
    imported = set()
    for node in ast.walk(ast.parse(Path(reader.__file__).read_text())):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add(node.module)
    assert imported - sys.stdlib_module_names == {"numpy", "tests.unit.format1_decoder"}


def test_the_golden_files_are_those_that_were_released():
    found = {path.name: decoder.blake3_digest(path.read_bytes()) for path in unified.HERE.iterdir()}
    assert found == DIGESTS


def test_golden_files_are_read_with_the_same_results(base):
    assert unified.facts(base, unified.HERE) == EXPECTED


def test_the_golden_skills_still_make_the_same_vectors(base, tmp_path):
    unified.write(base, tmp_path)
    for name in unified.FILES:
        made = reader.UnifiedFile((tmp_path / name).read_bytes())
        assert made.manifest == reader.UnifiedFile((unified.HERE / name).read_bytes()).manifest


def test_manifest_and_content_are_as_the_page_says(file, name):
    assert file.digest == EXPECTED[name]["digest"]
    assert file.digest == decoder.blake3_digest(file.metadata["mergestore.unified"].encode())
    for tensor, entry in file.tensors.items():
        if entry["form"] == "unified":
            elements = int(np.prod(entry["shape"]))
            assert file.content(f"unified/{tensor}", elements) == entry["content"]
            for place, digest in enumerate(entry["masks"]):
                assert digest is None or file.content(f"mask/{place}/{tensor}", elements) == digest
    assert {entry["form"] for entry in file.tensors.values()} == {"unified", "same", "tied"}


def test_skills_are_proven_and_heads_are_there(file, skills):
    for place, skill in enumerate(skills):
        manifest = file.skill_manifest(place)
        assert manifest == skill.manifest
        for head, entry in manifest["head"].items():
            assert decoder.blake3_digest(file.payloads[f"head/{place}/{head}"][2]) == entry["digest"]


def test_the_vector_is_made_as_the_page_says(file, skills, raw):
    values, masks, scales, ties, kinds = reader.made(skills, raw)
    assert scales == file.scales
    assert {tensor: entry["tied_to"] for tensor, entry in file.tensors.items() if entry["form"] == "tied"} == ties
    assert {tensor for tensor, entry in file.tensors.items() if entry["form"] == "unified"} == set(values)
    for tensor, expected in values.items():
        entry = file.tensors[tensor]
        assert (entry["values"], entry["fine_tuned_dtype"]) == kinds[tensor]
        found = file.values(tensor, raw[tensor][2])
        assert np.array_equal(found, expected)
        assert [place for place, digest in enumerate(entry["masks"]) if digest] == sorted(masks[tensor])
        for place, mask in masks[tensor].items():
            assert np.array_equal(file.mask(place, tensor, found), mask)


def test_every_model_is_computed_from_the_page_alone(file, name, raw):
    for place, digest in enumerate(file.skills):
        manifest = file.skill_manifest(place)
        expected = EXPECTED[name]["models"][digest]
        assert len(expected) == len(raw) + len(manifest["head"])
        for tensor, (_, _, data) in raw.items():
            renamed = tensor
            if manifest["head"]:
                renamed = manifest["prefix"] + tensor.removeprefix(manifest["dropped_prefix"])
            assert decoder.blake3_digest(file.model(place, tensor, data)) == expected[renamed], tensor
