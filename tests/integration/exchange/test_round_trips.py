"""Bundles from store to store and back: nothing is lost, nothing is doubled, everything still proves itself."""

from __future__ import annotations

import random
import shutil
import tarfile
from collections import Counter

import pytest
from sqlalchemy import select

import mergestore
from mergestore import Conflict, IntegrityFailure, NotFound, UsageError
from registry.records.database import reading
from registry.records.tables import Blob
from storage.blobs import hash_file
from tests.integration.exchange.conftest import EVERYTHING
from tests.integration.golden_stores import GOLDEN
from tests.integration.models import LLAMA_CONFIG, fine_tune, llama, save

MODELS = GOLDEN / "format1" / "models"


def lineage(store, reference):
    """What something is made of, by what it is and not by what it is called."""
    found = store.audit(reference).lineage
    digests = {node["id"]: (node["kind"], node["digest"], node["state"]) for node in found["nodes"]}
    edges = Counter((digests[edge["child"]], digests[edge["parent"]], edge["role"]) for edge in found["edges"])
    return Counter(digests.values()), edges


def test_everything_goes_out_in_and_back_again(source, whole, target, empty, tmp_path):
    answer = target.import_bundle(whole)
    assert answer.done
    assert all(each["created"] for each in answer.versions)
    assert {each["reference"] for each in answer.versions} == {
        reference if "@" in reference else f"{reference}@1" for reference in EVERYTHING
    }
    assert target.verify().problems == []
    for reference in EVERYTHING:
        assert lineage(target, reference) == lineage(source, reference)
        told, was = target.show(reference), source.show(reference)
        same = (
            "digest",
            "state",
            "reason",
            "licence",
            "encoding",
            "values",
            "drop_rate",
            "seed",
            "statistics",
            "recipe",
        )
        assert {key: told.get(key) for key in same} == {key: was.get(key) for key in same}
        assert [file["digest"] for file in told["files"]] == [file["digest"] for file in was["files"]]
        assert [each["digest"] for each in told.get("collected", ())] == [
            each["digest"] for each in was.get("collected", ())
        ]
        assert told["attributes"]["imported"]["made"]["by"] == "ann@lab"
    target.export(EVERYTHING, tmp_path / "again.tar", lineage=True)
    assert (tmp_path / "again.tar").read_bytes() == whole.read_bytes()
    with empty("third") as third:
        third.import_bundle(tmp_path / "again.tar")
        assert third.verify().problems == []
        third.export(EVERYTHING, tmp_path / "third.tar", lineage=True)
        assert (tmp_path / "third.tar").read_bytes() == whole.read_bytes()


@pytest.mark.parametrize("task", [None, "code"])
def test_what_comes_out_of_it_is_the_same_to_the_bit(source, whole, target, task):
    target.import_bundle(whole)
    reference = "assistant@1" if task is None else "several"
    recorded = source.audit(reference).materializations[0]
    made = target.materialize(reference, task=task, wait=False)
    assert (made.recipe_digest, made.output_digest) == (recorded["recipe_digest"], recorded["output_digest"])
    assert target.rebuild(made.output_digest).ok
    with pytest.raises(Conflict, match="trained on the wrong catalogue"):
        target.materialize("assistant@2")


def test_importing_twice_changes_nothing(whole, target):
    target.import_bundle(whole)
    before = target.find("events").total
    again = target.import_bundle(whole)
    assert not any(each["created"] for each in again.versions)
    assert target.find("events").total == before


def test_a_bundle_does_not_depend_on_who_exports_it_and_when(source, whole, tmp_path):
    with mergestore.open(source.home.root, create=False, actor="carl@lab") as other:
        exported = other.export(tuple(reversed(EVERYTHING)), tmp_path / "other.tar", lineage=True)
    assert (tmp_path / "other.tar").read_bytes() == whole.read_bytes()
    assert exported.digest == "sha256:" + __import__("hashlib").sha256(whole.read_bytes()).hexdigest()
    assert exported.bytes == whole.stat().st_size


def test_any_tar_opens_it(whole, tmp_path):
    with tarfile.open(whole) as archive:
        members = archive.getmembers()
        assert members[0].name == "bundle.json"
        assert all(member.isreg() and member.mtime == 0 for member in members)
        archive.extractall(tmp_path, filter="data")
    for member in members[1:]:
        algorithm, digest = member.name.split("/")[1:]
        assert hash_file(tmp_path / member.name).digest == f"{algorithm}:{digest}"


