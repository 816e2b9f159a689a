"""Adapters extracted from merges, loaded by the real PEFT: base and adapter compute what the merged model computes."""

import json
import math
import warnings
from contextlib import closing

import numpy as np
import pytest
from safetensors.numpy import load_file
from sqlalchemy import select

import mergestore
from registry.provenance.mlflow_record import describe
from registry.records.database import reading
from registry.records.tables import Outbox

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
peft = pytest.importorskip("peft")

# What PEFT and transformers remark on their own calls is no concern here.
pytestmark = [
    pytest.mark.usefixtures("surroundings"),
    pytest.mark.filterwarnings("ignore::UserWarning", "ignore::RuntimeWarning", "ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]
ALL = 1 - 1e-13
"""A share of energy that only factors of full rank keep."""
SMALL = {"vocab_size": 60, "max_position_embeddings": 16, "hidden_size": 24, "num_hidden_layers": 2}
SMALL |= {"num_attention_heads": 2, "intermediate_size": 40, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}


def llama(kind=transformers.LlamaForCausalLM, *, tied=False):
    return kind(transformers.LlamaConfig(**SMALL, num_key_value_heads=1, tie_word_embeddings=tied))


def bert(kind=transformers.BertModel):
    return kind(transformers.BertConfig(**SMALL))


def gpt2():
    sizes = {"n_embd": 24, "n_layer": 2, "n_head": 2, "vocab_size": 60, "n_positions": 16}
    return transformers.GPT2LMHeadModel(transformers.GPT2Config(**sizes, bos_token_id=1, eos_token_id=2))


def vit(kind=transformers.ViTForImageClassification):
    sizes = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 40}
    return kind(transformers.ViTConfig(**sizes, image_size=8, patch_size=4))


def t5():
    sizes = {"d_model": 24, "d_kv": 12, "d_ff": 40, "num_layers": 1, "num_heads": 2, "vocab_size": 60}
    return transformers.T5ForConditionalGeneration(transformers.T5Config(**sizes))


MODELS = {
    "llama": llama,
    "llama, tied": lambda: llama(tied=True),
    "llama without a head": lambda: llama(transformers.LlamaModel),
    "gpt2": gpt2,
    "bert": bert,
}


def nudged(model, seed, scale=0.05, only=""):
    """Train without training: every weight changes, or those whose name has ``only`` in it."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in sorted(model.named_parameters()):
            if only in name:
                weight += scale * torch.randn(weight.shape, generator=generator)
    return model


def state(model):
    return {name: weight.detach().clone() for name, weight in model.state_dict().items()}


def copied(make, weights):
    model = make()
    model.load_state_dict(weights)
    return model.eval()


def opened(folder, make, *skills, only=""):
    """A store with the base and some of its fine-tunes, kept exactly; and the base's weights."""
    torch.manual_seed(0)
    model = make()
    model.save_pretrained(folder / "base")
    weights = state(model)
    store = mergestore.open(folder / "home")
    store.register_base("base", folder / "base")
    for seed, name in enumerate(skills, 1):
        nudged(copied(make, weights), seed, only=only).save_pretrained(folder / name)
        store.register_skill(name, folder / name, base="base", encoding="exact")
    return store, weights


def outputs(model):
    """What the model computes for some fixed input."""
    with torch.no_grad():
        found = model(input_ids=torch.arange(20).reshape(2, 10) + 3)
    return found["logits"] if "logits" in found else found["last_hidden_state"]


def adapted(folder, model):
    """The adapter on its base, by PEFT, which must find all that it looks for and nothing else."""
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*(missing|unexpected).*keys.*")
        return peft.PeftModel.from_pretrained(model, folder).eval()


@pytest.mark.parametrize("kind", MODELS)
def test_with_all_ranks_base_and_adapter_are_the_merged_model(tmp_path, kind):
    make = MODELS[kind]
    store, weights = opened(tmp_path, make, "one", "two")
    with store:
        made = store.materialize_adapter("base + 0.7*one - 0.2*two", energy=ALL, output=tmp_path / "adapter")
        store.materialize("base + 0.7*one - 0.2*two", output=tmp_path / "merged")
        assert store.verify(tmp_path / "adapter").ok
    assert made.adapter["error"] < 2e-7
    assert made.adapter["dropped"] == {}
    assert not any("PEFT" in note for note in made.notes)
    merged = type(make()).from_pretrained(tmp_path / "merged").eval()
    tuned = adapted(tmp_path / "adapter", type(make()).from_pretrained(tmp_path / "base"))
    expected = outputs(merged)
    assert (expected - outputs(copied(make, weights))).abs().max() > 0.1
    torch.testing.assert_close(outputs(tuned), expected, rtol=0, atol=2e-5)
    torch.testing.assert_close(outputs(tuned.merge_and_unload()), expected, rtol=0, atol=2e-5)


def test_a_head_goes_with_the_adapter(tmp_path):
    store, weights = opened(tmp_path, bert)
    torch.manual_seed(1)
    kind = transformers.BertForSequenceClassification
    model = bert(kind)
    model.bert.load_state_dict(weights)
    nudged(model, 1).save_pretrained(tmp_path / "classifier")
    with store:
        store.register_skill("classifier", tmp_path / "classifier", base="base", encoding="exact")
        made = store.materialize_adapter("base + classifier", energy=ALL, output=tmp_path / "adapter")
    assert "classifier" in made.adapter["modules_to_save"]
    fresh = kind.from_pretrained(tmp_path / "base")
    torch.testing.assert_close(outputs(adapted(tmp_path / "adapter", fresh)), outputs(model.eval()), rtol=0, atol=2e-5)


@pytest.mark.parametrize("rank", [1, 5, 12])
def test_the_error_that_is_told_is_the_true_one_and_the_least(tmp_path, rank):
    """Against float64: the delta of fp32 weights, its singular values, and the factors as they were written."""
    store, weights = opened(tmp_path, llama, "one", "two")
    with store:
        made = store.materialize_adapter("base + 0.7*one + 0.4*two", rank=rank, output=tmp_path / "adapter")
        merged = store.load("base + 0.7*one + 0.4*two", dtype="F32")
    tensors = load_file(tmp_path / "adapter" / "adapter_model.safetensors")
    energy = residual = 0.0
    for name, layer in made.adapter["layers"].items():
        delta = merged[name].double().numpy() - weights[name].double().numpy()
        a, b = (tensors[f"base_model.model.{name.removesuffix('weight')}lora_{s}.weight"].astype(float) for s in "AB")
        left, norm = np.linalg.norm(delta - b @ a), np.linalg.norm(delta)
        assert layer["rank"] == len(a) == rank
        np.testing.assert_allclose(layer["norm"], norm, rtol=1e-6)
        np.testing.assert_allclose(layer["error"], left / norm, rtol=1e-5, atol=1e-7)
        np.testing.assert_allclose(layer["energy"], 1 - (left / norm) ** 2, rtol=1e-6, atol=1e-6)
        best = math.sqrt((np.linalg.svd(delta, compute_uv=False)[rank:] ** 2).sum())
        assert left <= best * (1 + 1e-6) + 2e-7 * norm
        residual += left**2
    for name, weight in weights.items():
        energy += float((merged[name].double() - weight.double()).norm()) ** 2
    np.testing.assert_allclose(made.adapter["error"], math.sqrt(residual / energy), rtol=1e-5, atol=1e-7)
    manifest = json.loads((tmp_path / "adapter" / "mergestore.json").read_text())
    assert manifest["adapter"] == made.adapter
    assert manifest["recipe"]["adapter"]["rank"] == rank
    assert f"{made.adapter['error']:.3g} of its norm" in (tmp_path / "adapter" / "README.md").read_text()


def test_a_merge_of_adapters_comes_back_at_the_sum_of_their_ranks(tmp_path):
    """And goes on: the adapter is registered as a skill, of which the merged model is made again."""
    store, weights = opened(tmp_path, llama)
    targets = ["q_proj", "v_proj", "down_proj"]
    for seed, (name, rank) in enumerate({"one": 3, "two": 4}.items()):
        tuned = peft.get_peft_model(copied(llama, weights), peft.LoraConfig(r=rank, target_modules=targets))
        nudged(tuned, seed, only="lora_").save_pretrained(tmp_path / name)
        store.register_skill(name, tmp_path / name, base="base")
    with store:
        named = store.merge("both", "base + 0.7*one + 0.4*two")
        made = store.materialize_adapter("both", rank=7, output=tmp_path / "adapter")
        assert made.adapter["merge_recipe_digest"] != made.recipe_digest
        assert set(made.adapter["layers"]) == {n for n in weights if n.split(".")[-2] in targets}
        assert made.adapter["modules_to_save"] == made.adapter["biases"] == []
        assert made.adapter["error"] < 2e-7
        skill = store.register_skill("again", tmp_path / "adapter", base="base")
        merged, again = store.load("both"), store.load("base + again")
        lineage = store.audit("again").lineage
        assert store.verify().ok
    assert skill.encoding == "lora"
    assert named.recipe_digest in {node["digest"] for node in lineage["nodes"]}
    for name, weight in merged.items():
        torch.testing.assert_close(again[name], weight, rtol=0, atol=2e-7 * weight.abs().max().item())


def test_energy_gives_each_layer_a_rank_of_its_own(tmp_path):
    store, weights = opened(tmp_path, llama, "one")
    with store:
        made = store.materialize_adapter("base + one", energy=0.9, output=tmp_path / "adapter")
        capped = store.materialize_adapter("base + one", energy=0.9, rank=5, output=tmp_path / "capped")
    layers = made.adapter["layers"]
    assert min(layer["energy"] for layer in layers.values()) >= 0.9
    assert len({layer["rank"] for layer in layers.values()}) > 2
    assert {layer["rank"] for layer in capped.adapter["layers"].values()} == {5}
    config = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    assert config["rank_pattern"] == config["alpha_pattern"]
    assert all(key.startswith("^") for key in config["rank_pattern"])
    tuned = adapted(tmp_path / "adapter", copied(llama, weights))
    for name, layer in layers.items():
        module = tuned.base_model.model.get_submodule(name.removesuffix(".weight"))
        assert module.r["default"] == layer["rank"]
        assert module.scaling["default"] == 1.0


def test_only_what_changed_is_in_the_adapter(tmp_path):
    store, weights = opened(tmp_path, gpt2, "one", only="h.1.attn")
    with store:
        made = store.materialize_adapter("base + one", rank=4, output=tmp_path / "adapter")
    assert sorted(made.adapter["layers"]) == [f"transformer.h.1.attn.{n}.weight" for n in ("c_attn", "c_proj")]
    assert made.adapter["biases"] == [f"transformer.h.1.attn.{n}.bias" for n in ("c_attn", "c_proj")]
    assert made.adapter["modules_to_save"] == []
    assert json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())["fan_in_fan_out"] is True
    adapted(tmp_path / "adapter", copied(gpt2, weights))


