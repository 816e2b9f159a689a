"""Fine-tunes that added tokens, merged under every policy, and loaded with transformers."""

import pytest

import mergestore

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from tests.integration import grown_models as models  # noqa: E402
from tests.integration.grown_models import EMBED, HEAD, SIZE, materialized, tokens  # noqa: E402

pytestmark = [pytest.mark.usefixtures("surroundings"), pytest.mark.filterwarnings("ignore")]


@pytest.fixture(scope="module", params=[False, True], ids=["untied", "tied"])
def folders(request, tmp_path_factory):
    """Base, math (three tokens, one of them end of text) and code (two tokens, one of them math's too)."""
    root = tmp_path_factory.mktemp("grown")
    tied = request.param
    base = models.save(root / "base", models.model(tied=tied), models.tokenizer())
    math = models.fine_tuned(
        base, 1, special=["<think>", "<tool>"], plain=["sqrt"], template="math:", eos_token_id=SIZE
    )
    code = models.fine_tuned(base, 2, special=["<tool>"], plain=["def"], template="code:")
    models.save(root / "math", *math)
    models.save(root / "code", *code)
    return root


@pytest.fixture(scope="module")
def store(folders):
    mergestore.init(folders / "store")
    with mergestore.open(folders / "store") as store:
        store.register_base("base", folders / "base")
        for name in ("math", "code"):
            registered = store.register_skill(name, folders / name, base="base", encoding="exact")
            assert any("rows were added to the vocabulary" in note for note in registered.notes)
        yield store


def test_one_skill_with_its_vocabulary_is_the_fine_tune(store, folders, tmp_path):
    out, notes = materialized(store, tmp_path, "base + math", vocabulary="math")
    ours, theirs = models.weights(out), models.weights(folders / "math")
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert models.document(out, "config.json")["vocab_size"] == SIZE + 3
    assert models.document(out, "config.json")["eos_token_id"] == SIZE
    assert models.document(out, "generation_config.json")["eos_token_id"] == SIZE
    assert tokens(out).get_vocab() == tokens(folders / "math").get_vocab()
    assert tokens(out).chat_template == tokens(folders / "math").chat_template
    assert not any("left out" in note for note in notes)


def test_by_default_the_base_stays_as_it_is(store, folders, tmp_path):
    out, notes = materialized(store, tmp_path, "base + 0.5*math + 0.25*code")
    base, math, code = (models.weights(folders / name) for name in ("base", "math", "code"))
    ours = models.weights(out)
    for name in (EMBED, HEAD):
        expected = base[name] + 0.5 * (math[name][:SIZE] - base[name]) + 0.25 * (code[name][:SIZE] - base[name])
        torch.testing.assert_close(ours[name], expected, atol=1e-7, rtol=0)
    assert tokens(out).get_vocab() == tokens(folders / "base").get_vocab()
    assert models.document(out, "config.json") == models.document(folders / "base", "config.json")
    assert sorted(note.split(" left out")[0] for note in notes if "left out" in note) == [
        "the 2 added tokens and 2 added rows of code@1",
        "the 3 added tokens and 3 added rows of math@1",
    ]


def test_a_named_skill_brings_its_rows_as_they_are(store, folders, tmp_path):
    out, notes = materialized(store, tmp_path, "base + 0.5*math + 0.25*code", vocabulary="code")
    plain, _ = materialized(store, tmp_path / "plain", "base + 0.5*math + 0.25*code")
    ours, code, without = (models.weights(each) for each in (out, folders / "code", plain))
    for name in (EMBED, HEAD):
        assert torch.equal(ours[name][:SIZE], without[name])
        assert torch.equal(ours[name][SIZE:], code[name][SIZE:])
    assert any("math@1 left out" in note for note in notes)
    assert not any("code@1 left out" in note for note in notes)
    words = tokens(out)
    assert words.convert_tokens_to_ids(["<tool>", "def"]) == [SIZE, SIZE + 1]
    assert words.decode(words("one <tool> def two")["input_ids"]) == "one <tool> def two"


