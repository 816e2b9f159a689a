"""Which tensor of a fine-tune corresponds to which of its base, and what to do with those that have no partner."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from storage.checkpoints.tensors import TensorEntry, listed, quoted
from storage.deltas.grown import Pair, find_grown
from storage.deltas.prefix import Prefix, find_prefix
from storage.deltas.roles import is_buffer, is_input_embedding, is_known_buffer, is_vocabulary, may_tie
from storage.dtypes import MERGEABLE
from storage.errors import InputRefused

Entries = Mapping[str, TensorEntry]
Reason = Literal["buffer", "tied", "allowed"]


@dataclass(frozen=True)
class MissingTensor:
    """A tensor of the base that the fine-tune lacks. ``tied``: it follows the base's tensor ``tied_to``."""

    name: str
    reason: Reason
    tied_to: str | None = None


@dataclass(frozen=True)
class TiedExtra:
    """A tensor that only the fine-tune saves, and that would be ``partner`` (also the fine-tune's) by weight tying.

    If the two have the same bytes it is nothing new: an alias of the base's ``tied_to``. If not, it is an extra.
    """

    name: str
    partner: str
    tied_to: str


@dataclass(frozen=True)
class Alignment:
    """How a fine-tune corresponds to its base. All tensors of both are accounted for, each in exactly one place."""

    prefix_added: str
    prefix_removed: str
    pairs: tuple[Pair, ...]
    extra: tuple[str, ...]  # the fine-tune's own: a task head
    missing: tuple[MissingTensor, ...]
    tied_extra: tuple[TiedExtra, ...]
    extra_buffers: tuple[str, ...]  # constants that the fine-tune saves and the base does not, or in another dtype
    notes: tuple[str, ...]
    grown: tuple[Pair, ...] = ()  # of the pairs, those whose fine-tuned tensor has more rows: tokens were added


def align(
    base: Entries,
    fine_tuned: Entries,
    *,
    base_config: Mapping[str, Any] | None = None,
    allow_missing: bool = False,
    base_digests: Mapping[str, str],
) -> Alignment:
    """Pair every tensor of a fine-tune with the base's, by the rules of this module; nothing is read.

    Raises InputRefused naming the tensors when names, shapes or dtypes cannot be those of a fine-tune of this base.
    """
    prefix = find_prefix(base, fine_tuned)
    if prefix is None:
        raise InputRefused(
            f"this does not look like a fine-tune of this base: none of its tensors ({listed(sorted(fine_tuned), 3)}) "
            f"has a name of the base's ({listed(sorted(base), 3)})",
            hint="check --base: a skill belongs to the model that it was trained from",
        )
    found = match(base, fine_tuned, prefix)
    grown = find_grown(base, fine_tuned, found)
    pairs = tuple(pair for pair in found if not _differing_buffer(base, fine_tuned, pair))
    check_dtypes(base, fine_tuned, pairs)
    missing = _missing(base, fine_tuned, pairs, prefix, base_config, allow_missing, base_digests)
    lonely = sorted(fine_tuned.keys() - {name for _, name in pairs})
    buffers = tuple(name for name in lonely if is_known_buffer(name, fine_tuned[name]))
    rest = [name for name in lonely if name not in set(buffers)]
    tied = _tied_extra(fine_tuned, rest, pairs) if may_tie(base_config) else ()
    extra = tuple(name for name in rest if name not in {alias.name for alias in tied})
    notes = _notes(base, fine_tuned, prefix, pairs, missing, extra, buffers) + grown_notes(base, fine_tuned, grown)
    return Alignment(prefix.added, prefix.removed, pairs, extra, missing, tied, buffers, notes, grown)


def grown_notes(base: Entries, fine_tuned: Entries, grown: Sequence[Pair]) -> tuple[str, ...]:
    """How many rows were added to the vocabulary, and how a merge gets them."""
    if not grown:
        return ()
    name, other = grown[0]
    added = fine_tuned[other].shape[0] - base[name].shape[0]
    return (
        f"{added} rows were added to the vocabulary, and are kept as they are: "
        "a merge carries them with --vocabulary SKILL or union",
    )


def match(base: Entries, fine_tuned: Entries, prefix: Prefix) -> tuple[Pair, ...]:
    """The pairs of names under a prefix, in the base's sorted order."""
    found = ((name, prefix.fine_tuned(name)) for name in sorted(base))
    return tuple((name, other) for name, other in found if other is not None and other in fine_tuned)


def check_dtypes(base: Entries, fine_tuned: Entries, pairs: Iterable[Pair]) -> None:
    """Refuse pairs whose dtypes differ, unless both are among those that merge."""
    differ = [
        (base[a], fine_tuned[b])
        for a, b in pairs
        if base[a].dtype != fine_tuned[b].dtype and not {base[a].dtype, fine_tuned[b].dtype} <= MERGEABLE
    ]
    if differ:
        shown = "; ".join(f"{quoted(a.name)} is {a.dtype} in the base and {b.dtype} here" for a, b in differ[:5])
        more = f" and {len(differ) - 5} more" if len(differ) > 5 else ""
        raise InputRefused(
            f"dtypes differ: {shown}{more}",
            hint=f"only {', '.join(sorted(MERGEABLE))} stand for each other: convert the fine-tune as the base is",
            details={"tensors": [a.name for a, _ in differ]},
        )