def test_rest_is_saved_dropped_or_refused(tmp_path):
    store, weights = opened(tmp_path, llama, "one")
    with store:
        with pytest.raises(mergestore.InputRefused, match=r"changes 'lm_head|changes 'model\.embed_tokens\.weight'"):
            store.materialize_adapter("base + one", rank=4, rest="refuse", output=tmp_path / "adapter")
        assert not (tmp_path / "adapter").exists()
        made = store.materialize_adapter("base + one", rank=4, rest="drop", output=tmp_path / "adapter")
        saved = store.materialize_adapter("base + one", rank=4, output=tmp_path / "saved")
        merged = store.load("base + one")
    others = [name for name in weights if name not in made.adapter["layers"]]
    assert sorted(made.adapter["dropped"]) == sorted(others)
    for name in others:
        norm = float((merged[name].double() - weights[name].double()).norm())
        np.testing.assert_allclose(made.adapter["dropped"][name], norm, rtol=1e-6)
    assert made.adapter["error"] > saved.adapter["error"]
    assert "**left out**" in (tmp_path / "adapter" / "README.md").read_text()
    adapted(tmp_path / "adapter", copied(llama, weights))


def test_in_half_precision_the_delta_is_that_of_fp32(tmp_path):
    """Rounded to the base's bf16 first, the merged delta would be noise of full rank."""
    store, weights = opened(tmp_path, lambda: llama().bfloat16())
    model = copied(lambda: llama().bfloat16(), weights)
    tuned = peft.get_peft_model(model, peft.LoraConfig(r=2, target_modules=["q_proj"]))
    nudged(tuned, 1, scale=1e-3, only="lora_").save_pretrained(tmp_path / "one")
    with store:
        store.register_skill("one", tmp_path / "one", base="base")
        made = store.materialize_adapter("base + 0.5*one", rank=2, output=tmp_path / "adapter")
    assert made.adapter["error"] < 1e-3


