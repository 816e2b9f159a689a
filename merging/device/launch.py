"""Launching the fused kernel: what is to be done, sorted into one launch for all tensors of a kind.

A launch has a row for each tensor (where base and result lie), rows for its terms (where their arrays lie, keys and
thresholds) and the fp32 factors of these; the columns are named in ``merging.device.kernels``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from merging.device import kernels, tables
from merging.device.layout import DROPS, TRIMS, Layout
from merging.device.tables import SPAN, TWO_TO_23
from merging.engines.combination import Combine, Contribution
from storage.encodings import int4, sign
from storage.encodings.chunks import KeptChunk
from storage.encodings.coding import EXACT
from storage.encodings.numeric_kernels import DTYPE
from storage.encodings.philox import quantized_drop_rate

if TYPE_CHECKING:
    from torch import Tensor

ALIGNED = 16
"""Bytes that a thread takes at once where everything lies at a multiple of them."""
WARPS = 4


@dataclass(frozen=True)
class Term:
    """One term of one tensor on the device: the kernel's row of it. ``held``: what its addresses point into."""

    kind: int
    row: NDArray[np.int64]
    scaling: float
    held: tuple[Tensor, ...] = ()


@dataclass(frozen=True)
class Work:
    """One tensor, or a part of it from element ``origin`` on: the places of base and result, and the terms.

    ``skills`` numbers the terms' skills, for weights that are told later. ``rebuilds``: the only term is exact, and the
    result is the fine-tune itself. ``scaled``: the base is multiplied by what the combination says.
    """

    base: Tensor
    dtype: str
    out: Tensor
    out_dtype: str
    elements: int
    terms: tuple[tuple[Term, Contribution], ...] = ()
    origin: int = 0
    rebuilds: bool = False
    scaled: bool = True
    skills: tuple[int, ...] = ()

    @property
    def kinds(self) -> tuple[int, ...]:
        """What the kernel must know of the terms when it is compiled."""
        return tuple(_kind(term, contribution) for term, contribution in self.terms)

    @property
    def even(self) -> bool:
        """Whether threads can take 16 bytes at once, throughout."""
        return self.elements % 8 == 0 and not (self.base.data_ptr() | self.out.data_ptr()) % ALIGNED


def _kind(term: Term, contribution: Contribution) -> int:
    drops = DROPS if contribution.drop is not None else 0
    return term.kind | drops | (TRIMS if contribution.cutoff > 0 else 0)


