"""The picture of a check: its arrays are the data, whatever its size, and it is a PNG."""

import struct

import numpy as np
import pytest

from registry.checks import heat_map

pytest.importorskip("matplotlib")


def comparison(skills, layers, cosine, error=0.0):
    """What a check finds, with ``cosine(group, one, other)``; a group is a number, the whole model is −1."""

    def group(number):
        return {
            "name": f"layer {number}",
            "norms": dict.fromkeys(skills, 1.0),
            "pairs": [
                {"one": skills[i], "other": skills[j], "cosine": cosine(number, i, j), "error": error}
                for i in range(len(skills))
                for j in range(i + 1, len(skills))
            ],
            "cancelled": 0.25,
            "unrelated": 0.29,
        }

    return {"skills": skills, "whole": group(-1), "groups": [group(number) for number in range(layers)]}


def drawn(found, title="llama + math"):
    """The arrays of the two images, not a number where nothing is known, and the texts in them."""
    figure = heat_map.draw(found, title)
    panels = [axes for axes in figure.axes if axes.get_title()]
    assert [axes.get_title() for axes in panels] == ["whole model", "layer by layer"]
    arrays = [np.ma.filled(axes.images[0].get_array(), np.nan) for axes in panels]
    for axes in panels:
        assert axes.images[0].get_clim() == (-1, 1)
    return figure, arrays, [[text.get_text() for text in axes.texts] for axes in panels]


def test_cells_hold_the_cosines():
    values = {(-1, 0, 1): 0.5, (-1, 0, 2): -0.25, (-1, 1, 2): 0.004, (0, 0, 1): 1.0, (0, 0, 2): -1.0, (0, 1, 2): None}
    figure, (whole, layers), (on_whole, on_layers) = drawn(
        comparison(["a@1", "b@1", "c@2"], 1, lambda *place: values[place])
    )
    assert whole.tolist() == [[1, 0.5, -0.25], [0.5, 1, 0.004], [-0.25, 0.004, 1]]
    assert layers[0, :2].tolist() == [1.0, -1.0]
    assert np.isnan(layers[0, 2])
    assert on_whole == ["1.00", "0.50", "−0.25", "0.50", "1.00", "0.00", "−0.25", "0.00", "1.00"]
    assert on_layers == ["1.00", "−1.00", "·"]
    right = figure.axes[1]
    assert [label.get_text() for label in right.get_xticklabels()] == ["a@1 · b@1", "a@1 · c@2", "b@1 · c@2"]
    assert [label.get_text() for label in right.get_yticklabels()] == ["layer 0"]
    assert "25% of the norms cancel" in figure.get_suptitle()


def test_what_is_too_uncertain_is_not_drawn():
    _, (whole, layers), (_, texts) = drawn(comparison(["a@1", "b@1"], 2, lambda *_: 0.9, error=0.3))
    assert np.isnan(whole[0, 1])
    assert np.isnan(layers).all()
    assert texts == ["?", "?"]


def test_the_ends_of_the_colours_are_told_apart_and_the_middle_is_light():
    figure, _, _ = drawn(comparison(["a@1", "b@1"], 1, lambda *_: 0.0))
    colours = figure.axes[0].images[0].cmap
    low, middle, high = (np.array(colours(value)[:3]) for value in (0.1, 0.5, 0.9))
    assert low[0] > low[2] + 0.3  # red
    assert high[2] > high[0] + 0.3  # blue
    assert middle.min() > 0.9


@pytest.mark.parametrize(("skills", "layers"), [(2, 1), (2, 130), (3, 24), (12, 32), (25, 2)])
def test_pictures_of_any_size_are_png(skills, layers):
    names = [f"team-with-a-long-name/skill-number-{number}@{number}" for number in range(skills)]
    random = np.random.default_rng(1)
    found = comparison(names, layers, lambda *_: float(random.uniform(-1, 1)))
    data = heat_map.png(found, "llama + " + " + ".join(names))
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", data[16:24])
    assert 600 <= width <= 5000
    assert 500 <= height <= 3000
    if skills == 25:
        figure, (whole, _), texts = drawn(found)
        assert whole.shape == (25, 25)
        assert texts == [[], []]  # no room for numbers
        assert len(figure.axes[1].get_xticklabels()) <= 40


def test_the_same_data_give_the_same_file():
    found = comparison(["a@1", "b@1"], 3, lambda number, *_: number / 10)
    assert heat_map.png(found, "x + a + b") == heat_map.png(found, "x + a + b")
