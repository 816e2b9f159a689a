"""Names, shapes and dtypes of a fine-tune against its base."""

import pytest

from storage.deltas.align import MissingTensor, TiedExtra
from storage.deltas.prefix import Prefix, find_prefix
from storage.deltas.roles import is_buffer, is_known_buffer, may_tie
from storage.errors import InputRefused
from tests.unit.named_tensors import BASE, TIED, digests, plain, prefixed, run


def test_equal_names():
    found = run(BASE, BASE)
    assert found.pairs == tuple((name, name) for name in sorted(BASE))
    assert (found.prefix_added, found.prefix_removed) == ("", "")
    assert found.extra == found.missing == found.tied_extra == found.extra_buffers == found.notes == ()


@pytest.mark.parametrize("prefix", ["bert.", "model.", "base.model.model."])
def test_prefix_in_either_direction(prefix):
    added = run(BASE, prefixed(prefix))
    assert (added.prefix_added, added.prefix_removed) == (prefix, "")
    assert added.pairs == tuple((name, prefix + name) for name in sorted(BASE))
    assert added.notes == (f"the fine-tune's names begin with '{prefix}', the base's do not",)
    removed = run(prefixed(prefix), BASE)
    assert (removed.prefix_added, removed.prefix_removed) == ("", prefix)
    assert removed.pairs == tuple((prefix + name, name) for name in sorted(BASE))


def test_prefix_with_most_matches_wins():
    smaller = {name: entry for name, entry in prefixed("query.").items() if "layer.1" not in name}
    found = run(BASE, smaller | prefixed("document.") | plain("head.weight"))
    assert found.prefix_added == "document."
    assert len(found.extra) + len(found.tied_extra) == len(smaller) + 1
    assert run(BASE, BASE | prefixed("copy.")).prefix_added == ""


def test_two_towers_are_refused():
    with pytest.raises(InputRefused, match=r"holds the base 2 times: .*'document\.'.*'query\.'"):
        run(BASE, prefixed("query.") | prefixed("document."))


def test_mixture_is_refused():
    fine_tuned = prefixed("bert.")
    del fine_tuned["bert.layer.1.weight"], fine_tuned["bert.layer.1.bias"]
    fine_tuned |= plain("layer.1.weight", "layer.1.bias")
    with pytest.raises(InputRefused, match=r"begin with 'bert\.'.*'layer\.1\.bias is layer\.1\.bias'") as caught:
        run(BASE, fine_tuned)
    assert caught.value.details["tensors"] == ["layer.1.bias", "layer.1.weight"]


def test_nothing_in_common():
    with pytest.raises(InputRefused, match="does not look like a fine-tune of this base"):
        run(BASE, plain("a.b", "c.d"))
    with pytest.raises(InputRefused, match="does not look like a fine-tune"):
        run(BASE, plain("a.b", "c.d"), allow_missing=True)


def test_prefix_search_is_bounded():
    deep = ".".join(["a"] * 50_000)
    assert find_prefix([deep], [f"b.{deep}"]) == Prefix(added="b.")
    assert find_prefix([], []) is None


def test_head_is_extra():
    found = run(BASE, BASE | plain("classifier.weight", "classifier.bias"))
    assert found.extra == ("classifier.bias", "classifier.weight")
    assert any("its head" in note for note in found.notes)


BUFFERS = [
    ("embeddings.position_ids", "I64", (1, 512)),
    ("layers.0.rotary_emb.inv_freq", "F32", (8,)),
    ("h.0.attn.bias", "F32", (1, 1, 8, 8)),
    ("h.0.attn.attention.bias", "U8", (1, 1, 8, 8)),
    ("h.0.attn.masked_bias", "F32", ()),
    ("norm.num_batches_tracked", "I64", ()),
    ("some.table_of_integers", "I64", (4,)),
    ("some.flags", "BOOL", (4,)),
]


WEIGHTS = [
    ("h.0.attn.bias", "F32", (8,)),
    ("layer.weight", "I8", (8, 8)),
    ("layer.qweight", "I32", (8, 8)),
    ("norm.running_mean", "F32", (8,)),
    ("position_embeddings.weight", "F32", (8, 8)),
]


@pytest.mark.parametrize(("name", "dtype", "shape"), BUFFERS)
def test_missing_buffers_come_from_the_base(name, dtype, shape):
    base = BASE | plain(name, dtype=dtype, shape=shape)
    found = run(base, BASE)
    assert found.missing == (MissingTensor(name, "buffer"),)
    assert any(name in note and "taken from the base" in note for note in found.notes)


