"""Resident mode into live modules: a hot swap between two forwards gives the published model's own answers."""

import json

import pytest

import mergestore
from mergestore import InputRefused

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

pytestmark = [
    pytest.mark.usefixtures("surroundings"),
    pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated"),
]
IDS = torch.arange(12).reshape(2, 6)
MIXES = ["llama + 0.6*math + 0.4*code", "llama - 0.3*math", "llama + code"]


def tiny(*, tied, seed=0):
    config = transformers.LlamaConfig(
        vocab_size=64,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        tie_word_embeddings=tied,
    )
    torch.manual_seed(seed)
    return transformers.LlamaForCausalLM(config).eval()


def nudged(model, seed):
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for _, weight in sorted(model.named_parameters()):
            weight += 2e-2 * torch.randn(weight.shape, generator=generator)
    return model


@pytest.fixture(scope="module", params=[True, False], ids=["tied", "untied"])
def store(request, surroundings, tmp_path_factory):
    folder = tmp_path_factory.mktemp("modules")
    tiny(tied=request.param).save_pretrained(folder / "base")
    for number, name in enumerate(("math", "code")):
        nudged(tiny(tied=request.param), number).save_pretrained(folder / name)
    with mergestore.open(folder / "store") as store:
        store.register_base("llama", folder / "base")
        store.register_skill("math", folder / "math", base="llama", drop_rate=0.3)
        store.register_skill("code", folder / "code", base="llama", encoding="exact")
        yield store


def tied(store):
    return json.loads((store.home.root.parent / "base" / "config.json").read_text())["tie_word_embeddings"]


def logits(model):
    with torch.inference_mode():
        return model(IDS).logits


def test_a_hot_swap_between_two_forwards(store, tmp_path):
    model = tiny(tied=tied(store), seed=7)  # a live model of the right shape, with values of its own
    places = {name: tensor.data_ptr() for name, tensor in model.state_dict().items()}
    answers = []
    with store.resident("llama", ["math", "code"], threads=2) as resident:
        for mix in MIXES:
            resident.load_into(mix, model)
            answers.append(logits(model))
    for number, (mix, answer) in enumerate(zip(MIXES, answers, strict=True)):
        made = store.materialize(mix, output=tmp_path / str(number), cache=False, wait=False)
        published = transformers.AutoModelForCausalLM.from_pretrained(made.path).eval()
        assert torch.equal(answer, logits(published))
    assert not torch.equal(answers[0], answers[1])
    assert {name: tensor.data_ptr() for name, tensor in model.state_dict().items()} == places
    assert (model.lm_head.weight is model.model.embed_tokens.weight) == tied(store)


def test_parameters_stay_parameters(store):
    model = tiny(tied=tied(store)).train()
    before = dict(model.named_parameters())
    with store.resident("llama", ["math"]) as resident:
        resident.load_into("llama + math", model)
        assert dict(model.named_parameters()).keys() == before.keys()
        assert all(weight is before[name] and weight.requires_grad for name, weight in model.named_parameters())
        model(IDS).logits.sum().backward()
        assert all(weight.grad is not None for weight in model.parameters())


def test_autograd_knows_that_weights_were_written(store):
    model = tiny(tied=tied(store)).train()
    with store.resident("llama", ["math"]) as resident:
        loss = model(IDS).logits.sum()
        resident.load_into("llama + math", model)
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            loss.backward()
        model(IDS).logits.sum().backward()
        with torch.inference_mode():
            frozen = {name: weight.clone() for name, weight in resident.load("llama + math").items()}
        resident.load_into("llama - math", frozen)  # such tensors count no versions


def test_a_model_without_memory_is_told_so_first(store):
    model = tiny(tied=tied(store)).to("meta")
    with (
        store.resident("llama", ["math"]) as resident,
        pytest.raises(InputRefused, match="has device meta, the result has cpu") as caught,
    ):
        resident.load_into("llama + math", model)
    assert "to_empty" in caught.value.hint


def test_the_base_model_inside_is_another_module(store):
    """`LlamaModel` names its tensors without `model.`: nothing is guessed."""
    model = tiny(tied=tied(store)).model
    before = model.embed_tokens.weight.clone()
    with (
        store.resident("llama", ["math"]) as resident,
        pytest.raises(InputRefused, match=r"it lacks .*'model\.embed_tokens\.weight'.* besides 'embed_tokens\.weight'"),
    ):
        resident.load_into("llama + math", model)
    assert torch.equal(model.embed_tokens.weight, before)


def test_another_dtype_is_asked_for(store):
    model = tiny(tied=tied(store)).to(torch.bfloat16)
    with store.resident("llama", ["math", "code"]) as resident:
        with pytest.raises(InputRefused, match=r"dtype torch.bfloat16, the result has torch.float32\n.*dtype='BF16'"):
            resident.load_into(MIXES[0], model)
        resident.load_into(MIXES[0], model, dtype="BF16")
        wanted = resident.load(MIXES[0], dtype="BF16")
    assert all(torch.equal(model.state_dict()[name], tensor) for name, tensor in wanted.items())


def test_what_a_module_computes_itself_stays(store):
    model = tiny(tied=tied(store))
    frequencies = model.model.rotary_emb.inv_freq
    before = frequencies.clone()
    with store.resident("llama", ["math"]) as resident:
        resident.load_into("llama + math", model)
    assert torch.equal(frequencies, before)


class Buffers(torch.nn.Module):
    """A weight, a buffer that is saved and one that is not."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(4, 4))
        self.register_buffer("steps", torch.zeros(3, dtype=torch.int64))
        self.register_buffer("scratch", torch.zeros(2), persistent=False)


def test_buffers_are_written_where_the_result_has_them(tmp_path, surroundings):
    from safetensors.torch import save_file

    for name, value in (("base", 0.5), ("tuned", 1.0)):
        (tmp_path / name).mkdir()
        tensors = {"weight": torch.full((4, 4), value), "steps": torch.arange(3), "scratch": torch.full((2,), 7.0)}
        save_file(tensors, tmp_path / name / "model.safetensors")
    with mergestore.open(tmp_path / "store") as store:
        store.register_base("b", tmp_path / "base")
        store.register_skill("s", tmp_path / "tuned", base="b", encoding="exact")
        module = Buffers()
        with store.resident("b", ["s"]) as resident:
            resident.load_into("b + 0.5*s", module)
    assert module.weight[0, 0].item() == 0.75
    assert module.steps.tolist() == [0, 1, 2]
    assert module.scratch.tolist() == [7, 7]
