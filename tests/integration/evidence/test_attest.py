"""Attesting: what is stated, that others verify it, and what is refused. Nothing is signed that was not checked."""

import base64
import io
import json
import shutil
import subprocess

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from in_toto_attestation.v1.statement import Statement
from securesystemslib.dsse import Envelope
from securesystemslib.signer import Key

import mergestore
from registry.publishing import manifest_digest
from tests.integration.evidence.conftest import BASE
from tests.integration.models import LLAMA_CONFIG, fine_tune, save
from tests.integration.shell import Shell


@pytest.fixture
def copy(filled, tmp_path):
    """The published folder of ``outer``, free to be changed."""
    shutil.copytree(filled[1] / "outer", tmp_path / "copy")
    return tmp_path / "copy"


@pytest.fixture(scope="module")
def envelope(filled, keys):
    return filled[0].attest("outer", key=keys / "ours.pem").envelope


def statement_of(envelope):
    return json.loads(base64.b64decode(envelope["payload"]))


def flip(path):
    """Change one bit near the end of a file."""
    content = bytearray(path.read_bytes())
    content[-2] ^= 1
    path.write_bytes(content)


def sha256(path):
    return subprocess.run(["sha256sum", path], check=True, capture_output=True, text=True).stdout.split()[0]


def test_every_file_is_a_subject_and_all_it_came_from_a_dependency(filled, envelope):
    store, folder = filled
    statement = statement_of(envelope)
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert statement["predicateType"] == "https://slsa.dev/provenance/v1"
    subjects = {each["name"]: each["digest"] for each in statement["subject"]}
    files = {path.name: {"sha256": sha256(path)} for path in (folder / "outer").iterdir()}
    assert len(files) > 5
    manifest = json.loads((folder / "outer" / "mergestore.json").read_text())
    assert subjects == files | {"output": {"blake3": manifest["output_digest"].removeprefix("blake3:")}}
    definition = statement["predicate"]["buildDefinition"]
    assert definition["externalParameters"]["recipe"] == manifest["recipe"]
    assert definition["externalParameters"]["merge"] == "outer@1"
    dependencies = {each["name"]: each for each in definition["resolvedDependencies"]}
    assert set(dependencies) == {"tiny@1", "math@1", "code@1", "chat@1", "inner@1", "both@1"}
    for name, each in dependencies.items():
        algorithm, digits = store.show(name)["digest"].split(":")
        assert each["digest"] == {algorithm: digits}
    assert dependencies["tiny@1"]["uri"] == "pkg:huggingface/lab/tiny@" + "0a" * 20
    assert dependencies["both@1"]["annotations"]["parents"] == [
        {"name": "inner@1", "role": "merge"},
        {"name": "tiny@1", "role": "base"},
    ]
    run = statement["predicate"]["runDetails"]
    made = store.audit("outer").materializations[0]
    assert run["metadata"]["invocationId"] == made["materialization_id"]
    assert run["metadata"]["finishedOn"] == made["created_at"][:19] + "Z"
    assert run["builder"]["version"]["numpy"]


def test_others_read_and_verify_it(envelope, keys):
    public = (keys / "ours.pub.pem").read_bytes()
    payload, signature = base64.b64decode(envelope["payload"]), envelope["signatures"][0]
    message = b"DSSEv1 28 application/vnd.in-toto+json %d %b" % (len(payload), payload)
    load_pem_public_key(public).verify(base64.b64decode(signature["sig"]), message)  # raises where it is another's
    key = Key.from_dict(
        signature["keyid"],
        {
            "keytype": "ed25519",
            "scheme": "ed25519",
            "keyval": {"public": load_pem_public_key(public).public_bytes_raw().hex()},
        },
    )
    assert set(Envelope.from_dict(json.loads(json.dumps(envelope))).verify([key], 1)) == {signature["keyid"]}
    from google.protobuf import json_format
    from in_toto_attestation.predicates.provenance.v1 import provenance_pb2
    from in_toto_attestation.v1.statement_pb2 import Statement as Message

    statement = json_format.ParseDict(statement_of(envelope), Message())
    Statement.copy_from_pb(statement).validate()
    json_format.ParseDict(statement_of(envelope)["predicate"], provenance_pb2.Provenance())


