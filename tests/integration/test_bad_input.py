"""What bad input gets: every item of the list, through the command line. Its exit code, a message that says what,
where and what to do, one JSON error document, and nothing written: no file, no row, no temporary, no output folder.
"""

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.integration.models import (
    BERT_CONFIG,
    LLAMA_CONFIG,
    Tensor,
    bert,
    factors,
    file_bytes,
    fine_tune,
    floats,
    llama,
    read_model,
    renamed,
    save,
    save_adapter,
    whole,
    write_file,
)
from tests.integration.shell import Shell, listing

pytestmark = pytest.mark.usefixtures("surroundings")
ROOT = Path(__file__).parents[2]
BASE, OTHER, BERT = llama(seed=1), llama(seed=2), bert(seed=3)
QUERY = "model.layers.0.self_attn.q_proj.weight"
ATTENTION = [f"model.layers.{layer}.self_attn.{part}_proj.weight" for layer in (0, 1) for part in "qv"]
HALF = {"w": floats([[60000.0, 1.0]], "F16"), "v": floats([0.5, 0.25], "F16")}


def head(seed, labels=3):
    """A task head that a base lacks."""
    random = np.random.default_rng(seed)
    return {
        "classifier.weight": floats(random.normal(0, 0.02, (labels, 16))),
        "classifier.bias": floats([0.0] * labels),
    }


@pytest.fixture(scope="module")
def home(surroundings, tmp_path_factory):
    """A store of two Llama bases, a BERT and a half-precision model, with skills of each and a merge."""
    folder = tmp_path_factory.mktemp("bad")
    shell, models = Shell(folder / "store"), folder / "models"
    shell.json("init")
    for name, model, config in (
        ("tiny", BASE, LLAMA_CONFIG),
        ("other", OTHER, LLAMA_CONFIG),
        ("bert", BERT, BERT_CONFIG),
        ("half", HALF, None),
    ):
        save(models / name, model, config, files={"tokenizer.json": "{}"})
        shell.json("register", "base", name, models / name)
    for name, base, model, encoding in (
        ("math", "tiny", fine_tune(BASE, 1), "dare"),
        ("code", "tiny", fine_tune(BASE, 2), "exact"),
        ("legal", "other", fine_tune(OTHER, 3), "dare"),
        ("sentiment", "bert", fine_tune(BERT, 4) | head(4), "exact"),
        ("topics", "bert", renamed(fine_tune(BERT, 5), "bert.") | head(5), "exact"),
        ("loud", "half", {**HALF, "w": floats([[64000.0, 2.0]], "F16")}, "exact"),
        ("gone", "tiny", fine_tune(BASE, 6), "dare"),
    ):
        save(models / name, model, BERT_CONFIG)
        shell.json("register", "skill", name, models / name, "--base", base, "--encoding", encoding)
    shell.json("merge", "assistant", "tiny + 0.6*math + 0.4*code")
    shell.json("yank", "gone@1", "--reason", "trained on the test set")
    return folder / "store"


@pytest.fixture
def shell(home, tmp_path):
    return Shell(home, tmp_path)


@pytest.fixture
def alone(home, tmp_path):
    """A copy of the store, for tests that damage it."""
    place = tmp_path / "copy"
    subprocess.run(["cp", "-r", home, place], check=True)
    return Shell(place, tmp_path)


def skill(shell, folder, *words, base="tiny", code=5):
    """The error of registering a folder as a skill."""
    return shell.refused(code, "register", "skill", "bad", folder, "--base", base, *words)


# The wrong base


def test_a_fine_tune_of_another_architecture(shell, tmp_path):
    found = skill(shell, save(tmp_path / "x", fine_tune(BERT, 1)))
    assert "does not look like a fine-tune of this base" in found["message"]
    assert "'model.embed_tokens.weight'" in found["message"]
    assert "--base" in found["hint"]


