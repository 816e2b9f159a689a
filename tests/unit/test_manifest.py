"""A delta's manifest: one JSON for one skill, and nothing but IntegrityFailure for any other JSON."""

import copy
import dataclasses
import json
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.deltas.manifest import HeadTensor, LowRank, Manifest, TensorDelta
from storage.digests import canonical_json, parse_json
from storage.encodings.coding import EXACT, Coding
from storage.errors import IntegrityFailure


def digest(character):
    return "blake3:" + character * 64


A, B, C = digest("a"), digest("b"), digest("c")
INT4 = Coding("int4", 6554, 42)
MANIFEST = Manifest(
    encoding="dare",
    base=A,
    fine_tuned=B,
    tensors={
        "bias": TensorDelta("same", "F32", (4,), A, A, "F32", reason="buffer"),
        "embed": TensorDelta("kept", "BF16", (10, 4), A, B, "F16", coding=INT4, content=C),
        "lm_head": TensorDelta("tied", "BF16", (10, 4), A, B, "BF16", tied_to="embed", reason="tied"),
        "proj": TensorDelta(
            "lora",
            "F32",
            (4, 6),
            A,
            B,
            "F32",
            content=C,
            low_rank=LowRank("lora/proj/A", "lora/proj/B", 2, 6, 4, 0.5, True),
        ),
    },
    coding=INT4,
    prefix="bert.",
    head={"classifier.weight": HeadTensor("F32", (2, 4), C)},
    config={"num_labels": 2},
)
DOCUMENT = MANIFEST.to_dict()
WHERE = "skill.safetensors"


def read(document):
    return Manifest.from_dict(document, WHERE)


def changed(path, value):
    """A copy of the document with one field replaced, or removed where the value is ``...``."""
    document = copy.deepcopy(DOCUMENT)
    *parents, last = path
    parent = document
    for key in parents:
        parent = parent[key]
    if value is ...:
        del parent[last]
    else:
        parent[last] = value
    return document


def test_reading_gives_back_what_was_written():
    again = read(json.loads(canonical_json(DOCUMENT)))
    assert again == MANIFEST
    assert again.digest == MANIFEST.digest
    assert canonical_json(again.to_dict()) == canonical_json(DOCUMENT)


def test_digest_of_a_frozen_format_never_changes():
    assert MANIFEST.digest == "blake3:5d067e26499b111c67e56ba6c46ef9763baa8723fd7735b0048688fc99bc5f45"
    # The digest does not hang on what is read: a reason that no reader takes has the digest it always had.
    bias = dataclasses.replace(MANIFEST.tensors["bias"], reason="untouched")
    other = dataclasses.replace(MANIFEST, tensors={**MANIFEST.tensors, "bias": bias})
    assert other.digest == "blake3:0f913b37309f0664a2acbef8dfc6164ebd5315732f92c36b732dba71c7233dd8"


def test_order_of_tensors_does_not_matter():
    shuffled = changed(("format",), 1)
    shuffled["tensors"] = dict(reversed(DOCUMENT["tensors"].items()))
    assert read(shuffled).digest == MANIFEST.digest
    assert list(read(shuffled).tensors) == sorted(DOCUMENT["tensors"])


@pytest.mark.parametrize(
    "path",
    [
        ("base",),
        ("fine_tuned",),
        ("prefix",),
        ("tensors", "embed", "fine_tuned"),
        ("tensors", "embed", "content"),
        ("tensors", "embed", "coding", "seed"),
        ("tensors", "embed", "coding", "keep_threshold"),
        ("tensors", "proj", "low_rank", "scaling"),
        ("tensors", "proj", "low_rank", "transposed"),
        ("tensors", "lm_head", "tied_to"),
        ("head", "classifier.weight", "digest"),
    ],
)
def test_every_field_is_part_of_the_identity(path):
    found = DOCUMENT
    for key in path:
        found = found[key]
    other = {"dare": "exact", A: C, B: C, C: A, "embed": "bias"}.get(found, "x") if isinstance(found, str) else None
    if isinstance(found, bool):
        other = not found
    elif other is None:
        other = found + 1
    assert read(changed(path, other)).digest != MANIFEST.digest