def _differing_buffer(base: Entries, fine_tuned: Entries, pair: Pair) -> bool:
    """A constant that releases save in different dtypes (causal masks): the base's own is used."""
    a, b = base[pair[0]], fine_tuned[pair[1]]
    return a.dtype != b.dtype and not {a.dtype, b.dtype} <= MERGEABLE and is_known_buffer(a.name, a)


def _missing(
    base: Entries,
    fine_tuned: Entries,
    pairs: Sequence[Pair],
    prefix: Prefix,
    config: Mapping[str, Any] | None,
    allow_missing: bool,
    digests: Mapping[str, str],
) -> tuple[MissingTensor, ...]:
    paired = {name for name, _ in pairs}
    partners = _partners(base, paired, digests) if may_tie(config) else {}
    found, refused = [], []
    for name in sorted(base.keys() - paired):
        if is_buffer(name, base[name]):
            found.append(MissingTensor(name, "buffer"))
        elif partner := partners.get(name):
            found.append(MissingTensor(name, "tied", partner))
        elif allow_missing:
            found.append(MissingTensor(name, "allowed"))
        else:
            refused.append(name)
    if refused:
        _refuse_missing(base, fine_tuned, pairs, prefix, refused)
    return tuple(found)


def _partners(base: Entries, paired: set[str], digests: Mapping[str, str]) -> dict[str, str]:
    """For each unpaired tensor, a paired one that the base saves with the same bytes because the two are tied.

    Equal bytes alone are no proof (fresh norms are all ones): one end of the vocabulary must be involved.
    """
    by_content: dict[tuple[str | None, tuple[int, ...]], list[str]] = {}
    for name in sorted(paired, key=lambda name: (not is_input_embedding(name), name)):
        by_content.setdefault((digests.get(name), base[name].shape), []).append(name)
    found = {}
    for name in sorted(base.keys() - paired):
        if name in digests:
            same = by_content.get((digests[name], base[name].shape), [])
            partner = next((other for other in same if is_vocabulary(name) or is_vocabulary(other)), None)
            if partner is not None and base[partner].dtype == base[name].dtype:
                found[name] = partner
    return found


def _refuse_missing(
    base: Entries, fine_tuned: Entries, pairs: Sequence[Pair], prefix: Prefix, refused: list[str]
) -> None:
    free = sorted(fine_tuned.keys() - {name for _, name in pairs})[:2000]
    renamed = _near(prefix.fine_tuned(refused[0]) or refused[0], free)
    start = ""
    if 2 * len(pairs) < len(base):
        start = f"this does not look like a fine-tune of this base: {len(pairs)} of {len(base)} tensors found; "
    raise InputRefused(
        f"{start}the fine-tune lacks {len(refused)} tensors of the base: {listed(refused)}",
        hint=(f"was {quoted(refused[0])} renamed to {quoted(renamed)}? " if renamed else "")
        + "pass --allow-missing to take the base's own values for them",
        details={"tensors": refused},
    )


def _near(name: str, names: Sequence[str]) -> str | None:
    short = [other for other in names if len(other) <= 200]
    return next(iter(difflib.get_close_matches(name[:200], short, n=1, cutoff=0.8)), None)


def _tied_extra(fine_tuned: Entries, lonely: Iterable[str], pairs: Iterable[Pair]) -> tuple[TiedExtra, ...]:
    candidates = sorted(
        (pair for pair in pairs if is_vocabulary(pair[0])), key=lambda pair: (not is_input_embedding(pair[0]), pair)
    )
    found = []
    for name in lonely:
        if is_vocabulary(name):
            shape = fine_tuned[name].shape
            fits = (pair for pair in candidates if fine_tuned[pair[1]].shape == shape)
            if pair := next(fits, None):
                found.append(TiedExtra(name, pair[1], pair[0]))
    return tuple(found)


def _notes(
    base: Entries,
    fine_tuned: Entries,
    prefix: Prefix,
    pairs: Iterable[Pair],
    missing: Iterable[MissingTensor],
    extra: Sequence[str],
    buffers: Sequence[str],
) -> tuple[str, ...]:
    notes = [prefix.describe()] if prefix != Prefix() else []
    changed = Counter((base[a].dtype, fine_tuned[b].dtype) for a, b in pairs if base[a].dtype != fine_tuned[b].dtype)
    notes += [f"{count} tensors are {a} in the base and {b} here" for (a, b), count in sorted(changed.items())]
    sentences: dict[Reason, str] = {
        "buffer": "buffers taken from the base",
        "tied": "tied weights not saved again, which follow their partner",
        "allowed": "missing tensors taken from the base, as allowed",
    }
    for reason, sentence in sentences.items():
        if names := [tensor.name for tensor in missing if tensor.reason == reason]:
            notes.append(f"{sentence}: {listed(names)}")
    if extra:
        notes.append(f"tensors of its own, kept with the skill as its head: {listed(extra)}")
    if buffers:
        notes.append(f"buffers that are not kept, since the model computes them: {listed(buffers)}")
    return tuple(notes)