def test_old_tokens_have_the_logits_of_a_merge_without_added_rows(store, folders, tmp_path):
    asked = torch.tensor([[1, 3, 4, 5, 9]])
    found = []
    for number, vocabulary in enumerate(("base", "math", "union")):
        out, _ = materialized(store, tmp_path / str(number), "base + 0.5*math + 0.25*code", vocabulary=vocabulary)
        network = transformers.AutoModelForCausalLM.from_pretrained(out)
        assert (network.lm_head.weight is network.model.embed_tokens.weight) == network.config.tie_word_embeddings
        found.append(network(asked).logits[..., :SIZE])
    for logits in found[1:]:
        torch.testing.assert_close(logits, found[0], atol=1e-6, rtol=0)


def test_a_union_has_every_token_once(store, folders, tmp_path):
    out, notes = materialized(store, tmp_path, "base + 0.6*math + 0.2*code", vocabulary="union")
    words = tokens(out)
    added = {text: number for text, number in words.get_vocab().items() if number >= SIZE}
    assert set(added) == {"<think>", "<tool>", "sqrt", "def"}
    assert sorted(added.values()) == list(range(SIZE, SIZE + 4))
    assert words.decode(words("what <tool> sqrt def <think> is")["input_ids"]) == "what <tool> sqrt def <think> is"
    assert words.decode(words("one <tool> def")["input_ids"], skip_special_tokens=True) == "one def"
    ours = models.weights(out)
    rows = {}
    for name, texts in {"math": ["<think>", "<tool>", "sqrt"], "code": ["<tool>", "def"]}.items():
        theirs, known = models.weights(folders / name), tokens(folders / name)
        rows |= {
            (name, text): {t: theirs[t][known.convert_tokens_to_ids(text)] for t in (EMBED, HEAD)} for text in texts
        }
    for tensor in (EMBED, HEAD):
        assert ours[tensor].shape[0] == SIZE + 4
        for owner, text in (("math", "<think>"), ("math", "sqrt"), ("code", "def")):
            assert torch.equal(ours[tensor][added[text]], rows[owner, text][tensor])
        shared = 0.75 * rows["math", "<tool>"][tensor] + 0.25 * rows["code", "<tool>"][tensor]
        torch.testing.assert_close(ours[tensor][added["<tool>"]], shared, atol=1e-7, rtol=0)
    assert models.document(out, "config.json")["vocab_size"] == SIZE + 4
    assert models.document(out, "config.json")["eos_token_id"] == 2
    assert words.chat_template == tokens(folders / "base").chat_template
    assert not any("left out" in note for note in notes)


def test_a_union_does_not_depend_on_the_order_of_terms(store, tmp_path):
    one, _ = materialized(store, tmp_path / "one", "base + 0.6*math + 0.2*code", vocabulary="union", cache=False)
    other, _ = materialized(store, tmp_path / "other", "base + 0.2*code + 0.6*math", vocabulary="union", cache=False)
    for name in ("tokenizer.json", "model.safetensors", "config.json"):
        assert (one / name).read_bytes() == (other / name).read_bytes()


def test_skills_that_are_taken_away_bring_no_tokens(store, tmp_path):
    out, notes = materialized(store, tmp_path, "base + 0.6*math - 0.2*code", vocabulary="union")
    assert "def" not in tokens(out).get_vocab()
    assert any("code@1 left out" in note for note in notes)


@pytest.mark.parametrize("vocabulary", ["base", "code", "union"])
def test_padding(store, tmp_path, vocabulary):
    out, _ = materialized(store, tmp_path, "base + 0.6*math + 0.2*code", vocabulary=vocabulary, pad_vocabulary=16)
    ours, rows = models.weights(out), {"base": SIZE, "code": SIZE + 2, "union": SIZE + 4}[vocabulary]
    assert ours[EMBED].shape[0] == ours[HEAD].shape[0] == 32
    assert models.document(out, "config.json")["vocab_size"] == 32
    assert not ours[EMBED][rows:].any()
    assert ours[EMBED][:rows].abs().sum(1).all()
    assert len(tokens(out)) == rows


def test_a_padded_vocabulary_that_fits_is_another_recipe_of_the_same_bytes(store, tmp_path):
    plain, _ = materialized(store, tmp_path / "plain", "base + 0.6*math", vocabulary="base")
    padded, _ = materialized(store, tmp_path / "padded", "base + 0.6*math", pad_vocabulary=SIZE)
    assert (
        models.document(plain, "mergestore.json")["output_digest"]
        == (models.document(padded, "mergestore.json")["output_digest"])
    )


