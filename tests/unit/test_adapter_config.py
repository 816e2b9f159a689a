"""Adapters that say or hold what cannot be honoured, each refused with the setting or tensor named."""

import json

import pytest
import torch
from peft import LoraConfig
from safetensors.torch import save_file

from storage.checkpoints.adapter import fit_modules, is_adapter, open_adapter
from storage.errors import InputRefused

# What PEFT remarks on its own calls is no concern here.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::RuntimeWarning", "ignore::FutureWarning")
A, B = "base_model.model.x.lora_A.weight", "base_model.model.x.lora_B.weight"

PAIR = {A: torch.ones(2, 4), B: torch.ones(3, 2)}


def handmade(folder, tensors=PAIR, **config):
    (folder / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "r": 2, "lora_alpha": 2, **config}))
    save_file(tensors, folder / "adapter_model.safetensors")
    return folder


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"peft_type": "LOHA"}, ["'LOHA'", "only LORA"]),
        ({"peft_type": None}, ["None", "only LORA"]),
        ({"peft_type": [[]]}, ["only LORA"]),
        ({"use_qalora": True}, ["QALoRA (use_qalora)"]),
        ({"use_bdlora": {"nblocks": 2}}, ["BD-LoRA"]),
        ({"kasa_config": {"beta": 1}}, ["KaSA"]),
        ({"monteclora_config": {"x": 1}}, ["MonteCLoRA"]),
        ({"velora_config": {"x": 1}}, ["VeLoRA"]),
        ({"arrow_config": {"top_k": 3}}, ["Arrow"]),
        ({"alora_invocation_tokens": [1]}, ["activated LoRA"]),
        ({"layer_replication": [[0, 2]]}, ["layer_replication"]),
        ({"trainable_token_indices": [1]}, ["trainable_token_indices"]),
        ({"target_parameters": ["experts"]}, ["target_parameters"]),
        ({"megatron_config": {"a": 1}}, ["Megatron"]),
        ({"lora_bias": True}, ["lora_bias"]),
        ({"use_new_thing": 3}, ["unknown setting 'use_new_thing'"]),
        ({"init_lora_weights": "LoftQ"}, ["'loftq' altered"]),
        ({"init_lora_weights": "lora_ga"}, ["'lora_ga' altered"]),
        ({"init_lora_weights": "corda"}, ["'corda' altered"]),
        ({"init_lora_weights": "astral"}, ["unknown init_lora_weights 'astral'"]),
        ({"init_lora_weights": 7}, ["unknown init_lora_weights 7"]),
        ({"bias": "some"}, ["bias must be none, all or lora_only"]),
        ({"r": 0}, ["r must be a positive whole number, found 0"]),
        ({"r": 2.0}, ["r must be"]),
        ({"r": True}, ["r must be"]),
        ({"r": 3}, ["do not have the rank 3"]),
        ({"lora_alpha": float("nan")}, ["lora_alpha must be a finite number"]),
        ({"lora_alpha": 10**400}, ["lora_alpha must be a finite number"]),
        ({"lora_alpha": "2"}, ["lora_alpha must be"]),
        ({"use_rslora": "no"}, ["use_rslora must be true or false"]),
        ({"fan_in_fan_out": 1}, ["fan_in_fan_out must be true or false"]),
        ({"rank_pattern": [1]}, ["rank_pattern must map"]),
        ({"rank_pattern": {"x": "2"}}, ["rank_pattern must be"]),
        ({"rank_pattern": {"(": 2}}, ["'(' is not a regular expression"]),
        ({"rank_pattern": {"(a+)+": 2}}, ["repeats too much"]),
        ({"alpha_pattern": {".*.*.*.*": 2}}, ["repeats too much"]),
        ({"alpha_pattern": {"(" * 5000 + ")" * 5000: 2}}, ["is not a regular expression"]),
        ({"rank_pattern": {"x": 5}}, ["do not have the rank 5"]),
    ],
)
def test_settings_that_cannot_be_honoured(tmp_path, config, words):
    handmade(tmp_path, **config)
    with pytest.raises(InputRefused) as caught:
        open_adapter(tmp_path)
    for word in words:
        assert word in caught.value.message


