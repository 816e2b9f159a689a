"""Which content is recognised and which is a new version, and what aliases and yanking make of it."""

import shutil
from pathlib import Path

import pytest

from mergestore import Conflict, NotFound
from tests.integration.models import LLAMA_CONFIG, llama, save
from tests.integration.shell import listing

pytestmark = pytest.mark.usefixtures("surroundings")


# Recognising content


def test_the_same_content_is_one_version(filled, models, tmp_path):
    before = listing(filled.home.root)
    again = filled.register_base("tiny", shutil.copytree(models / "tiny", tmp_path / "elsewhere"))
    assert (again.version, again.created, again.licence) == (1, False, "Apache-2.0")
    again = filled.register_skill("math", models / "ft1", base="tiny@1", drop_rate=0.5, seed=3)
    assert (again.version, again.created) == (1, False)
    again = filled.merge("assistant", "tiny + 0.4*code + 0.6*math")
    assert (again.version, again.created) == (1, False)
    assert listing(filled.home.root) == before


def test_other_content_is_the_next_version(filled, models, tmp_path):
    assert filled.register_skill("math", models / "ft1", base="tiny", drop_rate=0.5, seed=4).version == 2
    assert filled.register_skill("math", models / "ft1", base="tiny", drop_rate=0.6, seed=3).version == 3
    assert filled.register_skill("math", models / "ft3", base="tiny").version == 4
    assert filled.merge("assistant", "tiny + 0.6*math + 0.4*code").version == 2  # math means another version now
    assert filled.merge("assistant", "tiny + 0.6*math@1 + 0.4*code").created is False
    other = filled.register_base("tiny", save(tmp_path / "x", llama(seed=9), LLAMA_CONFIG))
    assert (other.version, other.created) == (2, True)
    assert [each["version"] for each in filled.show("tiny")["versions"]] == [1, 2]


def test_the_same_weights_with_another_tokenizer_are_another_version(filled, models, tmp_path):
    changed = shutil.copytree(models / "tiny", tmp_path / "x")
    (changed / "tokenizer.json").write_text('{"new": 1}')
    other = filled.register_base("tiny", changed)
    assert (other.version, other.created) == (2, True)
    for folder, version in ((models / "tiny", 1), (changed, 2)):
        again = filled.register_base("tiny", folder)
        assert (again.version, again.created) == (version, False)
    made = [filled.materialize(f"tiny@{n} + code", wait=False) for n in (1, 2)]
    assert made[0].output_digest == made[1].output_digest
    assert made[0].recipe_digest != made[1].recipe_digest
    assert [Path(each.path, "tokenizer.json").read_text() for each in made] == ["{}", '{"new": 1}']


def test_two_names_for_one_content(filled, models):
    twin = filled.register_skill("twin", models / "ft2", base="tiny", encoding="exact")
    assert twin.created is True
    assert twin.digest == filled.show("code")["digest"]
    assert filled.merge("m", "tiny + twin").recipe_digest == filled.merge("n", "tiny + code").recipe_digest


# Aliases and yanking


def test_an_alias_means_what_it_was_set_to(filled, models):
    filled.alias("math@1", "prod")
    filled.register_skill("math", models / "ft3", base="tiny")
    first = filled.merge("pinned", "tiny + math@prod")
    assert first.recipe_digest == filled.merge("p1", "tiny + math@1").recipe_digest
    filled.alias("math@2", "prod")
    second = filled.merge("pinned", "tiny + math@prod")
    assert second.version == 2
    assert second.recipe_digest == filled.merge("p2", "tiny + math@2").recipe_digest
    assert filled.show("pinned@1")["recipe"] == first.recipe
    history = filled.show("math")["alias_history"]
    assert [(move["version"], move["previous"], move["actor"]) for move in history] == [
        (1, None, "ann@lab"),
        (2, 1, "ann@lab"),
    ]
    filled.alias("pinned@1", "live")
    assert filled.materialize("pinned@live", wait=False).recipe_digest == first.recipe_digest
    filled.unalias("math", "prod")
    with pytest.raises(NotFound, match="no alias 'prod'"):
        filled.merge("x", "tiny + math@prod")


def test_what_was_yanked_is_used_no_more_but_stays_explained(filled, models):
    made = filled.materialize("assistant", wait=False)
    filled.register_skill("math", models / "ft3", base="tiny")
    filled.yank("math@1", "leaked data")
    for call in (
        lambda: filled.materialize("assistant", wait=False),
        lambda: filled.load("assistant"),
        lambda: filled.merge("x", "tiny + math@1"),
        lambda: filled.merge("assistant", "tiny + 0.6*math@1 + 0.4*code"),
        lambda: filled.register_skill("math", models / "ft1", base="tiny", drop_rate=0.5, seed=3),
    ):
        with pytest.raises(Conflict, match="math@1 is yanked: leaked data"):
            call()
    assert filled.merge("y", "tiny + math").created is True  # math now means math@2
    node = next(node for node in filled.audit("assistant").lineage["nodes"] if node["id"] == "math@1")
    assert (node["state"], node["reason"]) == ("yanked", "leaked data")
    assert filled.verify(Path(made.path)).ok
    filled.yank("math@2", "also wrong")
    with pytest.raises(Conflict, match="no version of math is ready"):
        filled.merge("z", "tiny + math")
    assert filled.list("skill").skills[1]["state"] == "yanked"


def test_a_yanked_base(filled, models):
    filled.yank("tiny@1", "licence withdrawn")
    for call in (
        lambda: filled.register_skill("new", models / "ft3", base="tiny@1"),
        lambda: filled.register_base("tiny", models / "tiny"),
        lambda: filled.merge("x", "tiny@1 + code"),
        lambda: filled.materialize("assistant", wait=False),
    ):
        with pytest.raises(Conflict, match="tiny@1 is yanked: licence withdrawn"):
            call()
