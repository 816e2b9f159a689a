"""Verifying with a key: a folder is proven with a store and without, and everything that was changed is named."""

import json
import shutil
import subprocess

import pytest

import mergestore
from registry.evidence.envelope import sign
from registry.evidence.keys import read_signer
from registry.evidence.statement import PAYLOAD_TYPE
from registry.publishing import manifest_digest
from storage.digests import canonical_json
from tests.integration.evidence.test_attest import flip
from tests.integration.shell import Shell


@pytest.fixture(scope="module")
def signed(filled, keys):
    return filled[0].attest("outer", key=keys / "ours.pem")


@pytest.fixture
def copy(filled, signed, tmp_path):
    """A published folder on a machine without a store, with its attestation in it."""
    shutil.copytree(filled[1] / "outer", tmp_path / "copy")
    (tmp_path / "copy" / "mergestore.intoto.jsonl").write_text(json.dumps(signed.envelope))
    return tmp_path / "copy"


@pytest.fixture
def alone(tmp_path):
    """The command line where no store is."""
    return Shell(tmp_path / "nowhere")


@pytest.fixture
def prove(alone, keys):
    """What is wrong with a folder, by the command line; nothing where it is proven."""

    def prove(folder, *more, key="ours", shell=alone):
        code, out, err = shell("verify", folder, "--key", keys / f"{key}.pub.pem", "--json", *more)
        document = json.loads(out)
        assert code == (0 if document["ok"] else 6), err
        assert document["ok"] == (not document["problems"])
        assert {problem["kind"] for problem in document["problems"]} <= {"integrity"}
        return [problem["what"] for problem in document["problems"]]

    return prove


def test_a_folder_is_proven_where_no_store_is(prove, copy, keys, filled, signed, tmp_path):
    assert prove(copy) == []
    (copy / "mergestore.intoto.jsonl").rename(tmp_path / "elsewhere.json")
    assert prove(copy) == ["there is no attestation of it"]
    assert prove(copy, "--attestation", tmp_path / "elsewhere.json") == []


def test_a_store_finds_what_it_attested(prove, shell, filled, signed, keys):
    folder = filled[1] / "outer"
    for target in ("outer", "outer@1", folder, signed.output_digest):
        assert prove(target, shell=shell) == []
    assert filled[0].verify(folder, key=keys / "ours.pub.pem").checked["attestations"] == 1
    assert "1 attestation" in shell.text("verify", "outer", "--key", keys / "ours.pub.pem")
    assert prove("inner", shell=shell) == ["there is no attestation of it"]


def test_a_folder_is_checked_where_no_store_is_also_without_a_key(alone, copy):
    assert alone.json("verify", copy)["ok"]
    flip(copy / "config.json")
    assert alone.json("verify", copy, code=6)["problems"][0]["what"] == "file 'config.json' is changed"
    alone.refused(3, "verify", copy / "nowhere")


def test_a_key_that_cannot_be_read_is_the_user_s_mistake_and_one_that_does_not_fit_is_not(shell, copy, keys, tmp_path):
    (tmp_path / "folder.pem").mkdir()
    rsa = tmp_path / "rsa.pem"
    command = ["openssl", "genpkey", "-algorithm", "rsa", "-pkeyopt", "rsa_keygen_bits:2048", "-out", rsa]
    subprocess.run(command, check=True, capture_output=True)
    subprocess.run(["openssl", "pkey", "-in", rsa, "-pubout", "-out", tmp_path / "rsa.pub.pem"], check=True)
    (tmp_path / "cut.pem").write_bytes((keys / "ours.pub.pem").read_bytes()[:60])
    (tmp_path / "empty.pem").touch()
    shell.text("anchor", "--key", keys / "ours.pem", "-o", tmp_path / "anchor.json")
    for name in ("folder.pem", "rsa.pem", "rsa.pub.pem", "cut.pem", "empty.pem", "nowhere.pem"):
        for words in (("verify", copy), ("verify", "outer"), ("verify", "--anchor", tmp_path / "anchor.json")):
            assert shell.refused(2, *words, "--key", tmp_path / name)["hint"]
    shell.json("verify", copy, "--key", keys / "theirs.pub.pem", code=6)
    shell.refused(6, "verify", "--anchor", tmp_path / "anchor.json", "--key", keys / "theirs.pub.pem")
    shell.text("anchor", "-o", tmp_path / "bare.json")
    error = shell.refused(6, "verify", "--anchor", tmp_path / "bare.json", "--key", keys / "ours.pub.pem")
    assert "mergestore anchor --key" in error["hint"]


