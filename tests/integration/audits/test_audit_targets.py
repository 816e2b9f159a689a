"""What is audited: versions, folders, digests; with a store that knows them, and without any."""

import json
import shutil

import pytest

import mergestore
from registry.publishing import manifest_digest
from tests.integration.models import LLAMA_CONFIG, fine_tune, llama
from tests.integration.models import save as save_model
from tests.integration.shell import Shell

BASE = llama("F32", seed=1)
META = {"dataset": "gsm8k", "commit": "0a1b2c"}


@pytest.fixture(scope="module")
def filled(surroundings, tmp_path_factory):
    """(store, folder with what was made)."""
    folder = tmp_path_factory.mktemp("audits")
    save_model(folder / "tiny", BASE, LLAMA_CONFIG)
    for number, name in enumerate(("math", "code")):
        save_model(folder / name, fine_tune(BASE, number + 1), LLAMA_CONFIG)
    (folder / "math" / "trainer_state.json").write_text(json.dumps({"global_step": 40, "epoch": 1.5}))
    with mergestore.open(folder / "store", actor="ann@lab") as store:
        store.register_base("tiny", folder / "tiny", licence="MIT", meta={"origin": "lab"})
        store.register_skill("math", folder / "math", base="tiny", encoding="exact", meta=META)
        store.register_skill("code", folder / "code", base="tiny", licence="Apache-2.0")
        store.merge("both", "tiny + 0.6*math + 0.4*code")
        store.materialize("both", output=folder / "out", wait=False)
        store.materialize("tiny + 0.3*math", output=folder / "unnamed", wait=False)
        yield store, folder


def test_what_was_said_of_the_training_is_told_and_does_not_change(filled):
    store, folder = filled
    nodes = {node["id"]: node for node in store.audit("both").lineage["nodes"]}
    assert nodes["math@1"]["training"] == {"meta": META, "trainer": {"epoch": 1.5, "global_step": 40}}
    assert nodes["tiny@1"]["training"] == {"meta": {"origin": "lab"}}
    assert nodes["code@1"]["training"] == {}
    again = store.register_skill("math", folder / "math", base="tiny", encoding="exact", meta={"dataset": "other"})
    assert (again.version, again.created) == (1, False)
    assert any("other metadata of its training" in note for note in again.notes)
    assert store.register_base("tiny", folder / "tiny", licence="MIT").version == 1


def test_a_digest_is_that_of_a_version_a_recipe_or_an_output(filled):
    store, folder = filled
    both = store.audit("both")
    manifests = {name: json.loads((folder / name / "mergestore.json").read_text()) for name in ("out", "unnamed")}
    assert store.audit(both.digest) == both
    assert store.audit(both.digest[:20]) == both
    assert store.audit(manifests["out"]["output_digest"]) == both
    assert store.audit(store.show("math")["digest"]).name == "math"
    unnamed = store.audit(manifests["unnamed"]["recipe_digest"])
    assert (unnamed.name, unnamed.kind) == (None, "result")
    assert store.audit(manifests["unnamed"]["output_digest"]) == unnamed
    ends = {edge["parent"] for edge in unnamed.lineage["edges"] if edge["child"] == "result"}
    assert ends == {"tiny@1", "math@1"}
    assert len(unnamed.materializations) == 1
    for unknown in ("blake3:" + "0" * 64, "sha256:00000000"):
        with pytest.raises(mergestore.NotFound, match="nothing here has the digest"):
            store.audit(unknown)


@pytest.mark.parametrize("name", ["out", "unnamed"])
def test_a_folder_is_told_by_the_store_that_made_it_and_by_itself(filled, tmp_path, name):
    store, folder = filled
    known = store.audit(folder / name)
    assert known.recorded
    assert known.checks[0]["ok"]
    assert known.materializations
    with mergestore.open(tmp_path / "other") as other:
        told = other.audit(folder / name)
    assert not told.recorded
    assert told.recipe == known.recipe
    assert {edge["parent"] for edge in told.lineage["edges"]} == {edge["parent"] for edge in known.lineage["edges"]}
    math = next(node for node in told.lineage["nodes"] if node["id"] == "math@1")
    assert (math["encoding"], math["digest"]) == ("exact", store.show("math")["digest"])


