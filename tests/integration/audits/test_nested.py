"""Merges of what was merged before: how each was made is told at every level, by a store and by a folder alone."""

from __future__ import annotations

import itertools
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import mergestore
from mergestore import Store
from registry.audits.folder import audit_folder
from registry.publishing import manifest_digest
from tests.integration.models import LLAMA_CONFIG, fine_tune, llama, save
from tests.integration.shell import Shell

BASE = llama("F32", seed=1)
GOLDEN = Path(__file__).parents[2] / "golden" / "published1"
"""The manifest of a merge of merges, with schema 0003, before manifests told anything of inner merges."""
OF_A_STORE = {"created_at", "created_by", "imported", "pinned", "stored_bytes", "collected"}
"""What only a store tells of a version, since the same models give the same papers everywhere."""

Found = tuple[Store, Path]


@pytest.fixture(scope="module")
def filled(surroundings, tmp_path_factory):
    """(store, folder): two merges on the way to ``outer``, one of them once as a skill and once as a base, a result
    without a name and what was made of one task.
    """
    folder = tmp_path_factory.mktemp("nested")
    save(folder / "tiny", BASE, LLAMA_CONFIG)
    names = [f"s{number}" for number in range(1, 9)]
    for number, name in enumerate(names):
        save(folder / name, fine_tune(BASE, number + 1), LLAMA_CONFIG)
    state = {"epoch": 2, "best_model_checkpoint": str(folder / "run" / "checkpoint-7")}
    (folder / "s1" / "trainer_state.json").write_text(json.dumps(state))
    with mergestore.open(folder / "store", actor="ann@lab") as store:
        store.register_base("tiny", folder / "tiny", licence="MIT", meta={"origin": "lab"})
        for number, name in enumerate(names):
            chosen: dict[str, Any] = {"encoding": "exact"} if number < 3 else {"seed": number + 11}
            store.register_skill(name, folder / name, base="tiny", meta={"dataset": f"data-{number}"}, **chosen)
        store.merge(
            "inner",
            "tiny + 0.6*s1 + 0.4*s2 + 0.3*s3",
            method="dare_ties",
            parameters={"drop_rate": 0.9, "seed": 4711},
        )
        store.materialize("inner", output=folder / "inner", wait=False)
        store.register_skill("mid", folder / "inner", base="tiny", encoding="exact")
        store.merge(
            "second",
            "tiny + {self_attn: 0.5, *: 0.25}*mid + 0.2*s4 - 0.1*s5",
            method="ties",
            parameters={"density": 0.3},
        )
        store.materialize("second", output=folder / "second", wait=False)
        store.register_skill("two", folder / "second", base="tiny", encoding="exact", licence="MIT")
        store.register_base("grown", folder / "second", licence="MIT")
        store.materialize("tiny + 0.7*s6 + 0.25*s7", output=folder / "unnamed", wait=False)
        store.register_skill("plain", folder / "unnamed", base="tiny", encoding="exact")
        store.merge("tasks", "tiny + s1 + s2", method="emr")
        store.materialize("tasks", task="s2", output=folder / "task", wait=False)
        store.register_skill("of-task", folder / "task", base="tiny", encoding="exact")
        store.merge("outer", "tiny + 0.5*two + 0.5*s8 + 0.4*plain + 0.3*s6 + 0.2*of-task")
        store.materialize("outer", output=folder / "outer", wait=False)
        store.materialize("tiny + 0.5*mid + 0.1*s4", output=folder / "result", wait=False)
        yield store, folder


def nodes(lineage: Any) -> dict[str, dict[str, Any]]:
    return {node["id"]: node for node in lineage["nodes"]}


def weights(lineage: Any) -> dict[tuple[str, str], Any]:
    return {(edge["child"], edge["parent"]): edge["weight"] for edge in lineage["edges"] if "weight" in edge}


EXPECTED = {
    ("inner@1", "s1@1"): 0.6,
    ("inner@1", "s2@1"): 0.4,
    ("inner@1", "s3@1"): 0.3,
    ("second@1", "mid@1"): [{"filter": "self_attn", "value": 0.5}, {"value": 0.25}],
    ("second@1", "s4@1"): 0.2,
    ("second@1", "s5@1"): -0.1,
    ("plain@1", "s6@1"): 0.7,
    ("plain@1", "s7@1"): 0.25,
    ("tasks@1", "s1@1"): 1.0,
    ("tasks@1", "s2@1"): 1.0,
    ("outer@1", "two@1"): 0.5,
    ("outer@1", "s8@1"): 0.5,
    ("outer@1", "plain@1"): 0.4,
    ("outer@1", "s6@1"): 0.3,
    ("outer@1", "of-task@1"): 0.2,
}