def test_export_and_import_are_on_record(source, whole, target, tmp_path):
    exported = source.export("polite", tmp_path / "polite.tar")
    event = source.find("events", action="bundle.export", subject="polite@1").rows[0]
    assert (event["actor"], event["details"]) == ("ann@lab", {"bundle": exported.digest, "versions": ["polite@1"]})
    with reading(source.engine) as session:
        (file,) = [each for each in source.show("polite")["files"] if each["path"] == "delta.safetensors"]
        assert session.scalar(select(Blob.sha256).where(Blob.digest == file["digest"])).startswith("sha256:")
    answer = target.import_bundle(whole)
    event = target.find("events", action="bundle.import", subject="polite@1").rows[0]
    assert (event["actor"], event["details"]["bundle"]) == ("bob@home", answer.digest)
    node = next(node for node in target.audit("polite").lineage["nodes"] if node["name"] == "polite")
    assert node["imported"]["made"] == event["details"]["made"]
    assert node["imported"]["made"]["at"] == source.show("polite")["created_at"]


# --- parts of it ---------------------------------------------------------------------------------------------


def test_a_skill_alone_needs_its_base(source, target, tmp_path):
    exported = source.export("math@2", tmp_path / "math.tar")
    assert exported.outside == ["golden/base@1"]
    with pytest.raises(NotFound, match="lacks what the bundle was made from: base golden/base@1"):
        target.import_bundle(tmp_path / "math.tar")
    assert target.list().skills == []
    target.register_base("mine", MODELS / "base")
    (math,) = target.import_bundle(tmp_path / "math.tar").versions
    assert (math["reference"], math["origin"]) == ("math@1", "math@2")
    assert target.show("math")["base"]["name"] == "mine"
    assert target.verify().problems == []
    target.materialize("mine + 0.5*math", head="none", wait=False)


def test_a_base_with_other_files_beside_it_is_another_one(source, target, tmp_path):
    """What is published with a result is part of its recipe."""
    shutil.copytree(MODELS / "base", tmp_path / "other")
    (tmp_path / "other" / "tokenizer.json").write_text("{}")
    target.register_base("golden/base", tmp_path / "other")
    source.export("math@2", tmp_path / "math.tar")
    with pytest.raises(NotFound, match="golden/base@1"):
        target.import_bundle(tmp_path / "math.tar")


def test_a_lineage_without_bases_is_small(source, target, tmp_path):
    exported = source.export("assistant@1", tmp_path / "all.tar", lineage=True, bases=False)
    assert {each["kind"] for each in exported.versions} == {"skill", "merge"}
    assert exported.outside == ["golden/base@1"]
    target.register_base("golden/base", MODELS / "base")
    target.import_bundle(tmp_path / "all.tar")
    assert target.verify().problems == []
    with pytest.raises(UsageError, match="a base is named"):
        source.export("golden/base", tmp_path / "base.tar", bases=False)


def test_a_merge_alone_is_its_recipe(source, whole, target, tmp_path):
    source.export("assistant@1", tmp_path / "recipe.tar")
    with pytest.raises(NotFound, match=r"base golden/base@1 .*skill math@2 .*skill polite@1"):
        target.import_bundle(tmp_path / "recipe.tar")
    source.export(["math@2", "polite"], tmp_path / "inputs.tar", lineage=True)
    target.import_bundle(tmp_path / "inputs.tar")
    target.import_bundle(tmp_path / "recipe.tar")
    assert lineage(target, "assistant")[1] == lineage(source, "assistant@1")[1]


def test_names_that_are_taken(source, whole, target, tmp_path):
    save(tmp_path / "tiny", llama("F32", seed=1), LLAMA_CONFIG)
    save(tmp_path / "tuned", fine_tune(llama("F32", seed=1), 1), LLAMA_CONFIG)
    target.register_base("tiny", tmp_path / "tiny")
    target.register_skill("math", tmp_path / "tuned", base="tiny")
    answer = target.import_bundle(whole)
    assert [each["reference"] for each in answer.versions if each["origin"].startswith("math")] == ["math@2", "math@3"]
    assert lineage(target, "assistant@1") == lineage(source, "assistant@1")
    assert target.verify().problems == []


def test_a_name_of_another_kind_is_refused_and_a_namespace_helps(source, whole, target, tmp_path):
    save(tmp_path / "tiny", llama("F32", seed=1), LLAMA_CONFIG)
    target.register_base("code", tmp_path / "tiny")
    with pytest.raises(Conflict, match="code"):
        target.import_bundle(whole)
    assert [base["name"] for base in target.list().bases] == ["code"]
    answer = target.import_bundle(whole, namespace="lab")
    assert {each["reference"].split("/")[0] for each in answer.versions} == {"lab"}
    assert lineage(target, "lab/assistant@1") == lineage(source, "assistant@1")
    assert target.verify().problems == []
    with pytest.raises(UsageError):
        target.import_bundle(whole, namespace="a/b")


def test_a_dry_run_checks_everything_and_changes_nothing(whole, target):
    tried = target.import_bundle(whole, dry_run=True)
    assert not tried.done
    assert all(each["created"] and each["reference"] is None for each in tried.versions)
    assert target.find("events").total == 0
    assert list(target.home.blobs.digests()) == []