def test_a_skill_of_another_base_names_the_tensors(shell):
    for verb in (("merge", "bad"), ("materialize",)):
        found = shell.refused(4, *verb, "tiny + math + legal")
        assert "legal@1 is a skill of other@1, not of tiny@1" in found["message"]
        assert found["message"].endswith("\n  tiny + math + legal\n                ^")
        assert "the two differ in 'lm_head.weight', 'model.embed_tokens.weight', " in found["message"]
        assert f" and {len(BASE) - 5} more" in found["message"]
        assert found["tensors"] == sorted(BASE)
        assert "begin the expression with other@1" in found["hint"]


def test_a_head_of_another_base(shell):
    found = shell.refused(4, "merge", "bad", "tiny + math", "--head", "sentiment")
    assert "sentiment@1 is a skill of another base than tiny@1" in found["message"]


def test_the_base_was_registered_anew_with_other_weights(alone, tmp_path):
    save(tmp_path / "anew", {**BASE, QUERY: OTHER[QUERY]}, LLAMA_CONFIG)
    assert alone.json("register", "base", "tiny", tmp_path / "anew")["version"] == 2
    found = alone.refused(4, "merge", "bad", "tiny + math")
    assert "math@1 is a skill of tiny@1, not of tiny@2" in found["message"]
    assert f"the two differ in '{QUERY}'\n" in found["message"]
    assert found["tensors"] == [QUERY]
    assert alone.json("merge", "good", "tiny@1 + math")["created"] is True


def test_an_adapter_of_another_base(shell, tmp_path):
    found = skill(shell, save_adapter(tmp_path / "x", factors(BERT, ["pooler.dense.weight"])))
    assert "'pooler.dense.weight'" in found["message"]
    assert "--base" in found["hint"]
    narrow = {**BASE, QUERY: floats(np.zeros((16, 8)))}
    found = skill(shell, save_adapter(tmp_path / "y", factors(narrow, [QUERY])))
    assert f"'{QUERY}' is [16, 16], its factors give [16, 8]" in found["message"]
    assert found["tensors"] == [QUERY]


# Tensors that are missing, renamed, of another shape


def test_missing_tensors_are_named(shell, tmp_path):
    tuned = fine_tune(BASE, 1)
    for name in ATTENTION[:2]:
        del tuned[name]
    found = skill(shell, save(tmp_path / "x", tuned))
    assert f"lacks 2 tensors of the base: '{ATTENTION[0]}', '{ATTENTION[1]}'" in found["message"]
    assert found["tensors"] == ATTENTION[:2]
    assert "--allow-missing" in found["hint"]


def test_a_renamed_tensor_is_suspected(shell, tmp_path):
    tuned = fine_tune(BASE, 1)
    tuned[QUERY.replace("q_proj", "query_proj")] = tuned.pop(QUERY)
    found = skill(shell, save(tmp_path / "x", tuned))
    assert repr(QUERY) in found["message"]
    assert "'model.layers.0.self_attn.query_proj.weight'?" in found["hint"]


def test_a_mixture_of_names(shell, tmp_path):
    tuned = fine_tune(BERT, 1)
    tuned["bert.pooler.dense.weight"] = tuned.pop("pooler.dense.weight")
    found = skill(shell, save(tmp_path / "x", tuned), base="bert")
    assert "pooler.dense.weight is bert.pooler.dense.weight" in found["message"]


def test_another_shape(shell, tmp_path):
    found = skill(shell, save(tmp_path / "x", {**fine_tune(BASE, 1), QUERY: floats(np.zeros((16, 8)))}))
    assert f"'{QUERY}' is [16, 16] in the base and [16, 8] here" in found["message"]
    assert found["tensors"] == [QUERY]
    assert found["hint"]


def test_a_grown_vocabulary_with_its_sizes(shell, tmp_path):
    tuned = fine_tune(BASE, 1)
    grown = {name: floats(np.zeros((66, 16))) for name in ("model.embed_tokens.weight", "lm_head.weight")}
    found = skill(shell, save(tmp_path / "x", tuned | grown))
    assert "64 rows in the base, 66 in the fine-tune" in found["message"]
    assert "'model.embed_tokens.weight' is [64, 16] in the base and [66, 16] here" in found["message"]
    assert "resize_token_embeddings(64)" in found["hint"]


