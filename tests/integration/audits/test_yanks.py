"""What a yank reaches: all that came of a version, through merges that were registered again. Looking is not using."""

from __future__ import annotations

import pytest

import mergestore
from mergestore import Conflict
from tests.integration.models import LLAMA_CONFIG, fine_tune, llama, save

BASE = llama("F32", seed=1)
WHY = "trained on the test set"


@pytest.fixture
def store(surroundings, tmp_path):
    """Skills math and code; a merge of both, whose output is the skill ``again`` and the base ``grown``."""
    save(tmp_path / "tiny", BASE, LLAMA_CONFIG)
    for number, name in enumerate(("math", "code")):
        save(tmp_path / name, fine_tune(BASE, number + 1), LLAMA_CONFIG)
    with mergestore.open(tmp_path / "store", actor="ann@lab") as opened:
        opened.register_base("tiny", tmp_path / "tiny")
        opened.register_skill("math", tmp_path / "math", base="tiny")
        opened.register_skill("code", tmp_path / "code", base="tiny")
        opened.merge("both", "tiny + 0.6*math + 0.4*code")
        opened.materialize("both", output=tmp_path / "out", wait=False)
        opened.register_skill("again", tmp_path / "out", base="tiny", encoding="exact")
        opened.register_base("grown", tmp_path / "out")
        opened.register_skill("more", tmp_path / "code", base="grown")
        opened.merge("outer", "tiny + 0.5*again")
        opened.materialize("outer", output=tmp_path / "outer", wait=False)
        opened.alias("both", "prod")
        yield opened


def test_nothing_new_comes_of_what_came_of_a_yanked_version(store, tmp_path):
    store.yank("math@1", WHY)
    ways = {
        "again@1": "again@1 came from it through both@1",
        "grown@1": "grown@1 came from it through both@1",
        "z@1": "z@1 came from it through both@1",
        "outer@1": "outer@1 came from it through again@1 and both@1",
    }
    for way, call in (
        ("again@1", lambda: store.merge("x", "tiny + again")),
        ("again@1", lambda: store.merge("outer", "tiny + 0.5*again")),
        ("outer@1", lambda: store.materialize("outer", output=tmp_path / "x", wait=False)),
        ("again@1", lambda: store.load("tiny + 0.1*again + code")),
        ("again@1", lambda: store.alias("again", "prod")),
        ("grown@1", lambda: store.materialize("grown + more", output=tmp_path / "x", wait=False)),
        ("grown@1", lambda: store.register_skill("y", tmp_path / "code", base="grown")),
        ("z@1", lambda: store.register_skill("z", tmp_path / "out", base="tiny")),
        ("z@1", lambda: store.register_base("z", tmp_path / "out")),
    ):
        with pytest.raises(Conflict, match=f"math@1 is yanked: {WHY}; {ways[way]}") as caught:
            call()
        assert caught.value.details["path"][0] == way
        assert caught.value.details["path"][-2:] == ["both@1", "math@1"]
    with pytest.raises(Conflict, match=f"math@1 is yanked: {WHY}; both@1 came from it"):
        store.alias("both", "best")
    assert not (tmp_path / "x").exists()
    for target in ("outer", "tiny + 0.2*again", "grown + more"):
        problems = store.check(target).problems
        assert any("came from it through" in problem["message"] for problem in problems), problems
    assert store.check("tiny + code").problems == []
    assert store.materialize("tiny + code", output=tmp_path / "fine", wait=False).path


def test_what_is_yanked_can_be_looked_at(store, tmp_path):
    before = store.audit("both")
    store.yank("math@1", WHY)
    store.yank("both@1", "made of math")
    assert store.audit("math").version == 1
    assert store.show("both")["version"] == 1
    assert store.impact("math").counts == store.impact("math@1").counts
    assert store.verify("both").ok
    assert {row["name"] for row in store.find("merges", contains="math").rows} == {"both", "outer"}
    assert store.audit("both").recipe_digest == before.recipe_digest
    for target in ("both", "outer", tmp_path / "out", store.audit("outer").materializations[0]["output_digest"]):
        assert store.rebuild(target).ok, target
    assert store.diff("both", "outer").tensors
    assert store.diff("math", "code").tensors
    assert store.diff(tmp_path / "out", tmp_path / "outer").tensors
    with pytest.raises(Conflict, match="no version of both is ready"):
        store.materialize("both", output=tmp_path / "x", wait=False)


def test_a_yank_says_what_it_hits_who_did_it_and_can_be_taken_back(store, tmp_path):
    told = store.yank("math@1", WHY)
    assert told["contained"]["versions"] == {"base": 1, "skill": 2, "merge": 2}
    assert told["contained"]["materializations"] == 2
    assert told["contained"]["aliases"] == ["both@prod"]
    for yanked in (store.show("math")["yanked"], store.impact("math@1").yanked):
        assert (yanked["reason"], yanked["by"]) == (WHY, "ann@lab")
        assert yanked["at"]
    back = store.unyank("math@1", "it was another data set")
    assert (back["state"], back["reason"]) == ("ready", "it was another data set")
    assert store.show("math")["yanked"] is None
    assert store.show("math")["reason"] is None
    store.materialize("tiny + again", output=tmp_path / "x", wait=False)
    assert store.verify().ok
    events = [event for event in store.find("events").rows if event["subject"] == "math@1"]
    assert {event["action"] for event in events} >= {"version.yank", "version.unyank"}
    with pytest.raises(Conflict, match="math@1 is not yanked: it is ready"):
        store.unyank("math@1", "again")
    store.yank("math@1", "after all")
    assert store.verify().ok
    assert store.show("math")["yanked"]["reason"] == "after all"
