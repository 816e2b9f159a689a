"""Skills with added rows: format 2 of delta files, held to its golden file and to an independent decoder."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from merging.engines import numba_engine, reference
from merging.passes.preparing import prepared
from merging.plans.planning import make_plan
from merging.recipes.recipe import Recipe, make_recipe
from merging.recipes.stored import read_recipe
from merging.recipes.vocabulary import FLAGS, Token, Vocabulary
from merging.streaming.materializer import materialize
from merging.streaming.sinks import MemorySink
from storage.checkpoints.checkpoint import open_checkpoint
from storage.deltas.build import build_delta
from storage.deltas.delta import DeltaFile
from storage.digests import canonical_json
from storage.encodings.coding import EXACT, dare_coding
from storage.encodings.frames import CHUNK
from storage.errors import InputRefused, IntegrityFailure, UsageError
from storage.progress import Silent
from tests.golden.make import array, noise, open_base, save, values
from tests.unit import format1_decoder as decoder

GOLDEN = Path(__file__).parents[1] / "golden" / "format2" / "grown.safetensors"
FROZEN = "4dc61835cd2d5d38a5709589f3d6462d55f748fe77bce97e0d8df71c43711b08"
EMBED, HEAD, BIAS, OTHER = "embed_tokens.weight", "lm_head.weight", "lm_head.bias", "layer.weight"
FLAT = dict.fromkeys(FLAGS, False)


def models(rows=7, added=3, wide=4, label="", dtype="F32", tied=True):
    """Base and fine-tune with one vocabulary: both ends of it, tied or not, and a bias."""
    shapes = {EMBED: (rows, wide), HEAD: (rows, wide), BIAS: (rows,), OTHER: (5, wide)}
    base, tuned = {}, {}
    for name, shape in shapes.items():
        own = EMBED if tied and name == HEAD else name
        count, more = int(np.prod(shape)), added * int(np.prod(shape[1:])) if name != OTHER else 0
        start = 0.1 * noise(f"base {own}", count)
        new = np.concatenate([start + 0.004 * noise(f"delta {label}{own}", count), noise(f"new {label}{own}", more)])
        base[name] = array(start, dtype, shape)
        tuned[name] = array(new, dtype, (shape[0] + added, *shape[1:]) if more else shape)
    return base, tuned


def saved(folder, base, **tuned):
    for name, tensors in {"base": base, **tuned}.items():
        (folder / name).mkdir()
        save(folder / name / "model.safetensors", tensors)
    return open_base(folder / "base")


def build(base, folder, name, encoding="exact", coding=EXACT, threads=1):
    checkpoint = open_checkpoint(folder / name)
    path = folder / f"{name}-{encoding}-{threads}.safetensors"
    build_delta(base, checkpoint, encoding, coding, path, threads=threads, progress=Silent())
    checkpoint.close()
    return path


def make_golden(folder):
    """The golden file's like."""
    base, tuned = models()
    return build(saved(folder, base, tuned=tuned), folder, "tuned", "dare", dare_coding(0.5, 3, "bf16"))


def test_the_golden_file_is_read_for_ever():
    assert hashlib.sha256(GOLDEN.read_bytes()).hexdigest() == FROZEN


def test_the_same_models_still_make_the_same_skill(tmp_path):
    with DeltaFile.open(make_golden(tmp_path)) as made, DeltaFile.open(GOLDEN) as golden:
        assert made.manifest == golden.manifest
        assert golden.manifest.format == 2
        assert golden.manifest.grown == (7, 3)
        for name in made.manifest.tensors:
            made.check_content(name)
            golden.check_content(name)


def test_an_independent_decoder_finds_the_same(tmp_path):
    base_tensors, tuned = models()
    base, independent = saved(tmp_path, base_tensors, tuned=tuned), decoder.DeltaFile(GOLDEN.read_bytes())
    with DeltaFile.open(GOLDEN) as golden:
        assert independent.digest == golden.manifest.digest
        for name in (EMBED, HEAD, BIAS, OTHER):
            assert independent.values(name, base_tensors[name][2])[0].tobytes() == values(golden, base, name).tobytes()
        for name in (EMBED, HEAD, BIAS):
            dtype, shape, raw = independent.added(name)
            assert raw == tuned[name][2][len(base_tensors[name][2]) :]
            kept, _ = golden.manifest.added(name)
            assert golden.read_added(kept, 0, len(raw)) == raw
            assert (dtype, shape[0]) == ("F32", 3)
        assert independent.added(OTHER) is None
    whole = {name: (*tuned[name][:2], decoder.blake3_digest(tuned[name][2])) for name in tuned}
    assert independent.manifest["fine_tuned"] == decoder.model_digest(whole)
    assert independent.tensors[EMBED]["added"]["whole"] == whole[EMBED][2]


