"""Files that are replaced or written to between two readings: never another model under the first one's header."""

import os

import pytest

import mergestore
from registry.registering import register_base
from storage.checkpoints.adapter import open_adapter
from storage.checkpoints.checkpoint import open_checkpoint
from storage.errors import InputRefused
from tests.integration.models import LLAMA_CONFIG, factors, fine_tune, llama, save, save_adapter

pytestmark = pytest.mark.usefixtures("surroundings")


def replace_by(other, path):
    (other / path.name).replace(path)


def write_into(other, path):
    content = bytearray((other / path.name).read_bytes())
    path.write_bytes(content.ljust(path.stat().st_size, b"\0")[: path.stat().st_size])
    os.utime(path, ns=(0, 0))  # however coarse the clock of the filesystem is


@pytest.mark.parametrize("change", [replace_by, write_into])
def test_a_shard_that_changes_before_it_is_copied(tmp_path, monkeypatch, change):
    base = save(tmp_path / "base", llama("BF16"), LLAMA_CONFIG, shards=2)
    other = save(tmp_path / "other", llama("F32", seed=9), LLAMA_CONFIG, shards=2)
    copy = register_base.copy_hashed

    def copy_late(source, *given, **options):
        if source.name.startswith("model-00002"):
            change(other, source)
        return copy(source, *given, **options)

    monkeypatch.setattr(register_base, "copy_hashed", copy_late)
    with mergestore.open(tmp_path / "store") as store:
        with pytest.raises(InputRefused, match=r"model-00002-of-00002\.safetensors: was replaced or written to"):
            store.register_base("base", base)
        assert store.list().bases == []
    kept = [path for folder in ("objects", "tmp") for path in (tmp_path / "store" / folder).rglob("*")]
    assert [path for path in kept if path.is_file()] == []


@pytest.mark.parametrize("change", [replace_by, write_into])
def test_a_fine_tune_that_changes_before_it_is_read(tmp_path, change):
    tuned = save(tmp_path / "tuned", fine_tune(llama("BF16"), 1), LLAMA_CONFIG)
    other = save(tmp_path / "other", llama("F32", seed=9), LLAMA_CONFIG)
    source = open_checkpoint(tuned).source
    change(other, tuned / "model.safetensors")
    name, entry = next(iter(source.entries.items()))
    with pytest.raises(InputRefused, match=r"model\.safetensors: was replaced or written to"):
        source.read_into(name, 0, memoryview(bytearray(entry.nbytes)))
    source.close()


def test_an_adapter_that_changes_before_it_is_read(tmp_path):
    names = ["model.layers.0.self_attn.q_proj.weight"]
    first, other = (save_adapter(tmp_path / dtype, factors(llama(), names, dtype=dtype)) for dtype in ("F32", "BF16"))
    opened = open_adapter(first)
    replace_by(other, first / "adapter_model.safetensors")
    name, entry = next(iter(opened.source.entries.items()))
    with pytest.raises(InputRefused, match=r"adapter_model\.safetensors: was replaced"):
        opened.source.read_into(name, 0, memoryview(bytearray(entry.nbytes)))
    opened.close()
