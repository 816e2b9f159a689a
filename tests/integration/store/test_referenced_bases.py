"""Bases that stay where they are: read there, and refused once they have changed."""

import shutil
from pathlib import Path

import pytest

from mergestore import IntegrityFailure
from tests.integration.models import LLAMA_CONFIG, fine_tune, llama, read_model, save
from tests.integration.shell import listing
from tests.integration.store.base import BASE

pytestmark = pytest.mark.usefixtures("surroundings")


def test_a_referenced_base_stays_where_it_is(store, models, tmp_path):
    folder = save(tmp_path / "big", BASE, LLAMA_CONFIG, shards=2, files={"tokenizer.json": "{}"})
    made = store.register_base("tiny", folder, reference=True)
    assert made.referenced is True
    assert sum(listing(store.home.root / "objects").values()) < 2000  # the companions alone
    store.register_skill("code", models / "ft2", base="tiny", encoding="exact")
    assert read_model(Path(store.materialize("tiny + code", wait=False).path)) == fine_tune(BASE, 2)
    ingested = store.register_base("copied", models / "tiny")
    assert ingested.digest == made.digest


@pytest.mark.parametrize("change", ["edited", "shortened", "gone", "another model"])
def test_a_referenced_base_that_changed_is_refused(store, models, tmp_path, change):
    folder = save(tmp_path / "big", BASE, LLAMA_CONFIG)
    store.register_base("tiny", folder, reference=True)
    store.register_skill("code", models / "ft2", base="tiny", encoding="exact")
    weights, content = folder / "model.safetensors", (folder / "model.safetensors").read_bytes()
    match change:
        case "edited":
            weights.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        case "shortened":
            weights.write_bytes(content[:-4])
        case "gone":
            weights.unlink()
        case "another model":
            save(folder, llama(seed=5), LLAMA_CONFIG)
    last = list(BASE)[-1]
    for call in (
        lambda: store.materialize("tiny + code", output=tmp_path / "out", wait=False),
        lambda: store.load("tiny + code"),
        lambda: store.register_skill("new", models / "ft3", base="tiny"),
    ):
        with pytest.raises(IntegrityFailure) as caught:
            call()
        assert "tensor" in caught.value.message
        assert "verify" in caught.value.hint
    assert not (tmp_path / "out").exists()
    verified = store.verify()
    assert not verified.ok
    assert any(repr(last) in problem["what"] or str(weights) in problem["what"] for problem in verified.problems)
    hints = {problem["hint"] for problem in [*verified.problems, *store.check_store(read_data=True).problems]}
    assert hints <= {"restore the file where it was, or register the base again from where it is now"}
    weights.write_bytes(content)
    assert store.verify().ok
    assert store.materialize("tiny + code", wait=False).cached is False


def test_a_referenced_base_that_was_moved_is_registered_again(store, models, tmp_path):
    store.register_base("tiny", shutil.copytree(models / "tiny", tmp_path / "old"), reference=True)
    store.register_skill("code", models / "ft2", base="tiny", encoding="exact")
    shutil.move(tmp_path / "old", tmp_path / "new")
    with pytest.raises(IntegrityFailure, match="old"):
        store.load("tiny + code")
    again = store.register_base("tiny", tmp_path / "new", reference=True)
    assert (again.version, again.created) == (2, True)
    assert read_model(Path(store.materialize("tiny + code", wait=False).path)) == fine_tune(BASE, 2)
    assert store.register_base("tiny", tmp_path / "new", reference=True).created is False