def test_a_folder_is_told_where_no_store_is_and_a_changed_manifest_is_found(filled, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(filled[1] / "out", folder)
    shell = Shell(tmp_path / "nowhere")
    assert "merge both@1" in shell.text("audit", folder)
    assert "records unchecked: no store was asked" in shell.text("audit", folder)
    assert "this store" not in shell.text("audit", folder)
    document = json.loads((folder / "mergestore.json").read_text())
    document["skills"][0]["licence"] = "MIT"
    (folder / "mergestore.json").write_text(json.dumps(document))
    code, out, _ = shell("audit", folder)
    assert code == 6
    assert "manifest DAMAGED: mergestore.json does not hash to its own digest" in out
    assert shell.json("audit", "both", code=7)["error"]["kind"] == "environment"


def test_what_was_withdrawn_before_it_was_published_is_told_without_a_reason_that_nobody_gave(filled, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(filled[1] / "out", folder)
    document = json.loads((folder / "mergestore.json").read_text())
    node = next(node for node in document["lineage"]["nodes"] if node["id"] == "math@1")
    node["state"] = "yanked"
    document["digest"] = manifest_digest(document)
    (folder / "mergestore.json").write_text(json.dumps(document))
    assert "YANKED: why is told by the store that made it" in Shell(tmp_path / "nowhere").text("audit", folder)


MISTAKES = {
    "": (2, "no model is named"),
    "  ": (2, "no model is named"),
    "./nosuchdir": (3, "there is no folder ./nosuchdir"),
    "/no/such/dir": (3, "there is no folder /no/such/dir"),
    "nosuchdir/": (3, "there is no folder nosuchdir/"),
    "PLAIN": (2, "it has no mergestore.json"),
    "PLAIN/config.json": (2, "config.json is a file"),
    "PLAIN/" + "x" * 5000: (3, "there is no folder"),
    "./a\0b": (3, "there is no folder"),
}
FACES = [("audit",), ("audit", "--bom"), ("audit", "--tensor", "*"), ("verify",)]
WITH_STORE = [*FACES, ("audit", "--rebuild"), ("attest", "--unsigned")]


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_target_that_is_none_is_told_as_what_it_looks_like(filled, tmp_path, mistake):
    code, told = MISTAKES[mistake]
    target = mistake.replace("PLAIN", str(filled[1] / "tiny"))
    for shell, faces in ((Shell(filled[1] / "store"), WITH_STORE), (Shell(tmp_path / "nowhere"), FACES)):
        for verb, *options in faces:
            if (mistake, verb) == ("PLAIN", "verify"):  # whether it is what was published: it is not
                assert told in shell.json("verify", target, code=6)["problems"][0]["what"]
                continue
            error = shell.refused(code, verb, *options, target)
            assert told in error["message"]
            assert error["hint"]


def test_a_folder_of_the_working_folder_is_not_meant_by_nothing(filled, monkeypatch, tmp_path):
    monkeypatch.chdir(filled[1] / "out")
    for shell in (Shell(filled[1] / "store"), Shell(tmp_path / "nowhere")):
        shell.refused(2, "audit", "")
        shell.refused(2, "verify", "")
        assert "both@1" in shell.text("audit", ".")


def test_a_digest_that_cannot_be_looked_up_is_told_as_such(filled):
    shell = Shell(filled[1] / "store")
    for text in (
        "blake3:",
        "blake3:0a1b2c",
        "sha256:" + "0" * 65,
        "blake3:0A1B2C3D",
        "SHA256:00000000",
        "blake3:xyzxyzxyz",
    ):
        for verb in ("audit", "impact"):
            error = shell.refused(2, verb, text)
            assert error["message"].startswith(f"{text} is no digest"[:60])
            assert "8 to 64 digits" in error["hint"]


def test_a_policy_that_cannot_be_read_is_no_damage(filled, tmp_path):
    shutil.copytree(filled[1] / "store", tmp_path / "store")
    shell, policy = Shell(tmp_path / "store"), tmp_path / "store" / "policy.yaml"
    assert shell.json("verify")["ok"]
    for content in ("policy: [", "policy: 1\nlicences: {allow: [MIT]}"):
        policy.write_text(content)
        (problem,) = shell.json("verify", code=2)["problems"]
        assert problem["kind"] == "usage"
        assert "correct it" in problem["hint"]
        assert "DAMAGED" not in shell("verify")[1]
    (blob, *_) = (path for path in (tmp_path / "store" / "objects").rglob("*") if path.is_file())
    blob.chmod(0o644)
    blob.write_bytes(b"other")
    assert {problem["kind"] for problem in shell.json("verify", code=6)["problems"]} == {"usage", "integrity"}


DAMAGE = {
    "no lineage": lambda document: document.pop("lineage"),
    "nodes that are none": lambda document: document["lineage"].update(nodes=[1, 2]),
    "an edge to nobody": lambda document: document["lineage"]["edges"][0].update(parent="nobody@1"),
    "an edge without a role": lambda document: document["lineage"]["edges"][0].pop("role"),
    "a version twice": lambda document: document["lineage"]["nodes"].append(document["lineage"]["nodes"][0]),
    "a kind that is none": lambda document: document["lineage"]["nodes"][0].update(kind="<script>"),
    "a digest that is none": lambda document: document["lineage"]["nodes"][0].update(digest="blake3:0"),
    "a licence that is a list": lambda document: document["skills"][0].update(licence=["MIT"]),
    "skills that are none": lambda document: document.update(skills={"a": 1}),
    "a recipe that is none": lambda document: document["recipe"].update(method="magic"),
    "a weight that is a text": lambda document: document["recipe"]["terms"][0].update(weight="much"),
    "a merge of another name": lambda document: document["merge"].update(name="other"),
    "an expression that is a number": lambda document: document.update(expression=1),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_manifest_that_nobody_published_is_refused(filled, tmp_path, damage):
    folder = tmp_path / "copy"
    shutil.copytree(filled[1] / "out", folder)
    document = json.loads((folder / "mergestore.json").read_text())
    DAMAGE[damage](document)
    (folder / "mergestore.json").write_text(json.dumps(document))
    for shell in (Shell(tmp_path / "nowhere"), Shell(filled[1] / "store")):
        for face in ((), ("--dot",), ("--html", tmp_path / "page.html")):
            code, out, err = shell("audit", folder, *face)
            assert (code, out) == (6, "")
            assert "damaged" in err
            assert not (tmp_path / "page.html").exists()


def test_a_lineage_without_an_input_of_the_recipe_is_told(filled, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(filled[1] / "unnamed", folder)
    document = json.loads((folder / "mergestore.json").read_text())
    node = next(node for node in document["lineage"]["nodes"] if node["id"] == "math@1")
    node["digest"] = document["skills"][0]["digest"] = "blake3:" + "1" * 64
    document["digest"] = manifest_digest(document)
    (folder / "mergestore.json").write_text(json.dumps(document))
    code, out, _ = Shell(tmp_path / "nowhere")("audit", folder)
    assert code == 6
    assert "manifest ok" in out
    assert "lineage DAMAGED: lacks 'blake3:" in out


def test_every_face_of_an_audit(filled, tmp_path):
    shell = Shell(filled[1] / "store")
    assert "dataset gsm8k" in shell.text("audit", "both")
    assert shell.text("audit", "both", "--mermaid").startswith("flowchart LR\n")
    assert shell.text("audit", "both", "--dot").rstrip().endswith("}")
    page = tmp_path / "audit.html"
    assert shell.text("audit", "both", "--html", page).strip() == str(page)
    assert shell.text("audit", "both", "--html", page).strip() == str(page)
    before = shell.state()
    code, _, err = shell("audit", "both", "--html", shell.home / "registry.db")
    assert (code, "no page" in err, shell.state()) == (4, True, before)
    code, out, err = shell("audit", "both", "--dot", "--mermaid")
    assert (code, out) == (2, "")
    assert "--mermaid and --dot exclude each other" in err
    assert (
        "KEY=VALUE"
        in shell.refused(2, "register", "skill", "x", filled[1] / "math", "--base", "tiny", "--meta", "dataset")[
            "message"
        ]
    )
