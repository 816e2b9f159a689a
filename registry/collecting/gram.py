"""Gram matrices of linear layers: XᵀX of what goes into them, averaged over everything that is not padding.

Jin et al. 2023, https://arxiv.org/abs/2212.09849. Layers that share their input (query, key and value) share one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from registry.collecting.sums import Saved, Sums
from storage.encodings.numeric import Floats
from storage.errors import InputRefused

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module, Parameter

_BLOCK = 512  # rows of a matrix that are summed up together; in them, some above the diagonal for nothing


class Unshared(Exception):
    """Layers that had one input in the first example have different ones in another."""


@dataclass(frozen=True)
class Layer:
    """A linear weight by the base's names for it (one, or several that are tied), and the modules that use it."""

    names: tuple[str, ...]
    modules: tuple[Module, ...]
    columns: int
    transposed: bool


@dataclass(frozen=True)
class Group:
    """Layers that have one input, the first of which is looked at."""

    layers: tuple[Layer, ...]

    @property
    def name(self) -> str:
        """The first layer's name."""
        return self.layers[0].names[0]

    @property
    def columns(self) -> int:
        """How wide their input is."""
        return self.layers[0].columns


def find_layers(model: Module, parameters: Mapping[str, Parameter]) -> list[Layer]:
    """The linear layers whose weights are the base's tensors: nn.Linear, and transformers' Conv1D, which is transposed.

    A weight that is an embedding as well is left out: as such it has no Gram matrix.
    """
    names: dict[int, list[str]] = {}
    for name, parameter in parameters.items():
        names.setdefault(id(parameter), []).append(name)
    users: dict[int, list[Module]] = {}
    for module in model.modules():
        weight = module._parameters.get("weight")
        if weight is not None and id(weight) in names:
            users.setdefault(id(weight), []).append(module)
    layers = []
    for key, modules in users.items():
        turned = [_transposed(module) for module in modules]
        if None not in turned and len(set(turned)) == 1:
            shape = modules[0]._parameters["weight"].shape  # type: ignore[union-attr]
            columns = int(shape[0] if turned[0] else shape[1])
            layers.append(Layer(tuple(sorted(names[key])), tuple(modules), columns, bool(turned[0])))
    return layers


def _transposed(module: Module) -> bool | None:
    """Whether a linear module's weight is (inputs, outputs); None for a module of another kind."""
    import torch

    if isinstance(module, torch.nn.Linear):
        return False
    conv = type(module).__name__ == "Conv1D" and type(module).__module__.startswith("transformers.")
    return True if conv else None


@contextmanager
def _hooked(pairs: Iterable[tuple[Module, Any]]) -> Iterator[None]:
    handles = [module.register_forward_pre_hook(hook, with_kwargs=True) for module, hook in pairs]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _input(arguments: Sequence[Any], named: Mapping[str, Any]) -> Tensor:
    found: Tensor = arguments[0] if arguments else named["input"]
    return found


@dataclass(frozen=True)
class _Seen:
    """An input as it was when a layer got it, kept alive so that its memory means nothing else meanwhile."""

    tensor: Tensor
    version: int

    @classmethod
    def now(cls, tensor: Tensor) -> _Seen:
        return cls(tensor, 0 if tensor.is_inference() else tensor._version)

    def same_as(self, other: _Seen) -> bool:
        """Whether two layers got the same values, in the same memory."""
        ours, theirs = (
            (each.tensor.data_ptr(), each.tensor.shape, each.tensor.stride(), each.tensor.dtype, each.version)
            for each in (self, other)
        )
        return ours == theirs