# NaN and Inf


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", ["F32", "F16", "BF16"])
def test_a_value_that_is_not_finite_in_a_base_or_fine_tune(shell, tmp_path, dtype, value):
    values = fine_tune(BASE, 1)[QUERY].values.copy()
    values[3, 5] = value
    where = f"{tmp_path / 'x'}: tensor '{QUERY}': element {3 * 16 + 5} is {value}"
    save(tmp_path / "x", {**BASE, QUERY: floats(values, dtype)}, LLAMA_CONFIG, files={"tokenizer.json": "new"})
    for found in (skill(shell, tmp_path / "x"), shell.refused(5, "register", "base", "bad", tmp_path / "x")):
        assert where in found["message"]
        assert "diverged" in found["hint"]
    referenced = shell.refused(5, "register", "base", "bad", tmp_path / "x", "--reference")
    assert where in referenced["message"]


def test_a_value_that_is_not_finite_in_a_dtype_that_is_only_carried(shell, tmp_path):
    wide = np.array([1.0, np.nan])
    bad = {
        "F64": wide.tobytes(),
        "C64": wide.astype(np.complex64).tobytes(),
        "F8_E4M3": b"\x10\x7f",
        "F8_E5M2": b"\x10\xfc",
    }
    for dtype, data in bad.items():
        folder = save(tmp_path / dtype, {**BASE, "scale": Tensor(dtype, (2,), data)})
        found = shell.refused(5, "register", "base", "bad", folder)
        assert "tensor 'scale': element 1 is not a finite number" in found["message"]


def test_a_value_that_is_not_finite_in_a_pickled_base(shell, tmp_path):
    import torch

    folder = tmp_path / "x"
    folder.mkdir()
    torch.save({"w": torch.tensor([0.0, float("nan")])}, folder / "pytorch_model.bin")
    found = shell.refused(5, "register", "base", "bad", folder)
    assert "tensor 'w': element 1 is nan" in found["message"]


def test_a_value_that_is_not_finite_in_a_head(shell, tmp_path):
    broken = {"classifier.weight": floats([[np.nan, 1.0]])}
    found = skill(shell, save(tmp_path / "x", fine_tune(BERT, 1) | broken, BERT_CONFIG), base="bert")
    assert "tensor 'classifier.weight': element 0 is nan" in found["message"]


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_value_that_is_not_finite_in_an_adapter(shell, tmp_path, value):
    tensors = factors(BASE, ATTENTION)
    name = "base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight"
    values = tensors[name].values.copy()
    values[1, 0] = value
    found = skill(shell, save_adapter(tmp_path / "x", {**tensors, name: floats(values)}))
    assert f"tensor '{name}': element 2 is {value}" in found["message"]


def test_an_adapter_whose_product_overflows(shell, tmp_path):
    tensors = {name: floats(tensor.values * 1e21) for name, tensor in factors(BASE, [QUERY]).items()}
    found = skill(shell, save_adapter(tmp_path / "x", tensors))
    assert repr(QUERY) in found["message"]
    assert found["hint"]


def test_a_delta_that_overflows(shell, tmp_path):
    base = save(tmp_path / "b", {"w": floats([-3e38, 1.0])})
    fresh = Shell(tmp_path / "store", tmp_path)
    fresh.json("init")
    fresh.json("register", "base", "steep", base)
    found = skill(fresh, save(tmp_path / "x", {"w": floats([3e38, 1.0])}), base="steep")
    assert "tensor 'w' differs from its base by inf" in found["message"]


def test_a_result_that_overflows_half_precision(shell, tmp_path):
    for output in ((), ("-o", tmp_path / "new" / "out")):
        found = shell.refused(5, "materialize", "half + 2*loud", "--no-wait", *output)
        assert "tensor 'w': element 0 of the result is inf" in found["message"]
        assert "--dtype F32" in found["hint"]
    wide = shell.json("materialize", "half + 2*loud", "--no-wait", "--dtype", "F32", "-o", tmp_path / "wide")
    assert read_model(Path(wide["path"]))["w"].values[0, 0] == 68000


