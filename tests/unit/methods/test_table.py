"""The table of methods: what another package adds through an entry point is a method like any other."""

import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from merging.methods import METHODS, method_named, table
from storage.errors import UsageError
from tests.unit.tiny_models import tensor

ROOT = Path(__file__).parents[3]
PLUGIN = '''
"""A package of somebody else: half of what one skill adds."""

import numpy as np

from mergestore import Computed, Inputs, Method, Parameter


def _half(given: Inputs):
    return given.base + np.float32(given.parameters["share"]) * given.parts[0].delta


METHOD = Method(
    "halved",
    "a share of one skill",
    "θ₀ + share·δ",
    "https://example.org",
    Computed(_half, whole=False),
    (Parameter("share", 0.5, "how much of it", 0.0, 1.0),),
    skills=(1, 1),
)
BROKEN = "no method"
'''
USE = """
import sys, json
sys.path.insert(0, sys.argv[1])
import mergestore
from merging.methods import method_named
from merging.recipes.recipe import make_recipe
from merging.recipes.stored import read_recipe
from storage.digests import parse_json

names = [each["name"] for each in mergestore.methods()]
recipe = make_recipe("halved", "blake3:" + "0" * 64, {"blake3:" + "1" * 64: 1.0}, {"share": 0.25})
assert read_recipe(parse_json(recipe.canonical)) == recipe
failures = {}
for name in ("broken", "missing", "halvd"):
    try:
        method_named(name)
    except mergestore.MergestoreError as error:
        failures[name] = [type(error).__name__, error.message, error.hint]
print(json.dumps({"names": names, "parameters": dict(recipe.parameters), "failures": failures}))
"""


@pytest.fixture
def plugin(tmp_path):
    """A folder that is installed as pip would leave it."""
    (tmp_path / "their_methods.py").write_text(PLUGIN)
    info = tmp_path / "their_methods-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: their-methods\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[mergestore.methods]\nhalved = their_methods:METHOD\nbroken = their_methods:BROKEN\n"
        "missing = their_methods:NOTHING\nties = their_methods:METHOD\n"
    )
    return tmp_path


def test_another_package_adds_a_method(plugin):
    (plugin / "their_methods-1.0.dist-info" / "entry_points.txt").write_text(
        "[mergestore.methods]\nhalved = their_methods:METHOD\nties = their_methods:METHOD\n"
    )
    said = subprocess.run([sys.executable, "-c", USE, plugin], cwd=ROOT, capture_output=True, text=True, check=True)
    found = json.loads(said.stdout)
    assert found["names"] == [*METHODS, "halved"]  # a name of our own stays our own
    assert found["parameters"] == {"share": 0.25}
    assert "did you mean 'halved'" in found["failures"]["halvd"][2]


def test_a_package_that_is_broken_is_named(plugin):
    said = subprocess.run(
        [sys.executable, "-c", USE.replace("mergestore.methods()", "[]"), plugin],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    failures = json.loads(said.stdout)["failures"]
    assert failures["broken"][:1] == ["EnvironmentFailure"]
    assert "their_methods:BROKEN is registered as the method 'broken'" in failures["broken"][1]
    assert "cannot be loaded" in failures["missing"][1]


def test_it_merges(plugin, tiny, monkeypatch):
    monkeypatch.syspath_prepend(plugin)
    importlib.invalidate_caches()
    for cached in (table._registered, table._loaded):
        cached.cache_clear()
    try:
        base = tiny(w=tensor([1.0, 2.0]))
        merged = base.merge("halved", [(base.delta({"w": tensor([3.0, 2.0])}), 1.0)])
        assert merged["w"].tolist() == [2.0, 2.0]
    finally:
        monkeypatch.undo()
        for cached in (table._registered, table._loaded):
            cached.cache_clear()
    with pytest.raises(UsageError, match="unknown method 'halved'"):
        method_named("halved")