class Watch:
    """Which layers get which inputs while a model runs once: those that get the same ones become a group."""

    def __init__(self, layers: Sequence[Layer]):
        self._layers = layers
        self._inputs: dict[int, list[_Seen]] = {}
        self._order: list[int] = []

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Look on while the block runs the model."""
        pairs = [(module, self._hook(place)) for place, layer in enumerate(self._layers) for module in layer.modules]
        with _hooked(pairs):
            yield

    def _hook(self, place: int) -> Any:
        def hook(_module: Module, arguments: Sequence[Any], named: Mapping[str, Any]) -> None:
            if place not in self._inputs:
                self._order.append(place)
            self._inputs.setdefault(place, []).append(_Seen.now(_input(arguments, named)))

        return hook

    def groups(self) -> list[Group]:
        """Groups in the order in which the model came to them, then the layers that it did not run."""
        groups: list[list[int]] = []
        for place in self._order:
            mine = self._inputs[place]
            for group in groups:
                first = self._inputs[group[0]]
                if len(first) == len(mine) and all(map(_Seen.same_as, first, mine)):
                    group.append(place)
                    break
            else:
                groups.append([place])
        groups += [[place] for place in range(len(self._layers)) if place not in self._inputs]
        return [Group(tuple(self._layers[place] for place in group)) for group in groups]


def alone(layers: Sequence[Layer]) -> list[Group]:
    """Every layer by itself."""
    return [Group((layer,)) for layer in layers]


@dataclass
class _Shared:
    """An input that the layers of a group have to come for, so many of them still."""

    seen: _Seen | None
    left: int


@dataclass
class Collector:
    """Adds up the Gram matrices of some groups while a model runs. ``mask``: which tokens of the batch count."""

    groups: Sequence[Group]
    sums: Sums
    mask: Tensor | None = None
    _given: dict[str, list[_Shared]] = field(default_factory=dict)
    _taken: dict[tuple[str, int], int] = field(default_factory=dict)

    @contextmanager
    def collecting(self) -> Iterator[None]:
        """Hook the layers for the time of the block."""
        pairs = [
            (module, self._hook(group, place))
            for group in self.groups
            for place, layer in enumerate(group.layers)
            for module in layer.modules
        ]
        with _hooked(pairs):
            yield

    def begin(self, mask: Tensor | None) -> None:
        """A batch is about to be run; ``mask`` (examples, tokens) is not zero where a token counts."""
        self.mask = mask
        self._given, self._taken = {}, {}

    def end(self) -> None:
        """The batch has been run. Raises Unshared where an input was not that of all layers of its group."""
        if any(shared.left for given in self._given.values() for shared in given):
            raise Unshared

    def _hook(self, group: Group, place: int) -> Any:
        def hook(_module: Module, arguments: Sequence[Any], named: Mapping[str, Any]) -> None:
            values = _input(arguments, named).detach()
            if place == 0:
                self._add(group, values)
                others = len(group.layers) - 1
                self._given.setdefault(group.name, []).append(_Shared(_Seen.now(values) if others else None, others))
            else:
                self._come(group.name, place, values)

        return hook

    def _come(self, name: str, place: int, values: Tensor) -> None:
        call = self._taken.get((name, place), 0)
        self._taken[name, place] = call + 1
        given = self._given.get(name, [])
        shared = given[call] if call < len(given) else None
        if shared is None or shared.seen is None or not shared.seen.same_as(_Seen.now(values)):
            raise Unshared
        shared.left -= 1
        if not shared.left:
            shared.seen = None

    def _add(self, group: Group, values: Tensor) -> None:
        flat = self.sums.tensors[group.name]
        rows = self._rows(group.name, values).to(flat.device).double()
        self.sums.rows[group.name] += len(rows)
        for start, end, offset in blocks(group.columns):
            block = flat.narrow(0, offset, (end - start) * end).view(end - start, end)
            block.addmm_(rows[:, start:end].T, rows[:, :end])

    def _rows(self, name: str, values: Tensor) -> Tensor:
        """The inputs that count, (rows, columns)."""
        mask, columns = self.mask, values.shape[-1]
        if mask is None or values.shape[:-1] == (len(mask),) or bool(mask.all()):
            return values.reshape(-1, columns)  # of a pooler: one of each example
        if values.shape[:2] == mask.shape:
            return values[mask.bool()].reshape(-1, columns)
        if values.ndim == 2 and len(values) == mask.numel():
            return values[mask.reshape(-1).bool()]
        raise InputRefused(
            f"the layer of {name!r} has inputs of shape {list(values.shape)} for tokens of shape {list(mask.shape)}, "
            "so it cannot be told which of them are padding",
            hint="run one example at a time, without padding: --batch-size 1",
        )


def units(groups: Iterable[Group]) -> dict[str, int]:
    """How many sums each group has."""
    return {group.name: sum((end - start) * end for start, end, _ in blocks(group.columns)) for group in groups}


def blocks(columns: int) -> Iterator[tuple[int, int, int]]:
    """First row, last row + 1, and place in the sums, of each block of rows; a block is as wide as its last row."""
    offset = 0
    for start in range(0, columns, _BLOCK):
        end = min(start + _BLOCK, columns)
        yield start, end, offset
        offset += (end - start) * end


def triangle(saved: Saved, group: Group) -> Iterator[Floats]:
    """The lower triangle of the averaged matrix, in pieces. Raises InputRefused where it is not finite."""
    places = list(blocks(group.columns))
    pieces = saved.pieces(group.name, [(offset, (end - start) * end) for start, end, offset in places])
    for (start, end, _), piece in zip(places, pieces, strict=True):
        block: NDArray[np.float64] = piece.reshape(end - start, end) / saved.rows[group.name]
        rows = np.concatenate([block[row, : start + row + 1] for row in range(end - start)]).astype(np.float32)
        if not np.isfinite(rows).all():
            raise InputRefused(
                f"the inputs of the layer of {group.name!r} are not finite, or too large for fp32",
                hint="look at the model: it does not run as it should on this data",
            )
        yield rows