def test_a_result_that_overflows_the_dtype_asked_for(shell, alone, tmp_path):
    save(tmp_path / "b", {"w": floats([70000.0, 1.0]), "same": floats([1e6])})
    save(tmp_path / "x", {"w": floats([7.0, 1.0]), "same": floats([1e6])})
    alone.json("register", "base", "wide", tmp_path / "b")
    alone.json("register", "skill", "quiet", tmp_path / "x", "--base", "wide", "--encoding", "exact")
    found = alone.refused(5, "materialize", "wide + quiet", "--dtype", "F16", "--no-wait")
    assert "tensor 'same': element 0 of the result is inf" in found["message"]
    found = shell.refused(5, "materialize", "tiny + 1e30*code", "--param", "lambda=1e30", "--no-wait")
    assert "of the result is" in found["message"]


# Hostile files

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


# Buffers


def test_integer_buffers_that_are_the_bases_are_copied(alone, tmp_path):
    save(tmp_path / "x", fine_tune(BERT, 9), BERT_CONFIG)
    alone.json("register", "skill", "good", tmp_path / "x", "--base", "bert")
    made = alone.json("materialize", "bert + good", "--no-wait")
    assert read_model(Path(made["path"]))["embeddings.position_ids"] == BERT["embeddings.position_ids"]


def test_integer_buffers_that_differ(shell, tmp_path):
    other = whole(np.arange(12)[None] + 1)
    found = skill(shell, save(tmp_path / "x", {**fine_tune(BERT, 1), "embeddings.position_ids": other}), base="bert")
    assert "tensors of dtype I64 differ from the base's and cannot be merged" in found["message"]
    assert "'embeddings.position_ids'" in found["message"]
    assert "remove them" in found["hint"]


# Names and expressions


@pytest.mark.parametrize(
    "name", ["../up", "a/../b", "/etc/passwd", "a/b/c", "a\\b", ".hidden", "a b", "a\0b", "a\nb", ""]
)
def test_names_with_path_characters(shell, tmp_path, name):
    folder = save(tmp_path / "x", fine_tune(BASE, 1))
    for words in (
        ("register", "base", name, folder),
        ("register", "skill", name, folder, "--base", "tiny"),
        ("register", "skill", "good", folder, "--base", name),
        ("merge", name, "tiny + math"),
        ("show", name),
        ("alias", "math", name),
    ):
        found = shell.refused(2, *words)
        assert "name" in found["message"] + found["hint"] or "alias" in found["message"]


def test_an_unknown_skill_gets_near_names(shell):
    for verb in (("merge", "bad"), ("materialize",)):
        found = shell.refused(3, *verb, "tiny + 0.5*maht")
        assert "there is no skill 'maht'" in found["message"]
        assert found["message"].endswith("\n  tiny + 0.5*maht\n         ^")
        assert found["hint"] == "did you mean math?"
        assert found["near"] == ["math"]
    assert shell.refused(3, "show", "asistant")["near"] == ["assistant"]
    assert "list" in shell.refused(3, "audit", "zzz")["hint"]


def test_an_unknown_base_version_or_alias(shell, tmp_path):
    folder = save(tmp_path / "x", fine_tune(BASE, 1))
    assert skill(shell, folder, base="tinny", code=3)["near"] == ["tiny"]
    assert "is a skill" in skill(shell, folder, base="math", code=3)["message"]
    assert "only version 1" in shell.refused(3, "merge", "bad", "tiny + math@7")["hint"]
    assert "has no alias 'prod'" in shell.refused(3, "merge", "bad", "tiny + math@prod")["message"]
    assert "it is a base" in shell.refused(3, "materialize", "tiny")["message"]


def test_a_term_twice(shell):
    for text in ("tiny + math + 0.5*math", "tiny + math - math@1"):
        found = shell.refused(2, "merge", "bad", text)
        assert "math@1 stands here twice" in found["message"]
        assert "add the weights up" in found["hint"]