def test_every_method_keeps_the_bases_rows(store, tmp_path):
    for method in ("ties", "dare_linear", "slerp", "sce", "linear", "model_stock", "breadcrumbs"):
        target = "base + math + code" if method == "model_stock" else "base + 0.5*math + 0.5*code"
        base, _ = materialized(store, tmp_path / method / "base", target, method=method)
        grown, _ = materialized(store, tmp_path / method / "grown", target, method=method, vocabulary="math")
        ours, theirs = models.weights(grown), models.weights(base)
        assert all(torch.equal(ours[name][: len(theirs[name])], theirs[name]) for name in theirs)


def test_chat_template_and_generation_config(store, folders, tmp_path):
    target = "base + 0.6*math + 0.2*code"
    out, _ = materialized(store, tmp_path / "0", target, chat_template="code", generation_config="math")
    assert tokens(out).chat_template == tokens(folders / "code").chat_template
    assert models.document(out, "generation_config.json") == models.document(folders / "math", "generation_config.json")
    assert tokens(out).get_vocab() == tokens(folders / "base").get_vocab()
    out, _ = materialized(
        store, tmp_path / "1", target, vocabulary="math", chat_template="base", generation_config="base"
    )
    assert tokens(out).chat_template == tokens(folders / "base").chat_template
    assert models.document(out, "generation_config.json") == models.document(folders / "base", "generation_config.json")
    written = tmp_path / "own.jinja"
    written.write_text("{{ messages[0]['content'] }}!")
    out, _ = materialized(store, tmp_path / "2", target, vocabulary="union", chat_template=str(written))
    assert tokens(out).apply_chat_template([{"role": "user", "content": "sun"}], tokenize=False) == "sun!"
    card = (out / "README.md").read_text()
    assert "chat template: from a file" in card
    assert "the base's, and the tokens that skills added" in card


def test_in_memory_as_on_disk(store, tmp_path):
    target = "base + 0.6*math + 0.2*code"
    out, _ = materialized(store, tmp_path, target, vocabulary="union", pad_vocabulary=8)
    expected = models.weights(out)
    loaded = store.load(target, vocabulary="union", pad_vocabulary=8)
    assert all(torch.equal(loaded[name], expected[name]) for name in loaded)
    with store.resident("base", ["math", "code"]) as resident:
        there = resident.load(target, vocabulary="union", pad_vocabulary=8)
        network = transformers.AutoModelForCausalLM.from_pretrained(out)
        resident.load_into(target, network, vocabulary="union", pad_vocabulary=8)
        assert resident.memory().skills["math@1"] > 0
    assert there.keys() == loaded.keys()
    assert all(torch.equal(there[name], loaded[name]) for name in there)
    assert all(torch.equal(value, expected[name]) for name, value in network.state_dict().items())


def test_a_named_merge_keeps_its_vocabulary_and_may_be_varied(store, tmp_path):
    merged = store.merge(
        "grown", "base + 0.6*math + 0.2*code", vocabulary="union", pad_vocabulary=8, chat_template="code"
    )
    assert merged.recipe["format"] == 2
    assert [token["text"] for token in merged.recipe["vocabulary"]["tokens"]]
    assert store.show("grown")["recipe"] == merged.recipe
    out, _ = materialized(store, tmp_path / "0", "grown")
    assert models.document(out, "mergestore.json")["recipe_digest"] == merged.recipe_digest
    again, _ = materialized(store, tmp_path / "1", "grown", vocabulary="base")
    assert models.document(again, "config.json")["vocab_size"] == 24
    recipe = models.document(again, "mergestore.json")["recipe"]
    assert recipe["vocabulary"] == {"source": "base", "multiple": 8}
    assert recipe["chat_template"] == merged.recipe["chat_template"]
    assert store.verify().ok


def test_a_recipe_file_says_the_same(store, tmp_path):
    (tmp_path / "chat.jinja").write_text("hello")
    (tmp_path / "recipe.yml").write_text(
        "base: base\nskills: [{skill: math, weight: 0.6}, {skill: code, weight: 0.2}]\n"
        "vocabulary: union\npad_vocabulary: 8\nchat_template: chat.jinja\ngeneration_config: code\n"
    )
    said = store.merge("from-file", tmp_path / "recipe.yml")
    asked = store.merge(
        "from-words",
        "base + 0.6*math + 0.2*code",
        vocabulary="union",
        pad_vocabulary=8,
        chat_template=tmp_path / "chat.jinja",
        generation_config="code",
    )
    assert said.recipe == asked.recipe
