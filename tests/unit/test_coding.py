"""How values can be chosen and stored, which options mean what, and that no option is without effect."""

import pytest

from registry.registering.coding_options import CodingOptions, choose_coding
from storage.encodings import sign
from storage.encodings.coding import EXACT, SIGN, Coding, dare_coding, magnitude_coding
from storage.errors import UsageError

TENTH = magnitude_coding(0.1, "model", "int4")


@pytest.mark.parametrize(
    "parts",
    [
        {"values": "int4", "density": 0.1},
        {"values": "int4", "trim": "model"},
        {"values": "int4", "density": 0.0, "trim": "model"},
        {"values": "int4", "density": 1.0, "trim": "model"},
        {"values": "int4", "density": float("nan"), "trim": "model"},
        {"values": "int4", "threshold": 6554, "density": 0.1, "trim": "model"},
        {"values": "int4", "seed": 1, "density": 0.1, "trim": "model"},
        {"values": "sign", "threshold": 6554},
        {"values": "sign", "seed": 1},
        {"values": "sign", "density": 0.1, "trim": "model"},
    ],
)
def test_parts_that_do_not_go_together_make_no_coding(parts):
    with pytest.raises(ValueError, match=r"density|mask"):
        Coding(**parts)


def test_only_what_was_dropped_is_sparsified():
    assert [coding.sparsified for coding in (EXACT, SIGN, dare_coding(0, 3, "int4"))] == [False] * 3
    assert [coding.sparsified for coding in (TENTH, dare_coding(0.5, 0, "exact"))] == [True] * 2
    assert TENTH.drop_rate == 0


def test_sizes_of_frames():
    assert SIGN.frame_size(sign.BLOCK + 1, 2) == sign.BLOCK // 8 + 1 + 4
    assert SIGN.largest_frame(100, 4) == 13 + 2
    assert EXACT.largest_frame(100, 4) == 400
    assert TENTH.largest_frame(100, 2) == 8 + 100 + 50 + 2
    assert magnitude_coding(0.5, "tensor", "exact").largest_frame(10, 2) == 8 + 10 + 20


@pytest.mark.parametrize(
    ("density", "trim", "values"),
    [
        *((density, "model", "int4") for density in (0, 1, -0.1, float("nan"))),
        (0.1, "layer", "int4"),
        (0.1, "model", "sign"),
        (0.1, "model", "int8"),
    ],
)
def test_a_magnitude_coding_out_of_range_is_refused(density, trim, values):
    with pytest.raises(UsageError):
        magnitude_coding(density, trim, values)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, ("dare", dare_coding(0.9, 0, "int4"))),
        ({"drop_rate": 0.5, "seed": 3, "values": "bf16"}, ("dare", dare_coding(0.5, 3, "bf16"))),
        ({"encoding": "exact"}, ("exact", EXACT)),
        ({"encoding": "sign"}, ("sign", SIGN)),
        ({"encoding": "magnitude"}, ("magnitude", TENTH)),
        (
            {"encoding": "magnitude", "density": 0.3, "trim": "tensor", "values": "exact"},
            ("magnitude", magnitude_coding(0.3, "tensor", "exact")),
        ),
    ],
)
def test_options_of_a_checkpoint(options, expected):
    assert choose_coding(CodingOptions(**options), adapter=False) == expected


def test_an_adapter_is_stored_as_it_is():
    assert choose_coding(CodingOptions(), adapter=True) == ("lora", EXACT)
    assert choose_coding(CodingOptions("lora"), adapter=True) == ("lora", EXACT)


VALUES = {"values": "bf16", "drop_rate": 0.5, "seed": 1, "density": 0.2, "trim": "tensor"}
WITHOUT_EFFECT = {
    "dare": ("density", "trim"),
    "exact": tuple(VALUES),
    "magnitude": ("drop_rate", "seed"),
    "sign": tuple(VALUES),
}


@pytest.mark.parametrize(("encoding", "option"), [(e, o) for e, options in WITHOUT_EFFECT.items() for o in options])
def test_an_option_without_effect_is_refused_by_name(encoding, option):
    with pytest.raises(
        UsageError, match=f"encoding '{encoding}' has no {option.replace('_', ' ')}: it keeps"
    ) as caught:
        choose_coding(CodingOptions(encoding, **{option: VALUES[option]}), adapter=False)
    assert "leave it out" in caught.value.hint


@pytest.mark.parametrize("option", VALUES)
def test_an_adapter_takes_none_of_them(option):
    with pytest.raises(UsageError, match="encoding 'lora' has no"):
        choose_coding(CodingOptions(**{option: VALUES[option]}), adapter=True)


@pytest.mark.parametrize(("encoding", "adapter"), [("lora", False), ("dare", True), ("sign", True), ("zip", False)])
def test_an_encoding_that_does_not_fit_is_refused(encoding, adapter):
    with pytest.raises(UsageError, match=encoding):
        choose_coding(CodingOptions(encoding), adapter=adapter)
