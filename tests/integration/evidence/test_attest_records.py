"""What a folder says of itself is compared with the records before it is signed, and when it is audited."""

import json
import shutil
import sqlite3

import pytest

import mergestore
from registry.publishing import manifest_digest
from storage.digests import canonical_json, json_digest
from tests.integration.evidence.conftest import BASE
from tests.integration.evidence.test_attest import sha256
from tests.integration.models import LLAMA_CONFIG, fine_tune, save
from tests.integration.shell import Shell

OTHER = "blake3:" + "1" * 64
CHANGED = "not on record any more, or that record was changed"


@pytest.fixture
def copy(filled, tmp_path):
    """The published folder of ``outer``, free to be changed."""
    shutil.copytree(filled[1] / "outer", tmp_path / "copy")
    return tmp_path / "copy"


@pytest.fixture
def key(keys):
    return ("--key", keys / "ours.pem")


def rewrite(folder, change):
    """Change a manifest, and mend its digests: as somebody does who knows what a manifest is."""
    document = json.loads((folder / "mergestore.json").read_text())
    change(document)
    document["recipe_digest"] = json_digest(document["recipe"])
    document["digest"] = manifest_digest(document)
    (folder / "mergestore.json").write_bytes(canonical_json(document) + b"\n")


def node(document, name):
    return next(each for each in document["lineage"]["nodes"] if each["id"] == name)


def without_code(document):
    lineage = document["lineage"]
    lineage["nodes"] = [each for each in lineage["nodes"] if each["id"] != "code@1"]
    lineage["edges"] = [each for each in lineage["edges"] if "code@1" not in (each["child"], each["parent"])]


def one_more(document):
    document["lineage"]["nodes"].append({**node(document, "chat@1"), "id": "kind@1", "name": "kind"})


def edge_as_head(document):
    edge = next(each for each in document["lineage"]["edges"] if each["parent"] == "chat@1")
    edge["role"] = "head"


def renamed(document):
    document["merge"]["name"] = node(document, "outer@1")["name"] = "safe"
    node(document, "outer@1")["id"] = "safe@1"
    for edge in document["lineage"]["edges"]:
        edge["child"] = edge["child"].replace("outer@1", "safe@1")


