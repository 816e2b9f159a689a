"""Vocabularies that grew: tensors of a fine-tune with more rows than the base's, and the fine-tune without those rows.

The rows that the base has are a delta like any other tensor's. Those after them have nothing to differ from: they are
kept as they are, and what becomes of them is decided when merging.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence

from storage.checkpoints.tensors import TensorEntry, TensorSource, listed, quoted
from storage.deltas.roles import is_vocabulary
from storage.dtypes import DTYPES, MERGEABLE
from storage.errors import InputRefused

Entries = Mapping[str, TensorEntry]
Pair = tuple[str, str]  # name in the base, name in the fine-tune
_SHOWN = 5


def find_grown(base: Entries, fine_tuned: Entries, pairs: Iterable[Pair]) -> tuple[Pair, ...]:
    """The pairs whose fine-tuned tensor has more rows, of a vocabulary that grew as a whole.

    All other pairs are of one shape. Raises InputRefused for any other difference of shapes: a vocabulary that shrank,
    or that grew in a part only.
    """
    pairs = list(pairs)
    differ = [pair for pair in pairs if base[pair[0]].shape != fine_tuned[pair[1]].shape]
    if not differ:
        return ()
    shown = _shown(base, fine_tuned, differ)
    details: dict[str, object] = {"tensors": [name for name, _ in differ]}
    if not all(_other_vocabulary(base[a], fine_tuned[b]) for a, b in differ):
        raise InputRefused(
            f"shapes differ: {shown}",
            hint="a fine-tune has the shapes of its base: check --base, or remove a head of another size",
            details=details,
        )
    shrunk = [(a, b) for a, b in differ if fine_tuned[b].shape[0] < base[a].shape[0]]
    if shrunk:
        rows, fewer = base[shrunk[0][0]].shape[0], fine_tuned[shrunk[0][1]].shape[0]
        raise InputRefused(
            f"the vocabulary shrank: {rows} rows in the base, {fewer} in the fine-tune ({shown})",
            hint=f"save the fine-tune after model.resize_token_embeddings({rows}): rows without tokens do no harm",
            details=details,
        )
    _refuse_uneven(base, fine_tuned, pairs, differ, shown)
    _refuse_unmergeable(base, fine_tuned, differ)
    return tuple(differ)


def _refuse_uneven(
    base: Entries, fine_tuned: Entries, pairs: Sequence[Pair], grown: Sequence[Pair], shown: str
) -> None:
    """Refuse a vocabulary whose tensors do not all have the same number of rows, before and after."""
    sizes = {(base[a].shape[0], fine_tuned[b].shape[0]) for a, b in grown}
    widths = {base[a].shape[1:] for a, _ in grown}
    rows = max(before for before, _ in sizes)
    others = [
        pair
        for pair in pairs
        if pair not in grown
        and is_vocabulary(pair[0])
        and (base[pair[0]].shape[:1] == (rows,) or base[pair[0]].shape[1:] in widths)
    ]
    if len(sizes) > 1 or others:
        uneven = [shown, _shown(base, fine_tuned, others)]
        raise InputRefused(
            f"the tensors of the vocabulary do not have the same number of rows: {'; '.join(filter(None, uneven))}",
            hint="input and output embeddings must grow together: save the fine-tune after "
            f"model.resize_token_embeddings({max(after for _, after in sizes)}), from a base whose own agree",
            details={"tensors": [name for name, _ in (*grown, *others)]},
        )


def _refuse_unmergeable(base: Entries, fine_tuned: Entries, grown: Sequence[Pair]) -> None:
    odd = [a for a, b in grown if not {base[a].dtype, fine_tuned[b].dtype} <= MERGEABLE]
    if odd:
        raise InputRefused(
            f"rows were added to tensors that are not {', '.join(sorted(MERGEABLE))}: {listed(odd)}",
            hint="register base and fine-tune as they were before quantization",
        )


def _shown(base: Entries, fine_tuned: Entries, pairs: Sequence[Pair]) -> str:
    texts = [
        f"{quoted(a)} is {list(base[a].shape)} in the base and {list(fine_tuned[b].shape)} here"
        for a, b in pairs[:_SHOWN]
    ]
    return "; ".join(texts) + (f" and {len(pairs) - _SHOWN} more" if len(pairs) > _SHOWN else "")


def _other_vocabulary(a: TensorEntry, b: TensorEntry) -> bool:
    return is_vocabulary(a.name) and len(a.shape) == len(b.shape) > 0 and a.shape[1:] == b.shape[1:]


class BaseRows:
    """A fine-tune's tensors without the rows that were added: those of ``grown`` have the base's shapes."""

    def __init__(self, source: TensorSource, base: Entries, grown: Iterable[Pair]):
        self._source = source
        self._entries = dict(source.entries)
        for name, other in grown:
            shape, dtype = base[name].shape, source.entries[other].dtype
            nbytes = base[name].elements * DTYPES[dtype].itemsize
            self._entries[other] = dataclasses.replace(source.entries[other], shape=shape, nbytes=nbytes)

    @property
    def entries(self) -> Mapping[str, TensorEntry]:
        """Every tensor, in sorted name order."""
        return self._entries

    def read_into(self, name: str, start: int, out: memoryview) -> None:
        """Read as the source does: rows that were added come last."""
        self._source.read_into(name, start, out)

    def close(self) -> None:
        """The source belongs to whoever opened it."""
