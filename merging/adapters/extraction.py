"""The sink that makes an adapter of a merge: one tensor at a time, its delta is turned into factors, or kept whole.

Memory: the tensor that is under way, as it comes and as its fp32 delta; for a large one, what the random projection
multiplies it with. Factors and tensors that are saved lie in a spool file.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from merging.adapters.layers import Layers, module_of
from merging.adapters.matrices import open_matrix
from merging.adapters.settings import Extraction
from merging.adapters.truncated import truncate
from merging.plans.plan import OutputTensor, Plan
from storage.checkpoints.spool import Segment, Spool
from storage.checkpoints.tensors import quoted
from storage.dtypes import DTYPES, MERGEABLE
from storage.encodings.numeric import Floats, as_bits, finite, narrow, widen
from storage.errors import InputRefused

PREFIX = "base_model.model."
"""What PEFT's names have before the model's."""


@dataclass(frozen=True)
class Layer:
    """One weight that the adapter changes: rank, ‖delta‖² and what the factors leave of it."""

    name: str
    shape: tuple[int, ...]
    rank: int
    transposed: bool
    energy: float
    residual: float

    @property
    def module(self) -> str:
        """The module whose weight it is."""
        return module_of(self.name)


@dataclass(frozen=True)
class _Kept:
    """A tensor that is kept whole, in the base's dtype: where it lies, and whether its bits changed."""

    dtype: str
    shape: tuple[int, ...]
    segments: tuple[Segment, ...]
    changed: bool


@dataclass(frozen=True)
class Extracted:
    """What became of a merge: all that an adapter's configuration and its card tell.

    ``saved``: modules that are saved whole. ``tensors``: of them, by the model's names. ``dropped``: ‖delta‖² of
    changed tensors that the adapter lacks because it was so asked. ``energy``: ‖delta‖² of the whole model, of which
    the adapter leaves ``residual``.
    """

    layers: tuple[Layer, ...]
    saved: tuple[str, ...]
    tensors: tuple[str, ...]
    biases: tuple[str, ...]
    dropped: Mapping[str, float]
    energy: float
    residual: float


@dataclass
class _Current:
    """The tensor that is under way: its bytes in fp32, or pieces that were stored already."""

    output: OutputTensor
    delta: Floats | None
    done: int = 0
    segments: list[Segment] = field(default_factory=list)
    energy: float = 0.0
    residual: float = 0.0
    changed: bool = False


