"""Preparing terms whose masks are drawn: counting what is kept, keeping masks, spreading int4 codes to their places."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from merging.device import kernels, tables
from merging.device.launch import WARPS, Term, tensor_table
from merging.device.layout import Layout, starts
from merging.device.tables import SPAN
from storage.encodings import int4

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Raw:
    """A term as it was uploaded, its layout, and which of its tensor's elements it is of."""

    term: Term
    layout: Layout
    elements: int
    origin: int = 0

    @property
    def spans(self) -> int:
        """Spans of the kernel that its elements take."""
        return -(-self.elements // SPAN)


def index(raws: Sequence[Raw], device: torch.device, *, caches: bool) -> list[Term]:
    """The terms, such that their values can be found: masks are counted, and with ``caches`` kept as bitmaps.

    Raises IntegrityFailure where a term's bytes do not hold the values that its mask keeps.
    """
    found = [raw.term for raw in raws]
    places = [place for place, raw in enumerate(raws) if raw.layout.select == tables.DRAWN.value and raw.elements]
    if places:
        drawn = [raws[place] for place in places]
        for place, term in zip(places, _index(drawn, device, caches=caches), strict=True):
            found[place] = term
    return found


def _index(raws: Sequence[Raw], device: torch.device, *, caches: bool) -> list[Term]:
    table, term_of = tensor_table([raw.elements for raw in raws], device)
    table[:, tables.ORIGIN.value] = [raw.origin for raw in raws]
    rows = np.stack([raw.term.row for raw in raws])
    kept: list[tuple[Tensor, ...]] = [() for _ in raws]
    if caches:
        bitmaps = _slices([raw.spans * SPAN // 8 for raw in raws], torch.uint8, device)
        offsets = _slices([raw.spans * SPAN // 32 for raw in raws], torch.int16, device)
        rows[:, tables.BITMAP.value] = [bitmap.data_ptr() for bitmap in bitmaps]
        rows[:, tables.OFFSETS.value] = [each.data_ptr() for each in offsets]
        kept = list(zip(bitmaps, offsets, strict=True))
    counts = torch.empty(term_of.numel(), dtype=torch.int32, device=device)
    kernels.index_masks[(term_of.numel(),)](
        term_of,
        torch.from_numpy(table).to(device),
        torch.from_numpy(rows).to(device),
        counts,
        CACHES=caches,
        SPAN=SPAN,
        num_warps=WARPS,
    )
    ends = np.cumsum([raw.spans for raw in raws])
    ranks = [starts(raw.layout, own) for raw, own in zip(raws, np.split(counts.cpu().numpy(), ends[:-1]), strict=True)]
    uploaded = torch.split(torch.from_numpy(np.concatenate(ranks)).to(device), [raw.spans for raw in raws])
    rows[:, tables.STARTS.value] = [each.data_ptr() for each in uploaded]
    select = tables.PLACED if caches else tables.DRAWN
    return [
        Term(_selecting(raw.term.kind, select.value), row, raw.term.scaling, (*raw.term.held, *own, own_starts))
        for raw, row, own, own_starts in zip(raws, rows, kept, uploaded, strict=True)
    ]


def spread(raws: Sequence[Raw], device: torch.device) -> list[Term]:
    """Indexed terms of int4 codes, with these at the places of their elements: 5 bits an element, and no search.

    What they were made from is no longer needed but for scales and starts, which are copied.
    """
    spreads = []
    for draws in (True, False):
        group = [raw for raw in raws if (raw.term.kind >> 3 & 3 == tables.DRAWN.value) == draws]
        spreads += list(zip(map(id, group), _spread(group, device, draws=draws), strict=True)) if group else []
    by_raw = dict(spreads)
    return [by_raw[id(raw)] for raw in raws]


def _spread(raws: Sequence[Raw], device: torch.device, *, draws: bool) -> list[Term]:
    table, term_of = tensor_table([raw.elements for raw in raws], device)
    codes = _slices([raw.spans * SPAN // 8 for raw in raws], torch.int32, device)
    borders = _slices([raw.spans * SPAN // 8 for raw in raws], torch.uint8, device)
    table[:, tables.BASE.value] = [each.data_ptr() for each in codes]
    table[:, tables.OUT.value] = [each.data_ptr() for each in borders]
    rows = np.stack([raw.term.row for raw in raws])
    kernels.spread_codes[(term_of.numel(),)](
        term_of,
        torch.from_numpy(table).to(device),
        torch.from_numpy(rows).to(device),
        DRAWS=draws,
        BLOCK=int4.BLOCK,
        SPAN=SPAN,
        num_warps=WARPS,
    )
    return [_spread_term(*each, device) for each in zip(raws, rows, codes, borders, strict=True)]


def _spread_term(raw: Raw, row: np.ndarray, codes: Tensor, borders: Tensor, device: torch.device) -> Term:
    scales = torch.from_numpy(raw.layout.arrays[tables.SCALES.value]).to(device)
    stored = raw.layout.arrays.get(tables.STARTS.value)
    ranks = raw.term.held[-1] if stored is None else torch.from_numpy(stored).to(device)
    row[tables.VALUES.value], row[tables.BITMAP.value] = codes.data_ptr(), borders.data_ptr()
    row[tables.SCALES.value], row[tables.STARTS.value] = scales.data_ptr(), ranks.data_ptr()
    kind = _selecting(raw.term.kind, tables.SPREAD.value)
    return Term(kind, row, raw.term.scaling, (codes, borders, scales, ranks))


def _slices(sizes: Sequence[int], dtype: torch.dtype, device: torch.device) -> Sequence[Tensor]:
    """Tensors of these sizes, out of one piece of memory."""
    return torch.split(torch.empty(sum(sizes), dtype=dtype, device=device), list(sizes))


def _selecting(kind: int, select: int) -> int:
    return kind & ~(3 << 3) | select << 3
