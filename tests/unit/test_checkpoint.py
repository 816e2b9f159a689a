"""Checkpoints in every layout that Hugging Face writes, read byte for byte, and the broken ones refused by name."""

import os
import threading

import pytest
import torch
from safetensors.torch import save_file

from storage.checkpoints.checkpoint import SafetensorsSource, TensorEntry, TensorSource, open_checkpoint
from storage.errors import InputRefused
from tests.unit.saved_checkpoints import TENSORS, check, raw, read, shards


def test_single_safetensors(tmp_path):
    save_file(TENSORS, tmp_path / "model.safetensors")
    checkpoint = open_checkpoint(tmp_path)
    assert (checkpoint.format, checkpoint.root, checkpoint.config) == ("safetensors", tmp_path, None)
    dtypes = {name: entry.dtype for name, entry in checkpoint.source.entries.items()}
    assert dtypes == {"embed.weight": "F32", "norm.weight": "BF16", "step": "I64", "empty": "F16", "mask": "BOOL"}
    check(checkpoint)


def test_sharded_safetensors(tmp_path):
    shards(tmp_path)
    checkpoint = open_checkpoint(tmp_path)
    assert [path.name for path in checkpoint.files] == [f"model-0000{i}-of-00002.safetensors" for i in (1, 2)]
    check(checkpoint)


def test_safetensors_are_preferred(tmp_path):
    torch.save({"old": torch.ones(1)}, tmp_path / "pytorch_model.bin")
    shards(tmp_path)
    check(open_checkpoint(tmp_path))


def test_one_file_of_any_name(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    save_file(TENSORS, tmp_path / "ours.safetensors")
    torch.save(TENSORS, tmp_path / "ours.bin")
    for name in ("ours.safetensors", "ours.bin"):
        checkpoint = open_checkpoint(tmp_path / name)
        assert (checkpoint.config, checkpoint.companions) == (None, ())
        check(checkpoint)


def test_the_standard_file_stands_for_its_folder(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    (tmp_path / "modules.json").write_text("[]")
    (tmp_path / "2_Dense").mkdir()
    save_file({"linear.weight": torch.ones(1)}, tmp_path / "2_Dense" / "model.safetensors")
    save_file(TENSORS, tmp_path / "model.safetensors")
    checkpoint = open_checkpoint(tmp_path / "model.safetensors")
    assert checkpoint.config == {"model_type": "bert"}
    assert [path.as_posix() for path in checkpoint.companions] == ["config.json"]
    check(checkpoint)
    with pytest.raises(InputRefused, match="'2_Dense' has weights of its own") as caught:
        open_checkpoint(tmp_path)
    assert str(tmp_path / "model.safetensors") in caught.value.hint


KEPT = (
    "1_Pooling/config.json",
    "LICENSE",
    "LICENSE.txt",
    "added_tokens.json",
    "additional_chat_templates/tool.jinja",
    "chat_template.jinja",
    "config.json",
    "config_sentence_transformers.json",
    "generation_config.json",
    "merges.txt",
    "modules.json",
    "preprocessor_config.json",
    "processor_config.json",
    "qwen.tiktoken",
    "sentence_bert_config.json",
    "special_tokens_map.json",
    "spiece.model",
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "vocab.json",
    "vocab.txt",
)


LEFT = (
    "README.md",
    "flax_model.msgpack",
    "model.ckpt",
    "model.gguf",
    "model.onnx",
    "model.safetensors.bak",
    "modeling_x.py",
    "onnx/config.json",
    "optimizer.pt",
    "pytorch_model.bin",
    "rng_state.pth",
    "rust_model.ot",
    "scheduler.pt",
    "tf_model.h5",
    "tokenizer.bin",
    "trainer_state.json",
    "training_args.bin",
)


def test_companions(tmp_path):
    for name in KEPT + LEFT:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("{}")
    save_file(TENSORS, tmp_path / "model.safetensors")
    checkpoint = open_checkpoint(tmp_path)
    assert [path.as_posix() for path in checkpoint.companions] == list(KEPT)
    (tmp_path / "config.json").write_text('{"auto_map": {"AutoModel": "modeling_x.X"}}')
    assert {path.as_posix() for path in open_checkpoint(tmp_path).companions} == {*KEPT, "modeling_x.py"}


def test_symlinks_as_in_the_hub_cache(tmp_path):
    blobs, snapshot = tmp_path / "blobs", tmp_path / "snapshots" / "abc"
    blobs.mkdir()
    snapshot.mkdir(parents=True)
    shards(blobs)
    (blobs / "config.json").write_text('{"a": 1}')
    for file in blobs.iterdir():
        (snapshot / file.name).symlink_to(f"../../blobs/{file.name}")
    checkpoint = open_checkpoint(snapshot)
    assert checkpoint.config == {"a": 1}
    assert [path.name for path in checkpoint.companions] == ["config.json"]
    check(checkpoint)


@pytest.mark.parametrize("content", ["[]", "{", "1", '{"a":' * 100_000, "\xff"])
def test_malformed_config(tmp_path, content):
    (tmp_path / "config.json").write_text(content, encoding="latin-1")
    save_file(TENSORS, tmp_path / "model.safetensors")
    with pytest.raises(InputRefused, match=r"config\.json"):
        open_checkpoint(tmp_path)


def test_missing_path_and_nothing_found(tmp_path):
    with pytest.raises(InputRefused, match="no such file or directory"):
        open_checkpoint(tmp_path / "absent")
    with pytest.raises(InputRefused, match=r"looked for model\.safetensors, .*pytorch_model\.bin") as caught:
        open_checkpoint(tmp_path)
    assert "save_pretrained" in caught.value.hint
    (tmp_path / "0_Transformer").mkdir()
    save_file(TENSORS, tmp_path / "0_Transformer" / "model.safetensors")
    with pytest.raises(InputRefused) as caught:
        open_checkpoint(tmp_path)
    assert "0_Transformer/model.safetensors" in caught.value.hint


def test_adapter_and_other_files_are_told_apart(tmp_path):
    (tmp_path / "adapter_config.json").write_text("{}")
    with pytest.raises(InputRefused, match="PEFT adapter"):
        open_checkpoint(tmp_path)
    with pytest.raises(InputRefused, match=r"not a \.safetensors or \.bin"):
        open_checkpoint(tmp_path / "adapter_config.json")
    shards(tmp_path)
    with pytest.raises(InputRefused, match="one shard"):
        open_checkpoint(tmp_path / "model-00001-of-00002.safetensors")
    save_file({}, tmp_path / "none.safetensors")
    with pytest.raises(InputRefused, match="no tensors"):
        open_checkpoint(tmp_path / "none.safetensors")


SECOND = "model-00002-of-00002.safetensors"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            lambda m: {"weight_map": {**m, "more": "model-00003-of-00003.safetensors"}},
            ["model-00003", "'more'", "missing"],
        ),
        (lambda m: {"weight_map": {**m, "ghost": SECOND}}, ["not in the shard", "ghost", SECOND]),
        (lambda m: {"weight_map": {**m, "embed.weight": SECOND}}, ["not in the shard", "embed.weight"]),
        (lambda m: {"weight_map": {k: v for k, v in m.items() if k != "step"}}, ["not listed", "step"]),
        (lambda m: {"weight_map": {**m, "x": "../x"}}, ["'../x'", "out of the model's folder"]),
        (lambda m: {"weight_map": {**m, "x": "/etc/passwd"}}, ["'/etc/passwd'", "out of"]),
        (lambda m: {"weight_map": {**m, "x": ".."}}, ["'..'", "out of"]),
        (lambda m: {"weight_map": {**m, "x": ""}}, ["''", "out of"]),
        (lambda m: {"weight_map": {**m, "x": "a\\b"}}, ["out of"]),
        (lambda m: {"weight_map": {**m, "x": "a\0b"}}, ["out of"]),
        (lambda m: {"weight_map": {**m, "x": 5}}, ["weight_map must map"]),
        (lambda m: {"weight_map": []}, ["weight_map must map"]),
        (lambda m: {}, ["weight_map must map"]),
        (lambda m: [], ["expected a JSON object, found a list"]),
        (lambda m: {"weight_map": {}}, ["no tensors"]),
    ],
)
def test_broken_indexes(tmp_path, change, words):
    shards(tmp_path, index=change)
    with pytest.raises(InputRefused) as caught:
        open_checkpoint(tmp_path)
    for word in ["model.safetensors.index.json", *words]:
        assert word in caught.value.message