class ExtractionSink:
    """Takes a plan whose outputs are the layers' tensors, merged in fp32; ``finish`` names what is in the spool."""

    def __init__(self, plan: Plan, layers: Layers, extraction: Extraction, spool: Spool, device: str):
        self._plan, self._layers, self._extraction = plan, layers, extraction
        self._spool, self._device = spool, device
        self._current: _Current | None = None
        self._found: list[Layer] = []
        self._kept: dict[str, _Kept] = {}
        self._dropped: dict[str, float] = {}
        self._energy = self._residual = 0.0  # of tensors that have no factors

    def lanes(self, outputs: Iterable[OutputTensor]) -> list[list[OutputTensor]]:
        """One, by name: a tensor is finished before the next one begins."""
        return [sorted(outputs, key=lambda output: output.name)]

    def place(self, output: OutputTensor, start: int, nbytes: int) -> None:
        """Nowhere."""

    def write(self, output: OutputTensor, start: int, data: memoryview) -> None:
        """Nothing yet: what is done has to be done in order."""

    def follow(self, output: OutputTensor, data: memoryview) -> None:
        """Take the tensor's next piece; after the last one, make of it what it becomes."""
        current = self._current or self._begin(output)
        if current.delta is not None:
            self._subtract(current, current.delta, data)
        else:
            self._keep(current, data)
        current.done += len(data)
        self._current = current
        if current.done == output.nbytes:
            self._current = None
            self._end(current)

    def finish(self) -> Extracted:
        """Name the tensors of the adapter. Raises InputRefused where there is no layer to have factors."""
        if not self._found:
            raise InputRefused(
                "the merge changes no linear layer, so there is no adapter that could tell of it",
                hint="materialize the whole model instead",
            )
        saved = self._layers.with_namesakes(
            {module for module, names in self._layers.saved.items() if any(self._kept[name].changed for name in names)}
        )
        tensors = [name for module in saved for name in self._layers.saved[module]]
        for name in tensors:
            self._add(name, self._kept[name])
        if self._layers.tied and self._layers.tied[1] in tensors:
            module, source = self._layers.tied
            self._add(f"{module}.weight", self._kept[source])
            saved = sorted([*saved, module])
        return Extracted(
            layers=tuple(self._found),
            saved=tuple(saved),
            tensors=tuple(tensors),
            biases=self._add_biases(),
            dropped=dict(sorted(self._dropped.items())),
            energy=self._energy + sum(layer.energy for layer in self._found),
            residual=self._residual + sum(layer.residual for layer in self._found),
        )

    def _begin(self, output: OutputTensor) -> _Current:
        return _Current(output, np.empty(output.elements, np.float32) if output.name in self._layers.linear else None)

    def _subtract(self, current: _Current, delta: Floats, data: memoryview) -> None:
        first, merged = current.done // 4, widen(as_bits(data, "F32"), "F32")
        delta[first : first + merged.size] = merged - self._base(current.output, first, merged.size)

    def _keep(self, current: _Current, data: memoryview) -> None:
        """Store a piece in the base's dtype, as a whole model would have it."""
        output, dtype = current.output, self._own_dtype(current.output)
        if output.dtype not in MERGEABLE:
            current.segments.append(self._spool.append(data))
            return
        first, merged = current.done // 4, widen(as_bits(data, "F32"), "F32")
        own = narrow(merged, dtype)
        if not finite(own, dtype):
            raise InputRefused(
                f"tensor {quoted(output.name)} has values of the result that do not fit {dtype}, the base's dtype",
                hint="use smaller weights, or leave such tensors out (--rest drop)",
            )
        if output.base is None:
            current.changed = True  # what the base lacks has no delta
        else:
            base = self._base(output, first, merged.size)
            current.energy += _squares(merged, base)
            current.changed |= bool((widen(own, dtype) != base).any())
        if output.name not in self._layers.others:
            current.residual += _squares(merged, widen(own, dtype))
            current.segments.append(self._spool.append(own.tobytes()))

    def _end(self, current: _Current) -> None:
        name = current.output.name
        if current.delta is not None:
            self._factorize(current.output, current.delta)
        elif name not in self._layers.others:
            shape, dtype = current.output.shape, self._own_dtype(current.output)
            self._kept[name] = _Kept(dtype, shape, tuple(current.segments), current.changed)
        elif current.changed:
            self._leave_out(name, current.energy)
        self._energy += current.energy
        self._residual += current.residual if name in self._kept else current.energy

    def _factorize(self, output: OutputTensor, delta: Floats) -> None:
        transposed = self._layers.linear[output.name]
        values = delta.reshape(output.shape)
        matrix = open_matrix(np.ascontiguousarray(values.T) if transposed else values, self._device)
        factors = truncate(matrix, output.name, self._extraction)
        if factors is None:
            return
        for side, factor in (("A", factors.a), ("B", factors.b)):
            name = f"{PREFIX}{module_of(output.name)}.lora_{side}.weight"
            self._spool.add_raw(name, "F32", factor.shape, [factor.tobytes()])
        layer = Layer(output.name, output.shape, factors.rank, transposed, factors.energy, factors.residual)
        self._found.append(layer)

    def _leave_out(self, name: str, energy: float) -> None:
        if self._extraction.rest == "drop":
            self._dropped[name] = energy
            return
        why = "which is no linear layer's weight" if self._extraction.rest == "refuse" else "which is in no module"
        raise InputRefused(
            f"the merge changes {quoted(name)}, {why}",
            hint="leave such tensors out with --rest drop, or materialize the whole model"
            + (", or save them whole with --rest save" if self._extraction.rest == "refuse" else ""),
        )

    def _add_biases(self) -> tuple[str, ...]:
        """PEFT names a bias as it lies in the model: within the layer's wrapping, where the layer has factors."""
        wrapped = {layer.module for layer in self._found}
        changed = sorted(name for name in self._layers.biases if self._kept[name].changed)
        for name in changed:
            module = module_of(name)
            self._add(f"{module}.base_layer.bias" if module in wrapped else name, self._kept[name])
        return tuple(changed)

    def _add(self, name: str, kept: _Kept) -> None:
        self._spool.add(f"{PREFIX}{name}", kept.dtype, kept.shape, kept.segments)

    def _own_dtype(self, output: OutputTensor) -> str:
        if output.base is not None:
            return self._plan.base.entries[output.base].dtype
        assert self._plan.head is not None
        return self._plan.head.manifest.head[output.head or ""].dtype

    def _base(self, output: OutputTensor, first: int, count: int) -> Floats:
        dtype = self._own_dtype(output)
        itemsize = DTYPES[dtype].itemsize
        raw = bytearray(count * itemsize)
        self._plan.base.read_into(output.base or "", first * itemsize, memoryview(raw))
        return widen(as_bits(raw, dtype), dtype)


def _squares(one: Floats, other: Floats) -> float:
    difference = one.astype(np.float64) - other
    return float(np.vdot(difference, difference))
