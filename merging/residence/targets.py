"""Where merged tensors go in memory: new torch tensors, a dict of tensors that are there, or a live module."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from merging.plans.plan import OutputTensor
from merging.streaming.tensors import import_torch, torch_dtype
from storage.checkpoints.tensors import listed
from storage.errors import InputRefused, UsageError

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module

Targets = dict[str, "Tensor"]
"""The tensor that each output is written to, by the output's name."""


def new_tensors(outputs: Iterable[OutputTensor], device: str) -> Targets:
    """A new tensor for every output, its values not yet set."""
    torch = import_torch()
    return {
        output.name: torch.empty(output.shape, dtype=torch_dtype(output.dtype), device=device) for output in outputs
    }


def existing_tensors(
    outputs: Iterable[OutputTensor],
    target: Mapping[str, Tensor] | Module,
    device: str,
    alike: Callable[[OutputTensor, OutputTensor], bool],
) -> Targets:
    """The target's own tensor for every output, once each where several names share one memory.

    ``alike``: whether two outputs have the same values, so that they may share memory. Raises InputRefused, before
    anything is written, where the target lacks a tensor, has another one, or has it in another shape, dtype or place.
    """
    wanted = {output.name: output for output in outputs}
    there, required = _tensors_of(target)
    _check_memory(there, device)
    _check_names(wanted, there, required)
    chosen = {name: there[name].detach() for name in wanted}
    _check_each(wanted, chosen, device)
    kept = _once(wanted, chosen, alike)
    _check_apart(kept)
    return kept


def _tensors_of(target: Mapping[str, Tensor] | Module) -> tuple[dict[str, Tensor], set[str]]:
    """Every tensor that can be written to, and the names of those that must be."""
    torch = import_torch()
    if not isinstance(target, torch.nn.Module | Mapping):
        raise UsageError(
            f"the target is of type {type(target).__name__}", hint="give a torch module, or a dict of tensors by name"
        )
    if not isinstance(target, torch.nn.Module):
        tensors: dict[str, Tensor] = dict(target)
        if odd := [name for name, tensor in tensors.items() if not isinstance(tensor, torch.Tensor)]:
            raise InputRefused(f"the target has something else than a tensor at {listed(odd)}")
        return tensors, set(tensors)
    tensors = dict(target.named_parameters(remove_duplicate=False))
    tensors |= dict(target.named_buffers(remove_duplicate=False))
    # A buffer that the module does not save is computed by it, and written only where the result has it.
    return tensors, {name for name in target.state_dict(keep_vars=True) if name in tensors}


def _check_memory(there: Mapping[str, Tensor], device: str) -> None:
    """Refuse a model without memory first: of such a one it cannot be told which tensors are tied."""
    for name, tensor in there.items():
        if tensor.is_meta:
            raise _unfit(name, "device", tensor.device, _place(device), "give it memory: target.to_empty(device=…)")


def _check_names(wanted: Mapping[str, OutputTensor], there: Mapping[str, Tensor], required: set[str]) -> None:
    missing = sorted(wanted.keys() - there.keys())
    covered = {_memory(there[name]) for name in wanted.keys() & there.keys()}
    extra = sorted(name for name in required - wanted.keys() if _memory(there[name]) not in covered)
    if missing or extra:
        raise InputRefused(
            f"the target does not have the tensors of the result: it lacks {listed(missing) or 'none'}, "
            f"and has besides {listed(extra) or 'none'}",
            hint="give the same class of model that the base was saved from, with the same configuration",
        )


def _memory(tensor: Tensor) -> tuple[int, int, tuple[int, ...]] | tuple[int]:
    """What tells memory apart; a tensor without any is only like itself."""
    if tensor.numel() == 0 or tensor.is_meta:
        return (id(tensor),)
    return (tensor.data_ptr(), tensor.numel() * tensor.element_size(), tuple(tensor.stride()))


def _check_each(wanted: Mapping[str, OutputTensor], chosen: Targets, device: str) -> None:
    place = _place(device)
    for name, tensor in chosen.items():
        output = wanted[name]
        if tuple(tensor.shape) != output.shape:
            raise _unfit(name, "shape", tuple(tensor.shape), output.shape, "give a model of the base's configuration")
        if tensor.dtype != torch_dtype(output.dtype):
            hint = "ask for the target's own dtype (dtype='BF16', 'F16' or 'F32'), or convert the target"
            raise _unfit(name, "dtype", tensor.dtype, torch_dtype(output.dtype), hint)
        if tensor.device != place:
            raise _unfit(name, "device", tensor.device, place, f"move the target: target.to({str(place)!r})")
        if any(step == 0 and size > 1 for step, size in zip(tensor.stride(), tensor.shape, strict=True)):
            raise InputRefused(f"tensor {name!r} of the target is expanded: its elements share memory")


def count_as_written(targets: Targets) -> None:
    """Tell autograd that the tensors were written in place: a backward pass that needs what they held then says so."""
    torch = import_torch()
    for tensor in targets.values():
        if not tensor.is_inference():
            torch.autograd.graph.increment_version(tensor)


def _place(device: str) -> Any:
    torch = import_torch()
    place = torch.device(device)
    return torch.device("cuda", torch.cuda.current_device()) if place == torch.device("cuda") else place


def _unfit(name: str, what: str, found: object, expected: object, hint: str) -> InputRefused:
    return InputRefused(f"tensor {name!r} of the target has {what} {found}, the result has {expected}", hint=hint)


def _check_apart(kept: Targets) -> None:
    """Refuse contiguous tensors of which one lies partly in another's memory: neither would be what it should."""
    whole = [(name, tensor) for name, tensor in kept.items() if tensor.numel() and tensor.is_contiguous()]
    spans = sorted(
        (each.data_ptr(), each.data_ptr() + each.numel() * each.element_size(), name) for name, each in whole
    )
    for (_, end, first), (start, _, second) in itertools.pairwise(spans):
        if start < end:
            raise InputRefused(
                f"tensors {first!r} and {second!r} of the target overlap in memory",
                hint="give each memory of its own (tensor.clone())",
            )


def _once(
    wanted: Mapping[str, OutputTensor], chosen: Targets, alike: Callable[[OutputTensor, OutputTensor], bool]
) -> Targets:
    """Each memory once: two threads must not write to it, and what they write has to be the same anyway."""
    kept: Targets = {}
    owner: dict[object, str] = {}
    for name, tensor in chosen.items():
        first = owner.setdefault(_memory(tensor), name)
        if first == name:
            kept[name] = tensor
        elif not alike(wanted[first], wanted[name]):
            raise InputRefused(
                f"tensors {first!r} and {name!r} share memory in the target, but differ in the result",
                hint="untie them in the target (tie_word_embeddings=False, for example)",
            )
    return kept
