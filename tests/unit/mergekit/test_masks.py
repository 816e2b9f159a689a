"""Masks drawn by counter: reproducible, of the right share, and nothing else about them is ours."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from merging.mergekit import METHODS
from merging.mergekit.masks import drawn
from merging.mergekit.models import Model, Models
from storage.encodings.philox import lanes

COUNT = 200_000


def _merged(name, deltas, keys, **parameters):
    method = METHODS[name]
    own = {key: parameters.pop(key) for key in ("density", "epsilon") if key in parameters}
    checked = {**method.check(parameters, draws=True), **own}
    others = tuple(Model(delta, 1.0, checked, key) for delta, key in zip(deltas, keys, strict=True))
    return method.how.merge(Models(torch.zeros_like(deltas[0]), others, checked, "w"))


def test_a_value_stays_where_its_draw_is_below_its_probability():
    probabilities = torch.tensor([[0.0, 0.25, 0.5], [0.75, 1.0, 0.9]])
    expected = lanes(77, 0, 6) < np.rint(probabilities.double().numpy().reshape(-1) * 65536)
    assert drawn(probabilities, 77).reshape(-1).tolist() == expected.astype(float).tolist()
    assert drawn(probabilities.bfloat16(), 77).dtype == torch.bfloat16


def test_a_large_mask_is_drawn_in_pieces_of_one_stream():
    count = (1 << 20) + 13
    mask = drawn(torch.full((count,), 0.5), 12).numpy()
    assert np.array_equal(mask == 1, lanes(12, 0, count) < 32768)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_the_share_that_stays_is_the_density_and_what_stays_is_made_as_long_as_all_was(dtype):
    delta = torch.rand(COUNT, generator=torch.Generator().manual_seed(1)).to(dtype) / 64 + 0.01
    delta = delta.to(dtype)
    plain = _merged("dare_linear", [delta], [5], density=0.3, rescale=False)
    kept = plain != 0
    assert kept.float().mean().item() == pytest.approx(0.3, abs=4 * (0.21 / COUNT) ** 0.5 + 0.002)
    assert torch.equal(plain[kept], delta[kept])
    rescaled = _merged("dare_linear", [delta], [5], density=0.3).double()
    assert torch.equal(rescaled != 0, kept)
    ratio = delta.double().sum() / delta[kept].double().sum()
    torch.testing.assert_close(rescaled[kept], delta[kept].double() * ratio, rtol=0.01, atol=0)


def test_masks_differ_by_key_and_are_the_same_again():
    delta = torch.ones(4096)
    one, again, other = (_merged("dare_linear", [delta], [key], density=0.5, rescale=False) for key in (1, 1, 2))
    assert torch.equal(one, again)
    assert (one != other).float().mean().item() == pytest.approx(0.5, abs=0.05)


def test_the_larger_a_value_in_its_row_the_likelier_it_stays():
    row = torch.linspace(0.01, 1, 500)
    rows = row.repeat(400, 1)[:, torch.randperm(500, generator=torch.Generator().manual_seed(3))]
    kept = _merged("della_linear", [rows], [9], density=0.5, epsilon=0.3, rescale=False) != 0
    order = rows[0].argsort()
    share = kept.float().mean(dim=0)[order]
    low, high = share[:50].mean().item(), share[-50:].mean().item()
    assert (low, high) == (pytest.approx(0.23, abs=0.02), pytest.approx(0.77, abs=0.02))
    assert kept.float().mean().item() == pytest.approx(0.5, abs=0.005)


@pytest.mark.parametrize("name", ["dare_linear", "dare_ties", "della", "della_linear"])
def test_a_density_of_one_drops_nothing_and_of_none_everything(name):
    delta = torch.arange(1.0, 13.0).reshape(3, 4)
    assert torch.equal(_merged(name, [delta], [3], density=1.0), delta)
    assert torch.equal(_merged(name, [delta], [3], density=0.0), torch.zeros(3, 4))