def test_the_same_is_stated_again_to_the_byte_and_recorded_once(filled, keys, envelope, tmp_path):
    store, folder = filled
    events = len(store.audit("outer").events)
    for target in ("outer", "outer@1", folder / "outer", str(folder / "outer"), store.audit("outer").digest[:20]):
        again = store.attest(target, key=keys / "ours.pem", output=tmp_path / "again")
        assert (again.envelope, again.created) == (envelope, False)
    assert json.loads((tmp_path / "again").read_text()) == envelope
    assert len(store.audit("outer").events) == events
    assert store.audit("outer").events[-1]["action"] == "attestation.add"
    assert store.verify().ok


def test_an_audit_tells_what_is_signed(filled, shell, envelope, tmp_path):
    (told,) = filled[0].audit("outer").attestations
    assert told["envelope"] == envelope
    assert told["keys"] == [envelope["signatures"][0]["keyid"]]
    assert told["keys"][0] in shell.text("audit", "outer")
    shell.text("audit", "outer", "--html", tmp_path / "page.html")
    assert told["keys"][0] in (tmp_path / "page.html").read_text()


def test_a_statement_alone_is_made_for_others_to_sign_and_is_not_recorded(filled, shell, envelope):
    before = shell.state()
    told = json.loads(shell.text("attest", "outer", "--unsigned"))
    assert told == statement_of(envelope)
    assert shell.json("attest", "outer", "--unsigned")["envelope"] is None
    assert shell.state() == before


def test_it_is_printed_or_written(shell, keys, envelope, tmp_path):
    assert json.loads(shell.text("attest", "outer", "--key", keys / "ours.pem")) == envelope
    file = tmp_path / "outer.intoto.jsonl"
    code, out, err = shell("attest", "outer", "--key", keys / "ours.pem", "-o", file)
    assert (code, out) == (0, f"{file}\n")
    assert "on record already" in err
    assert json.loads(file.read_text()) == envelope
    assert shell.json("attest", "outer", "--key", keys / "ours.pem", "-o", file)["key_id"].startswith("sha256:")


def test_a_file_that_holds_something_else_is_refused_before_anything(filled, shell, keys, envelope, tmp_path):
    """Also before anything is recorded: what this key signs here is not on record yet."""
    made = filled[0].materialize("tiny + 0.125*math", output=tmp_path / "made", wait=False)
    file = tmp_path / "statements"
    watched = Shell(shell.home, tmp_path)
    words = ("attest", made.output_digest, "-o", file)
    for content in ("", "my own", json.dumps(envelope), "x" * 1000):
        file.write_text(content)
        for key in (("--key", keys / "ours.pem"), ("--key", keys / "theirs.pem"), ("--unsigned",)):
            error = watched.refused(4, *words, *key)
            assert error["message"] == f"{file} exists already, and holds something else"
            assert "--append" in error["hint"]
            assert file.read_text() == content
    assert filled[0].audit(made.output_digest).attestations == []
    file.unlink()
    statement = watched.text("attest", made.output_digest, "--unsigned", "-o", file)
    assert watched.text("attest", made.output_digest, "--unsigned", "-o", file) == statement


