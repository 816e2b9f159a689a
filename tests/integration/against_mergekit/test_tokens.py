"""Vocabularies that are brought together, against mergekit itself: every tensor, and what every row means."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import yaml
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

import mergestore
from storage.errors import InputRefused, UsageError
from tests.integration import grown_models
from tests.integration.against_mergekit import environment
from tests.integration.against_mergekit.cases import BASE, Case
from tests.integration.against_mergekit.tokens import BEYOND, MODELS, RULES, SPARE, TOKENS, TokenCase, TokenWorld
from tests.integration.against_mergekit.worlds import raw

WORLDS = {
    "float32": (torch.float32, {}, TOKENS),
    "bfloat16": (torch.bfloat16, {}, TOKENS),
    "mixed": (torch.bfloat16, {}, TOKENS),
    "tied": (torch.float16, {"tied": True}, TOKENS),
    "spare rows": (torch.bfloat16, {"rows": 24}, SPARE),
    "beyond": (torch.float32, {}, BEYOND),
}
MIXED = {"ft0": torch.float32, "ft1": torch.float16}
CASES = [(world, case) for world, (_, _, cases) in WORLDS.items() if world != "beyond" for case in cases]


@pytest.fixture(scope="module")
def worlds(surroundings, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokens")
    found = {}
    for name, (dtype, more, cases) in WORLDS.items():
        dtypes = dict.fromkeys((BASE, *MODELS), dtype) | (MIXED if name == "mixed" else {})
        found[name] = TokenWorld(folder / name, dtypes, {}, cases, **more)
    environment.python()
    for world in found.values():
        world.folder.mkdir()
        world.prepare()
    outcomes = iter(environment.run([job for world in found.values() for job in world.jobs()], folder))
    for world in found.values():
        world.failed.update(zip(world.cases, outcomes, strict=False))
    return found


@pytest.fixture(scope="module")
def stores(worlds):
    opened = {name: world.store() for name, world in worlds.items()}
    yield opened
    for store in opened.values():
        store.close()


def _imported(world, store, folder, case):
    file = folder / "config.yml"
    file.write_text(yaml.safe_dump(world.cases[case].config({name: str(world.path(name)) for name in world.dtypes})))
    return f"m@{store.merge_from_mergekit('m', file).version}"


@pytest.mark.parametrize(("name", "case"), CASES)
def test_every_tensor_and_the_meaning_of_every_row_are_those_of_mergekit(worlds, stores, tmp_path, name, case):
    world, store = worlds[name], stores[name]
    assert world.failed[case] is None
    store.materialize(_imported(world, store, tmp_path, case), output=tmp_path / "out", wait=False)
    theirs, ours = world.made(case), load_file(tmp_path / "out" / "model.safetensors")
    assert ours.keys() == theirs.keys()
    for tensor, values in theirs.items():
        assert (ours[tensor].dtype, ours[tensor].shape) == (values.dtype, values.shape), tensor
        assert raw(ours[tensor]) == raw(values), f"{tensor}: {(ours[tensor] != values).sum()} differ"
    tokenizers = [AutoTokenizer.from_pretrained(each) for each in (tmp_path / "out", world.folder / "merged" / case)]
    assert tokenizers[0].get_vocab() == tokenizers[1].get_vocab()
    configs = [AutoConfig.from_pretrained(each) for each in (tmp_path / "out", world.folder / "merged" / case)]
    assert configs[0].vocab_size == configs[1].vocab_size
    if name != "mixed":  # of several dtypes mergekit says the base's, whatever it wrote
        assert configs[0].dtype == configs[1].dtype
    dtypes = {values.dtype for values in ours.values()}
    assert len(dtypes) > 1 or {configs[0].dtype} == dtypes
    _, told = AutoModelForCausalLM.from_pretrained(tmp_path / "out", output_loading_info=True)
    assert not any(told[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    assert store.verify(tmp_path / "out").ok


@pytest.mark.parametrize("case", BEYOND)
def test_what_mergekit_fails_on_is_refused(worlds, stores, tmp_path, case):
    assert worlds["beyond"].failed[case] is not None
    store = stores["beyond"]
    with pytest.raises((UsageError, InputRefused)):
        store.load(_imported(worlds["beyond"], store, tmp_path, case))


def test_new_tokens_beside_the_base_s_have_the_rows_that_were_asked_for(worlds, stores, tmp_path):
    """mergekit fails on these with a KeyError: it adds the tokens to the tokenizer of the base itself."""
    world, store = worlds["float32"], stores["float32"]
    merge = Case("linear", {BASE: {"weight": 0.75}, "ft0": {"weight": 0.25}}, base=None)
    rules = {"<tool>": {"source": "ft0", "force": True}, "zero": {"source": {"kind": "zero"}}}
    case = TokenCase(merge, {"source": "base", "tokens": rules})
    made = store.load(_imported(replace(world, cases={"new": case}), store, tmp_path, "new"))
    known = AutoTokenizer.from_pretrained(world.path("ft0")).get_vocab()
    for name in (grown_models.EMBED, grown_models.HEAD):
        own = load_file(world.path("ft0") / "model.safetensors")[name]
        assert made[name].shape[0] == grown_models.SIZE + 2
        assert torch.equal(made[name][grown_models.SIZE], own[known["<tool>"]])
        assert not made[name][grown_models.SIZE + 1].any()


RECIPE = {
    "base": BASE,
    "skills": [{"skill": "ft0", "weight": 0.6}, {"skill": "ft1", "weight": 0.3}, {"skill": "ft2", "weight": 0.2}],
    "semantics": "mergekit",
    "vocabulary": "union",
    "tokens": RULES,
}


def test_a_recipe_file_says_the_same_and_what_is_chosen_beside_it_counts_before_it(worlds, stores, tmp_path):
    world, store = worlds["float32"], stores["float32"]
    imported = _imported(world, store, tmp_path, "rules")
    written = store.merge("written", RECIPE)
    assert written.recipe_digest == store.show(imported)["digest"]
    theirs = world.made("rules")
    with store.resident(BASE, ["ft0", "ft1", "ft2"]) as resident:
        ours = resident.load(imported)
    assert {name: raw(values) for name, values in ours.items()} == {name: raw(each) for name, each in theirs.items()}
    ours = store.load(imported, dtype="BF16")
    assert all(torch.equal(ours[name], values.to(torch.bfloat16)) for name, values in theirs.items())
    padded = store.load(imported, pad_vocabulary=64)[grown_models.EMBED]
    assert padded.shape[0] == 64
    rows = theirs[grown_models.EMBED].shape[0]
    assert torch.equal(padded[:rows], theirs[grown_models.EMBED])


def test_rules_for_tokens_are_told_checked_and_refused_where_they_have_no_meaning(worlds, stores, tmp_path):
    store = stores["float32"]
    store.materialize(RECIPE, output=tmp_path / "out", wait=False)
    card = (tmp_path / "out" / "README.md").read_text()
    assert "token `<tool>`: row 19 of `ft1@1` for all models" in card
    assert "token `blue`: zeros, for models that lack it" in card
    for change, message in (
        ({"semantics": "paper"}, "are mergekit's"),
        ({"tokens": {"x": {"source": "nobody"}}}, "nobody"),
        ({"tokens": {"x": {"source": "ft3"}}}, "not among the skills"),
        ({"tokens": {"x": {}}}, "says no row"),
        ({"tokens": {"x": {"source": "ft0", "forced": True}}}, "'forced' is no key"),
        ({"tokens": {"x": {"source": "ft0", "force": 1}}}, "true or false"),
        ({"tokens": {"x": {"source": {"kind": "model_token", "model": "ft0"}}}}, "either token"),
        ({"tokens": {"x": {"source": {"kind": "model_token", "model": "ft0", "token_id": 20}}}}, "has no row 20"),
        ({"tokens": {"beta": {"source": "ft0"}}}, "has no token 'beta'"),
    ):
        with pytest.raises(mergestore.MergestoreError, match=message):
            store.load({**RECIPE, **change})


def test_tokens_that_are_left_out_are_told(stores):
    notes = stores["float32"].merge("short", {**RECIPE, "vocabulary": "base", "tokens": {}}).notes
    assert any("of ft0@1 left out" in note for note in notes)
    assert any("of ft1@1 left out" in note for note in notes)
    assert not stores["float32"].merge("long", {**RECIPE, "tokens": {}}).notes