@pytest.mark.parametrize("document", [None, 1, "text", [], [DOCUMENT], True])
def test_something_that_is_no_object(document):
    with pytest.raises(IntegrityFailure, match=WHERE):
        read(document)


def test_gains_make_it_format_2_and_nothing_else_does():
    gained = changed(("tensors", "proj", "low_rank", "gains"), "lora/proj/gains")
    with pytest.raises(IntegrityFailure, match="format must be 2, that of what is said here, found 1"):
        read(gained)
    with pytest.raises(IntegrityFailure, match="format must be 1, that of what is said here, found 2"):
        read(changed(("format",), 2))
    manifest = read(gained | {"format": 2})
    assert manifest.to_dict() == gained | {"format": 2}
    assert manifest.tensors["proj"].low_rank.payloads == ("lora/proj/A", "lora/proj/B", "lora/proj/gains")
    assert manifest.digest != read(changed(("format",), 1)).digest


def test_a_newer_format_says_so():
    with pytest.raises(IntegrityFailure, match="format 3 is not known") as caught:
        read(changed(("format",), 3))
    assert "upgrade" in caught.value.hint


EMBED, PROJ = ("tensors", "embed"), ("tensors", "proj")


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        (("format",), "1", "format must be an integer"),
        (("format",), True, "format must be an integer"),
        (("encoding",), "zip", "encoding must be one of dare, exact, lora, magnitude, sign"),
        (("base",), "blake3:abc", "base must be a digest"),
        (("base",), "sha256:" + "a" * 64, "base must be a digest"),
        (("fine_tuned",), None, "fine_tuned must be a text"),
        (("tensors",), [], "tensors must be a JSON object"),
        (("tensors", "embed"), 7, "expected a JSON object"),
        (("tensors", "\ud800"), {}, "tensors must be a JSON object"),
        (("head",), ..., "head must be a JSON object"),
        (("prefix",), 0, "prefix must be a text"),
        (("prefix",), "\udfff", "prefix must be a text"),
        (("config",), [1], "config must be a JSON object"),
        (("config",), {"x": float("nan")}, "canonical JSON"),
        (("config",), {"x": 1 << 60}, "canonical JSON"),
        (("coding",), {"values": "int4", "keep_threshold": 0, "seed": 0}, "keep_threshold must be"),
        (("coding",), {"values": "int5", "keep_threshold": 1, "seed": 0}, "values must be one of"),
        ((*EMBED, "form"), "magnitude", "form must be one of"),
        ((*EMBED, "dtype"), "F128", "dtype must be one of"),
        ((*EMBED, "dtype"), "I64", "dtype must be one of BF16, F16, F32"),
        ((*EMBED, "fine_tuned_dtype"), "BOOL", "dtype must be one of BF16, F16, F32"),
        ((*EMBED, "shape"), [10, -4], "shape must be"),
        ((*EMBED, "shape"), [10, 4.0], "shape must be"),
        ((*EMBED, "shape"), [True, 4], "shape must be"),
        ((*EMBED, "shape"), [1 << 30, 1 << 30], "fewer than 2"),
        ((*EMBED, "shape"), [1] * 33, "shape must be"),
        ((*EMBED, "shape"), "10", "shape must be"),
        ((*EMBED, "coding"), None, "coding must be given"),
        ((*EMBED, "coding", "keep_threshold"), 65537, "keep_threshold must be"),
        ((*EMBED, "coding", "seed"), -1, "seed must be"),
        ((*EMBED, "coding", "seed"), 1 << 53, "seed must be"),
        ((*EMBED, "content"), ..., "content must be a text"),
        ((*EMBED, "content"), "sha256:" + "a" * 64, "content must be a digest"),
        (("coding",), None, "coding must be null with encoding lora, and with no other"),
        ((*EMBED, "reason"), "buffer", "reason must be left out of form kept"),
        (("tensors", "bias", "reason"), 5, "reason must be a text"),
        (("tensors", "bias", "reason"), "tied", "reason must be one of allowed, buffer"),
        (("tensors", "lm_head", "reason"), "buffer", "reason must be one of tied"),
        ((*PROJ, "low_rank"), ..., "expected a JSON object"),
        ((*PROJ, "low_rank", "rank"), 0, "rank must be"),
        ((*PROJ, "low_rank", "rows"), 7, "low_rank must be a product of 24 elements"),
        ((*PROJ, "low_rank", "scaling"), "0.5", "scaling must be a finite number"),
        ((*PROJ, "low_rank", "scaling"), float("inf"), "scaling must be a finite number"),
        ((*PROJ, "low_rank", "scaling"), 10**400, "scaling must be a finite number"),
        ((*PROJ, "low_rank", "scaling"), 1e39, "scaling must be a finite number"),
        ((*PROJ, "low_rank", "transposed"), "yes", "transposed must be true or false"),
        ((*PROJ, "coding"), {"values": "int4", "keep_threshold": 655, "seed": 0}, "coding must be given for kept"),
        (("tensors", "bias", "coding"), {"values": "int4", "keep_threshold": 655, "seed": 0}, "coding must be given"),
        (("tensors", "lm_head", "tied_to"), None, "tied_to must be a text"),
        (("head", "classifier.weight", "digest"), 1, "digest must be a text"),
    ],
)
def test_a_damaged_field_is_named(path, value, says):
    with pytest.raises(IntegrityFailure, match=WHERE) as caught:
        read(changed(path, value))
    assert says in caught.value.message