def test_the_same_content_under_another_name_is_a_term_twice(alone, tmp_path):
    save(tmp_path / "x", fine_tune(BASE, 1))
    alone.json("register", "skill", "twin", tmp_path / "x", "--base", "tiny")
    found = alone.refused(2, "merge", "bad", "tiny + math + twin")
    assert "twin@1 is the same content as math@1" in found["message"]


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("tiny + + math", 7),
        ("tiny + 0.5*", 11),
        ("tiny math", 5),
        ("tiny+math", 4),
        ("tiny + 0.5 math", 11),
        ("tiny + math$", 11),
        ("0.5*tiny + math", 0),
        ("tiny + 1e999*math", 7),
        (" tiny", 5),
        ("tiny + (math - code)", 7),
    ],
)
def test_an_unparsable_expression_is_pointed_at(shell, text, at):
    found = shell.refused(2, "merge", "bad", text)
    _, shown, caret = found["message"].split("\n")
    assert shown == "  " + text
    assert caret == " " * (2 + at) + "^"
    assert found["position"] == at


@pytest.mark.parametrize("rate", ["1", "1.0000001", "-0.1", "nan", "inf", "0.9999999"])
def test_a_drop_rate_outside_its_range(shell, tmp_path, rate):
    found = skill(shell, save(tmp_path / "x", fine_tune(BASE, 1)), "--drop-rate", rate, code=2)
    assert "drop rate" in found["message"]
    found = shell.refused(2, "merge", "bad", "tiny + code", "--method", "dare_linear", "--param", f"drop_rate={rate}")
    assert "drop" in found["message"]


@pytest.mark.parametrize(
    "words",
    [
        ("--method", "magic"),
        ("--param", "lamda=1"),
        ("--param", "lambda=fast"),
        ("--param", "lambda"),
        ("--method", "ties", "--param", "density=0"),
        ("--method", "linear", "--param", "normalize=maybe"),
        ("--dtype", "F64"),
        ("--dtype", "int8"),
        ("--head", "math"),
    ],
)
def test_options_that_mean_nothing(shell, words):
    found = shell.refused(2, "merge", "bad", "tiny + math", *words)
    assert found["hint"]


def test_options_of_a_skill_that_mean_nothing(shell, tmp_path):
    folder = save(tmp_path / "x", fine_tune(BASE, 1))
    for words in (("--encoding", "zip"), ("--encoding", "lora"), ("--values", "int3"), ("--seed", "-1")):
        skill(shell, folder, *words, code=2)
    adapter = save_adapter(tmp_path / "y", factors(BASE, [QUERY]))
    assert (
        "an adapter cannot be stored with encoding 'dare'"
        in skill(shell, adapter, "--encoding", "dare", code=2)["message"]
    )


def test_adapters_that_are_not_supported_are_named(shell, tmp_path):
    tensors = factors(BASE, [QUERY])
    assert "DoRA" in skill(shell, save_adapter(tmp_path / "a", tensors, use_dora=True))["message"]
    assert "'IA3'" in skill(shell, save_adapter(tmp_path / "b", tensors, peft_type="IA3"))["message"]
    assert "do not have the rank 8" in skill(shell, save_adapter(tmp_path / "c", tensors, rank=8))["message"]
    lonely = {name: tensor for name, tensor in tensors.items() if "lora_A" in name}
    assert "has a factor A but no B" in skill(shell, save_adapter(tmp_path / "d", lonely))["message"]


# What exists, and what was withdrawn


def test_a_name_of_another_kind(shell, tmp_path):
    folder = save(tmp_path / "x", fine_tune(BASE, 77), LLAMA_CONFIG, files={"tokenizer.json": "unseen"})
    found = shell.refused(4, "register", "base", "math", folder)
    assert "the name 'math' is taken by a skill" in found["message"]
    found = shell.refused(4, "register", "skill", "assistant", folder, "--base", "tiny")
    assert "the name 'assistant' is taken by a merge" in found["message"]
    assert "is taken by a base model" in shell.refused(4, "merge", "tiny", "tiny + math")["message"]


def test_two_heads_and_no_choice(shell, tmp_path):
    for words in (("merge", "bad"), ("materialize",)):
        found = shell.refused(2, *words, "bert + sentiment + topics")
        assert "sentiment@1, topics@1" in found["message"]
        assert "--head" in found["hint"]
    made = shell.json("materialize", "bert + sentiment + topics", "--head", "topics", "--no-wait", "-o", tmp_path / "x")
    assert read_model(Path(made["path"]))["classifier.weight"] == head(5)["classifier.weight"]
    assert "has no tensors of its own" in shell.refused(2, "merge", "bad", "tiny + math", "--head", "code")["message"]