def test_the_same_recipe_gives_the_same_bytes_and_is_taken_from_the_cache(tmp_path):
    store, _ = opened(tmp_path, llama, "one")
    with store:
        one = store.materialize_adapter("base + one", rank=4, output=tmp_path / "a", threads=1)
        two = store.materialize_adapter("base + one", rank=4, output=tmp_path / "b", threads=3, cache=False)
        other = store.materialize_adapter("base + one", rank=5, output=tmp_path / "c")
        whole = store.materialize("base + one", dtype="F32", output=tmp_path / "d")
        first, again = (store.materialize_adapter("base + one", rank=4) for _ in range(2))
        copy = store.materialize_adapter("base + one", rank=4, output=tmp_path / "e")
        assert store.verify().ok
    assert len({each.recipe_digest for each in (one, other, whole)}) == 3
    assert (one.recipe_digest, one.output_digest) == (two.recipe_digest, two.output_digest)
    for name in ("adapter_model.safetensors", "adapter_config.json", "mergestore.json", "README.md"):
        content = (tmp_path / "a" / name).read_bytes()
        assert content == (tmp_path / "b" / name).read_bytes() == (tmp_path / "e" / name).read_bytes()
    assert (first.cached, again.cached, copy.cached) == (False, True, True)
    assert first.adapter == again.adapter == copy.adapter == one.adapter


