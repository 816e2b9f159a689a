"""What cannot be brought together of added tokens is refused by name; and what is near to it works."""

import json

import pytest

import mergestore

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
peft = pytest.importorskip("peft")

from tests.integration import grown_models as models  # noqa: E402
from tests.integration.grown_models import EMBED, HEAD, SIZE, materialized, tokens  # noqa: E402
from tests.integration.shell import Shell  # noqa: E402

pytestmark = [pytest.mark.usefixtures("surroundings"), pytest.mark.filterwarnings("ignore")]
SPARE = 6


def opened(root, base):
    mergestore.init(root / "store")
    store = mergestore.open(root / "store")
    store.register_base("base", base)
    return store


def grown(root, base, name, seed, **said):
    """A fine-tune in a folder of its own."""
    return models.save(root / name, *models.fine_tuned(base, seed, **said))


@pytest.fixture(scope="module")
def spare(tmp_path_factory):
    """A base with more rows than tokens, and skills whose tokens lie in these rows."""
    root = tmp_path_factory.mktemp("spare")
    base = models.save(root / "base", models.model(rows=SIZE + SPARE), models.tokenizer())
    with opened(root, base) as store:
        for seed, (name, plain) in enumerate({"math": ["<a>"], "code": ["<b>"], "more": ["<a>", "<c>"]}.items()):
            folder = grown(root, base, name, seed, plain=plain)
            registered = store.register_skill(name, folder, base="base", encoding="exact")
            assert any(f"{len(plain)} tokens that the base's lacks" in note for note in registered.notes)
        yield root, store


@pytest.mark.parametrize("vocabulary", ["union", "math"])
def test_a_row_that_means_two_tokens(spare, vocabulary):
    with pytest.raises(
        mergestore.Conflict, match=rf"row {SIZE} of the base's vocabulary.*'<b>' in code@1.*'<a>' in math@1"
    ):
        spare[1].merge("x", "base + math + code", vocabulary=vocabulary)


def test_tokens_in_spare_rows_are_merged_like_others(spare, tmp_path):
    root, store = spare
    out, notes = materialized(store, tmp_path / "0", "base + 0.5*math + 0.25*more", vocabulary="union")
    base, math, more, ours = (models.weights(each) for each in (root / "base", root / "math", root / "more", out))
    expected = base[EMBED] + 0.5 * (math[EMBED] - base[EMBED]) + 0.25 * (more[EMBED] - base[EMBED])
    torch.testing.assert_close(ours[EMBED], expected, atol=1e-7, rtol=0)
    assert tokens(out).convert_tokens_to_ids(["<a>", "<c>"]) == [SIZE, SIZE + 1]
    assert models.document(out, "config.json")["vocab_size"] == SIZE + SPARE
    assert not any("left out" in note for note in notes)
    _, notes = materialized(store, tmp_path / "1", "base + math + code")
    assert sorted(note for note in notes if "left out" in note)[0].startswith("the 1 added tokens of code@1 left out")


def test_rows_beyond_the_spare_ones(tmp_path):
    """All spare rows are used up before rows are added: the tokenizer counts on without holes."""
    base = models.save(tmp_path / "base", models.model(rows=SIZE + 1), models.tokenizer())
    math = grown(tmp_path, base, "math", 1, plain=["<a>", "<b>", "<c>"])
    code = grown(tmp_path, base, "code", 2, plain=["<a>", "<c>", "<d>"])
    with opened(tmp_path, base) as store:
        store.register_skill("math", math, base="base")
        store.register_skill("code", code, base="base")
        out, _ = materialized(store, tmp_path, "base + 0.5*math + 0.5*code", vocabulary="union")
    found = {text: number for text, number in tokens(out).get_vocab().items() if number >= SIZE}
    assert found.pop("<a>") == SIZE
    assert sorted(found) == ["<b>", "<c>", "<d>"]
    ours, theirs = models.weights(out), models.weights(math)
    assert torch.equal(ours[EMBED][found["<b>"]], theirs[EMBED][SIZE + 1])