def test_an_output_that_exists(shell, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "file").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for name in ("out", "file", "link"):
        found = shell.refused(4, "materialize", "assistant", "-o", tmp_path / name, "--no-wait")
        assert f"{tmp_path / name} exists already" in found["message"]
        assert "--force" in found["hint"]


def test_a_yanked_version(shell):
    for words in (("merge", "bad", "tiny + gone@1"), ("materialize", "tiny + math + gone@1", "--no-wait")):
        found = shell.refused(4, *words)
        assert "gone@1 is yanked: trained on the test set" in found["message"]
        assert found["hint"]
    assert "no version of gone is ready" in shell.refused(4, "merge", "bad", "tiny + gone")["message"]
    assert "yanked" in shell.refused(4, "alias", "gone@1", "prod")["message"]
    assert "yanked already" in shell.refused(4, "yank", "gone@1", "--reason", "again")["message"]
    assert "needs a reason" in shell.refused(2, "yank", "math", "--reason", " ")["message"]


# Damage


def stored(shell, kind):
    """The largest stored object of a kind: weights of the base, or the delta of math."""
    shown = shell.json("show", "tiny" if kind == "weights" else "math")
    digest = max(shown["files"], key=lambda file: file["size"])["digest"].removeprefix("blake3:")
    return shell.home / "objects" / "blake3" / digest[:2] / digest


def flip(path, at=-1):
    path.chmod(0o644)
    content = bytearray(path.read_bytes())
    content[at] ^= 4
    path.write_bytes(content)


@pytest.mark.parametrize(("kind", "named"), [("weights", "tiny@1"), ("delta", "math@1")])
def test_a_damaged_object(alone, kind, named):
    path = stored(alone, kind)
    flip(path)
    found = alone.refused(6, "materialize", "assistant", "--no-wait")
    assert str(path) in found["message"] or "tensor" in found["message"]
    assert found["hint"]
    verified = alone.json("verify", code=6)
    assert any(path.name in problem["what"] and named in problem["where"] for problem in verified["problems"])


@pytest.mark.parametrize("kind", ["weights", "delta"])
def test_a_missing_object(alone, kind):
    path = stored(alone, kind)
    path.unlink()
    found = alone.refused(6, "materialize", "assistant", "--no-wait")
    assert path.name in found["message"]
    verified = alone.json("verify", code=6)
    assert any(path.name in problem["what"] for problem in verified["problems"])


def test_a_truncated_object(alone):
    for kind in ("weights", "delta"):
        path = stored(alone, kind)
        content = path.read_bytes()
        path.chmod(0o644)
        path.write_bytes(content[:-40])
        alone.refused(6, "materialize", "assistant", "--no-wait")
        assert alone.json("verify", code=6)["problems"]
        path.write_bytes(content)
    assert alone.json("verify")["ok"] is True


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json"])
def test_a_damaged_companion(alone, name):
    files = {file["path"]: file["digest"] for file in alone.json("show", "tiny")["files"]}
    digest = files[name].removeprefix("blake3:")
    flip(alone.home / "objects" / "blake3" / digest[:2] / digest, 1)
    found = alone.refused(6, "materialize", "assistant", "--no-wait")
    assert digest in found["message"]


def test_a_damaged_base_under_a_new_skill(alone, tmp_path):
    flip(stored(alone, "weights"))
    found = skill(alone, save(tmp_path / "x", fine_tune(BASE, 1)), code=6)
    assert "tensor" in found["message"]