LIES = {
    "a licence": (lambda d: node(d, "code@1").update(licence="MIT"), "lineage.nodes.code@1.licence is 'MIT', recorded"),
    "a licence left out": (lambda d: d["base"].update(licence=None), "base.licence is None, recorded is 'MIT'"),
    "a digest": (lambda d: node(d, "math@1").update(digest=OTHER), "lineage.nodes.math@1.digest is 'blake3:111"),
    "a state": (lambda d: node(d, "math@1").update(state="yanked"), "lineage.nodes.math@1.state is 'yanked', recorded"),
    "an encoding": (lambda d: d["skills"][0].update(encoding="lora"), ".encoding is 'lora', recorded is"),
    "a seed": (lambda d: d["skills"][1].update(seed=7), ".seed is 7, recorded is None"),
    "a weight as it is told": (lambda d: d["skills"][0].update(weight=0.1), ".weight is 0.1, recorded is 0.5"),
    "a measurement": (lambda d: d["skills"][0]["statistics"].update(norm=0.5), ".statistics.norm is 0.5, recorded is"),
    "a source": (lambda d: d["base"].update(source=None), "base.source is None, recorded is 'hf:lab/tiny@"),
    "a skill that went in": (without_code, "lineage.nodes.code@1 is left out"),
    "a skill that did not": (one_more, "lineage.nodes.kind@1 is not on record"),
    "a part in it": (edge_as_head, "lineage.edges.chat@1 of outer@1 as head is not on record"),
    "a name": (renamed, "lineage.nodes.outer@1 is left out"),
    "an expression": (lambda d: d.update(expression="tiny"), "expression is 'tiny', recorded is 'tiny + 0.5*both"),
    "who made it": (lambda d: d.update(generator="x"), "generator is 'x', recorded is 'mergestore"),
    "the recipe": (lambda d: d["recipe"]["terms"][0].update(weight=0.25), ".weight is 0.25, recorded is 0.5"),
    "one word more": (lambda d: d.update(approved=True), "approved is not on record"),
    "a word that is none": (lambda d: d.update({"\x1b[2J" + "x" * 500: 1}), "'\\x1b[2Jxxx"),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_manifest_that_says_otherwise_is_not_signed_and_an_audit_tells(shell, key, copy, lie):
    change, told = LIES[lie]
    rewrite(copy, change)
    error = shell.refused(6, "attest", copy, *key)
    assert told in "; ".join(error["differences"])
    assert error["differences"][0] in error["message"]
    assert shell.refused(6, "attest", copy, "--unsigned")["differences"] == error["differences"]
    code, out, _ = shell("audit", copy)
    assert code == 6
    assert "manifest ok" in out
    assert f"records DAMAGED: this store published otherwise: {error['differences'][0]}" in out
    (check,) = (check for check in shell.json("audit", copy, code=6)["checks"] if check["what"] == "records")
    assert (check["ok"], check["differences"]) == (False, error["differences"])
    assert "\x1b" not in out
    for face in (["--bom"], ["--tensor", "*"]):
        assert "is not to be believed: " in shell.refused(6, "audit", copy, *face)["message"]


def test_a_file_changed_together_with_the_manifest_is_not_signed(shell, key, copy):
    """The configuration may name code that a loader runs: it is held against the records as well."""
    (copy / "config.json").write_text('{"auto_map": {"AutoModel": "evil.Model"}}')
    size, digest = (copy / "config.json").stat().st_size, "sha256:" + sha256(copy / "config.json")
    rewrite(copy, lambda document: document["files"].update({"config.json": {"size": size, "sha256": digest}}))
    assert shell.json("verify", copy)["ok"], "by itself the folder agrees"
    assert "files.config.json.sha256 is" in shell.refused(6, "attest", copy, *key)["message"]


def test_only_the_first_few_differences_stand_in_the_message(shell, key, copy):
    rewrite(copy, lambda document: [each.update(licence="X11") for each in document["lineage"]["nodes"]])
    error = shell.refused(6, "attest", copy, *key)
    assert error["message"].endswith(f"; and {len(error['differences']) - 3} more")
    assert error["message"].count("licence") == 3


def test_the_page_tells_what_is_on_record(shell, copy, tmp_path):
    rewrite(copy, lambda document: node(document, "code@1").update(licence="MIT"))
    page = tmp_path / "page.html"
    code, _, _ = shell("audit", copy, "--html", page)
    assert code == 6
    assert "this store published otherwise: lineage.nodes.code@1.licence is" in page.read_text()


def test_what_was_published_is_as_recorded_wherever_it_lies(filled, shell, copy):
    for folder in (copy, filled[1] / "outer", filled[1] / "inner"):
        assert "records ok: is what this store published" in shell.text("audit", folder)
    other = Shell(copy.parent / "other")
    other.text("init")
    assert "records unchecked: this store has not made it" in other.text("audit", copy)
    assert "records unchecked: no store was asked" in Shell(copy.parent / "nowhere").text("audit", copy)


@pytest.fixture
def lived(surroundings, database_url, engine, tmp_path):
    """A store on either database, with a merge that was published."""
    save(tmp_path / "tiny", BASE, LLAMA_CONFIG)
    save(tmp_path / "math", fine_tune(BASE, 1), LLAMA_CONFIG)
    with mergestore.open(tmp_path / "store", database=database_url, actor="ann@lab") as store:
        store.register_base("tiny", tmp_path / "tiny")
        store.register_skill("math", tmp_path / "math", base="tiny", licence="MIT")
        store.merge("half", "tiny + 0.5*math")
        yield store


def test_what_became_of_versions_since_is_no_difference(lived, keys, tmp_path):
    lived.materialize("half", output=tmp_path / "half", wait=False)
    lived.register_skill("more", tmp_path / "half", base="tiny", encoding="exact")
    lived.add_evaluation("half", metric="recall", value=0.5, dataset="gsm8k")
    lived.alias("math", "prod")
    lived.pin("half", "shipped")
    lived.attest(tmp_path / "half", key=keys / "theirs.pem")
    lived.yank("math@1", "wrong data")
    lived.yank("half@1", "of wrong data")
    told = lived.attest(tmp_path / "half", key=keys / "ours.pem")
    assert told.created
    assert told.notes == ["half@1 is yanked: of wrong data", "math@1 is yanked: wrong data"]
    checks = {check["what"]: check["ok"] for check in lived.audit(tmp_path / "half").checks}
    assert checks["records"]


def test_a_result_that_was_asked_for_in_several_ways_is_of_the_record_whose_words_it_has(lived, keys, tmp_path):
    """The cache keeps what the first request was told; a copy is told as it was asked for."""
    first = lived.materialize("tiny + 0.5*math", wait=False)
    named = lived.materialize("half", wait=False)
    copied = lived.materialize("half", output=tmp_path / "half", wait=False)
    assert first.path == named.path
    for folder, made in ((first.path, first), (tmp_path / "half", copied)):
        told = lived.attest(folder, key=keys / "ours.pem")
        assert told.materialization_id == made.materialization_id
        assert told.statement["predicate"]["runDetails"]["metadata"]["invocationId"] == made.materialization_id
    shutil.copytree(tmp_path / "half", tmp_path / "elsewhere")
    assert lived.attest(tmp_path / "elsewhere", key=keys / "ours.pem").created is False


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("UPDATE outbox SET payload = replace(payload, 'Apache-2.0', 'MIT')", CHANGED),
        ("DELETE FROM outbox", CHANGED),
        ("UPDATE outbox SET payload = '{}'", CHANGED),
        ("UPDATE outbox SET payload = '[]'", "the registry is damaged: '[]' is no JSON object"),
    ],
)
def test_a_record_that_is_not_as_the_log_has_it_vouches_for_nothing(filled, copy, key, tmp_path, statement, said):
    shutil.copytree(filled[1] / "store", tmp_path / "store")
    shell = Shell(tmp_path / "store")
    shell.text("attest", copy, *key)
    with sqlite3.connect(tmp_path / "store" / "registry.db") as connection:
        connection.execute(statement)
    connection.close()
    assert said in shell.refused(6, "attest", copy, *key)["message"]
    rewrite(copy, lambda document: [each.update(licence="MIT") for each in document["lineage"]["nodes"]])
    shell.refused(6, "attest", copy, *key)
