"""What is in a bundle, what it needs where it goes, and under which names it arrives."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mergestore import Conflict, IntegrityFailure, NotFound, Store, UsageError
from registry.records.attestations import attestations
from registry.records.catalog import resolve
from registry.records.database import reading, writing
from registry.records.evaluations import add_evaluation, evaluations
from tests.integration.bundles.conftest import MODEL, NAMED, Open
from tests.integration.bundles.forged import Forged
from tests.integration.models import LLAMA_CONFIG, fine_tune, save


def names(answer: Any) -> list[str]:
    return [f"{each['name']}@{each['version']}" for each in answer.versions]


def created(answer: Any) -> list[str]:
    return [f"{each['name']}@{each['version']}" for each in answer.versions if each["created"]]


# What goes along


def test_what_is_named_alone_and_what_it_needs(origin: Store, tmp_path: Path) -> None:
    exported = origin.export(["assistant@1", "polite"], tmp_path / "a.bundle")
    assert names(exported) == ["polite@1", "assistant@1"]
    assert [need["reference"] for need in exported.needs] == ["golden/base@1", "math@2"]
    # One delta, and the files beside it.
    assert exported.blobs == len(origin.show("polite")["files"])


def test_a_lineage_with_and_without_bases(origin: Store, tmp_path: Path) -> None:
    whole = origin.export("assistant@1", tmp_path / "a.bundle", lineage=True)
    assert names(whole) == ["golden/base@1", "math@2", "polite@1", "assistant@1"]
    assert whole.needs == []
    light = origin.export("assistant@1", tmp_path / "b.bundle", lineage=True, bases=False)
    assert names(light) == ["math@2", "polite@1", "assistant@1"]
    assert [need["reference"] for need in light.needs] == ["golden/base@1"]
    assert light.blobs == whole.blobs - 1  # its weights: the file beside them is polite's, too
    named = origin.export(["assistant@1", "golden/base"], tmp_path / "c.bundle", lineage=True, bases=False)
    assert names(named) == names(whole)


def test_a_merge_goes_where_its_inputs_are(tiny: Callable[..., Store], tmp_path: Path) -> None:
    source, target = tiny("source", "math", "code"), tiny("target", "math", "code")
    source.merge("m", "tiny + 0.5*math - 0.5*code")
    digest = source.materialize("m", wait=False).output_digest
    exported = source.export("m", tmp_path / "m.bundle")
    assert exported.blobs == 0
    assert created(target.import_bundle(tmp_path / "m.bundle")) == ["m@1"]
    assert target.materialize("m", wait=False).output_digest == digest
    assert target.verify().ok


def test_inputs_are_found_by_content_whatever_they_are_called(tiny: Callable[..., Store], tmp_path: Path) -> None:
    source, target = tiny("source", "math"), tiny("target")
    target.register_skill("arithmetic", tmp_path / "models" / "math", base="tiny")
    target.register_skill("more", tmp_path / "models" / "math", base="tiny")
    target.yank("more@1", "a copy")
    source.merge("m", "tiny + math")
    source.export("m", tmp_path / "m.bundle")
    target.import_bundle(tmp_path / "m.bundle")
    assert [each["reference"] for each in target.show("m")["inputs"]] == ["tiny@1", "arithmetic@1"]
    assert target.verify().ok


def test_what_is_missing_is_named(tiny: Callable[..., Store], empty: Store, tmp_path: Path) -> None:
    source = tiny("source", "math")
    source.merge("m", "tiny + math")
    source.export("m", tmp_path / "m.bundle")
    digests = [source.show(name)["digest"] for name in ("math", "tiny")]
    with pytest.raises(NotFound) as caught:
        empty.import_bundle(tmp_path / "m.bundle")
    assert [each["digest"] for each in caught.value.details["missing"]] == digests  # type: ignore[attr-defined]
    assert all(text in caught.value.message for text in ("math@1", "tiny@1", *digests))
    assert "--lineage" in str(caught.value.hint)
    with pytest.raises(NotFound):
        empty.import_bundle(tmp_path / "m.bundle", dry_run=True)
    # What is known already needs nothing.
    assert created(source.import_bundle(tmp_path / "m.bundle")) == []


def test_a_skill_needs_its_base_and_a_merge_the_files_beside_it_too(
    tiny: Callable[..., Store], opened: Open, tmp_path: Path
) -> None:
    source, target = tiny("source", "math"), opened(tmp_path / "target")
    target.register_base("tiny", save(tmp_path / "other", MODEL, {**LLAMA_CONFIG, "rope_theta": 5}))
    source.merge("m", "tiny + math")
    source.export("math", tmp_path / "s.bundle")
    source.export("m", tmp_path / "m.bundle")
    assert created(target.import_bundle(tmp_path / "s.bundle")) == ["math@1"]
    with pytest.raises(NotFound, match=r"lacks what .* base tiny@1"):
        target.import_bundle(tmp_path / "m.bundle")
    assert target.verify().ok


def test_a_delta_on_another_base_of_that_digest_is_refused(
    tiny: Callable[..., Store], tmp_path: Path, empty: Store
) -> None:
    """The base of a delta is proven tensor by tensor, whatever a bundle says of digests."""
    source = tiny("source", "math")
    other = save(tmp_path / "other", fine_tune(MODEL, 77), LLAMA_CONFIG)
    empty.register_base("tiny", other)
    source.export("math", tmp_path / "s.bundle")
    forged = Forged.read(tmp_path / "s.bundle")
    forged.manifest["needs"][0]["digest"] = empty.show("tiny")["digest"]
    with pytest.raises(IntegrityFailure, match="math@1: the base of its delta"):
        empty.import_bundle(forged.write(tmp_path / "forged"))


def test_statistics_that_a_merge_uses(origin: Store, empty: Store, tmp_path: Path) -> None:
    digest = origin.statistics("code")[0]["digest"]
    origin.export("golden/base", tmp_path / "base.bundle")
    empty.import_bundle(tmp_path / "base.bundle")
    source = Forged.read(_exported(origin, tmp_path, "code"))
    source.entry("code")["statistics"] = []
    used = {file["blob"] for file in source.entry("code")["files"]}
    source.blobs = {blob: data for blob, data in source.blobs.items() if blob in used}
    source.manifest["blobs"] = {blob: facts for blob, facts in source.manifest["blobs"].items() if blob in used}
    assert created(empty.import_bundle(source.write(tmp_path / "bare"))) == ["code@1"]
    empty.import_bundle(_exported(origin, tmp_path, "again", "second", "assistant@1", "math@2", "polite"))
    fished = _exported(origin, tmp_path, "fished")
    with pytest.raises(NotFound, match=digest):
        empty.import_bundle(fished)
    (gained,) = empty.import_bundle(_exported(origin, tmp_path, "code")).versions
    assert (gained["created"], gained["added"]) == (False, {"statistics": 1})
    assert created(empty.import_bundle(fished)) == ["fished@1"]
    assert empty.verify().ok
    # Who collected them is told on, too.
    again = Forged.read(_exported(empty, tmp_path, "code")).entry("code")["statistics"]
    assert again == Forged.read(_exported(origin, tmp_path, "code")).entry("code")["statistics"]
    assert again[0]["made"]["by"] == "ann@lab"


def _exported(store: Store, folder: Path, *references: str) -> Path:
    path = folder / f"{'-'.join(references)}.{store.home.root.name}.bundle"
    store.export(references, path, force=True)
    return path


def test_statistics_of_the_same_content_under_another_name(origin: Store, empty: Store, tmp_path: Path) -> None:
    """A merge finds them by content, and so do bundles."""
    digest = origin.show("code")["digest"]
    origin.import_bundle(_exported(origin, tmp_path, "code"), name="copy")
    assert origin.show("copy")["digest"] == digest
    assert origin.statistics("copy") == []
    path = tmp_path / "copy.bundle"
    exported = origin.export(["copy", "golden/base"], path)
    empty.import_bundle(path)
    assert len(empty.statistics("copy")) == 1
    assert empty.export(["copy", "golden/base"], tmp_path / "again").bundle == exported.bundle
    assert not any(each["added"] for each in origin.import_bundle(path).versions)


# Evidence


def test_scores_and_statements_come_along_once(origin: Store, empty: Store, bundle: Path) -> None:
    empty.import_bundle(bundle)
    with reading(empty.engine) as session:
        for name in ("math@1", "assistant@1"):
            version = resolve(session, name)
            (score,) = evaluations(session, [version.id], [])
            came = score.details["@measured"]
            assert (score.metric, score.value, score.dataset, score.details["shots"]) == ("accuracy", 1.0, "gsm8k", "5")
            assert (came["by"], score.created_by) == ("eve@lab", "bob@elsewhere")
        output = origin.audit("assistant@1").materializations[0]["output_digest"]
        (statement,) = attestations(session, [output])
        assert json.loads(statement.document)["signatures"][0]["keyid"] == "k1"
    (event,) = empty.find("events", action="attestation.add").rows
    assert event["details"]["keys"] == ["k1"]


def test_new_evidence_of_what_is_known(origin: Store, empty: Store, bundle: Path, tmp_path: Path) -> None:
    empty.import_bundle(bundle)
    with writing(origin.engine) as session:
        facts: dict[str, Any] = {"metric": "bleu", "value": 0.25, "dataset": "wmt", "details": {}, "actor": "eve@lab"}
        add_evaluation(session, version=resolve(session, "math@1"), recipe_digest=None, **facts)
    origin.export(NAMED, tmp_path / "more.bundle", lineage=True)
    before = len(empty.find("events", limit=1000).rows)
    answer = empty.import_bundle(tmp_path / "more.bundle")
    gained = {f"{each['name']}@{each['version']}": each["added"] for each in answer.versions}
    assert gained.pop("math@1") == {"evaluations": 1}
    assert not any(gained.values())
    assert len(empty.find("events", limit=1000).rows) == before + 2  # the score, and from where it came
    empty.import_bundle(tmp_path / "more.bundle")
    assert len(empty.find("events", limit=1000).rows) == before + 2
    assert empty.verify().ok


# Names


def test_a_taken_name_gets_the_next_version(tiny: Callable[..., Store], tmp_path: Path) -> None:
    source, target = tiny("source", "math", "code"), tiny("target")
    target.register_skill("code", tmp_path / "models" / "math", base="tiny")
    source.merge("m", "tiny + math + code")
    source.export("m", tmp_path / "m.bundle", lineage=True)
    answer = target.import_bundle(tmp_path / "m.bundle")
    assert [(each["was"], each["name"], each["version"], each["created"]) for each in answer.versions] == [
        ("tiny@1", "tiny", 1, False),
        ("code@1", "code", 2, True),
        ("math@1", "math", 1, True),
        ("m@1", "m", 1, True),
    ]
    assert {each["reference"] for each in target.show("m")["inputs"]} == {"tiny@1", "code@2", "math@1"}
    assert target.show("m")["digest"] == source.show("m")["digest"]
    assert target.verify().ok


def test_the_shares_of_a_vector_name_skills_as_they_are_called_here(
    origin: Store, empty: Store, tmp_path: Path
) -> None:
    path = tmp_path / "several.bundle"
    origin.export("several", path, lineage=True)
    empty.import_bundle(path, namespace="team")
    shares = empty.show("team/several")["attributes"]["unified"]["skills"]
    inputs = {each["reference"] for each in empty.show("team/several")["inputs"] if each["role"] == "skill"}
    assert {share["skill"] for share in shares} == inputs == {"team/code@1", "team/polite@1"}
    assert empty.verify().ok
    assert (
        empty.merge("team/several", "team/base + team/code + team/polite", method="emr", head="none").created is False
    )


def test_another_name_and_a_namespace(origin: Store, empty: Store, tmp_path: Path) -> None:
    path = tmp_path / "a.bundle"
    origin.export("assistant@1", path, lineage=True)
    expected = ["golden/base@1", "math@1", "polite@1", "helper@1"]
    assert names(empty.import_bundle(path, name="helper")) == expected
    again = empty.import_bundle(path, namespace="team")
    assert names(again) == ["team/base@1", "team/math@1", "team/polite@1", "team/assistant@1"]
    assert again.blobs == 0  # the bytes are there
    assert created(empty.import_bundle(path, name="helper")) == []
    assert empty.verify().ok


def test_names_that_cannot_be_given(origin: Store, empty: Store, tmp_path: Path) -> None:
    path = tmp_path / "a.bundle"
    origin.export(["assistant@1", "code"], path, lineage=True)
    before = empty.find("events").total
    for choice, message in (
        ({"name": "x", "namespace": "y"}, "both say"),
        ({"name": "x"}, "2 names were exported"),
        ({"namespace": "a/b"}, "'a/b' has a '/' in it"),
        ({"namespace": "-a"}, "--namespace '-a' is none: invalid name"),
        ({"namespace": ""}, "--namespace '' is none: the name is empty"),
    ):
        with pytest.raises(UsageError, match=message):
            empty.import_bundle(path, **choice)
    origin.export("assistant@1", path, lineage=True, force=True)
    with pytest.raises(UsageError, match="would become one"):
        empty.import_bundle(path, name="math")
    assert empty.find("events").total == before


def test_a_name_of_another_kind_is_a_conflict(origin: Store, tiny: Callable[..., Store], tmp_path: Path) -> None:
    target, path = tiny("target", "assistant"), tmp_path / "a.bundle"
    origin.export("assistant@1", path, lineage=True)
    with pytest.raises(Conflict, match="assistant@1 is a merge, and assistant is a skill here") as caught:
        target.import_bundle(path)
    assert "--as" in str(caught.value.hint)
    assert names(target.import_bundle(path, name="other"))[-1] == "other@1"


def test_versions_of_one_name_keep_their_order(tiny: Callable[..., Store], empty: Store, tmp_path: Path) -> None:
    """Whatever stands below them: the bare name means the newest there, too."""
    source = tiny("source", "z", "a")
    source.merge("m", "tiny + z")
    source.merge("m", "tiny + a")
    source.export(["m@1", "m@2"], tmp_path / "m.bundle", lineage=True)
    empty.import_bundle(tmp_path / "m.bundle")
    for name in ("m", "m@1", "m@2"):
        assert empty.show(name)["digest"] == source.show(name)["digest"]


def test_two_bases_of_one_content_become_one(tiny: Callable[..., Store], empty: Store, tmp_path: Path) -> None:
    """One copied, one referenced: two versions here, and the same content there."""
    source = tiny("source", "math")
    source.register_base("tiny", tmp_path / "models" / "tiny", reference=True)
    source.register_skill("code", save(tmp_path / "code", fine_tune(MODEL, 5)), base="tiny@2")
    source.export(["math", "code"], tmp_path / "s.bundle", lineage=True)
    answer = empty.import_bundle(tmp_path / "s.bundle")
    assert names(answer) == ["tiny@1", "math@1", "tiny@1", "code@1"]
    assert created(answer) == ["tiny@1", "math@1", "code@1"]
    assert empty.verify().ok


# States


def test_a_yank_comes_along_and_nothing_more(origin: Store, empty: Store, bundle: Path, tmp_path: Path) -> None:
    answer = empty.import_bundle(bundle)
    assert answer.notes == ["style@1 is yanked: trained on the wrong catalogue"]
    assert empty.show("style@1")["state"] == "yanked"
    (event,) = empty.find("events", action="version.yank").rows
    assert event["subject"] == "style@1"
    # A later recall is told, but each store decides for itself.
    origin.yank("math@1", "leaked")
    empty.yank("code@1", "not ours")
    origin.export(NAMED, tmp_path / "later.bundle", lineage=True)
    notes = empty.import_bundle(tmp_path / "later.bundle").notes
    assert any(note.startswith("math@1 is ready here, and yanked where it comes from (leaked)") for note in notes)
    assert any(note.startswith("code@1 is yanked here, and ready where it comes from (not ours)") for note in notes)
    assert (empty.show("math@1")["state"], empty.show("code@1")["state"]) == ("ready", "yanked")


def test_another_licence_is_told(tiny: Callable[..., Store], tmp_path: Path) -> None:
    source, target = tiny("source", licence="MIT"), tiny("target", licence="Apache-2.0")
    source.export("tiny", tmp_path / "t.bundle")
    assert target.import_bundle(tmp_path / "t.bundle").notes == ["tiny@1 has the licence Apache-2.0 here, MIT there"]


def test_nothing_of_this_machine_leaves(origin: Store, bundle: Path) -> None:
    """Neither where models were registered from, nor where results were written."""
    text = json.dumps(Forged.read(bundle).manifest)
    for place in (
        str(origin.home.root),
        "/srv/mergestore",
        "mergestore/models",
        *(f'"{key}"' for key in ("path_", "referenced")),
    ):
        assert place not in text
    assert all(entry["source"] is None for entry in Forged.read(bundle).manifest["versions"])