def test_a_damaged_published_folder(alone, tmp_path):
    shell, out = alone, tmp_path / "out"
    shell.json("materialize", "assistant", "-o", out, "--no-wait", "--shard-size", "8kB")
    shard = max(out.glob("model-*.safetensors"), key=lambda path: path.stat().st_size)
    untouched = shard.read_bytes()
    flip(shard)
    verified = shell.json("verify", out, code=6)
    last = list(json.loads(untouched[8 : 8 + int.from_bytes(untouched[:8], "little")]))[-1]
    assert verified["ok"] is False
    assert [problem["where"] for problem in verified["problems"]] == [str(shard)]
    assert f"tensor '{last}' is not what was published" in verified["problems"][0]["what"]
    assert "--force" in verified["problems"][0]["hint"]
    shard.write_bytes(untouched[:-5])
    assert any("truncated" in problem["what"] for problem in shell.json("verify", out, code=6)["problems"])
    shard.unlink()
    assert shard.name in shell.json("verify", out, code=6)["problems"][0]["what"]


@pytest.mark.parametrize("name", ["mergestore.json", "config.json", "tokenizer.json", "model.safetensors.index.json"])
def test_a_damaged_paper_of_a_published_folder(alone, tmp_path, name):
    shell, out = alone, tmp_path / "out"
    shell.json("materialize", "assistant", "-o", out, "--no-wait", "--shard-size", "8kB")
    flip(out / name, 20 if name == "mergestore.json" else 1)
    verified = shell.json("verify", out, code=6)
    assert any(name in problem["what"] + problem["where"] for problem in verified["problems"])
    (out / name).unlink()
    assert shell.json("verify", out, code=6)["problems"]


# Around us


@pytest.mark.parametrize("device", ["cuda:99", "tpu", "meta", "mps"])
def test_a_device_that_is_not_there(shell, tmp_path, device):
    for output in ((), ("-o", tmp_path / "out")):
        found = shell.refused(7, "materialize", "assistant", "--device", device, "--no-cache", "--no-wait", *output)
        assert repr(device) in found["message"]
        assert "cpu" in found["hint"]


def test_a_database_that_is_not_there(shell, tmp_path):
    url = "postgresql://someone:hunter2@127.0.0.1:9/registry"
    for words in (("list",), ("init",), ("materialize", "assistant")):
        found = shell.refused(7, *words, "--database", url)
        assert "127.0.0.1" in found["message"]
        assert "hunter2" not in json.dumps(found)
        assert "server runs" in found["hint"]
    found = shell.refused(2, "list", "--database", "mysql://localhost/x")
    assert "'mysql'" in found["message"]
    lost = Shell(tmp_path / "nothing" / "here", tmp_path)
    assert "mergestore init" in lost.refused(7, "list")["hint"]


def test_a_database_that_is_something_else(alone):
    (alone.home / "registry.db").write_bytes(b"this is not a database at all" * 200)
    code, out, _ = alone("list", "--json")
    error = json.loads(out)["error"]
    assert (code, error["kind"]) == (6, "integrity")
    assert str(alone.home / "registry.db") in error["message"]


def test_an_mlflow_that_is_not_there(alone, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    waiting = alone.json("sync", code=7)["pending"]
    made = alone.json("materialize", "assistant", "--no-cache")
    assert made["mlflow_run_id"] is None
    assert any("sync" in note and "does not answer" in note for note in made["notes"])
    synced = alone.json("sync", code=7)
    assert (synced["delivered"], synced["pending"]) == (0, waiting + 1)
    assert synced["errors"]
    assert alone.json("verify")["ok"] is True


# No space left


@pytest.fixture
def disk(tmp_path):
    """Make a small filesystem: ``disk(size)`` mounts one of so many bytes and returns its folder."""
    mounted = []

    def make(size, **options):
        place = tmp_path / f"disk{len(mounted)}"
        place.mkdir()
        said = ",".join(f"{key}={value}" for key, value in {"size": size, **options}.items())
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", said, "tmpfs", place], capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"mounting a small filesystem needs root: {done.stderr.strip()}")
        mounted.append(place)
        return place

    if os.geteuid() != 0:
        pytest.skip("mounting a small filesystem needs root")
    yield make
    for place in mounted:
        subprocess.run(["umount", "--lazy", place], check=True)


def fill(folder, leave):
    """Use the space of a filesystem up but for ``leave`` bytes."""
    free = os.statvfs(folder)
    size = max(0, free.f_bavail * free.f_frsize - leave)
    with (folder / "filler").open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, size) if size else None


