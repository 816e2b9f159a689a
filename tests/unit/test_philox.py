"""The mask generator: published vectors, an oracle in plain integers, and the statistics that DARE relies on."""

import hashlib
import itertools
import math

import numpy as np
import pytest

from storage.encodings import kernels, mask_kernels, philox
from storage.errors import UsageError

CONTENT = "blake3:" + "ab" * 32
KEY = philox.mask_key(7, CONTENT, "model.layers.0.weight")

# Random123, tests/kat_vectors: counter, key, words of philox4x32-10
KNOWN_ANSWERS = [
    ("00000000 00000000 00000000 00000000", "00000000 00000000", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"),
]


def words(text):
    return [int(word, 16) for word in text.split()]


def in_plain_integers(counter, key):
    """Philox4x32-10 once more, in Python's integers, as the paper writes it."""
    (c0, c1, c2, c3), (k0, k1) = counter, key
    for _ in range(10):
        p0, p1 = 0xD2511F53 * c0, 0xCD9E8D57 * c2
        c0, c1, c2, c3 = (p1 >> 32) ^ c1 ^ k0, p1 % 2**32, (p0 >> 32) ^ c3 ^ k1, p0 % 2**32
        k0, k1 = (k0 + 0x9E3779B9) % 2**32, (k1 + 0xBB67AE85) % 2**32
    return [c0, c1, c2, c3]


def kernel_words(key, first, count):
    out = np.empty(4 * count, np.uint32)
    kernels.draw_lanes(np.uint64(key), first, out)
    return out.reshape(count, 4)


@pytest.mark.parametrize(("counter", "key", "expected"), KNOWN_ANSWERS)
def test_numpy_gives_the_published_answers(counter, key, expected):
    found = philox.philox4x32(np.array([words(counter)], np.uint32), tuple(words(key)))
    assert found.tolist() == [words(expected)]
    assert in_plain_integers(words(counter), words(key)) == words(expected)


def test_numba_gives_the_published_answer_of_its_first_counter():
    # The kernel's counters have two words; this is the one published vector within them.
    assert kernel_words(0, 0, 1).tolist() == [words(KNOWN_ANSWERS[0][2])]


@pytest.mark.parametrize("key", [0, 2**64 - 1, 0x299F31D0A4093822, KEY])
@pytest.mark.parametrize("first", [0, 1, 2**32 - 2, 0x85A308D3243F6A88 >> 1, 2**61])
def test_numba_agrees_with_the_integers_for_every_counter(key, first):
    halves = (key % 2**32, key >> 32)
    expected = [in_plain_integers((i % 2**32, i >> 32, 0, 0), halves) for i in range(first, first + 4)]
    assert kernel_words(key, first, 4).tolist() == expected


def test_an_element_is_kept_when_its_lane_is_below_the_threshold():
    """Element i: counter i div 8, word (i mod 8) div 2, low half first."""
    kept = philox.mask(KEY, 20000, 0, 64)
    for i in range(64):
        word = in_plain_integers((i // 8, 0, 0, 0), (KEY % 2**32, KEY >> 32))[i % 8 // 2]
        lane = word >> 16 if i % 2 else word & 0xFFFF
        assert kept[i] == (lane < 20000)


def test_key_is_the_first_eight_bytes_of_the_hash():
    message = b"mergestore/dare-mask/1\x00" + (258).to_bytes(8, "little") + bytes.fromhex("ab" * 32) + "größe".encode()
    expected = int.from_bytes(hashlib.sha256(message).digest()[:8], "little")
    assert philox.mask_key(258, CONTENT, "größe") == expected


def test_key_of_a_frozen_format_never_changes():
    assert philox.mask_key(0, "blake3:" + "00" * 32, "w") == 0xCFA1CF35F94E46DD
    assert KEY == 0xA597BD37D43895EE
    assert np.packbits(philox.mask(KEY, 6554, 0, 64)).tobytes().hex() == "0100802020080001"
    assert np.packbits(philox.mask(KEY, 32768, 0, 64)).tobytes().hex() == "877cb3b13279470f"


@pytest.mark.parametrize("start", [0, 8, 1 << 20, (1 << 35) + 8])
@pytest.mark.parametrize("threshold", [1, 655, 6554, 32768, 65535])
@pytest.mark.parametrize("count", [1, 63, 64, 65, 4096, 5003])
def test_kernels_draw_the_same_mask(start, threshold, count):
    kept, places = philox.mask(KEY, threshold, start, count), np.empty(count, np.int64)
    number = mask_kernels.mask_places(np.uint64(KEY), np.uint32(threshold), start, count, places)
    assert np.array_equal(places[:number], np.flatnonzero(kept))


def test_mask_does_not_depend_on_how_it_is_cut_or_in_which_order():
    whole = philox.mask(KEY, 6554, 0, 3000)
    cuts = [0, 1, 7, 8, 9, 1000, 1001, 2999, 3000]
    pieces = {a: philox.mask(KEY, 6554, a, b - a) for a, b in reversed(list(itertools.pairwise(cuts)))}
    assert np.array_equal(np.concatenate([pieces[a] for a in sorted(pieces)]), whole)


def test_a_higher_drop_rate_keeps_a_subset():
    masks = [philox.mask(KEY, philox.keep_threshold(p), 0, 20000) for p in (0.0, 0.5, 0.9, 0.99)]
    assert masks[0].all()
    for wider, narrower in itertools.pairwise(masks):
        assert not (narrower & ~wider).any()
        assert narrower.sum() < wider.sum()


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9, 0.99])
def test_keep_rate_is_the_quantized_one_in_every_lane(p):
    threshold = philox.keep_threshold(p)
    q = threshold / 65536
    kept = philox.mask(KEY, threshold, 0, 1 << 19).reshape(-1, 8)
    lanes = kept.sum(axis=0)
    expected = kept.shape[0] * q
    chi_square = ((lanes - expected) ** 2 / (expected * (1 - q))).sum()
    assert chi_square < 26.1  # 8 degrees of freedom, 0.1 %


@pytest.mark.parametrize("lag", [1, 2, 7, 8, 64, 4096])
def test_neighbours_are_independent(lag):
    kept = philox.mask(KEY, 6554, 0, 1 << 19).astype(np.float64)
    q = 6554 / 65536
    both = (kept[lag:] * kept[:-lag]).mean()
    deviation = math.sqrt(q * q * (1 - q * q) / (kept.size - lag))
    assert abs(both - q * q) < 4 * deviation


@pytest.mark.parametrize(
    "other",
    [
        philox.mask_key(8, CONTENT, "model.layers.0.weight"),
        philox.mask_key(7, CONTENT, "model.layers.1.weight"),
        philox.mask_key(7, "blake3:" + "ab" * 31 + "ac", "model.layers.0.weight"),
    ],
    ids=["seed", "name", "content"],
)
def test_masks_share_nothing_unless_seed_name_and_content_agree(other):
    n, q = 1 << 18, 0.5
    agreement = (philox.mask(KEY, 32768, 0, n) == philox.mask(other, 32768, 0, n)).mean()
    assert abs(agreement - q) < 4 * 0.5 / math.sqrt(n)


@pytest.mark.parametrize(
    ("p", "threshold"), [(0, 65536), (0.5, 32768), (0.9, 6554), (0.99, 655), (0.999, 66), (1 - 1 / 65536, 1)]
)
def test_drop_rate_is_rounded_to_sixteen_bits(p, threshold):
    assert philox.keep_threshold(p) == threshold
    quantized = philox.quantized_drop_rate(threshold)
    assert quantized == 1 - threshold / 65536
    assert abs(quantized - p) <= 0.5 / 65536
    assert philox.keep_threshold(quantized) == threshold


def test_every_threshold_survives_its_own_rounding():
    assert all(philox.keep_threshold(philox.quantized_drop_rate(t)) == t for t in range(1, 65537))


@pytest.mark.parametrize("p", [-0.1, 1, 1.5, math.nan, math.inf, 1 - 1e-9])
def test_a_drop_rate_that_makes_no_sense_is_refused(p):
    with pytest.raises(UsageError, match="drop rate"):
        philox.keep_threshold(p)


@pytest.mark.parametrize("seed", [-1, 2**53])
def test_a_seed_that_json_cannot_hold_is_refused(seed):
    with pytest.raises(UsageError, match="seed"):
        philox.mask_key(seed, CONTENT, "w")


def test_the_largest_seed_is_taken():
    assert philox.mask_key(2**53 - 1, CONTENT, "w") != philox.mask_key(0, CONTENT, "w")