def test_every_level_tells_its_method_parameters_weights_and_seeds(filled: Found) -> None:
    store, folder = filled
    for found in (store.audit("outer"), audit_folder(folder / "outer")):
        told = nodes(found.lineage)
        for merge in ("inner@1", "second@1", "tasks@1", "outer@1"):
            assert told[merge]["recipe"] == store.show(merge)["recipe"]
        assert told["inner@1"]["recipe"]["parameters"]["seed"] == 4711
        assert told["second@1"]["recipe"]["parameters"]["density"] == 0.3
        assert weights(found.lineage) == EXPECTED
        for skill in ("s1@1", "s2@1", "s3@1", "s4@1", "s5@1", "s7@1", "mid@1"):
            known = store.show(skill)
            for fact in ("encoding", "values", "drop_rate", "seed", "density", "trim"):
                assert told[skill][fact] == known[fact], (skill, fact)
        assert told["s4@1"]["seed"] == 14


def test_results_without_a_name_of_their_own_tell_by_which_recipe_they_were_made(filled: Found) -> None:
    store, folder = filled
    for found in (store.audit("outer"), audit_folder(folder / "outer")):
        told = nodes(found.lineage)
        for name in ("unnamed", "task"):
            manifest = json.loads((folder / name / "mergestore.json").read_text())
            assert told["plain@1" if name == "unnamed" else "of-task@1"]["recipe"] == manifest["recipe"]
        assert told["of-task@1"]["recipe"]["task"] == told["s2@1"]["digest"]
        assert "recipe" not in told["two@1"]  # the merge that it came of has it
        assert "recipe" not in told["s1@1"]
    assert nodes(store.audit("grown").lineage)["second@1"]["recipe"] == store.show("second")["recipe"]


def test_a_folder_alone_tells_all_that_follows_from_what_was_registered(filled: Found) -> None:
    store, folder = filled
    for name in ("outer", "inner", "unnamed", "task"):
        known, alone = nodes(store.audit(folder / name).lineage), nodes(audit_folder(folder / name).lineage)
        assert alone.keys() - {"tasks@1", "result"} == known.keys() - {"tasks@1", "result"}
        for id_ in alone.keys() & known.keys():
            for fact, value in known[id_].items():
                if fact in OF_A_STORE or value is None or value in ({}, []):
                    assert fact not in alone[id_] or fact not in OF_A_STORE
                elif fact == "statistics":
                    assert alone[id_][fact] == value["total"]
                elif fact == "source":
                    assert fact not in alone[id_], "a path of this machine"
                elif fact == "training":
                    assert alone[id_][fact] == without_places(value)
                elif fact != "training_run":
                    assert alone[id_][fact] == value, (id_, fact)
    assert nodes(audit_folder(folder / "inner").lineage)["s1@1"]["training"] == {
        "meta": {"dataset": "data-0"},
        "trainer": {"epoch": 2},
    }


def without_places(training: dict[str, Any]) -> dict[str, Any]:
    return {
        origin: {key: value for key, value in said.items() if key != "best_model_checkpoint"}
        for origin, said in training.items()
    }


def test_every_face_tells_of_inner_merges(filled: Found, tmp_path: Path) -> None:
    _, folder = filled
    for shell, target in ((Shell(folder / "store"), "outer"), (Shell(tmp_path / "nowhere"), folder / "outer")):
        tree = shell.text("audit", target, "--tree")
        assert "merge inner@1 (sha256:" in tree
        assert "method dare_ties, divisor count, drop_rate 0.899993896484375, lambda 1, seed 4711" in tree
        assert "0.6 * skill s1@1" in tree
        assert "{self_attn: 0.5, *: 0.25} * skill mid@1" in tree
        assert "0.7 * skill s6@1" in tree
        assert "made by method task_arithmetic, lambda 1" in tree
        assert "of-task@1: task s2@1" in tree
        assert "dare int4, p 0.9, seed 14" in tree
        assert tree.count("base tiny@1 (blake3:") == 1
        assert "0.6 skill" in shell.text("audit", target, "--dot")
        assert "dare_ties, seed 4711" in shell.text("audit", target, "--mermaid")
        page = tmp_path / "page.html"
        shell.text("audit", target, "--html", page)
        assert '"seed": 4711' in page.read_text()
        assert weights(shell.json("audit", target)["lineage"]) == EXPECTED


def test_the_same_records_give_the_same_manifest_to_the_bit(filled: Found, tmp_path: Path) -> None:
    store, folder = filled
    store.materialize("outer", output=tmp_path / "again", cache=False, wait=False, threads=1)
    store.materialize("outer", output=tmp_path / "copied", wait=False)
    first = (folder / "outer" / "mergestore.json").read_bytes()
    assert first == (tmp_path / "again" / "mergestore.json").read_bytes()
    assert first == (tmp_path / "copied" / "mergestore.json").read_bytes()
    for secret in (b"ann@lab", str(folder).encode(), b"2026-"):
        assert secret not in first


def test_what_was_computed_later_changes_nothing_that_is_told(filled: Found) -> None:
    """Weight 0 gives the base again, which was not made by that."""
    store, _ = filled
    before = store.audit("outer").lineage
    store.materialize("tiny + 0*s1", cache=False, wait=False)
    assert store.audit("outer").lineage == before


