"""``materialize --as lora`` on the command line: what it prints, and which options belong to which form."""

import json

import pytest
from safetensors.numpy import load_file


def test_the_folder_is_on_stdout_and_the_error_beside_it(filled, tmp_path):
    target = tmp_path / "adapter"
    words = ("materialize", "assistant", "--as", "lora", "--rank", 4, "-o", target, "--no-wait")
    code, out, err = filled(*words)
    assert (code, out) == (0, f"{target}\n")
    assert "rank 4 for 1 layers" in err
    assert "of its norm" in err
    assert "saved whole: embed" in err
    assert sorted(path.name for path in target.iterdir()) == [
        "README.md",
        "adapter_config.json",
        "adapter_model.safetensors",
        "mergestore.json",
    ]
    assert sorted(load_file(target / "adapter_model.safetensors")) == [
        "base_model.model.embed.weight",
        "base_model.model.layer.0.base_layer.bias",
        "base_model.model.layer.0.lora_A.weight",
        "base_model.model.layer.0.lora_B.weight",
    ]
    assert filled.json("verify", target)["ok"] is True
    assert "exists already" in filled.refused(4, *words)["message"]


def test_the_answer_as_json_tells_of_every_layer(filled, tmp_path):
    words = ("materialize", "tiny + code", "--as", "lora", "--energy", "0.8", "--no-wait")
    answer = filled.json(*words, "--rest", "drop", "-o", tmp_path / "adapter")
    layer = answer["adapter"]["layers"]["layer.0.weight"]
    assert layer["energy"] >= 0.8
    assert layer["error"] == pytest.approx((1 - layer["energy"]) ** 0.5)
    assert list(answer["adapter"]["dropped"]) == ["embed.weight"]
    manifest = json.loads((tmp_path / "adapter" / "mergestore.json").read_text())
    assert (manifest["format"], manifest["adapter"]) == (2, answer["adapter"])
    assert manifest["recipe"]["format"] == 2
    assert filled.json(*words, "--rest", "drop")["path"] == filled.json(*words, "--rest", "drop")["path"]


@pytest.mark.parametrize(
    ("code", "words", "says"),
    [
        (2, ["--as", "lora"], "needs a rank"),
        (2, ["--as", "lora", "--rank", "17"], "rank 17 is above the 16 that 'layer.0.weight'"),
        (2, ["--as", "lora", "--rank", "0"], "rank 0 is no whole number"),
        (2, ["--as", "lora", "--energy", "1.5"], "energy 1.5 is no share"),
        (2, ["--as", "lora", "--rank", "4", "--rest", "keep"], "unknown rest 'keep'"),
        (2, ["--as", "lora", "--rank", "4", "--dtype", "BF16"], "--dtype is a whole model's"),
        (2, ["--as", "lora", "--rank", "4", "--shard-size", "1GB"], "--shard-size is a whole model's"),
        (2, ["--rank", "4"], "--rank is an adapter's"),
        (2, ["--as", "gguf"], "--as 'gguf' is unknown"),
        (5, ["--as", "lora", "--rank", "4", "--rest", "refuse"], "changes 'embed.weight'"),
        (7, ["--as", "lora", "--rank", "4", "--device", "cuda:99"], "cuda:99"),
    ],
)
def test_what_makes_no_sense_is_refused_and_nothing_is_written(filled, tmp_path, code, words, says):
    target = tmp_path / "adapter"
    found = filled.refused(code, "materialize", "assistant", *words, "-o", target, "--no-wait")
    assert says in found["message"]
    assert list(tmp_path.iterdir()) == []