def test_a_second_signature_is_added_to_a_file(shell, keys, tmp_path):
    file = tmp_path / "statements"
    add = ("attest", "inner", "-o", file, "--append")
    for name in ("ours", "theirs", "ours"):
        shell.text(*add, "--key", keys / f"{name}.pem")
    lines = file.read_bytes().splitlines(keepends=True)
    assert [json.loads(line)["signatures"][0]["keyid"] for line in lines] == [
        shell.json("attest", "inner", "--key", keys / f"{name}.pem")["key_id"] for name in ("ours", "theirs")
    ]
    for name in ("ours", "theirs"):
        words = ("verify", "inner", "--key", keys / f"{name}.pub.pem", "--attestation", file)
        assert shell.json(*words)["checked"]["attestations"] == 2
    shell.refused(2, "attest", "inner", "--append", "--key", keys / "ours.pem")
    shell.refused(2, "attest", "inner", "--append", "--unsigned", "-o", file)


def test_what_others_wrote_into_a_file_stays_when_a_signature_is_added(shell, keys, envelope, tmp_path):
    file = tmp_path / "statements"
    file.write_text(json.dumps({**envelope, "note": "kept"}, indent=2))  # one document, on many lines
    shell.text("attest", "inner", "--key", keys / "theirs.pem", "-o", file, "--append")
    first, second = map(json.loads, file.read_text().splitlines())
    assert (first, second["signatures"][0]["sig"] != first["signatures"][0]["sig"]) == (
        {**envelope, "note": "kept"},
        True,
    )


def test_what_holds_no_signatures_is_not_added_to(filled, shell, keys, tmp_path):
    made = filled[0].materialize("tiny + 0.375*math", output=tmp_path / "made", wait=False)
    watched = Shell(shell.home, tmp_path)
    add = ("attest", made.output_digest, "--key", keys / "ours.pem", "--append", "-o")
    for name in ("README.md", "mergestore.json", "config.json", "model.safetensors"):
        watched.refused(5, *add, tmp_path / "made" / name)
    (tmp_path / "half").write_text('{"payload": "')
    watched.refused(5, *add, tmp_path / "half")
    with mergestore.open(shell.home) as store:
        assert store.audit(made.output_digest).attestations == []


def test_a_statement_is_not_put_into_another_model_s_folder(filled, shell, keys, tmp_path):
    """A name means what was made last, which need not be the folder at hand."""
    store, _ = filled
    for name in ("first", "second"):
        store.materialize("inner", output=tmp_path / name, wait=False)
    watched = Shell(shell.home, tmp_path)
    key = ("--key", keys / "ours.pem")
    (tmp_path / "first" / "notes").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "first")
    for place in ("first", "first/notes", "link"):
        for more in ((), ("--append",)):
            error = watched.refused(
                2, "attest", "inner", *key, "-o", tmp_path / place / "mergestore.intoto.jsonl", *more
            )
            assert (
                f"lies in another published folder than the one that inner means, {tmp_path / 'second'}"
                in error["message"]
            )
            assert f"mergestore attest {tmp_path / 'first'}" in error["hint"]
    for target, place in (("inner", "second"), (tmp_path / "first", "first"), (tmp_path / "link", "first")):
        file = tmp_path / place / "mergestore.intoto.jsonl"
        watched.text("attest", target, *key, "-o", file)
        watched.text("verify", tmp_path / place, "--key", keys / "ours.pub.pem", "--attestation", file)


def test_an_encrypted_key_has_its_password_from_a_file_or_the_environment(shell, keys, tmp_path, monkeypatch):
    locked, password = tmp_path / "locked.pem", tmp_path / "password"
    subprocess.run(
        ["openssl", "pkcs8", "-topk8", "-in", keys / "ours.pem", "-out", locked, "-passout", "pass:geheim"], check=True
    )
    locked.chmod(0o600)
    password.write_text("geheim\nnot this\n")
    words = ("attest", "outer", "--key", locked)
    monkeypatch.setattr("sys.stdin", io.StringIO())
    assert "nobody is here to be asked" in shell.refused(2, *words)["message"]
    assert shell.json(*words, "--password-file", password)["created"] is False
    monkeypatch.setenv("MERGESTORE_KEY_PASSWORD", "geheim")
    assert shell.json(*words)["created"] is False
    monkeypatch.setenv("MERGESTORE_KEY_PASSWORD", "falsch")
    error = shell.refused(2, *words)
    assert "cannot be opened with this password" in error["message"]
    assert "--password-file FILE" in error["hint"]
    shell.refused(2, *words, "--password-file", tmp_path / "nowhere")