class Arena:
    """Arrays gathered in one piece of memory, each at a multiple of 16 bytes."""

    def __init__(self) -> None:
        self._arrays: list[tuple[int, NDArray[Any]]] = []
        self.size = 0

    def add(self, array: NDArray[Any]) -> int:
        """Put an array behind the others; its offset comes back."""
        offset = self.size
        self._arrays.append((offset, array))
        self.size += -(-array.nbytes // ALIGNED) * ALIGNED
        return offset

    def gather(self, *, pinned: bool) -> Tensor:
        """All arrays in host memory."""
        memory = torch.empty(self.size, dtype=torch.uint8, pin_memory=pinned)
        view = memory.numpy()
        for offset, array in self._arrays:
            view[offset : offset + array.nbytes] = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
        return memory


@dataclass(frozen=True)
class Packed:
    """A layout whose arrays were added to an arena: their offsets by column."""

    layout: Layout
    offsets: Mapping[int, int]

    def term(self, arena: Tensor) -> Term:
        """The term, once its arena is where the kernel can read it; a mask that is drawn is not yet ``indexed``."""
        row = np.zeros(tables.TERM_COLUMNS.value, np.int64)
        for column, number in self.layout.numbers.items():
            row[column] = number
        for column, offset in self.offsets.items():
            row[column] = arena.data_ptr() + offset
        return Term(self.layout.kind, row, self.layout.scaling, (arena,))


def pack(layout: Layout, arena: Arena) -> Packed:
    """Add a layout's arrays to an arena."""
    return Packed(layout, {column: arena.add(array) for column, array in layout.arrays.items()})


def launch(works: Sequence[Work], combine: Combine, device: torch.device) -> Tensor:
    """Start all the work on the current stream. The flags that come back are 1 where a tensor is not finite.

    Base and result of a work must lie on the device, and stay there until it is done.
    """
    return Launches(works, device).start([work.out for work in works], combine)


class Launches:
    """Work sorted into one launch for all tensors of a kind, to be started any number of times."""

    def __init__(self, works: Sequence[Work], device: torch.device):
        groups: dict[tuple[Any, ...], list[int]] = {}
        for index, work in enumerate(works):
            key = (work.dtype, work.out_dtype, work.kinds, work.rebuilds, work.scaled, work.even)
            groups.setdefault(key, []).append(index)
        self._device = device
        self._count = len(works)
        self._groups = [_Group([works[index] for index in group], group, device) for group in groups.values()]

    def start(self, outs: Sequence[Tensor], combine: Combine, shares: NDArray[np.float64] | None = None) -> Tensor:
        """Start all on the current stream; ``outs`` as they were, or others just as well aligned.

        ``shares``: the weight of each skill, where it is another than the works said.
        """
        flags = torch.zeros(self._count, dtype=torch.int32, device=self._device)
        places = np.array([out.data_ptr() for out in outs], np.int64)
        for group in self._groups:
            group.start(places, flags, combine, shares)
        return flags


class _Group:
    """Works of one kind: the tables of their launch."""

    def __init__(self, works: Sequence[Work], numbers: Sequence[int], device: torch.device):
        self._numbers, self._device, self._options = np.array(numbers), device, _options(works[0])
        self._scaled = works[0].scaled
        self._table, self._tensor_of = tensor_table([work.elements for work in works], device)
        self._table[:, tables.BASE.value] = [work.base.data_ptr() for work in works]
        self._table[:, tables.ORIGIN.value] = [work.origin for work in works]
        terms = [_row(term, contribution) for work in works for term, contribution in work.terms]
        self._terms = torch.from_numpy(np.array(terms, np.int64)).to(device)
        shape = (len(works), len(works[0].terms))
        factors = [_factors(term, contribution) for work in works for term, contribution in work.terms]
        self._factors = np.array(factors, np.float32).reshape(*shape, tables.FACTOR_COLUMNS.value)
        densities = [_density(contribution) for work in works for _, contribution in work.terms]
        self._densities = np.array(densities, np.float64).reshape(shape)
        self._skills = np.array([work.skills for work in works], np.int64)

    def start(self, places: NDArray[np.int64], flags: Tensor, combine: Combine, shares: Any) -> None:
        if not self._tensor_of.numel():
            return
        table, factors = self._table.copy(), self._factors
        table[:, tables.OUT.value] = places[self._numbers]
        table[:, tables.FLAG.value] = flags.data_ptr() + flags.itemsize * self._numbers
        if shares is not None and factors.size:
            factors = factors.copy()
            factors[:, :, tables.WEIGHT.value] = shares[self._skills]
            # Divided in fp64 and rounded once, as `Plan.contribution` does.
            factors[:, :, tables.COEFFICIENT.value] = shares[self._skills] / self._densities
        kernels.merge_blocks[(self._tensor_of.numel(),)](
            self._tensor_of,
            torch.from_numpy(table).to(self._device),
            self._terms,
            torch.from_numpy(factors).to(self._device),
            float(np.float32(combine.scale)),
            float(np.float32(combine.base_scale)),
            TWO_TO_23,
            ELECTS=combine.elects,
            BY_WEIGHT=combine.by_weight,
            BASE_SCALED=self._scaled and combine.base_scale != 1.0,
            SCALED=combine.scale != 1.0,
            **self._options,
        )


def _options(work: Work) -> dict[str, Any]:
    """What the kernel is compiled for, as far as it depends on the work; nothing may contract."""
    return {
        "DTYPE": DTYPE[work.dtype],
        "OUT_DTYPE": DTYPE[work.out_dtype],
        "KINDS": sum(kind << (index * tables.KIND_BITS) for index, kind in enumerate(work.kinds)),
        "TERMS": len(work.terms),
        "REBUILDS": work.rebuilds,
        "EVEN": work.even,
        "INT4_BLOCK": int4.BLOCK,
        "SIGN_BLOCK": sign.BLOCK,
        "SPAN": SPAN,
        "num_warps": WARPS,
        "enable_fp_fusion": False,
    }


def _row(term: Term, contribution: Contribution) -> NDArray[np.int64]:
    row = term.row.copy()
    if contribution.drop is not None:
        row[tables.DROP_KEY.value] = np.uint64(contribution.drop.key).view(np.int64)
        row[tables.DROP_THRESHOLD.value] = contribution.drop.threshold
    return row


def _factors(term: Term, contribution: Contribution) -> tuple[float, ...]:
    return contribution.coefficient, contribution.weight, contribution.cutoff, term.scaling


def _density(contribution: Contribution) -> float:
    """1 − p of whichever mask applies: what the weight is divided by."""
    if contribution.drop is not None:
        return 1 - quantized_drop_rate(contribution.drop.threshold)
    coding = contribution.term.coding if isinstance(contribution.term, KeptChunk) else EXACT
    return 1 - quantized_drop_rate(coding.threshold)


def tensor_table(elements: Sequence[int], device: torch.device) -> tuple[NDArray[np.int64], Tensor]:
    """Rows of tensors of so many elements, places still to be filled in; and each program's row."""
    programs = [-(-count // SPAN) for count in elements]
    table = np.zeros((len(elements), tables.TENSOR_COLUMNS.value), np.int64)
    table[:, tables.FIRST_PROGRAM.value] = np.cumsum([0, *programs])[:-1]
    table[:, tables.ELEMENTS.value] = elements
    rows = torch.arange(len(elements), dtype=torch.int32, device=device)
    counts = torch.tensor(programs, dtype=torch.int64, device=device)
    return table, torch.repeat_interleave(rows, counts, output_size=sum(programs))