def test_tied_rows_are_kept_once():
    with DeltaFile.open(GOLDEN) as golden:
        assert golden.manifest.tensors[HEAD].tied_to == EMBED
        assert golden.manifest.tensors[HEAD].added is None
        assert golden.manifest.added(HEAD) == (EMBED, golden.manifest.tensors[EMBED].added)


def test_rows_that_are_tied_in_the_base_alone_are_kept_apart(tmp_path):
    base, tuned = models()
    dtype, shape, raw = tuned[HEAD]
    tuned[HEAD] = dtype, shape, raw[:-4] + np.float32(2).tobytes()
    with DeltaFile.open(build(saved(tmp_path, base, tuned=tuned), tmp_path, "tuned")) as delta:
        assert delta.manifest.tensors[HEAD].tied_to == EMBED
        assert delta.manifest.added(HEAD)[0] == HEAD
        assert delta.read_added(HEAD, 44, 4) == np.float32(2).tobytes()


def test_what_the_base_has_is_encoded_as_if_nothing_were_added(tmp_path):
    base, tuned = models()
    cut = {name: (dtype, base[name][1], raw[: len(base[name][2])]) for name, (dtype, _, raw) in tuned.items()}
    opened = saved(tmp_path, base, tuned=tuned, cut=cut)
    coding = dare_coding(0.5, 3, "int4")
    with (
        DeltaFile.open(build(opened, tmp_path, "tuned", "dare", coding)) as grown,
        DeltaFile.open(build(opened, tmp_path, "cut", "dare", coding)) as plain,
        DeltaFile.open(build(opened, tmp_path, "tuned", "dare", coding, threads=3)) as again,
    ):
        assert plain.manifest.format == 1
        assert grown.manifest.digest == again.manifest.digest
        for name, tensor in plain.manifest.tensors.items():
            ours = grown.manifest.tensors[name]
            assert (ours.content, ours.fine_tuned, ours.coding) == (tensor.content, tensor.fine_tuned, tensor.coding)


def test_a_nan_in_an_added_row_is_refused_at_its_place(tmp_path):
    base, tuned = models()
    dtype, shape, raw = tuned[EMBED]
    tuned[EMBED] = dtype, shape, raw[:-4] + np.float32("nan").tobytes()
    with pytest.raises(InputRefused, match=r"'embed_tokens\.weight': element 39 is nan"):
        build(saved(tmp_path, base, tuned=tuned), tmp_path, "tuned")


def test_a_part_of_the_vocabulary_is_not_enough(tmp_path):
    base, tuned = models(tied=False)
    del tuned[BIAS]
    opened = saved(tmp_path, base, tuned=tuned)
    checkpoint = open_checkpoint(tmp_path / "tuned")
    with pytest.raises(InputRefused, match=r"a part of the vocabulary only: not to 'lm_head\.bias'"):
        build_delta(
            opened, checkpoint, "exact", EXACT, tmp_path / "x", threads=1, progress=Silent(), allow_missing=True
        )
    checkpoint.close()


def changed(path, change):
    """A copy of the golden file with another manifest."""
    tensors, metadata = decoder.read_safetensors(GOLDEN.read_bytes())
    manifest = json.loads(metadata["mergestore.delta"])
    change(manifest, tensors)
    metadata["mergestore.delta"] = canonical_json(manifest).decode()
    header, position = {"__metadata__": metadata}, 0
    for name, (dtype, shape, raw) in tensors.items():
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [position, position + len(raw)]}
        position += len(raw)
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + b"".join(raw for _, _, raw in tensors.values()))
    return path


def _rows(manifest, tensors):
    manifest["tensors"][BIAS]["added"]["rows"] = 4


def _nowhere(manifest, tensors):
    del tensors[f"added/{EMBED}"]


def _dtype(manifest, tensors):
    manifest["tensors"][EMBED]["added"]["dtype"] = "I64"


def _more(manifest, tensors):
    manifest["tensors"][EMBED]["added"]["scale"] = 1


def _format(manifest, tensors):
    manifest["format"] = 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_rows, "ones to which as many rows were added"),
        (_nowhere, "manifest and payloads disagree"),
        (_dtype, "dtype must be one of"),
        (_more, "unknown field 'scale'"),
        (_format, "format must be 2"),
    ],
)
def test_damaged_manifests_are_refused(tmp_path, change, words):
    with pytest.raises(IntegrityFailure, match=words):
        DeltaFile.open(changed(tmp_path / "damaged.safetensors", change))