def test_every_key_of_pefts_own_configuration_is_known(tmp_path):
    """A new PEFT may add settings: with their defaults they are accepted, otherwise refused as unknown."""
    config = LoraConfig(r=2, lora_alpha=2, task_type="CAUSAL_LM", target_modules={"x"})
    config.base_model_name_or_path = "me/base"
    document = config.to_dict()
    handmade(tmp_path, **json.loads(json.dumps(document, default=list)))
    adapter = open_adapter(tmp_path)
    assert adapter.base_model_name == "me/base"
    module = adapter.modules["x.weight"]
    assert (module.rank, module.scaling, module.shape) == (2, 1.0, (3, 4))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({B: None}, ["module 'x' has a factor A but no B"]),
        ({A: None}, ["module 'x' has a factor B but no A"]),
        ({A: None, B: None}, ["holds no tensors"]),
        ({B: torch.ones(3, 3)}, ["[2, 4]", "[3, 3]", "rank 2"]),
        ({B: torch.ones(3, 2, 1)}, ["belong to no known layer"]),
        ({A: torch.ones(2, 4, 2), B: torch.ones(3, 2, 2)}, ["belong to no known layer"]),
        ({A: torch.ones(2), B: torch.ones(2)}, ["belong to no known layer"]),
        ({A: torch.ones(2, 4, dtype=torch.int32)}, ["must be F32, F16 or BF16, found I32"]),
        ({"base_model.model.x.lora_B.bias": torch.ones(3)}, ["unknown adapter tensor 'x.lora_B.bias'"]),
        ({"base_model.model.x.lora_A.default.weight": torch.ones(3)}, ["unknown adapter tensor"]),
        ({"base_model.model.x.lora_magnitude_vector": torch.ones(3)}, ["DoRA magnitude"]),
        ({"base_model.model.x.modules_to_save.weight": torch.ones(3)}, ["unknown adapter tensor"]),
        ({"base_model.model.e.token_adapter.trainable_tokens_delta": torch.ones(3)}, ["unknown adapter tensor"]),
        ({"x.weight": torch.ones(3)}, ["'x.weight' does not begin with 'base_model.model.'"]),
        ({"base_model.model.y.weight": torch.ones(1), "base_model.model.y.base_layer.weight": torch.ones(1)}, ["both"]),
        (
            {
                "base_model.model.x.lora_embedding_A": torch.ones(2, 1),
                "base_model.model.x.lora_embedding_B": torch.ones(1, 2),
            },
            ["'x': factors both of an embedding"],
        ),
    ],
)
def test_tensors_that_do_not_belong(tmp_path, change, words):
    tensors = {name: tensor for name, tensor in (PAIR | change).items() if tensor is not None}
    handmade(tmp_path, tensors)
    with pytest.raises(InputRefused) as caught:
        open_adapter(tmp_path)
    for word in words:
        assert word in caught.value.message


def test_incomplete_folders(tmp_path):
    with pytest.raises(InputRefused, match="no such directory"):
        open_adapter(tmp_path / "absent")
    assert not is_adapter(tmp_path)
    handmade(tmp_path)
    assert is_adapter(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"")
    assert not is_adapter(tmp_path)
    (tmp_path / "adapter_model.safetensors").unlink()
    with pytest.raises(InputRefused, match=r"no weights beside adapter_config\.json"):
        open_adapter(tmp_path)
    (tmp_path / "adapter_config.json").write_text("{")
    with pytest.raises(InputRefused, match=r"adapter_config\.json: not valid JSON"):
        open_adapter(tmp_path)


def test_factors_that_fit_no_weight(tmp_path):
    modules = open_adapter(handmade(tmp_path)).modules
    assert fit_modules(modules, {"x.weight": (3, 4)}) == dict(modules)
    turned = fit_modules(modules, {"x.weight": (4, 3)})["x.weight"]
    assert (turned.transposed, turned.shape) == (True, (4, 3))
    with pytest.raises(InputRefused, match=r"'x\.weight' is \[3, 5\], its factors give \[3, 4\]"):
        fit_modules(modules, {"x.weight": (3, 5)})