def test_a_result_is_told_with_its_weights_too(filled: Found) -> None:
    store, folder = filled
    for found in (store.audit(folder / "result"), audit_folder(folder / "result")):
        assert found.kind == "result"
        assert weights(found.lineage) == {
            ("result", "mid@1"): 0.5,
            ("result", "s4@1"): 0.1,
            **{pair: weight for pair, weight in EXPECTED.items() if pair[0] == "inner@1"},
        }


FORGED = {
    "a recipe of others": (lambda node: node["recipe"]["parameters"].update(seed=1), "does not hash to its digest"),
    "a recipe that is none": (lambda node: node["recipe"].update(method="magic"), "damaged"),
    "a recipe that is a text": (lambda node: node.update(recipe="ties"), "damaged"),
    "a source that is a list": (lambda node: node.update(source=["hf:a/b"]), "damaged"),
    "training that is a list": (lambda node: node.update(training=[1]), "damaged"),
    "training of tables": (lambda node: node.update(training={"meta": {"a": {"b": 1}}}), "damaged"),
    "a seed that is a text": (lambda node: node.update(seed="7"), "damaged"),
    "statistics of texts": (lambda node: node.update(statistics={"norm": "much"}), "damaged"),
}


@pytest.mark.parametrize("what", FORGED)
def test_what_nobody_published_is_found_whatever_its_digest_says(filled: Found, tmp_path: Path, what: str) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(filled[1] / "outer", folder)
    document = json.loads((folder / "mergestore.json").read_text())
    forge, says = FORGED[what]
    forge(nodes(document["lineage"])["inner@1"])
    document["digest"] = manifest_digest(document)
    (folder / "mergestore.json").write_text(json.dumps(document))
    code, out, err = Shell(tmp_path / "nowhere")("audit", folder)
    assert code == 6
    assert says in out + err


def test_a_recipe_of_what_its_version_did_not_come_from_is_found(filled: Found, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(filled[1] / "outer", folder)
    document = json.loads((folder / "mergestore.json").read_text())
    told = nodes(document["lineage"])
    told["s8@1"]["recipe"] = told["plain@1"]["recipe"]
    document["digest"] = manifest_digest(document)
    (folder / "mergestore.json").write_text(json.dumps(document))
    code, out, _ = Shell(tmp_path / "nowhere")("audit", folder)
    assert code == 6
    assert "of the recipe of s8@1" in out


def test_manifests_that_tell_nothing_of_inner_merges_are_read_for_ever(tmp_path: Path) -> None:
    shell = Shell(tmp_path / "nowhere")
    assert json.loads((GOLDEN / "mergestore.json").read_text())["digest"] == (
        "sha256:fa2fe451795696dce39cd77480f1263b20bf73a7446a0c69a86e7a97d13093c5"
    )
    tree = shell.text("audit", GOLDEN)
    assert "manifest ok" in tree
    assert "lineage ok" in tree
    assert "merge inner@1 (sha256:41cbc97eb70e)\n" in tree
    assert "0.5 * skill mid@1" in tree
    for face in ("--json", "--mermaid", "--dot", "--bom"):
        assert "inner@1" in shell.text("audit", GOLDEN, face)
    shell.text("audit", GOLDEN, "--html", tmp_path / "page.html")


def test_boxes_and_lines_of_a_wide_page_keep_apart(browser, filled: Found, tmp_path: Path) -> None:
    """As a browser has them: no line comes into a box that it neither leaves nor ends in."""
    store, folder = filled
    Shell(folder / "store").text("audit", "outer", "--html", tmp_path / "page.html")
    context = browser.new_context(viewport={"width": 1600, "height": 900}, offline=True)
    page = context.new_page()
    page.goto((tmp_path / "page.html").as_uri())
    boxes = {box.get_attribute("data-id"): box.locator("rect").bounding_box() for box in page.locator(".node").all()}
    lines = page.evaluate(
        """() => edges.map(edge => {
          const path = edge.parts[0], matrix = path.getScreenCTM(), length = path.getTotalLength(), points = [];
          for (let at = 0; at <= length; at += 4) {
            const point = path.getPointAtLength(at).matrixTransform(matrix);
            points.push([point.x + scrollX, point.y + scrollY]);
          }
          return { child: edge.child, parent: edge.parent, points };
        })"""
    )
    assert len(lines) == len(store.audit("outer").lineage["edges"])
    for line, (name, box) in itertools.product(lines, boxes.items()):
        if name in (line["child"], line["parent"]):
            continue
        behind = [
            (x, y)
            for x, y in line["points"]
            if box["x"] < x < box["x"] + box["width"] and box["y"] < y < box["y"] + box["height"]
        ]
        assert behind == [], (line["parent"], line["child"], name)
    assert "4711" in page.locator("#merges").inner_text()
    assert "0.6 × s1@1" in page.locator("#merges").inner_text()
    context.close()
