"""The codings of a manifest: their JSON, and that none is read which its encoding does not have."""

import copy

import pytest

from storage.deltas.manifest import Manifest, TensorDelta
from storage.encodings.coding import EXACT, SIGN, dare_coding, magnitude_coding
from storage.errors import IntegrityFailure

A, B, C = ("blake3:" + character * 64 for character in "abc")
CODINGS = {
    "dare": dare_coding(0.5, 7, "int4"),
    "exact": EXACT,
    "magnitude": magnitude_coding(0.25, "tensor", "bf16"),
    "sign": SIGN,
}
JSON = {
    "dare": {"values": "int4", "keep_threshold": 32768, "seed": 7},
    "exact": {"values": "exact", "keep_threshold": 65536, "seed": 0},
    "magnitude": {"values": "bf16", "density": 0.25, "trim": "tensor"},
    "sign": {"values": "sign", "keep_threshold": 65536, "seed": 0},
}


def manifest(encoding):
    coding = CODINGS[encoding]
    tensor = TensorDelta("kept", "BF16", (10, 4), A, B, "F16", coding=coding, content=C)
    return Manifest(encoding=encoding, base=A, fine_tuned=B, tensors={"w": tensor}, coding=coding)


def read(document):
    return Manifest.from_dict(document, "skill.safetensors")


@pytest.mark.parametrize("encoding", CODINGS)
def test_json_of_every_coding(encoding):
    document = manifest(encoding).to_dict()
    assert document["coding"] == JSON[encoding]
    assert document["tensors"]["w"]["coding"] == JSON[encoding]
    assert read(document) == manifest(encoding)
    assert read(document).digest == manifest(encoding).digest


def test_every_parameter_is_part_of_the_identity():
    digests = {manifest("magnitude").digest}
    for change in ({"density": 0.5}, {"trim": "model"}, {"values": "int4"}):
        document = manifest("magnitude").to_dict()
        for coding in (document["coding"], document["tensors"]["w"]["coding"]):
            coding |= change
        digests.add(read(document).digest)
    assert len(digests) == 4


@pytest.mark.parametrize("place", ["coding", "tensor"])
@pytest.mark.parametrize("encoding", ["dare", "exact", "magnitude", "sign", "lora"])
@pytest.mark.parametrize("other", CODINGS)
def test_a_coding_of_another_encoding_is_refused(encoding, other, place):
    document = copy.deepcopy(manifest(encoding if encoding in CODINGS else "exact").to_dict())
    document["encoding"] = encoding
    (document if place == "coding" else document["tensors"]["w"])["coding"] = JSON[other]
    if encoding == "lora":
        if place == "coding":
            with pytest.raises(IntegrityFailure, match="coding must be null with encoding lora"):
                read(document)
        document["coding"] = None
        document["tensors"]["w"]["coding"] = JSON[other]
    fits = other == encoding or (other, encoding) in {("exact", "dare"), ("exact", "lora")}
    if fits:
        assert read(document).encoding == encoding
        return
    with pytest.raises(IntegrityFailure, match="encoding must be that of the codings"):
        read(document)


@pytest.mark.parametrize(
    ("coding", "says"),
    [
        ({"values": "int4", "density": 0, "trim": "model"}, "density must be"),
        ({"values": "int4", "density": 1, "trim": "model"}, "density must be"),
        ({"values": "int4", "density": "0.1", "trim": "model"}, "density must be"),
        ({"values": "int4", "density": True, "trim": "model"}, "density must be"),
        ({"values": "int4", "density": None, "trim": "model"}, "density must be"),
        ({"values": "int4", "density": 0.1}, "trim must be"),
        ({"values": "int4", "density": 0.1, "trim": "layer"}, "trim must be"),
        ({"values": "sign", "density": 0.1, "trim": "model"}, "values must be"),
        ({"values": "int4", "density": 0.1, "trim": "model", "seed": 0}, "unknown field 'seed'"),
        ({"values": "int4", "density": 0.1, "trim": "model", "keep_threshold": 9}, "unknown field 'keep_threshold'"),
        ({"values": "int4", "keep_threshold": 9, "seed": 0, "trim": "model"}, "unknown field 'trim'"),
        ({"values": "int4", "trim": "model"}, "unknown field 'trim'"),
        ({"values": "sign", "keep_threshold": 9, "seed": 0}, "keep_threshold must be"),
        ({"values": "sign", "keep_threshold": 65536, "seed": 1}, "seed must be"),
        ({"values": "int3", "keep_threshold": 65536, "seed": 1}, "values must be"),
        ({}, "values must be"),
        (7, "JSON object"),
    ],
)
@pytest.mark.parametrize("place", ["coding", "tensor"])
def test_any_other_coding_is_refused_by_its_field(coding, says, place):
    document = copy.deepcopy(manifest("magnitude").to_dict())
    (document if place == "coding" else document["tensors"]["w"])["coding"] = coding
    with pytest.raises(IntegrityFailure) as caught:
        read(document)
    assert says in caught.value.message
