"""Envelopes and keys: known answers, every way a key can be wrong, and what no envelope is."""

import base64
import json
import subprocess

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import given
from hypothesis import strategies as st

from registry.evidence.envelope import pae, parse_envelope, read_envelopes, sign
from registry.evidence.keys import read_signer, read_verifier
from storage.errors import InputRefused, UsageError

SEED = bytes(range(32))
KEY = ed25519.Ed25519PrivateKey.from_private_bytes(SEED)


def private_pem(key=KEY, password=None, form=PrivateFormat.PKCS8):
    return key.private_bytes(Encoding.PEM, form, BestAvailableEncryption(password) if password else NoEncryption())


def public_pem(key=KEY):
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


@pytest.fixture
def key(tmp_path):
    path = tmp_path / "key.pem"
    path.write_bytes(private_pem())
    path.chmod(0o600)
    return path


@pytest.fixture
def public(tmp_path):
    path = tmp_path / "public.pem"
    path.write_bytes(public_pem())
    return path


@pytest.mark.parametrize(
    ("kind", "payload", "encoded"),
    [  # the first is the example of the specification's protocol.md
        ("http://example.com/HelloWorld", b"hello world", b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"),
        ("", b"", b"DSSEv1 0  0 "),
        ("é", "日本".encode(), "DSSEv1 2 é 6 日本".encode()),
        ("a 1", b"b", b"DSSEv1 3 a 1 1 b"),
    ],
)
def test_the_encoding_that_is_signed(kind, payload, encoded):
    assert pae(kind, payload) == encoded


@given(st.tuples(st.text(max_size=8), st.binary(max_size=8)), st.tuples(st.text(max_size=8), st.binary(max_size=8)))
def test_no_two_contents_are_signed_as_one(one, other):
    assert (pae(*one) == pae(*other)) == (one == other)


def test_a_signature_is_the_same_every_time_and_that_of_the_rfc(key, public):
    signed = sign("t", b"payload", read_signer(key))
    assert sign("t", b"payload", read_signer(key)) == signed
    ((id_, signature),) = signed.signatures
    assert signature == KEY.sign(b"DSSEv1 1 t 7 payload")
    assert id_ == read_verifier(public).id
    assert signed.is_signed_by(read_verifier(public))
    assert json.loads(signed.to_bytes()) == {
        "payload": base64.b64encode(b"payload").decode(),
        "payloadType": "t",
        "signatures": [{"keyid": id_, "sig": base64.b64encode(signature).decode()}],
    }


def test_a_key_s_id_is_the_sha256_of_its_public_half_in_der(key, tmp_path):
    der = tmp_path / "public.der"
    subprocess.run(["openssl", "pkey", "-in", key, "-pubout", "-outform", "DER", "-out", der], check=True)
    digest = subprocess.run(["sha256sum", der], check=True, capture_output=True, text=True).stdout.split()[0]
    assert read_signer(key).id == f"sha256:{digest}"


def test_openssl_makes_keys_and_verifies_with_them(tmp_path):
    private, public = tmp_path / "key.pem", tmp_path / "public.pem"
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", private], check=True)
    subprocess.run(["openssl", "pkey", "-in", private, "-pubout", "-out", public], check=True)
    envelope = sign("application/x", b"content", read_signer(private))
    assert envelope.is_signed_by(read_verifier(public))
    message, signature = tmp_path / "message", tmp_path / "signature"
    message.write_bytes(b"DSSEv1 13 application/x 7 content")
    signature.write_bytes(base64.b64decode(envelope.to_dict()["signatures"][0]["sig"]))
    verify = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", public, "-rawin", "-in", message]
    subprocess.run([*verify, "-sigfile", signature], check=True, capture_output=True)


def test_an_encrypted_key_asks_for_its_password_and_another_does_not(tmp_path, key):
    locked = tmp_path / "locked.pem"
    locked.write_bytes(private_pem(password="päss".encode()))
    assert read_signer(locked, lambda: "päss").id == read_signer(key, lambda: 1 / 0).id
    for password in (None, lambda: "wrong", lambda: ""):
        with pytest.raises(UsageError, match=r"encrypted|password"):
            read_signer(locked, password)


def test_a_key_that_others_may_read_is_told(key):
    assert read_signer(key).notes == ()
    key.chmod(0o644)
    assert "chmod 600" in read_signer(key).notes[0]


NO_SIGNER = {
    "a public key": public_pem(),
    "RSA": private_pem(rsa.generate_private_key(65537, 2048)),
    "a curve's": private_pem(ec.generate_private_key(ec.SECP256R1())),
    "OpenSSH's": private_pem(form=PrivateFormat.OpenSSH),
    "cut": private_pem()[:-40] + b"\n-----END PRIVATE KEY-----\n",
    "nothing": b"",
    "text": b"my key",
    "large": b"-----BEGIN PRIVATE KEY-----\n" + b"A" * (1 << 16),
}
NO_VERIFIER = {
    "a private key": private_pem(),
    "an encrypted private key": private_pem(password=b"x"),
    "RSA": public_pem(rsa.generate_private_key(65537, 2048)),
    "a curve's": public_pem(ec.generate_private_key(ec.SECP256R1())),
    "OpenSSH's": KEY.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH),
    "nothing": b"",
    "text": b"my key",
}