@pytest.mark.parametrize(("name", "dtype", "shape"), WEIGHTS)
def test_weights_are_no_buffers(name, dtype, shape):
    base = BASE | plain(name, dtype=dtype, shape=shape)
    assert not is_buffer(name, base[name])
    with pytest.raises(InputRefused, match="lacks 1 tensors"):
        run(base, BASE)


def test_buffers_of_the_fine_tune_alone_are_no_head():
    fine_tuned = BASE | plain("embeddings.position_ids", dtype="I64") | plain("some.integers", dtype="I64")
    found = run(BASE, fine_tuned)
    assert found.extra_buffers == ("embeddings.position_ids",)
    assert found.extra == ("some.integers",)  # not known to be a constant: kept


def test_causal_masks_of_different_dtypes_are_the_bases():
    mask = "h.0.attn.bias"
    base = BASE | plain(mask, dtype="F32", shape=(1, 1, 4, 4))
    found = run(base, BASE | plain(mask, dtype="BOOL", shape=(1, 1, 4, 4)))
    assert mask not in dict(found.pairs)
    assert found.missing == (MissingTensor(mask, "buffer"),)
    assert found.extra_buffers == (mask,)


def test_missing_is_refused_named_and_counted():
    base = BASE | plain(*(f"layer.{i}.norm" for i in range(9)))
    with pytest.raises(InputRefused) as caught:
        run(base, prefixed("bert.") | plain("bert.layer.0.norn"))
    assert "this does not look like" in caught.value.message
    assert "lacks 9 tensors of the base: 'layer.0.norm', 'layer.1.norm'" in caught.value.message
    assert "and 4 more" in caught.value.message
    assert "was 'layer.0.norm' renamed to 'bert.layer.0.norn'?" in caught.value.hint
    assert "--allow-missing" in caught.value.hint
    assert len(caught.value.details["tensors"]) == 9


def test_missing_is_allowed_when_asked():
    base = BASE | plain("pooler.weight")
    found = run(base, BASE, allow_missing=True)
    assert found.missing == (MissingTensor("pooler.weight", "allowed"),)
    assert any("as allowed" in note for note in found.notes)


@pytest.mark.parametrize(
    ("gone", "kept"),
    [("lm_head.weight", "model.embed_tokens.weight"), ("model.embed_tokens.weight", "lm_head.weight")],
)
def test_missing_tied_weight_follows_its_partner(gone, kept):
    fine_tuned = {name: entry for name, entry in TIED.items() if name != gone}
    same = digests(TIED, lm_head__weight="model.embed_tokens.weight")
    found = run(TIED, fine_tuned, base_digests=same)
    assert found.missing == (MissingTensor(gone, "tied", kept),)
    for config in ({"tie_word_embeddings": False}, {"text_config": {"tie_word_embeddings": False}}):
        with pytest.raises(InputRefused, match=gone):
            run(TIED, fine_tuned, base_digests=same, base_config=config)
    with pytest.raises(InputRefused, match=gone):
        run(TIED, fine_tuned)


def test_equal_content_alone_is_no_tie():
    base = BASE | plain("layer.0.norm.weight", "layer.1.norm.weight", shape=(2,))
    fine_tuned = {name: entry for name, entry in base.items() if name != "layer.1.norm.weight"}
    same = digests(base) | {"layer.1.norm.weight": "ones", "layer.0.norm.weight": "ones"}
    with pytest.raises(InputRefused, match=r"layer\.1\.norm\.weight"):
        run(base, fine_tuned, base_digests=same)


def test_saved_alias_of_a_tied_weight():
    base = {name: entry for name, entry in TIED.items() if name != "lm_head.weight"}
    found = run(base, {f"x.{name}": entry for name, entry in TIED.items()})
    assert found.extra == ()
    assert found.tied_extra == (
        TiedExtra("x.lm_head.weight", "x.model.embed_tokens.weight", "model.embed_tokens.weight"),
    )
    untied = run(base, TIED, base_config={"tie_word_embeddings": False})
    assert (untied.extra, untied.tied_extra) == (("lm_head.weight",), ())
    other_size = run(base, base | plain("lm_head.weight", shape=(5, 2)))
    assert (other_size.extra, other_size.tied_extra) == (("lm_head.weight",), ())