def test_damage_is_found(tmp_path):
    store, _ = opened(tmp_path, llama, "one")
    with store:
        store.materialize_adapter("base + one", rank=4, output=tmp_path / "adapter")
        path = tmp_path / "adapter" / "adapter_model.safetensors"
        content = bytearray(path.read_bytes())
        content[-3] ^= 1
        path.write_bytes(content)
        problems = store.verify(tmp_path / "adapter").problems
        assert ["is not what was published" in problem["what"] for problem in problems] == [True]
        path.unlink()
        assert any("is missing" in problem["what"] for problem in store.verify(tmp_path / "adapter").problems)
        made = store.materialize_adapter("base + one", rank=4, output=tmp_path / "adapter", force=True)
        assert store.verify(tmp_path / "adapter").ok
    assert made.path == str(tmp_path / "adapter")


def test_what_cannot_be_an_adapter_is_refused_and_leaves_no_trace(tmp_path):
    store, _ = opened(tmp_path, llama, "one")
    before = sorted(path.name for path in tmp_path.iterdir())
    with store:
        with pytest.raises(mergestore.UsageError, match=r"rank 13 is above the 12 that 'model\.layers\.0\..*k_proj"):
            store.materialize_adapter("base + one", rank=13, output=tmp_path / "adapter")
        with pytest.raises(mergestore.InputRefused, match="changes no linear layer"):
            store.materialize_adapter("base + 0*one", rank=4, output=tmp_path / "adapter")
        with pytest.raises(mergestore.UsageError, match="needs a rank"):
            store.materialize_adapter("base + one", output=tmp_path / "adapter")
        (tmp_path / "taken").mkdir()
        (tmp_path / "taken" / "thesis.tex").write_text("mine")
        for force, words in ((False, "exists already"), (True, "not, or not only, a model that mergestore published")):
            with pytest.raises(mergestore.Conflict, match=words):
                store.materialize_adapter("base + one", rank=4, output=tmp_path / "taken", force=force)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*before, "taken"])
    assert [path.name for path in (tmp_path / "taken").iterdir()] == ["thesis.tex"]