def test_damaged_rows_are_found(tmp_path):
    def flip(manifest, tensors):
        dtype, shape, raw = tensors[f"added/{EMBED}"]
        tensors[f"added/{EMBED}"] = dtype, shape, raw[:5] + bytes([raw[5] ^ 1]) + raw[6:]

    with (
        DeltaFile.open(changed(tmp_path / "damaged.safetensors", flip)) as delta,
        pytest.raises(IntegrityFailure, match="added rows hashes to"),
    ):
        delta.check_content(EMBED)


# Merging


def merged(base, deltas, weights, vocabulary, *, method="task_arithmetic", dtype=None, engine=numba_engine, threads=2):
    """What a recipe makes of opened deltas, as fp32 arrays."""
    by_digest = {delta.manifest.digest: delta for delta in deltas}
    chosen = dict(zip(by_digest, weights, strict=True))
    recipe = make_recipe(method, base.digest, chosen, {}, dtype=dtype)
    recipe = Recipe(**{**vars(recipe), "vocabulary": vocabulary})
    if vocabulary is not None:
        assert read_recipe(json.loads(recipe.canonical)) == recipe
    plan = prepared(make_plan(recipe, base.source, base.digests, by_digest), 1, Silent())
    sink = MemorySink()
    found = materialize(plan, sink, engine, threads, Silent())
    assert all(decoder.blake3_digest(bytes(sink.tensors[each.name])) == each.digest for each in found)
    arrays = (np.frombuffer(sink.tensors[each.name], decoder.PATTERN[each.dtype]) for each in found)
    return {each.name: decoder.widen(a, each.dtype).reshape(each.shape) for each, a in zip(found, arrays, strict=True)}


def floats(tensor):
    dtype, shape, raw = tensor
    return decoder.widen(np.frombuffer(raw, decoder.PATTERN[dtype]), dtype).reshape(shape)


@pytest.fixture
def two(tmp_path):
    """A base, and two skills that added three rows and two, in their canonical order: (base, tuned models, deltas)."""
    base, one = models(label="one ", tied=False)
    _, other = models(label="other ", added=2, tied=False)
    opened = saved(tmp_path, base, one=one, other=other)
    deltas = [DeltaFile.open(build(opened, tmp_path, name)) for name in ("one", "other")]
    pairs = sorted(zip(deltas, (one, other), strict=True), key=lambda pair: pair[0].manifest.digest)
    yield opened, [tuned for _, tuned in pairs], [delta for delta, _ in pairs]
    for delta in deltas:
        delta.close()


@pytest.mark.parametrize("engine", [reference, numba_engine])
@pytest.mark.parametrize("method", ["task_arithmetic", "ties", "breadcrumbs", "slerp"])
def test_a_named_skill(two, engine, method):
    base, tuned, deltas = two
    plain = merged(base, deltas, [0.5, 0.25], None, method=method, engine=engine)
    named = Vocabulary(deltas[1].manifest.digest)
    found = merged(base, deltas, [0.5, 0.25], named, method=method, engine=engine)
    assert np.array_equal(found[OTHER], plain[OTHER])
    for name in (EMBED, HEAD, BIAS):
        assert np.array_equal(found[name][:7], plain[name])
        assert np.array_equal(found[name][7:], floats(tuned[1][name])[7:])


def test_a_union_averages_by_weight_and_pads_with_zeros(two):
    base, tuned, deltas = two
    first, second = (delta.manifest.digest for delta in deltas)
    tokens = (
        Token("both", 7, FLAT, ((first, 1), (second, 0))),
        Token("first", 8, FLAT, ((first, 0),)),
        Token("second", 9, FLAT, ((second, 1),)),
    )
    found = merged(base, deltas, [0.6, 0.2], Vocabulary("union", 4, tokens))
    for name in (EMBED, HEAD, BIAS):
        one, other = (floats(model[name])[7:] for model in tuned)
        both = np.float32(0.6 / (0.6 + 0.2)) * one[1] + np.float32(0.2 / (0.6 + 0.2)) * other[0]
        expected = np.stack([both, one[0], other[1], 0 * one[0], 0 * one[0]])
        assert np.array_equal(found[name][7:], expected)
        assert len(found[name]) == 12


