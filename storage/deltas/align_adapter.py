"""Which weights of the base an adapter changes, and which it replaces: its names brought to the base's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from storage.checkpoints.adapter import LoraModule, fit_modules
from storage.checkpoints.tensors import listed
from storage.deltas.align import Entries, check_dtypes, grown_notes, match
from storage.deltas.grown import Pair, find_grown
from storage.deltas.prefix import Prefix, find_prefix
from storage.deltas.roles import is_vocabulary
from storage.dtypes import MERGEABLE
from storage.errors import InputRefused


@dataclass(frozen=True)
class AdapterAlignment:
    """How an adapter corresponds to its base. ``modules`` are keyed by the base's names and fit its shapes.

    ``replaced`` pairs the base's names with the adapter's; ``extra`` are full tensors that the base lacks (a head).
    """

    prefix_added: str
    prefix_removed: str
    modules: Mapping[str, LoraModule]
    replaced: tuple[Pair, ...]
    extra: tuple[str, ...]
    notes: tuple[str, ...]
    grown: tuple[Pair, ...] = ()  # of those replaced, the ones with more rows than the base's


def align_adapter(base: Entries, modules: Mapping[str, LoraModule], replaced: Entries) -> AdapterAlignment:
    """Find each module's weight, and each replaced tensor, in the base.

    Raises InputRefused naming the weights that the base lacks, or that the factors do not fit.
    """
    prefix = find_prefix(base, modules.keys() | replaced.keys()) or Prefix()
    names = {prefix.fine_tuned(name): name for name in sorted(base)}
    _refuse_unknown(sorted(modules.keys() - names.keys()), len(modules))
    targets = {names[name]: modules[name] for name in sorted(modules)}
    _refuse_whole_numbers(base, targets)
    pairs = match(base, replaced, prefix)
    grown = find_grown(base, replaced, pairs)
    check_dtypes(base, replaced, pairs)
    extra = tuple(sorted(replaced.keys() - {name for _, name in pairs}))
    fitted = fit_modules(targets, {name: base[name].shape for name in targets})
    notes = _notes(prefix, pairs, extra) + grown_notes(base, replaced, grown)
    return AdapterAlignment(prefix.added, prefix.removed, fitted, pairs, extra, notes, grown)


def _refuse_unknown(names: list[str], total: int) -> None:
    if not names:
        return
    hint = "check --base: an adapter belongs to the model that it was trained on"
    if all(is_vocabulary(name) for name in names):
        hint = (
            "the base shares this layer with its embeddings: merge the adapter with PEFT and register the saved model"
        )
    raise InputRefused(
        f"the adapter changes {total} weights, of which the base lacks {len(names)}: {listed(names)}",
        hint=hint,
        details={"tensors": names},
    )


def _refuse_whole_numbers(base: Entries, targets: Mapping[str, LoraModule]) -> None:
    wrong = [f"{name} ({base[name].dtype})" for name in targets if base[name].dtype not in MERGEABLE]
    if wrong:
        raise InputRefused(
            f"the adapter changes weights that are not F32, F16 or BF16 in the base: {listed(wrong)}",
            hint="register the base as it was before quantization",
        )


def _notes(prefix: Prefix, pairs: tuple[Pair, ...], extra: tuple[str, ...]) -> tuple[str, ...]:
    notes = [prefix.describe()] if prefix != Prefix() else []
    if pairs:
        notes.append(f"tensors that the adapter replaces: {listed(name for name, _ in pairs)}")
    if extra:
        notes.append(f"tensors of its own, kept with the skill as its head: {listed(extra)}")
    return tuple(notes)