def test_a_digest_that_was_told_otherwise_is_compared(source, whole, target):
    with pytest.raises(IntegrityFailure, match="is expected"):
        target.import_bundle(whole, expected="sha256:" + "0" * 64)
    digest = target.import_bundle(whole, dry_run=True).digest
    assert target.import_bundle(whole, expected=digest).done
    with pytest.raises(UsageError):
        target.import_bundle(whole, expected=digest.removeprefix("sha256:"))


def test_a_referenced_base_is_exported_with_its_bytes(empty, target, tmp_path):
    shutil.copytree(MODELS / "base", tmp_path / "base")
    with empty("first") as first:
        first.register_base("base", tmp_path / "base", reference=True)
        first.export("base", tmp_path / "base.tar")
        weights = tmp_path / "base" / "model.safetensors"
        data = bytearray(weights.read_bytes())
        data[-1] ^= 1
        weights.write_bytes(data)
        with pytest.raises(IntegrityFailure, match="changed where it lies"):
            first.export("base", tmp_path / "changed.tar")
        assert not (tmp_path / "changed.tar").exists()
    target.import_bundle(tmp_path / "base.tar")
    shutil.rmtree(tmp_path / "base")
    assert target.verify().problems == []
    assert target.show("base")["attributes"]["referenced"] is None


def test_a_damaged_blob_is_not_exported(empty, whole, tmp_path):
    with empty("damaged") as store:
        store.import_bundle(whole)
        (file,) = [each for each in store.show("polite")["files"] if each["path"] == "delta.safetensors"]
        path = store.home.blobs.path(file["digest"])
        path.chmod(0o644)
        path.write_bytes(path.read_bytes()[:-1] + b"x")
        with pytest.raises(IntegrityFailure, match="polite@1"):
            store.export("assistant@1", tmp_path / "bad.tar", lineage=True)
        assert list(tmp_path.glob("*bad.tar*")) == []
        assert store.find("events", action="bundle.export").total == 0
        store.import_bundle(whole)  # which has the good bytes
        store.export("assistant@1", tmp_path / "good.tar", lineage=True)


def test_what_was_merged_and_registered_again_keeps_its_lineage(empty, whole, target, tmp_path):
    with empty("first") as first:
        first.import_bundle(whole)
        first.materialize("assistant@1", output=tmp_path / "out", head="none", wait=False)
        first.materialize("golden/base + 0.5*math@2", output=tmp_path / "unnamed", head="none", wait=False)
        first.register_skill("helper", tmp_path / "unnamed", base="golden/base", encoding="exact")
        first.merge("outer", "golden/base + 0.5*helper + 0.5*code", head="none")
        first.export("outer", tmp_path / "outer.tar", lineage=True)
        target.import_bundle(tmp_path / "outer.tar")
        assert lineage(target, "outer") == lineage(first, "outer")
        made = first.materialize("outer", wait=False)
    assert target.materialize("outer", wait=False).output_digest == made.output_digest
    assert target.verify().problems == []


@pytest.mark.parametrize("seed", range(8))
def test_parts_in_any_order_come_to_the_same(source, empty, seed, tmp_path):
    chance = random.Random(seed)
    with empty("target") as store:
        wanted = chance.sample(EVERYTHING, 4)
        for number, reference in enumerate(wanted):
            path = tmp_path / f"{number}.tar"
            source.export(reference, path, lineage=True, bases=number == 0 or reference == "golden/base")
            store.import_bundle(path)
        assert store.verify().problems == []
        digests = {source.show(reference)["digest"] for reference in wanted}
        found = {each["digest"] for kind in store.list().to_dict().values() for each in kind}
        found |= {node["digest"] for each in ("math", "assistant") for node in _versions(store, each)}
        assert digests <= found


def _versions(store, name):
    try:
        return store.show(name)["versions"]
    except NotFound:
        return []


def test_scores_come_along_and_home_again_once(empty, whole, target, tmp_path):
    with empty("first") as first:
        first.import_bundle(whole)
        first.add_evaluation("assistant@1", metric="accuracy", value=0.75, dataset="mmlu", details={"shots": "5"})
        first.add_evaluation("math@1", metric="loss", value=2, dataset="gsm8k")
        first.export(["assistant@1", "math@1"], tmp_path / "scored.tar", lineage=True)
        target.import_bundle(tmp_path / "scored.tar")
        target.import_bundle(tmp_path / "scored.tar")
        (score,) = target.evaluations("assistant@1")
        assert (score["metric"], score["value"], score["dataset"]) == ("accuracy", 0.75, "mmlu")
        assert score["details"]["shots"] == "5"
        assert score["details"]["scored-by"] == "bob@home"
        assert target.verify().problems == []
        target.export(["assistant@1", "math@1"], tmp_path / "back.tar", lineage=True)
        assert (tmp_path / "back.tar").read_bytes() == (tmp_path / "scored.tar").read_bytes()
        first.import_bundle(tmp_path / "back.tar")
        assert len(first.evaluations("assistant@1")) == 1
