"""Adapters that the real PEFT made, as skills: at weight 1 what merge_and_unload makes, and sums are exact."""

import json

import pytest

import mergestore

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
peft = pytest.importorskip("peft")

# What PEFT and transformers remark on their own calls is no concern here.
pytestmark = [
    pytest.mark.usefixtures("surroundings"),
    pytest.mark.filterwarnings("ignore::UserWarning", "ignore::RuntimeWarning", "ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]
ROUNDING = 4e-6
"""Of fp32: a sum of 8 products, the base, and for DoRA a quotient and a product; in units of the largest weight."""


def bert():
    return transformers.BertModel(
        transformers.BertConfig(
            hidden_size=24,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=40,
            vocab_size=60,
            max_position_embeddings=16,
        )
    )


def classifier():
    return transformers.BertForSequenceClassification(transformers.BertConfig(**bert().config.to_diff_dict()))


def gpt2():
    return transformers.GPT2LMHeadModel(
        transformers.GPT2Config(n_embd=24, n_layer=2, n_head=2, vocab_size=60, n_positions=16)
    )


def mobilenet():
    return transformers.ResNetModel(
        transformers.ResNetConfig(embedding_size=4, hidden_sizes=[4, 8], depths=[1, 1], layer_type="basic")
    )


LINEAR = ["query", "value", "intermediate.dense"]
KINDS = {
    "lora": (bert, {"target_modules": LINEAR}),
    "rslora": (bert, {"target_modules": LINEAR, "use_rslora": True}),
    "ranks of its own": (
        bert,
        {"target_modules": LINEAR, "rank_pattern": {"query": 2, "layer.1.*value": 5}, "alpha_pattern": {"value": 3}},
    ),
    "saved modules and biases": (bert, {"target_modules": LINEAR, "modules_to_save": ["pooler"], "bias": "all"}),
    "embeddings": (bert, {"target_modules": ["word_embeddings", "query"]}),
    "conv1d": (gpt2, {"target_modules": ["c_attn", "c_proj", "c_fc"], "fan_in_fan_out": True}),
    "dora": (bert, {"target_modules": LINEAR, "use_dora": True}),
    "dora, rslora, ranks": (
        bert,
        {"target_modules": LINEAR, "use_dora": True, "use_rslora": True, "rank_pattern": {"query": 2}},
    ),
    "dora on conv1d": (
        gpt2,
        {"target_modules": ["c_attn", "c_proj", "c_fc"], "fan_in_fan_out": True, "use_dora": True},
    ),
    "dora on embeddings": (bert, {"target_modules": ["word_embeddings", "query"], "use_dora": True}),
    "dora on convolutions": (mobilenet, {"target_modules": ["convolution"], "use_dora": True}),
}


def train(model, folder, seed, **settings):
    """Train without training: an adapter of random factors, and magnitudes near those it starts from."""
    config = peft.LoraConfig(**{"r": 4, "lora_alpha": 6, **settings})
    tuned = peft.get_peft_model(model, config)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in sorted(tuned.named_parameters()):
            if "magnitude" in name:
                weight *= 1 + 0.3 * torch.randn(weight.shape, generator=generator)
            elif weight.requires_grad:
                weight += 0.05 * torch.randn(weight.shape, generator=generator)
    tuned.save_pretrained(folder)
    return tuned


def state(model):
    return {name: weight.detach().clone() for name, weight in model.state_dict().items()}


def copied(make, weights):
    model = make()
    model.load_state_dict(weights)
    return model


def registered(folder, make, dtype=torch.float32):
    torch.manual_seed(0)
    model = make().to(dtype)
    model.save_pretrained(folder / "base")
    store = mergestore.open(folder / "home")
    store.register_base("base", folder / "base")
    return store, state(model)


@pytest.mark.parametrize("kind", KINDS)
def test_a_skill_at_weight_one_is_what_merge_and_unload_makes(tmp_path, kind):
    make, settings = KINDS[kind]
    store, weights = registered(tmp_path, make)
    tuned = train(copied(make, weights), tmp_path / "adapter", 1, **settings)
    expected = state(tuned.merge_and_unload())
    with store:
        made = store.register_skill("skill", tmp_path / "adapter", base="base")
        assert made.encoding == "lora"
        found = store.load("base + skill")
    changed = 0
    for name, tensor in found.items():
        scale = expected[name].abs().max().item()
        torch.testing.assert_close(tensor, expected[name], rtol=0, atol=ROUNDING * scale)
        changed += not torch.equal(tensor, weights[name])
    assert changed >= 3


@pytest.mark.parametrize("device", ["cpu", "resident"])
def test_dora_on_a_half_precision_base_keeps_to_fp32(tmp_path, device):
    """PEFT computes a row's length in the base's own dtype; the rule is the same, held to float64 here."""
    store, weights = registered(tmp_path, bert, torch.bfloat16)
    train(copied(bert, {k: v.float() for k, v in weights.items()}), tmp_path / "adapter", 2, **KINDS["dora"][1])
    factors = peft.utils.load_peft_weights(str(tmp_path / "adapter"), device="cpu")
    with store:
        store.register_skill("skill", tmp_path / "adapter", base="base")
        if device == "cpu":
            found = store.load("base + 0.5*skill", dtype="F32")
        else:
            with store.resident("base", ["skill"]) as resident:
                found = {name: tensor.float() for name, tensor in resident.load("base + 0.5*skill").items()}
    for name, weight in weights.items():
        module = f"base_model.model.{name.removesuffix('.weight')}"
        own = weight.double()
        if f"{module}.lora_A.weight" in factors:
            a, b = (factors[f"{module}.lora_{side}.weight"].double() for side in "AB")
            tuned = own + 1.5 * b @ a
            lengths = factors[f"{module}.lora_magnitude_vector"].double() / tuned.norm(dim=1)
            own = own + 0.5 * (lengths[:, None] * tuned - own)
        atol = own.abs().max().item() * (ROUNDING if device == "cpu" else 2**-8)
        torch.testing.assert_close(found[name].double(), own, rtol=0, atol=atol)


def test_dora_is_stored_as_small_as_its_factors(tmp_path):
    store, weights = registered(tmp_path, bert)
    train(copied(bert, weights), tmp_path / "plain", 1, target_modules=LINEAR)
    train(copied(bert, weights), tmp_path / "dora", 1, target_modules=LINEAR, use_dora=True)
    with store:
        plain = store.register_skill("plain", tmp_path / "plain", base="base")
        dora = store.register_skill("dora", tmp_path / "dora", base="base")
        again = store.register_skill("again", tmp_path / "dora", base="base")
        assert store.verify().ok
    outputs = 2 * (24 + 24 + 40)
    assert dora.stored_bytes - plain.stored_bytes < 4 * outputs + 2048  # gains, and what the header says of them
    assert again.digest == dora.digest


def test_linear_combinations_add_up_exactly_where_those_of_peft_do_not(tmp_path):
    """(a·s₁B₁A₁ + b·s₂B₂A₂) in float64; PEFT's ``linear`` adds up factors, so its products have cross terms."""
    store, weights = registered(tmp_path, bert)
    shares = {"one": 0.7, "two": 0.4}
    for seed, name in enumerate(shares, 1):
        train(copied(bert, weights), tmp_path / name, seed, target_modules=LINEAR)
    tuned = peft.PeftModel.from_pretrained(copied(bert, weights), tmp_path / "one", adapter_name="one")
    tuned.load_adapter(tmp_path / "two", adapter_name="two")
    tuned.add_weighted_adapter(list(shares), list(shares.values()), "both", combination_type="linear")
    tuned.set_adapter("both")
    by_peft = state(tuned.merge_and_unload())
    with store:
        for name in shares:
            store.register_skill(name, tmp_path / name, base="base")
        found = store.load("base + 0.7*one + 0.4*two")
    factors = {name: peft.utils.load_peft_weights(str(tmp_path / name), device="cpu") for name in shares}
    targets = [
        name for name in weights if f"base_model.model.{name.removesuffix('weight')}lora_A.weight" in factors["one"]
    ]
    assert len(targets) == 6
    for name in targets:
        module = f"base_model.model.{name.removesuffix('.weight')}"
        delta = sum(
            share
            * 1.5
            * factors[which][f"{module}.lora_B.weight"].double()
            @ factors[which][f"{module}.lora_A.weight"].double()
            for which, share in shares.items()
        )
        exact = weights[name].double() + delta
        atol = ROUNDING * exact.abs().max().item()
        torch.testing.assert_close(found[name].double(), exact, rtol=0, atol=atol)
        assert (by_peft[name].double() - exact).norm() > 0.1 * delta.norm()


def test_a_dora_adapter_of_another_base_or_without_its_magnitudes_is_refused(tmp_path):
    store, weights = registered(tmp_path, bert)
    train(copied(bert, weights), tmp_path / "adapter", 1, **KINDS["dora"][1])
    from safetensors.torch import load_file, save_file

    tensors = load_file(tmp_path / "adapter" / "adapter_model.safetensors")
    name = next(name for name in tensors if name.endswith("magnitude_vector"))
    with store:
        save_file({key: value for key, value in tensors.items() if key != name}, tmp_path / "adapter" / "x")
        (tmp_path / "adapter" / "x").rename(tmp_path / "adapter" / "adapter_model.safetensors")
        with pytest.raises(mergestore.InputRefused, match="every module has two factors and a magnitude"):
            store.register_skill("skill", tmp_path / "adapter", base="base")
        save_file(tensors | {name: tensors[name][:-1].clone()}, tmp_path / "adapter" / "x")
        (tmp_path / "adapter" / "x").rename(tmp_path / "adapter" / "adapter_model.safetensors")
        with pytest.raises(mergestore.InputRefused, match=r"expected are \d+ values of F32, F16 or BF16"):
            store.register_skill("skill", tmp_path / "adapter", base="base")
        config = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
        (tmp_path / "adapter" / "adapter_config.json").write_text(json.dumps(config | {"use_dora": False}))
        with pytest.raises(mergestore.InputRefused, match="is a DoRA magnitude, but"):
            store.register_skill("skill", tmp_path / "adapter", base="base")


def test_a_row_without_a_length_cannot_be_brought_to_one(tmp_path):
    store, weights = registered(tmp_path, bert)
    store.close()
    name = "encoder.layer.0.attention.self.query.weight"
    weights[name][3] = 0
    model = copied(bert, weights)
    model.save_pretrained(tmp_path / "holed")
    tuned = train(model, tmp_path / "adapter", 1, **KINDS["dora"][1])
    with torch.no_grad():
        tuned.base_model.model.encoder.layer[0].attention.self.query.lora_B["default"].weight[3] = 0
    tuned.save_pretrained(tmp_path / "adapter")
    with mergestore.open(tmp_path / "home") as store:
        store.register_base("holed", tmp_path / "holed")
        with pytest.raises(mergestore.InputRefused, match=r"DoRA cannot be applied to .*query.*row 3"):
            store.register_skill("skill", tmp_path / "adapter", base="holed")