def test_index_with_a_key_twice(tmp_path):
    (tmp_path / "model.safetensors.index.json").write_text('{"weight_map": {"a": "x", "a": "y"}}')
    with pytest.raises(InputRefused, match="'a' is given twice"):
        open_checkpoint(tmp_path)


def test_truncated_shard_and_dangling_link(tmp_path):
    shards(tmp_path)
    with (tmp_path / SECOND).open("r+b") as file:
        file.truncate((tmp_path / SECOND).stat().st_size - 1)
    with pytest.raises(InputRefused, match=f"{SECOND}.*truncated"):
        open_checkpoint(tmp_path)
    (tmp_path / SECOND).unlink()
    (tmp_path / SECOND).symlink_to("nowhere")
    with pytest.raises(InputRefused, match="is missing"):
        open_checkpoint(tmp_path)


def test_reading_parts_and_from_threads(tmp_path):
    big = torch.randn(100_000)
    save_file({"big": big, "small": torch.ones(3)}, tmp_path / "model.safetensors")
    source: TensorSource = open_checkpoint(tmp_path).source
    expected = raw(big)
    failures = []

    def work(seed):
        for step in range(50):
            start = (seed * 7919 + step * 104729) % 399_000
            out = bytearray(1000)
            source.read_into("big", start, memoryview(out))
            if bytes(out) != expected[start : start + 1000]:
                failures.append(start)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    with pytest.raises(KeyError):
        source.read_into("absent", 0, memoryview(bytearray(1)))
    with pytest.raises(ValueError, match="has 12 bytes"):
        source.read_into("small", 5, memoryview(bytearray(8)))
    numbers = torch.zeros(3).numpy()
    source.read_into("small", 0, numbers.data)
    assert numbers.tolist() == [1, 1, 1]
    source.close()


def test_file_cut_after_it_was_opened(tmp_path):
    save_file({"a": torch.ones(1000)}, tmp_path / "model.safetensors")
    source = open_checkpoint(tmp_path).source
    source.read_into("a", 0, memoryview(bytearray(4)))
    os.truncate(tmp_path / "model.safetensors", 500)
    with pytest.raises(InputRefused, match=r"model\.safetensors: ends at byte 500"):
        read(source, "a")
    source.close()


def test_source_over_given_entries(tmp_path):
    (tmp_path / "data").write_bytes(b"0123456789")
    entries = [TensorEntry("b", "U8", (3,), "data", 2, 3), TensorEntry("a", "U8", (2,), "data", 8, 2)]
    source = SafetensorsSource(tmp_path, entries)
    assert list(source.entries) == ["a", "b"]
    assert (read(source, "a"), read(source, "b")) == (b"89", b"234")
    source.close()