@pytest.fixture(scope="module")
def kinds(tmp_path_factory):
    """Skills of one base that differ in what their folders say of tokens."""
    root = tmp_path_factory.mktemp("kinds")
    base = models.save(root / "base", models.model(), models.tokenizer())
    with opened(root, base) as store:
        mute = grown(root, base, "mute", 1, plain=["<a>"])
        for file in [*mute.glob("*token*"), *mute.glob("chat_template*")]:
            file.unlink()
        grown(root, base, "plain", 2)
        inside = grown(root, base, "inside", 3, plain=["<a>"])
        document = models.document(inside, "tokenizer.json")
        document["model"]["vocab"]["word"] = document["added_tokens"].pop()["id"]
        (inside / "tokenizer.json").write_text(json.dumps(document))
        beyond = grown(root, base, "beyond", 4)
        words = models.tokenizer()
        words.add_tokens(["<a>"])
        words.save_pretrained(beyond)
        renamed = grown(root, base, "renamed", 5)
        text = (renamed / "tokenizer.json").read_text().replace("</s>", "<end>")
        (renamed / "tokenizer.json").write_text(text)
        (renamed / "generation_config.json").unlink()
        grown(root, base, "fine", 6, plain=["<a>"])
        for name in ("mute", "plain", "inside", "beyond", "renamed", "fine"):
            store.register_skill(name, root / name, base="base", encoding="exact")
        yield root, store


@pytest.mark.parametrize(
    ("expression", "asked", "error", "words"),
    [
        ("base + mute", {"vocabulary": "mute"}, "InputRefused", "mute@1 was registered without tokenizer files"),
        (
            "base + mute",
            {"vocabulary": "union"},
            "InputRefused",
            "has added rows, but was registered without tokenizer",
        ),
        ("base + inside", {"vocabulary": "union"}, "InputRefused", "own vocabulary is not the base's"),
        ("base + renamed", {"vocabulary": "union"}, "InputRefused", "own vocabulary is not the base's"),
        ("base + beyond", {"vocabulary": "union"}, "InputRefused", "1 tokens for which it has no rows: '<a>', from id"),
        (
            "base + beyond",
            {"vocabulary": "beyond"},
            "InputRefused",
            "1 tokens for which it has no rows: '<a>', from id",
        ),
        ("base + plain", {"vocabulary": "fine"}, "UsageError", "fine@1 is not among the skills of this merge: plain@1"),
        ("base + plain", {"chat_template": "fine"}, "UsageError", "--chat-template fine: fine@1 is not among"),
        ("base + plain", {"vocabulary": "nobody"}, "NotFound", "there is no skill 'nobody'"),
        ("base + plain", {"vocabulary": "base@1"}, "NotFound", "base model"),
        ("base + plain", {"generation_config": "union"}, "NotFound", "there is no skill 'union'"),
        ("base + plain", {"pad_vocabulary": 0}, "UsageError", "cannot be padded to a multiple of 0"),
        ("base + plain", {"chat_template": "./gone.jinja"}, "UsageError", r"gone\.jinja: cannot be read"),
        ("base + renamed", {"generation_config": "renamed"}, "InputRefused", "without a generation_config"),
        ("base + mute", {"chat_template": "mute"}, "InputRefused", "mute@1 has no chat template"),
        ("base + 0.5*fine - 0.5*mute", {"vocabulary": "mute"}, "InputRefused", "without tokenizer files"),
    ],
)
def test_refused_by_name(kinds, expression, asked, error, words):
    store = kinds[1]
    before = store.list("merge").merges
    with pytest.raises(getattr(mergestore, error), match=words):
        store.merge("x", expression, **asked)
    assert store.list("merge").merges == before


def test_a_tokenizer_with_words_inside_is_taken_as_a_whole(kinds, tmp_path):
    root, store = kinds
    out, _ = materialized(store, tmp_path, "base + 0.5*inside + 0.5*fine", vocabulary="inside")
    assert tokens(out).convert_tokens_to_ids("word") == SIZE
    assert torch.equal(models.weights(out)[EMBED][SIZE:], models.weights(root / "inside")[EMBED][SIZE:])


def test_skills_without_tokens_stand_in_no_ones_way(kinds, tmp_path):
    _, store = kinds
    out, notes = materialized(store, tmp_path, "base + 0.5*plain + 0.5*fine", vocabulary="union")
    assert "<a>" in tokens(out).get_vocab()
    assert not any("left out" in note for note in notes)


def test_an_adapter_goes_onto_the_base_as_it_is(kinds, tmp_path):
    store = kinds[1]
    merged = store.merge("with-tokens", "base + fine", vocabulary="fine")
    assert merged.notes == []
    with pytest.raises(mergestore.UsageError, match="an adapter goes onto the base as it is"):
        store.materialize_adapter("with-tokens", rank=2, output=tmp_path / "out", wait=False)
    assert not (tmp_path / "out").exists()