def test_rows_that_agree_are_taken_as_they_are(two):
    base, tuned, deltas = two
    digest = deltas[0].manifest.digest
    again = Token("twice", 7, FLAT, ((digest, 0),))
    found = merged(base, deltas, [0.1, 0.7], Vocabulary("union", None, (again,)), dtype="BF16")
    raw = np.frombuffer(tuned[0][EMBED][2], "<u4")[28:32]
    assert np.array_equal(found[EMBED][7], decoder.widen(decoder.narrow(decoder.widen(raw, "F32"), "BF16"), "BF16"))


def test_weights_that_add_up_to_nothing_have_no_average(two):
    base, _, deltas = two
    rows = tuple((delta.manifest.digest, 0) for delta in deltas)
    union = Vocabulary("union", None, (Token("both", 7, FLAT, rows),))
    with pytest.raises(UsageError, match="the token 'both' was added by 2 skills whose weights"):
        merged(base, deltas, [0.5, -0.5], union)


def test_an_average_that_does_not_fit_the_dtype(tmp_path):
    base, tuned = models()
    tuned = {
        name: (d, s, raw[:-4] + np.float32(1e6).tobytes() if name == EMBED else raw)
        for name, (d, s, raw) in tuned.items()
    }
    tuned[HEAD] = tuned[EMBED]
    opened = saved(tmp_path, base, tuned=tuned)
    refusal = pytest.raises(InputRefused, match=r"'embed_tokens\.weight': row 9 of the result is not finite")
    with DeltaFile.open(build(opened, tmp_path, "tuned")) as delta, refusal:
        merged(opened, [delta], [1.0], Vocabulary(delta.manifest.digest), dtype="F16")


def test_rows_across_the_borders_of_chunks(tmp_path):
    """Of a tensor of several chunks, whose added rows take several too."""
    wide = 3000  # no divisor of a chunk
    rows, added = CHUNK // wide + 9, CHUNK // wide + 5
    random = np.random.default_rng(0)
    values_of = {name: random.normal(0, 0.1, (rows + added, wide)).astype(np.float32) for name in ("base", "tuned")}
    base = {EMBED: array(values_of["base"][:rows], "BF16", (rows, wide))}
    tuned = {EMBED: array(values_of["tuned"], "BF16", (rows + added, wide))}
    opened = saved(tmp_path, base, tuned=tuned)
    with DeltaFile.open(build(opened, tmp_path, "tuned", threads=2)) as delta:
        for method in ("task_arithmetic", "breadcrumbs"):
            found = merged(opened, [delta], [1.0], Vocabulary(delta.manifest.digest, 64), method=method)
            total = -(-(rows + added) // 64) * 64
            assert found[EMBED].shape == (total, wide)
            assert np.array_equal(found[EMBED][rows : rows + added], floats(tuned[EMBED])[rows:])
            assert not found[EMBED][rows + added :].any()
        assert np.array_equal(merged(opened, [delta], [1.0], None)[EMBED], floats(tuned[EMBED])[:rows])


def test_a_base_without_a_known_vocabulary_is_not_padded(tmp_path):
    base, tuned = ({"layer.weight": array(noise(name, 8), "F32", (4, 2))} for name in ("a", "b"))
    opened = saved(tmp_path, base, tuned=tuned)
    refusal = pytest.raises(InputRefused, match="cannot be told which tensors of the base are its vocabulary")
    with DeltaFile.open(build(opened, tmp_path, "tuned")) as delta, refusal:
        merged(opened, [delta], [1.0], Vocabulary("base", 64))


@pytest.mark.parametrize(
    "broken",
    [
        {"source": "sha256:" + "0" * 64},
        {"source": "base"},
        {"source": "base", "multiple": 1},
        {"source": "base", "multiple": -64},
        {"source": "base", "multiple": 64, "tokens": []},
        {"source": "base", "multiple": 64, "ids": {"eos_token_id": 3}},
        {"source": "union", "tokens": [{"text": "a", "id": 7, "flags": {}, "rows": []}]},
        {"source": "union", "tokens": [{"text": "a", "id": 7, "flags": FLAT, "rows": [["sha256:0", 1]]}]},
        {"source": "union", "tokens": [], "more": 1},
    ],
)
def test_recipes_that_say_something_else_of_the_vocabulary_are_damaged(broken):
    skill = "blake3:" + "1" * 64
    recipe = make_recipe("linear", "blake3:" + "2" * 64, {skill: 1.0}, {})
    document = recipe.to_dict() | {"format": 2, "vocabulary": broken}
    with pytest.raises(IntegrityFailure, match="damaged recipe"):
        read_recipe(document)