def test_what_was_not_made_here_is_not_attested(filled, shell, keys, tmp_path):
    store, folder = filled
    key = ("--key", keys / "ours.pem")
    assert "is a skill" in shell.refused(2, "attest", "math", *key)["message"]
    assert "is a base" in shell.refused(2, "attest", "tiny@1", *key)["message"]
    shell.refused(3, "attest", "nobody", *key)
    shell.refused(3, "attest", "blake3:" + "0" * 64, *key)
    shell.refused(2, "attest", folder / "tiny", *key)  # a folder, but not a published one
    shell.refused(2, "attest", "outer")
    shell.refused(2, "attest", "outer", "--unsigned", *key)
    shell.refused(2, "attest", "outer", "--key", keys / "ours.pub.pem")
    shell.refused(2, "attest", "outer", *key, "-o", tmp_path)
    shell.refused(2, "attest", "outer", *key, "-o", tmp_path / "no" / "where")
    store.merge("idle", "tiny + 0.1*math")
    assert "was never materialized" in shell.refused(3, "attest", "idle", *key)["message"]
    store.materialize("idle", output=tmp_path / "idle", wait=False)
    assert shell.json("attest", "idle", *key)["path"] == str(tmp_path / "idle")
    shutil.rmtree(tmp_path / "idle")
    assert "lies nowhere any more" in shell.refused(3, "attest", "idle", *key)["message"]
    other = Shell(tmp_path / "other")
    other.text("init")
    assert "this store has not made" in other.refused(3, "attest", folder / "outer", *key)["message"]


@pytest.mark.parametrize("file", ["config.json", "*.safetensors", "mergestore.json"])
def test_what_was_changed_is_not_signed(shell, keys, copy, file):
    flip(sorted(copy.glob(file))[0])
    shell.refused(6, "attest", copy, "--key", keys / "ours.pem")


def test_weights_changed_together_with_the_manifest_are_not_signed(shell, keys, copy):
    """As by somebody who knows what a manifest is: it fits the files, but not what was made."""
    weights = sorted(copy.glob("*.safetensors"))[0]
    flip(weights)
    document = json.loads((copy / "mergestore.json").read_text())
    document["files"][weights.name]["sha256"] = "sha256:" + sha256(weights)
    document["digest"] = manifest_digest(document)
    (copy / "mergestore.json").write_text(json.dumps(document))
    assert (
        "is not what this store published: files."
        in shell.refused(6, "attest", copy, "--key", keys / "ours.pem")["message"]
    )


def test_what_is_out_of_use_is_told(surroundings, keys, tmp_path):
    save(tmp_path / "tiny", BASE, LLAMA_CONFIG)
    save(tmp_path / "math", fine_tune(BASE, 1), LLAMA_CONFIG)
    with mergestore.open(tmp_path / "store", actor="ann@lab") as store:
        store.register_base("tiny", tmp_path / "tiny")
        store.register_skill("math", tmp_path / "math", base="tiny")
        made = store.materialize("tiny + 0.5*math", wait=False)
        store.yank("math@1", "wrong data")
        told = store.attest(made.output_digest, key=keys / "ours.pem")
    assert told.notes == ["math@1 is yanked: wrong data"]
    assert told.statement["predicate"]["buildDefinition"]["externalParameters"]["merge"] is None


def test_without_the_library_it_is_told_what_to_install(shell, keys, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "cryptography.exceptions", None)
    for words in (("attest", "outer", "--key", keys / "ours.pem"), ("verify", "outer", "--key", keys / "ours.pub.pem")):
        error = shell.refused(7, *words)
        assert "pip install 'mergestore[sign]'" in error["hint"]
    assert json.loads(shell.text("attest", "outer", "--unsigned"))
