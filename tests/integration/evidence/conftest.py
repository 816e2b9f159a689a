"""Keys made by openssl, and a store with a merge of a merge, one of whose models came from the Hub."""

import subprocess

import pytest

import mergestore
from tests.integration.models import LLAMA_CONFIG, fine_tune, llama, save
from tests.integration.shell import Shell

BASE = llama("F32", seed=1)


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    """Files ``ours.pem``, ``theirs.pem``, and their public halves."""
    folder = tmp_path_factory.mktemp("keys")
    for name in ("ours", "theirs"):
        subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", folder / f"{name}.pem"], check=True)
        public = folder / f"{name}.pub.pem"
        subprocess.run(["openssl", "pkey", "-in", folder / f"{name}.pem", "-pubout", "-out", public], check=True)
        (folder / f"{name}.pem").chmod(0o600)
    return folder


@pytest.fixture(scope="module")
def filled(surroundings, tmp_path_factory):
    """(store, folder): ``outer`` is merged of ``chat`` and of what ``inner`` made, published in many shards."""
    folder = tmp_path_factory.mktemp("evidence")
    save(folder / "tiny", BASE, LLAMA_CONFIG, files={"tokenizer.json": "{}"})
    for number, name in enumerate(("math", "code", "chat")):
        save(folder / name, fine_tune(BASE, number + 1), LLAMA_CONFIG)
    with mergestore.open(folder / "store", actor="ann@lab") as store:
        locate = store.locate
        store.locate = lambda source: (  # type: ignore[method-assign]
            (folder / "tiny", "hf:lab/tiny@" + "0a" * 20) if str(source) == "hf:lab/tiny" else locate(source)
        )
        store.register_base("tiny", "hf:lab/tiny", licence="MIT")
        store.register_skill("math", folder / "math", base="tiny")
        store.register_skill("code", folder / "code", base="tiny", encoding="exact", licence="Apache-2.0")
        store.register_skill("chat", folder / "chat", base="tiny", encoding="sign")
        store.merge("inner", "tiny + 0.6*math + 0.4*code")
        store.materialize("inner", output=folder / "inner", wait=False)
        store.register_skill("both", folder / "inner", base="tiny", encoding="exact")
        store.merge("outer", "tiny + 0.5*both + 0.5*chat")
        store.materialize("outer", output=folder / "outer", shard_size=6000, wait=False)
        yield store, folder


@pytest.fixture
def shell(filled):
    return Shell(filled[1] / "store")