def test_another_key_proves_nothing(prove, copy, filled, keys):
    (problem,) = prove(copy, key="theirs")
    assert "no attestation of it is signed with the key sha256:" in problem
    assert "there are 1, signed with sha256:" in problem
    theirs = filled[0].attest("outer", key=keys / "theirs.pem").envelope
    with (copy / "mergestore.intoto.jsonl").open("a") as file:
        file.write("\n" + json.dumps(theirs) + "\n")
    assert prove(copy, key="theirs") == []
    assert prove(copy) == []


FILES = ["config.json", "README.md", "mergestore.json", "tokenizer.json", "*.safetensors", "*.index.json"]


@pytest.mark.parametrize("name", FILES)
def test_every_changed_file_is_named(prove, copy, name):
    path = sorted(copy.glob(name))[-1]
    if path.name == "mergestore.json":  # as it would be changed by somebody who knows what a manifest is
        document = json.loads(path.read_text())
        document["generator"] = "somebody else"
        document["digest"] = manifest_digest(document)
        path.write_bytes(canonical_json(document) + b"\n")
    elif path.suffix in (".md", ".safetensors"):
        flip(path)
    else:
        path.write_text(path.read_text() + " ")
    assert any(f"file {path.name!r} hashes to sha256:" in what for what in prove(copy))


@pytest.mark.parametrize("name", ["README.md", "config.json"])
def test_a_missing_file_is_named(prove, copy, name):
    (copy / name).unlink()
    assert f"file {name!r} is attested, and missing" in prove(copy)


def test_a_folder_without_its_manifest_is_not_proven(prove, shell, copy):
    (copy / "mergestore.json").unlink()
    for each in (None, shell):
        (problem,) = prove(copy, **({"shell": each} if each else {}))
        assert "it has no mergestore.json" in problem


def test_a_file_that_a_loader_would_read_is_named_and_a_note_is_not(prove, copy):
    (copy / "notes.txt").write_text("of its owner")
    assert prove(copy) == []
    (copy / "modeling_evil.py").write_text("import os")
    assert prove(copy) == ["file 'modeling_evil.py' is not of this model: it was added later"]


def test_a_model_with_a_true_attestation_of_another_is_found(prove, filled, keys, tmp_path):
    store, folder = filled
    shutil.copytree(folder / "inner", tmp_path / "inner")
    envelope = store.attest("outer", key=keys / "ours.pem").envelope
    (tmp_path / "inner" / "mergestore.intoto.jsonl").write_text(json.dumps(envelope))
    problems = prove(tmp_path / "inner")
    assert problems[0].startswith("another model is attested: blake3:")
    assert "it is attested to be made of chat@1, which mergestore.json does not know" in problems
    assert "the recipe that is attested is not that of mergestore.json" in problems


def test_a_changed_envelope_is_found(prove, copy, signed):
    import base64

    statement = dict(signed.statement)
    statement["subject"] = statement["subject"][1:]
    forged = {**signed.envelope, "payload": base64.b64encode(canonical_json(statement)).decode()}
    (copy / "mergestore.intoto.jsonl").write_text(json.dumps(forged))
    (problem,) = prove(copy)
    assert "does not fit: what is signed was changed" in problem


def definition(statement):
    return statement["predicate"]["buildDefinition"]


def without_base(statement):
    kept = [each for each in definition(statement)["resolvedDependencies"] if each["name"] != "tiny@1"]
    definition(statement)["resolvedDependencies"] = kept


def dependency(statement, name):
    return next(each for each in definition(statement)["resolvedDependencies"] if each["name"] == name)


def asked(statement):
    return definition(statement)["externalParameters"]


