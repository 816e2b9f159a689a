"""Files that lie, are cut short, lead astray or hold code: refused by name, and never run."""

import json
import os
import pickle

import numpy as np
import pytest

from tests.integration.bad_input.refusal import BASE, skill
from tests.integration.models import (
    LLAMA_CONFIG,
    QUERY,
    Tensor,
    factors,
    file_bytes,
    fine_tune,
    floats,
    save,
    save_adapter,
    write_file,
)

pytestmark = pytest.mark.usefixtures("surroundings")
SOUND = file_bytes({"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}, bytes(8))


def _header(**entry):
    return file_bytes({"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8], **entry}}, bytes(8))


def _two(first, second, size=16):
    tensors = {name: {"dtype": "F32", "shape": [2], "data_offsets": at} for name, at in (("a", first), ("b", second))}
    return file_bytes(tensors, bytes(size))


HOSTILE = {
    "empty": (b"", "too short"),
    "huge header": ((1 << 62).to_bytes(8, "little") + b"{}", "the header claims"),
    "header beyond the file": ((500).to_bytes(8, "little") + b"{}", "truncated"),
    "no JSON": (file_bytes(b"{nonsense"), "not valid JSON"),
    "no object": (file_bytes(b"[1, 2]"), "does not start with '{'"),
    "nested without end": (file_bytes(b'{"a":' * 20000), "nested too deeply"),
    "truncated": (SOUND[:-3], "truncated"),
    "trailing": (SOUND + b"more", "4 bytes after the last tensor belong to none"),
    "overlap": (_two([0, 8], [4, 12], 12), "'b' overlaps the one before it"),
    "hole": (_two([0, 8], [12, 20], 20), "'b' leaves a hole"),
    "lying dtype": (_header(dtype="F16"), "F16 of shape [2] takes 4 bytes, the offsets give it 8"),
    "lying shape": (_header(shape=[3]), "takes 12 bytes"),
    "overflowing shape": (_header(shape=[2**62, 8]), "overflows"),
    "negative shape": (_header(shape=[-2, -1]), "shape must be"),
    "backward offsets": (_header(data_offsets=[8, 0]), "data_offsets must be"),
    "unknown dtype": (_header(dtype="F4"), "unknown dtype 'F4'"),
    "no dtype": (file_bytes({"w": {"shape": [2], "data_offsets": [0, 8]}}, bytes(8)), "expected exactly dtype"),
    "a name twice": (file_bytes(b'{"w":{},"w":{}}'), "'w' is given twice"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_safetensors(shell, tmp_path, case):
    content, fault = HOSTILE[case]
    folder = tmp_path / "x"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(content)
    for found in (skill(shell, folder), shell.refused(5, "register", "base", "bad", folder)):
        assert found["message"].startswith(f"{folder / 'model.safetensors'}: ")
        assert fault in found["message"]
    adapter = save_adapter(tmp_path / "y", {})
    (adapter / "adapter_model.safetensors").write_bytes(content)
    found = skill(shell, adapter)
    assert found["message"].startswith(f"{adapter / 'adapter_model.safetensors'}: ")
    assert fault in found["message"]


def test_a_checkpoint_cut_anywhere(shell, tmp_path):
    folder = save(tmp_path / "x", fine_tune(BASE, 1))
    whole_file = (folder / "model.safetensors").read_bytes()
    for end in np.random.default_rng(0).integers(0, len(whole_file), 8):
        (folder / "model.safetensors").write_bytes(whole_file[:end])
        skill(shell, folder)


def test_an_index_that_names_a_missing_shard(shell, tmp_path):
    folder = save(tmp_path / "x", fine_tune(BASE, 1), LLAMA_CONFIG, shards=3)
    (folder / "model-00002-of-00003.safetensors").unlink()
    for found in (skill(shell, folder), shell.refused(5, "register", "base", "bad", folder)):
        assert "the shard 'model-00002-of-00003.safetensors'" in found["message"]
        assert "is missing" in found["message"]
        assert "download" in found["hint"]


def test_an_index_that_leads_out_of_its_folder(shell, tmp_path):
    folder = save(tmp_path / "x", fine_tune(BASE, 1), shards=2)
    index = folder / "model.safetensors.index.json"
    document = json.loads(index.read_text())
    document["weight_map"][QUERY] = "../secret.safetensors"
    index.write_text(json.dumps(document))
    write_file(tmp_path / "secret.safetensors", {QUERY: BASE[QUERY]})
    assert "'../secret.safetensors' leads out of the model's folder" in skill(shell, folder)["message"]


def test_shards_that_are_not_what_their_index_says(shell, tmp_path):
    folder = save(tmp_path / "x", fine_tune(BASE, 1), shards=2)
    write_file(folder / "model-00002-of-00002.safetensors", {"stranger": floats([1.0])})
    found = skill(shell, folder)
    assert "not in the shard that the index names" in found["message"]


class _Code:
    """Pickles into a call that leaves a mark."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (str(self.mark),)


def test_a_pickle_with_code_is_never_run(shell, tmp_path):
    import torch

    mark, folder = tmp_path / "ran", tmp_path / "x"
    folder.mkdir()
    weights = {"w": torch.zeros(2), "code": _Code(mark)}
    torch.save(weights, folder / "zipped.bin")
    (folder / "bare.bin").write_bytes(pickle.dumps(weights["code"]))
    adapter = save_adapter(tmp_path / "y", {})
    (adapter / "adapter_model.safetensors").unlink()
    for name in ("zipped.bin", "bare.bin"):
        content = (folder / name).read_bytes()
        (folder / "pytorch_model.bin").write_bytes(content)
        (adapter / "adapter_model.bin").write_bytes(content)
        for found in (
            skill(shell, folder),
            shell.refused(5, "register", "base", "bad", folder),
            shell.refused(5, "register", "base", "bad", folder / "pytorch_model.bin"),
            skill(shell, adapter),
        ):
            assert ".bin" in found["message"]
            assert found["hint"]
        assert not mark.exists()
    pickle.loads((folder / "bare.bin").read_bytes())
    assert mark.exists(), "the pickle was harmless, so the test proved nothing"


def test_an_unknown_dtype_in_a_pickle(shell, tmp_path):
    import torch

    (tmp_path / "x").mkdir()
    torch.save({"w": torch.zeros(2, dtype=torch.complex128)}, tmp_path / "x" / "pytorch_model.bin")
    found = shell.refused(5, "register", "base", "bad", tmp_path / "x")
    assert "tensor 'w': unknown dtype torch.complex128" in found["message"]


def test_a_dtype_that_does_not_stand_for_the_bases(shell, tmp_path):
    wide = Tensor("F64", (16, 16), bytes(8 * 256))
    found = skill(shell, save(tmp_path / "x", {**fine_tune(BASE, 1), QUERY: wide}))
    assert f"'{QUERY}' is F32 in the base and F64 here" in found["message"]


def test_adapters_that_are_not_supported_are_named(shell, tmp_path):
    tensors = factors(BASE, [QUERY])
    assert "DoRA" in skill(shell, save_adapter(tmp_path / "a", tensors, use_dora=True))["message"]
    assert "'IA3'" in skill(shell, save_adapter(tmp_path / "b", tensors, peft_type="IA3"))["message"]
    assert "do not have the rank 8" in skill(shell, save_adapter(tmp_path / "c", tensors, rank=8))["message"]
    lonely = {name: tensor for name, tensor in tensors.items() if "lora_A" in name}
    assert "has a factor A but no B" in skill(shell, save_adapter(tmp_path / "d", lonely))["message"]