@pytest.mark.parametrize("number", [2.0**53, -1e20, 1e21, 1.5e300, 2**53 - 1, -(2**53) + 1, 0.1, 1e-7])
def test_a_config_with_any_number_is_read_back(number):
    """Canonical JSON writes 1e20 as an integer that it would not take itself."""
    manifest = read(changed(("config",), {"x": number}))
    again = read(parse_json(canonical_json(manifest.to_dict())))
    assert again.config == {"x": number}
    assert again.digest == manifest.digest


def test_numbers_too_large_for_a_double_are_refused():
    document = parse_json(json.dumps(changed(("config",), {"x": 10**400})))
    with pytest.raises(IntegrityFailure, match="config"):
        read(document)


def test_a_config_nested_without_end_is_refused():
    config = current = {}
    for _ in range(sys.getrecursionlimit()):
        current["a"] = {}
        current = current["a"]
    with pytest.raises(IntegrityFailure, match="config"):
        read(changed(("config",), config))


def test_a_long_value_is_not_repeated_whole():
    with pytest.raises(IntegrityFailure) as caught:
        read(changed(("encoding",), "x" * 100_000))
    assert len(caught.value.message) < 300


def paths(value, path=()):
    yield path
    if isinstance(value, dict):
        for key in value:
            yield from paths(value[key], (*path, key))


JUNK = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 70), 1 << 70)
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from([A, "sha256:" + "0" * 64, "kept", "lora", "same", "tied", "int4", "exact", "F32", "I64", ...]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=4,
)


@settings(max_examples=400, deadline=None, derandomize=True, database=None)
@given(path=st.sampled_from([path for path in paths(DOCUMENT) if path]), value=JUNK)
def test_any_change_is_refused_or_read_into_a_manifest_that_writes(path, value):
    try:
        manifest = read(changed(path, value))
    except IntegrityFailure:
        return
    assert read(parse_json(canonical_json(manifest.to_dict()))).digest == manifest.digest


def test_exact_needs_no_more_than_its_coding():
    tensors = {"w": TensorDelta("kept", "F32", (3,), A, B, "F32", coding=EXACT, content=C)}
    manifest = Manifest("exact", A, B, tensors, EXACT)
    assert read(manifest.to_dict()) == manifest
    assert manifest.tensors["w"].elements == 3
    assert TensorDelta("same", "F32", (), A, A, "F32").elements == 1