@pytest.mark.parametrize(
    ("read", "kind"), [*((read_signer, k) for k in NO_SIGNER), *((read_verifier, k) for k in NO_VERIFIER)]
)
def test_what_is_no_such_key_is_refused(tmp_path, read, kind):
    path = tmp_path / "key.pem"
    path.write_bytes((NO_SIGNER if read is read_signer else NO_VERIFIER)[kind])
    with pytest.raises(UsageError, match="key") as refused:
        read(path)
    assert refused.value.hint
    assert str(path) in refused.value.message


def test_a_key_that_is_not_there_is_refused(tmp_path):
    for read in (read_signer, read_verifier):
        with pytest.raises(UsageError, match="cannot read the key"):
            read(tmp_path / "nowhere.pem")
        with pytest.raises(UsageError, match="cannot read the key"):
            read(tmp_path)


GOOD = sign("t", b"\xfb\xff\xfe payload", type("Signer", (), {"id": "k", "sign": staticmethod(KEY.sign)})).to_dict()


def test_both_alphabets_of_base64_are_read(public):
    urls = {**GOOD, "payload": GOOD["payload"].translate(str.maketrans("+/", "-_"))}
    assert urls != GOOD
    for document in (GOOD, urls):
        assert parse_envelope(document, "x").is_signed_by(read_verifier(public))


@pytest.mark.parametrize("part", ["payload", "payloadType", "sig"])
def test_a_changed_envelope_is_signed_by_nobody(public, part):
    changed = json.loads(json.dumps(GOOD))
    inner = changed["signatures"][0] if part == "sig" else changed
    inner[part] = "t2" if part == "payloadType" else base64.b64encode(b"x" + base64.b64decode(inner[part])).decode()
    assert not parse_envelope(changed, "x").is_signed_by(read_verifier(public))


def test_the_id_that_a_signature_claims_is_not_believed(public):
    claimed = {**GOOD, "signatures": [{"keyid": "somebody", "sig": GOOD["signatures"][0]["sig"]}]}
    nameless = {**GOOD, "signatures": [{"sig": "AAAA"}, {"sig": GOOD["signatures"][0]["sig"]}]}
    for document in (claimed, nameless):
        assert parse_envelope(document, "x").is_signed_by(read_verifier(public))
    assert parse_envelope(nameless, "x").to_dict() == nameless


@pytest.mark.parametrize(
    "document",
    [
        *([], "x", 1, None, {}),
        *({key: value for key, value in GOOD.items() if key != missing} for missing in GOOD),
        *({**GOOD, name: value} for name in GOOD for value in (None, 1, [1], {"a": 1}, "not base64 \ud800")),
        {**GOOD, "signatures": [{"keyid": 1, "sig": "AAAA"}]},
        {**GOOD, "signatures": [{"sig": "%%%"}]},
        {**GOOD, "payload": "AAAAA"},
    ],
)
def test_what_is_no_envelope_is_refused(document):
    with pytest.raises(InputRefused, match="no signed envelope"):
        parse_envelope(document, "x")


def test_a_file_holds_one_document_or_one_on_each_line(tmp_path):
    path = tmp_path / "file"
    path.write_text(json.dumps(GOOD, indent=2))
    assert len(read_envelopes(path)) == 1
    path.write_text(json.dumps(GOOD) + "\n\n" + json.dumps(GOOD) + "\n")
    assert len(read_envelopes(path)) == 2
    path.write_text(json.dumps(GOOD) + "\n{\n")
    with pytest.raises(InputRefused, match="line 2"):
        read_envelopes(path)
    path.write_bytes(b"[" * 100_000)
    with pytest.raises(InputRefused):
        read_envelopes(path)
    with pytest.raises(UsageError, match="cannot read"):
        read_envelopes(tmp_path)
