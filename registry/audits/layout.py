"""Where the boxes and lines of a lineage are drawn: in columns, left to right, and no line behind a box of others.

A line goes from column to column through the gaps between them, where no box is. Past a column that it does not end
in it goes in a lane, which has a place of its own among the boxes; all lines from one box share theirs. Boxes and lanes
of a column stand in the order of the mean heights of what they are connected to, and as near to these as is room.
After Sugiyama, Tagawa and Toda 1981, https://doi.org/10.1109/TSMC.1981.4308636.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any

WIDE, HIGH = 190, 46
"""Pixels of a box."""
ACROSS, DOWN, LANE = 300, 66, 26
"""Pixels from column to column, and down a column that a box and a lane take."""
_SWEEPS = 6

Item = tuple[str, int]
"""A box, by its node and column, or the lane of its lines in a column further on."""
Point = tuple[int, int]
Links = Mapping[Item, list[Item]]


@dataclass(frozen=True)
class Drawing:
    """``places``: the left upper corner of each node's box. Of each edge, in their order, ``lines`` has the path as SVG
    writes it, ``labels`` a place on its last part. ``size``: of the whole, width and height. All in pixels.
    """

    places: dict[str, Point]
    lines: list[str]
    labels: list[Point]
    size: Point


def layout(graph: Mapping[str, Sequence[Mapping[str, Any]]]) -> Drawing:
    """The drawing of ``{"nodes": [...], "edges": [...]}``: each node behind everything that it is made of."""
    ids = [node["id"] for node in graph["nodes"]]
    pairs = [(edge["parent"], edge["child"]) for edge in graph["edges"]]
    columns = _columns(ids, pairs)
    ways = [_way(parent, child, columns) for parent, child in pairs]
    heights = _heights([(each, columns[each]) for each in ids], ways)
    lines: list[str] = []
    labels: list[Point] = []
    for way in ways:
        points = [(item[1] * ACROSS, heights[item]) for item in way]
        lines.append(_line(points))
        labels.append(_early(*_ends(points[-2], points[-1])))
    return Drawing(
        {each: (columns[each] * ACROSS, heights[each, columns[each]] - HIGH // 2) for each in ids},
        lines,
        labels,
        (max(columns.values(), default=0) * ACROSS + WIDE, max(heights.values(), default=0) + HIGH // 2),
    )


def _columns(ids: Sequence[str], pairs: Sequence[tuple[str, str]]) -> dict[str, int]:
    """The longest way from a base to each node."""
    below: dict[str, list[str]] = defaultdict(list)
    for parent, child in pairs:
        below[child].append(parent)
    columns: dict[str, int] = {}
    for node in _bottom_up(ids, below):
        columns[node] = max((columns.get(parent, -1) + 1 for parent in below[node]), default=0)
    return columns


def _bottom_up(ids: Sequence[str], below: Mapping[str, Sequence[str]]) -> list[str]:
    """Each node after what it is made of. Versions have no cycles; of a graph that has, what is left comes last."""
    order: dict[str, None] = {}
    while len(order) < len(ids):
        ready = [node for node in ids if node not in order and all(each in order for each in below[node])]
        order |= dict.fromkeys(ready or [node for node in ids if node not in order])
    return list(order)


def _way(parent: str, child: str, columns: Mapping[str, int]) -> list[Item]:
    """What a line goes through: its box, a lane in every column between, and the box that it ends in."""
    between = range(columns[parent] + 1, columns[child])
    return [(parent, columns[parent]), *((parent, column) for column in between), (child, columns[child])]


def _heights(boxes: Sequence[Item], ways: Sequence[Sequence[Item]]) -> dict[Item, int]:
    """How far down the middle of every box and lane is; nothing is above 0."""
    near: dict[str, dict[Item, list[Item]]] = {"below": defaultdict(list), "above": defaultdict(list)}
    for one, other in dict.fromkeys(pair for way in ways for pair in pairwise(way)):
        near["above"][one].append(other)
        near["below"][other].append(one)
    room = dict.fromkeys((item for way in ways for item in way), LANE) | dict.fromkeys(boxes, DOWN)
    stacks: dict[int, list[Item]] = defaultdict(list)
    for item in dict.fromkeys([*boxes, *room]):
        stacks[item[1]].append(item)
    found: dict[Item, float] = {}
    for stack in stacks.values():
        _place(stack, dict.fromkeys(stack, 0.0), room, found)
    for sweep in range(_SWEEPS):
        side = ("below", "above")[sweep % 2]
        for column in sorted(stacks, reverse=side == "above"):
            means = {item: _mean(item, near[side], found) for item in stacks[column]}
            stacks[column].sort(key=means.__getitem__)
            _place(stacks[column], means, room, found)
    top = min((found[item] - room[item] / 2 for item in found), default=0.0)
    return {item: round(height - top) for item, height in found.items()}


def _mean(item: Item, near: Links, heights: Mapping[Item, float]) -> float:
    found = [heights[other] for other in near.get(item, ())]
    return sum(found) / len(found) if found else heights[item]


def _place(
    stack: Sequence[Item], wanted: Mapping[Item, float], room: Mapping[Item, int], found: dict[Item, float]
) -> None:
    """Put a column's items, in their order, as near to where they are ``wanted`` as their room allows.

    That is least squares with distances between neighbours: pools of adjacent violators (Barlow et al. 1972), in whole
    pixels so that distances are kept when all is rounded.
    """
    steps = [0, *((room[one] + room[other]) // 2 for one, other in pairwise(stack))]
    offsets = list(accumulate(steps))
    pools: list[tuple[float, int]] = []  # (mean, count)
    for item, offset in zip(stack, offsets, strict=True):
        mean, count = wanted[item] - offset, 1
        while pools and pools[-1][0] >= mean:
            before, others = pools.pop()
            mean, count = (before * others + mean * count) / (others + count), others + count
        pools.append((mean, count))
    levels = [round(mean) for mean, count in pools for _ in range(count)]
    found |= {item: float(level + offset) for item, level, offset in zip(stack, levels, offsets, strict=True)}


def _line(points: Sequence[Point]) -> str:
    """A path through the gaps between columns, and straight through the lanes."""
    parts = [f"M{points[0][0] + WIDE} {points[0][1]}"]
    for one, other in pairwise(points):
        (x1, y1), (x2, y2) = _ends(one, other)
        bend = max(30, (x2 - x1) // 2)
        parts.append(f"C{x1 + bend} {y1} {x2 - bend} {y2} {x2} {y2}")
        if other is not points[-1]:
            parts.append(f"H{x2 + WIDE}")
    return "".join(parts)


def _early(one: Point, other: Point) -> Point:
    """A place on a line near its beginning, where lines to one box still lie apart."""
    (x1, y1), (x2, y2) = one, other
    bend = max(30, (x2 - x1) // 2)
    # Of the curve at a quarter of its way.
    return (27 * x1 + 27 * (x1 + bend) + 9 * (x2 - bend) + x2) // 64, (54 * y1 + 10 * y2) // 64


def _ends(one: Point, other: Point) -> tuple[Point, Point]:
    """Where a line leaves one column, and where it enters the next."""
    return (one[0] + WIDE, one[1]), other