def test_the_same_delta_with_another_tokenizer_is_another_version(tmp_path):
    base = models.save(tmp_path / "base", models.model(), models.tokenizer())
    fine = grown(tmp_path, base, "fine", 6, plain=["<a>"])
    with opened(tmp_path, base) as store:
        first = store.register_skill("fine", fine, base="base", encoding="exact")
        again = store.register_skill("fine", fine, base="base", encoding="exact")
        assert (first.created, again.created, again.version) == (True, False, 1)
        words = tokens(fine)
        words.chat_template = "another"
        words.save_pretrained(fine)
        other = store.register_skill("fine", fine, base="base", encoding="exact")
        assert (other.created, other.version, other.digest) == (True, 2, first.digest)
        old, new = (store.merge(f"m{n}", f"base + fine@{n}", vocabulary=f"fine@{n}") for n in (1, 2))
        assert old.recipe_digest != new.recipe_digest
        assert {name: value for name, value in old.recipe.items() if value != new.recipe[name]}.keys() == {"files"}
        for name, expected in (("m1", models.CHAT), ("m2", "another")):
            out, _ = materialized(store, tmp_path / name, name)
            assert tokens(out).chat_template.endswith(expected)


def test_a_damaged_tokenizer_is_found(tmp_path):
    base = models.save(tmp_path / "base", models.model(), models.tokenizer())
    fine = grown(tmp_path, base, "fine", 6, plain=["<a>"])
    with opened(tmp_path, base) as store:
        store.register_skill("fine", fine, base="base", encoding="exact")
        store.merge("m", "base + fine", vocabulary="fine")
        digest = next(file["digest"] for file in store.show("fine")["files"] if file["path"] == "tokenizer.json")
        kept = store.home.blobs.path(digest)
        kept.chmod(0o644)
        kept.write_bytes(kept.read_bytes().replace(b"<a>", b"<b>"))
        for damaged in ({"vocabulary": "union"}, {"vocabulary": "fine"}):
            with pytest.raises(mergestore.IntegrityFailure, match=r"'tokenizer\.json' is damaged"):
                store.materialize("base + fine", output=tmp_path / "out", wait=False, **damaged)
        assert not (tmp_path / "out").exists()
        problems = store.verify("fine").problems
        assert [problem["where"] for problem in problems] == ["fine@1: tokenizer.json"]


def test_an_output_layer_of_its_own_needs_its_vocabulary(tmp_path):
    """A fine-tune that untied its output layer: with the rows that it added, the layer is its head."""
    base = models.save(tmp_path / "base", models.model(tied=True), models.tokenizer())
    network, words = models.fine_tuned(base, 1, plain=["<a>"])
    network.config.tie_word_embeddings = False
    network.lm_head.weight = torch.nn.Parameter(network.lm_head.weight.detach() + 0.01)
    models.save(tmp_path / "fine", network, words)
    with opened(tmp_path, base) as store:
        store.register_skill("fine", tmp_path / "fine", base="base", encoding="exact")
        with pytest.raises(mergestore.InputRefused, match=rf"'lm_head.weight' of the head has {SIZE + 1} rows"):
            store.materialize("base + fine", output=tmp_path / "out", wait=False)
        out, _ = materialized(store, tmp_path / "0", "base + fine", vocabulary="fine")
        ours, theirs = models.weights(out), models.weights(tmp_path / "fine")
        assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
        assert not torch.equal(ours[EMBED], ours[HEAD])
        out, _ = materialized(store, tmp_path / "1", "base + fine", head="none")
        assert models.weights(out)[EMBED].shape[0] == SIZE


@pytest.mark.parametrize("tied", [False, True])
def test_an_adapter_that_saved_its_embeddings(tmp_path, tied):
    base = models.save(tmp_path / "base", models.model(tied=tied), models.tokenizer())
    network, words = models.fine_tuned(base, 1, plain=["<a>", "<b>"], sigma=0)
    saved = ["embed_tokens"] if tied else ["embed_tokens", "lm_head"]
    adapted = peft.get_peft_model(
        network, peft.LoraConfig(r=2, target_modules=["q_proj", "v_proj"], modules_to_save=saved)
    )
    torch.manual_seed(7)
    with torch.no_grad():
        for parameter in adapted.parameters():
            if parameter.requires_grad:
                parameter += 0.01 * torch.randn(parameter.shape)
    models.save(tmp_path / "fine", adapted, words)
    adapted.merge_and_unload().save_pretrained(tmp_path / "whole")
    with opened(tmp_path, base) as store:
        registered = store.register_skill("fine", tmp_path / "fine", base="base")
        assert any("2 rows were added" in note for note in registered.notes)
        out, _ = materialized(store, tmp_path, "base + fine", vocabulary="fine")
    ours, theirs = models.weights(out), models.weights(tmp_path / "whole")
    assert ours.keys() == theirs.keys()
    assert torch.equal(ours[EMBED], theirs[EMBED])
    for name in theirs:
        torch.testing.assert_close(ours[name], theirs[name], atol=1e-6, rtol=0)
    assert tokens(out).convert_tokens_to_ids("<b>") == SIZE + 1