def test_shared_embeddings_that_an_adapter_cannot_tell_of_are_refused(tmp_path):
    store, weights = opened(tmp_path, t5, "one")
    with closing(store):
        with pytest.raises(mergestore.InputRefused, match=r"share 'shared\.weight', for which an adapter has no word"):
            store.materialize_adapter("base + one", rank=4, output=tmp_path / "adapter")
        made = store.materialize_adapter("base + one", rank=4, rest="drop", output=tmp_path / "adapter")
    assert "shared.weight" in made.adapter["dropped"]
    adapted(tmp_path / "adapter", copied(t5, weights))


def test_a_module_that_peft_would_wrap_twice_is_refused(tmp_path):
    """``embeddings`` has parameters of its own, and ``embeddings.patch_embeddings`` within it ends with its name."""
    store, _ = opened(tmp_path, lambda: vit(transformers.ViTModel), "one")
    with store, pytest.raises(mergestore.InputRefused, match=r"'embeddings\.patch_embeddings', which lies within it"):
        store.materialize_adapter("base + one", rank=4, output=tmp_path / "adapter")


def test_an_adapter_of_a_merge_without_a_name_has_its_inputs_for_parents(tmp_path):
    store, _ = opened(tmp_path, llama, "one", "two")
    with store:
        store.materialize_adapter("base + 0.7*one + 0.4*two", energy=ALL, output=tmp_path / "adapter")
        store.register_skill("again", tmp_path / "adapter", base="base")
        nodes = {node["name"] for node in store.audit("again").lineage["nodes"]}
        assert store.verify().ok
    assert nodes == {"again", "base", "one", "two"}


def test_modules_that_transformers_names_otherwise_are_told(tmp_path):
    """transformers 5 translates the names in checkpoints of this model, and PEFT does not."""
    store, weights = opened(tmp_path, vit, "one")
    with store:
        made = store.materialize_adapter("base + one", rank=2, output=tmp_path / "adapter", wait=False)
    modules = dict(copied(vit, weights).named_modules())
    lacking = [name for name in made.adapter["layers"] if name.removesuffix(".weight") not in modules]
    told = [note for note in made.notes if "PEFT will not find" in note]
    assert len(told) == (1 if lacking else 0)


@pytest.mark.parametrize(
    ("method", "parameters"), [("linear", {"normalize": False}), ("ties", {"density": 0.5}), ("karcher", {})]
)
def test_any_method_comes_out_as_an_adapter(tmp_path, method, parameters):
    """Those that scale the base change every tensor; some are computed tensor by tensor, not in chunks."""
    store, weights = opened(tmp_path, llama, "one", "two")
    given = {"method": method, "parameters": parameters}
    with store:
        store.materialize_adapter("base + 0.7*one + 0.2*two", energy=ALL, output=tmp_path / "adapter", **given)
        merged = store.load("base + 0.7*one + 0.2*two", **given)
    tuned = adapted(tmp_path / "adapter", copied(llama, weights)).merge_and_unload().state_dict()
    for name, weight in merged.items():
        torch.testing.assert_close(tuned[name], weight, rtol=0, atol=1e-6 * weight.abs().max().item())


def test_provenance_tells_of_the_adapter(tmp_path):
    store, _ = opened(tmp_path, llama, "one")
    with store:
        made = store.materialize_adapter("base + one", rank=4, output=tmp_path / "adapter", wait=False)
        with reading(store.engine) as session:
            (payload,) = [message.payload for message in session.scalars(select(Outbox))]
    record = describe(payload)
    assert record.params["adapter.rank"] == "4"
    assert record.params["adapter.rest"] == "save"
    assert record.metrics["adapter_error"] == made.adapter["error"]
    assert record.files["README.md"].startswith("---\nlibrary_name: peft")
