"""What contains a version: the question of a recall."""

import shutil

import pytest

import mergestore
from mergestore import Conflict, NotFound
from tests.integration.models import LLAMA_CONFIG, fine_tune, llama, save
from tests.integration.shell import Shell

BASE = llama("F32", seed=1)


@pytest.fixture(scope="module")
def filled(surroundings, tmp_path_factory):
    folder = tmp_path_factory.mktemp("impact")
    save(folder / "tiny", BASE, LLAMA_CONFIG)
    for number, name in enumerate(("math", "code")):
        save(folder / name, fine_tune(BASE, number + 1), LLAMA_CONFIG)
    with mergestore.open(folder / "store", actor="ann@lab") as store:
        store.register_base("tiny", folder / "tiny")
        store.register_skill("math", folder / "math", base="tiny")
        store.register_skill("code", folder / "code", base="tiny")
        store.merge("both", "tiny + 0.6*math + 0.4*code")
        store.merge("alone", "tiny + code")
        store.alias("both", "prod")
        store.alias("math", "good")
        store.materialize("both", output=folder / "out", wait=False)
        store.register_skill("again", folder / "out", base="tiny", encoding="exact")
        store.merge("outer", "tiny + 0.5*again")
        store.materialize("outer", output=folder / "outer", wait=False)
        store.materialize("tiny + 0.1*math", output=folder / "unnamed", wait=False)
        store.materialize("both", output=folder / "bf16", dtype="BF16", wait=False)
        store.materialize("alone", output=folder / "alone", wait=False)
        shutil.rmtree(folder / "outer")
        yield store, folder


def test_everything_that_contains_a_version_is_found_and_nothing_else(filled):
    store, folder = filled
    found = store.impact("math@1")
    assert {node["id"] for node in found.versions} == {"both@1", "again@1", "outer@1"}
    assert found.aliases == ["both@prod", "math@good"]
    made = {each["path"]: each for each in found.materializations}
    assert set(made) == {str(folder / name) for name in ("out", "outer", "unnamed", "bf16")}
    assert made[str(folder / "out")]["merge"] == "both@1"
    assert made[str(folder / "unnamed")]["merge"] is None
    assert [made[str(folder / name)]["there"] for name in ("out", "outer")] == [True, False]
    assert found.counts == {"versions": {"skill": 1, "merge": 2}, "materializations": 4}
    assert {each["path"] for each in store.impact("both").materializations} == {
        str(folder / "out"),
        str(folder / "outer"),
    }
    assert store.impact("tiny").counts["materializations"] == 5
    short = store.impact("math", newest=1)
    assert (len(short.versions), len(short.materializations), short.counts) == (1, 1, found.counts)
    nothing = store.impact("outer")
    assert (nothing.versions, nothing.counts["versions"]) == ([], {})
    with pytest.raises(NotFound):
        store.impact("nobody")


def test_a_recall_is_told_everywhere(filled, tmp_path):
    shutil.copytree(filled[1] / "store", tmp_path / "store")
    shell = Shell(tmp_path / "store")
    shell.text("yank", "math@1", "--reason", "trained on the test set")
    told = shell.text("impact", "math@1")
    assert "YANKED: trained on the test set" in told
    assert "is in 1 skill, 2 merges, and in 4 materializations" in told
    assert "both@prod" in told
    assert shell.json("impact", "math@1")["counts"]["materializations"] == 4
    assert "YANKED: trained on the test set" in shell.text("audit", "outer")
    with mergestore.open(tmp_path / "store") as store, pytest.raises(Conflict, match="trained on the test set"):
        store.materialize("both", wait=False)


def test_what_is_such_is_found_from_the_command_line_and_from_python(filled):
    store, folder = filled
    shell = Shell(folder / "store")
    told = shell.text("find", "merges", "--contains", "math", "--limit", 1)
    assert "outer" in told
    assert "2 merges, page 1 of 2" in told
    assert "0 merges" in shell.text("find", "merges", "--seed", 99)
    found = shell.json("find", "materializations", "--contains", "code", "--method", "task_arithmetic")
    assert found["total"] == 4
    assert found == store.find("materializations", contains="code", method="task_arithmetic").to_dict()
    assert store.find("skills", base="tiny", seed=0).total == 2
    assert store.find("merges", never="materialized").total == 0
    assert "nothing that can be asked for" in shell.refused(2, "find", "everything")["message"]


def test_a_version_may_be_named_by_its_digest(filled):
    store, folder = filled
    digest = store.show("math")["digest"]
    assert store.impact(digest) == store.impact("math@1") == store.impact(digest[:20])
    merge = store.show("both")["digest"]
    assert store.impact(merge).kind == "merge"
    with pytest.raises(NotFound, match="no version here has the digest"):
        store.impact("blake3:" + "0" * 64)
    store.register_skill("twin", folder / "math", base="tiny")
    assert store.show("twin")["digest"] == digest
    with pytest.raises(Conflict, match="2 versions have the content"):
        store.impact(digest)