def test_shapes():
    fine_tuned = BASE | plain("layer.0.weight", "layer.1.weight", shape=(2, 3))
    with pytest.raises(InputRefused) as caught:
        run(BASE, fine_tuned)
    assert "shapes differ: 'layer.0.weight' is [2, 2] in the base and [2, 3] here" in caught.value.message
    assert caught.value.details["tensors"] == ["layer.0.weight", "layer.1.weight"]
    many = plain(*(f"l.{i}.weight" for i in range(9)))
    with pytest.raises(InputRefused, match="and 4 more"):
        run(many, plain(*many, shape=(3, 3)))


@pytest.mark.parametrize("name", ["embed_tokens.weight", "lm_head.weight", "cls.predictions.bias", "shared.weight"])
def test_vocabulary_growth_is_called_so(name):
    others = plain("layer.0.weight", "layer.1.weight")
    base, fine_tuned = (
        others | plain(name, shape=(rows,) if name.endswith("bias") else (rows, 2)) for rows in (100, 103)
    )
    found = run(base, fine_tuned)
    assert found.grown == ((name, name),)
    assert dict(found.pairs).keys() == base.keys()
    assert any("3 rows were added to the vocabulary" in note for note in found.notes)
    with pytest.raises(
        InputRefused, match="the vocabulary shrank: 103 rows in the base, 100 in the fine-tune"
    ) as caught:
        run(fine_tuned, base)
    assert "resize_token_embeddings(103)" in caught.value.hint


def test_a_vocabulary_grows_as_a_whole():
    base = plain("embed_tokens.weight", "lm_head.weight", shape=(100, 2)) | plain("layer.0.weight")
    assert len(run(base, base | plain("embed_tokens.weight", "lm_head.weight", shape=(103, 2))).grown) == 2
    uneven = plain("embed_tokens.weight", shape=(103, 2)) | plain("lm_head.weight", shape=(104, 2))
    for part in (plain("embed_tokens.weight", shape=(103, 2)), uneven):
        with pytest.raises(
            InputRefused, match=r"do not have the same number of rows: 'embed_tokens\.weight' is"
        ) as caught:
            run(base, base | part)
        assert "lm_head.weight" in caught.value.message
    padded = base | plain("lm_head.weight", shape=(128, 2))
    with pytest.raises(InputRefused, match=r"'lm_head.weight' is \[128, 2\] in the base and \[128, 2\] here"):
        run(padded, padded | plain("embed_tokens.weight", shape=(103, 2)))


def test_rows_are_added_to_dtypes_that_merge():
    base = plain("embed_tokens.weight", shape=(100, 2), dtype="F8_E4M3") | plain("layer.0.weight")
    with pytest.raises(InputRefused, match="rows were added to tensors that are not BF16, F16, F32"):
        run(base, base | plain("embed_tokens.weight", shape=(103, 2), dtype="F8_E4M3"))


def test_dtypes():
    found = run(BASE, BASE | plain("layer.0.weight", "layer.1.weight", dtype="BF16"))
    assert found.notes == ("2 tensors are F32 in the base and BF16 here",)
    for dtype in ("F64", "I64", "U8"):
        with pytest.raises(InputRefused, match=f"'layer.0.weight' is F32 in the base and {dtype} here"):
            run(BASE, BASE | plain("layer.0.weight", dtype=dtype))


def test_everything_is_accounted_for_once():
    base = BASE | TIED | plain("position_ids", dtype="I64")
    fine_tuned = prefixed("m.") | plain("m.model.embed_tokens.weight", "m.model.norm.weight", shape=(9, 2))
    fine_tuned |= plain("m.inv_freq", "classifier.weight")
    found = run(base, fine_tuned, base_digests=digests(base, lm_head__weight="model.embed_tokens.weight"))
    assert sorted([a for a, _ in found.pairs] + [tensor.name for tensor in found.missing]) == sorted(base)
    theirs = [b for _, b in found.pairs] + [alias.name for alias in found.tied_extra]
    assert sorted(theirs + list(found.extra) + list(found.extra_buffers)) == sorted(fine_tuned)


def test_answers_do_not_depend_on_order():
    base = BASE | TIED | plain("position_ids", dtype="I64")
    fine_tuned = {f"m.{name}": entry for name, entry in base.items()} | plain("a.weight", "b.weight")
    backwards = [dict(reversed(list(tensors.items()))) for tensors in (base, fine_tuned)]
    assert run(base, fine_tuned) == run(*backwards)


def test_roles_by_name():
    assert is_known_buffer("inv_freq", plain("inv_freq")["inv_freq"])
    assert may_tie(None)
    assert may_tie({"tie_word_embeddings": True, "text_config": {}})