def test_dropped_values_leave_added_rows_alone(tmp_path):
    base = models.save(tmp_path / "base", models.model(dtype=torch.bfloat16), models.tokenizer())
    fine = grown(tmp_path, base, "fine", 6, plain=["<a>"], multiple=8)
    with opened(tmp_path, base) as store:
        store.register_skill("fine", fine, base="base", drop_rate=0.9)
        out, _ = materialized(store, tmp_path, "base + 0.3*fine", vocabulary="fine", dtype="F32")
    ours, theirs = models.weights(out)[EMBED], models.weights(fine)[EMBED]
    assert len(ours) == 24
    assert torch.equal(ours[SIZE:], theirs[SIZE:].float())


def test_on_the_command_line(kinds, tmp_path):
    root, _ = kinds
    shell = Shell(root / "store")
    asked = ("--vocabulary", "union", "--pad-vocabulary", 8)
    merged = shell.json("merge", "spoken", "base + 0.5*plain + 0.5*fine", *asked)
    assert [token["text"] for token in merged["recipe"]["vocabulary"]["tokens"]] == ["<a>"]
    out = tmp_path / "out"
    shell.text(
        "materialize", "spoken", "-o", out, "--no-wait", "--chat-template", "fine", "--generation-config", "base"
    )
    assert models.document(out, "config.json")["vocab_size"] == 24
    assert "note: the 1 added tokens and 1 added rows of fine@1 left out" in shell.text("merge", "quiet", "base + fine")
    adapter = ("materialize", "base + fine", "--as", "lora", "--rank", 2, "--vocabulary", "fine")
    assert "--vocabulary is a whole model's" in shell.refused(2, *adapter)["message"]


def test_files_that_are_the_bases_take_no_room(kinds):
    _, store = kinds
    ours, theirs = ({file["path"]: file["digest"] for file in store.show(name)["files"]} for name in ("base", "plain"))
    assert theirs["chat_template.jinja"] == ours["chat_template.jinja"]
    assert theirs["tokenizer.json"] == ours["tokenizer.json"]
    assert "delta.safetensors" in theirs


def test_a_delta_of_another_base_brings_its_tokens(tmp_path):
    base = models.save(tmp_path / "base", models.model(), models.tokenizer())
    general = models.save(tmp_path / "general", models.model(seed=9), models.tokenizer())
    fine = grown(tmp_path, base, "fine", 6, plain=["<a>"])
    with opened(tmp_path, base) as store:
        store.register_base("general", general)
        store.register_skill("fine", fine, base="base", encoding="exact")
        for number, vocabulary in enumerate(("fine", "union")):
            target = "general + 0.4*(fine - base)"
            out, _ = materialized(store, tmp_path / str(number), target, vocabulary=vocabulary)
            ours, other, own, theirs = (models.weights(each) for each in (out, general, base, fine))
            expected = other[EMBED] + 0.4 * (theirs[EMBED][:SIZE] - own[EMBED])
            torch.testing.assert_close(ours[EMBED][:SIZE], expected, atol=1e-6, rtol=0)
            assert torch.equal(ours[EMBED][SIZE:], theirs[EMBED][SIZE:])
            assert tokens(out).convert_tokens_to_ids("<a>") == SIZE


def test_a_result_with_added_tokens_goes_on_as_a_base(tmp_path):
    base = models.save(tmp_path / "base", models.model(), models.tokenizer())
    fine = grown(tmp_path, base, "fine", 6, plain=["<a>"])
    with opened(tmp_path, base) as store:
        store.register_skill("fine", fine, base="base", encoding="exact")
        store.merge("grown", "base + 0.5*fine", vocabulary="union")
        out, _ = materialized(store, tmp_path, "grown")
        store.register_base("next", out)
        again = grown(tmp_path, out, "again", 7, plain=["<b>"])
        store.register_skill("again", again, base="next", encoding="exact")
        last, _ = materialized(store, tmp_path / "last", "next + again", vocabulary="again")
        assert tokens(last).convert_tokens_to_ids(["<a>", "<b>"]) == [SIZE, SIZE + 1]
        assert any(edge["parent"] == "grown@1" for edge in store.audit("next").lineage["edges"])
        assert store.verify().ok