OTHERWISE = "is attested otherwise than mergestore.json tells of it: "
EXTRA = {"name": "../x", "digest": {"sha256": "0"}}
LIES = {
    "a base that is not attested": (without_base, "it is made of tiny@1, which is not attested"),
    "another skill": (lambda s: dependency(s, "math@1").update(digest={"blake3": "0"}), f"math@1 {OTHERWISE}digest"),
    "a licence": (lambda s: dependency(s, "code@1")["annotations"].update(licence="MIT"), f"{OTHERWISE}licence"),
    "a parent": (lambda s: dependency(s, "both@1")["annotations"].update(parents=[]), f"{OTHERWISE}parents"),
    "annotations that are none": (lambda s: dependency(s, "both@1").update(annotations=["x"]), f"both@1 {OTHERWISE}"),
    "an expression": (lambda s: asked(s).update(expression="x"), "the expression that is attested is not"),
    "one more parameter": (lambda s: asked(s).update(extra=1), "the extra that is attested is not"),
    "no parameters": (lambda s: definition(s).pop("externalParameters"), "the recipe that is attested is not"),
    "no dependencies": (lambda s: definition(s).pop("resolvedDependencies"), "made of math@1, which is not attested"),
    "a file left out": (lambda s: s["subject"].pop(0), "is not attested"),
    "a file too many": (lambda s: s["subject"].append(EXTRA), "file '../x' is attested, and missing"),
    "no model digest": (lambda s: s["subject"].pop(), "another model is attested: nothing"),
    "subjects that are none": (lambda s: s.update(subject=[1]), "the subjects of"),
    "no subjects": (lambda s: s.pop("subject"), "the subjects of"),
    "another predicate": (lambda s: s.update(predicateType="https://a.example/x"), "another kind of predicate"),
    "another build": (lambda s: definition(s).update(buildType="https://a.example/x"), "another kind of build"),
    "a predicate that is none": (lambda s: s.update(predicate=[]), "another kind of build"),
    "another statement": (lambda s: s.update(_type="https://in-toto.io/Statement/v0.1"), "another kind of statement"),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_statement_that_is_signed_and_not_true_is_found(prove, copy, signed, keys, lie):
    change, told = LIES[lie]
    statement = json.loads(json.dumps(signed.statement))
    change(statement)
    envelope = sign(PAYLOAD_TYPE, canonical_json(statement), read_signer(keys / "ours.pem"))
    (copy / "mergestore.intoto.jsonl").write_bytes(envelope.to_bytes())
    assert any(told in what for what in prove(copy))


def test_another_type_of_payload_is_found(prove, copy, signed, keys):
    key = read_signer(keys / "ours.pem")
    for kind, payload in (
        ("text/plain", canonical_json(signed.statement)),
        (PAYLOAD_TYPE, b"[1"),
        (PAYLOAD_TYPE, b"[]"),
    ):
        (copy / "mergestore.intoto.jsonl").write_bytes(sign(kind, payload, key).to_bytes())
        assert len(prove(copy)) == 1


def test_an_attestation_of_a_later_state_is_enough(prove, shell, filled, keys, tmp_path):
    """A model card is its owner's to go on with: attested again, the folder is proven again."""
    store = filled[0]
    made = store.materialize("tiny + 0.25*math", output=tmp_path / "made", wait=False)
    store.attest(tmp_path / "made", key=keys / "ours.pem")
    assert prove(tmp_path / "made", shell=shell) == []
    card = tmp_path / "made" / "README.md"
    card.write_text(card.read_text() + "\nMore of it.\n")
    assert len(prove(tmp_path / "made", shell=shell)) == 1
    assert store.attest(made.output_digest, key=keys / "ours.pem").created
    assert prove(tmp_path / "made", shell=shell) == []


def test_words_that_do_not_go_together_are_refused(shell, copy, keys):
    public = keys / "ours.pub.pem"
    shell.refused(2, "verify", "--key", public)
    shell.refused(2, "verify", copy, "--attestation", copy / "mergestore.intoto.jsonl")
    shell.refused(2, "verify", copy, "--key", keys / "ours.pem")
    shell.refused(2, "verify", copy, "--key", public, "--attestation", copy / "nowhere")
    shell.refused(5, "verify", copy, "--key", public, "--attestation", copy / "README.md")
    shell.refused(3, "verify", "nobody", "--key", public)
    shell.refused(2, "verify", "math", "--key", public)


def test_a_recorded_attestation_that_was_changed_is_named(filled, keys, tmp_path):
    import sqlite3

    shutil.copytree(filled[1] / "store", tmp_path / "store")
    shell = Shell(tmp_path / "store")
    shell.text("attest", "outer", "--key", keys / "ours.pem")
    for statement, what in (
        (
            "UPDATE attestation SET document = replace(document, 'keyid', 'keyId')",
            "the record of attestation 1 was changed",
        ),
        ("UPDATE attestation SET created_by = 'x'", "the record of attestation 1 was changed"),
        ("DELETE FROM attestation", "attestation 1 was recorded, but has no record any more"),
    ):
        with sqlite3.connect(tmp_path / "store" / "registry.db") as connection:
            connection.execute(statement)
        connection.close()
        with mergestore.open(tmp_path / "store") as store:
            assert what in [problem["what"] for problem in store.verify().problems]