@pytest.mark.parametrize("leave", [0, 4096, 16384, 32768, 65536, 98304])
def test_a_full_disk_under_the_store(home, disk, tmp_path, leave):
    place = disk("8m")
    subprocess.run(["cp", "-r", home, place / "store"], check=True)
    shell = Shell(place / "store", tmp_path / "out")
    (tmp_path / "out").mkdir()
    base, tuned = save(tmp_path / "b", llama(seed=8)), save(tmp_path / "x", fine_tune(BASE, 8))
    before = shell.state()
    for words in (
        ("register", "base", "new", base),
        ("register", "skill", "new-skill", tuned, "--base", "tiny", "--encoding", "exact"),
        ("materialize", "assistant", "--no-wait"),
    ):
        fill(place, leave)
        code, out, _ = shell(*words, "--json")
        assert code in (0, 7), out
        if code == 7:
            error = json.loads(out)["error"]
            assert error["kind"] == "environment"
            assert "space" in error["message"] + error["hint"]
        (place / "filler").unlink()
        after = shell.state()
        if code == 7:
            assert after["rows"] == before["rows"]
            assert not [path for path in listing(place / "store") if path.endswith(".tmp")]
            assert shell.json("verify")["ok"] is True
            assert shell(*words)[0] == 0, "with space again, the same command succeeds"
        before = shell.state()
    assert leave or code == 7


def test_a_full_disk_under_the_output(shell, disk):
    place = disk("512k")
    fill(place, 16384)
    before = listing(place)
    found = shell.refused(7, "materialize", "assistant", "-o", place / "out", "--no-wait")
    assert f"no space left for {place / 'out'}" in found["message"]
    assert "are needed" in found["message"]
    assert found["hint"]
    assert listing(place) == before


@pytest.mark.parametrize("options", [{"size": "36k"}, {"size": "1m", "nr_inodes": 6}])
def test_a_disk_that_fills_up_under_the_output(shell, disk, options):
    place = disk(**options)
    watched = Shell(shell.home, place)
    found = watched.refused(7, "materialize", "assistant", "-o", place / "out", "--no-wait", "--shard-size", "4kB")
    assert str(place) in found["message"]
    assert "No space left on device" in found["message"]
    assert "free some space" in found["hint"]
    assert listing(place) == {}


def test_a_file_that_may_not_grow(tmp_path):
    """What a quota does, without being root: the system refuses the write, in the middle of a file."""
    shell, wide = Shell(tmp_path / "store"), {"w": floats(np.zeros(1_500_000))}
    shell.json("init")
    shell.json("register", "base", "wide", save(tmp_path / "base", wide))
    tuned = save(tmp_path / "x", fine_tune(wide, 1))
    shell.json("register", "skill", "thin", tuned, "--base", "wide")
    before = listing(tmp_path)
    limit = "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (1_500_000, 1_500_000));"
    command = [sys.executable, "-c", limit + "import cli; sys.exit(cli.main())", "--json", "--store", shell.home]
    for words in (
        ("materialize", "wide + thin", "-o", tmp_path / "out", "--no-wait"),
        ("register", "base", "again", tmp_path / "x"),
        ("register", "skill", "again", tuned, "--base", "wide", "--values", "bf16", "--drop-rate", "0"),
    ):
        done = subprocess.run([*command, *words], cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 7, done.stdout + done.stderr
        assert "File too large" in json.loads(done.stdout)["error"]["message"]
        assert listing(tmp_path) == before


# As a process of its own


@pytest.mark.parametrize(
    ("code", "words", "says"),
    [
        (2, ["merge", "bad", "tiny + + math"], "       ^"),
        (3, ["materialize", "tiny + maht"], "did you mean math?"),
        (5, ["register", "base", "bad", "FOLDER"], "no model here"),
    ],
)
def test_as_a_process(home, tmp_path, code, words, says):
    words = [str(tmp_path) if word == "FOLDER" else word for word in words]
    command = [sys.executable, "-m", "cli", "--store", str(home), *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr.startswith("error: ")
    assert says in done.stderr
    assert "Traceback" not in done.stderr
