"""Same, tied or changed: what the digests of two paired tensors say of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from storage.checkpoints.tensors import TensorSource
from storage.deltas.base_model import BaseModel
from storage.deltas.grown import Pair
from storage.deltas.roles import is_input_embedding, is_vocabulary, may_tie

Rivals = Mapping[str, Sequence[str]]
"""By base name: the names that it may be tied to, the first that fits being the one."""


def find_rivals(base: BaseModel, source: TensorSource, pairs: Iterable[Pair]) -> Rivals:
    """Names whose content the base saves more than once because it is tied; input embeddings are tied to nothing.

    Where the fine-tune changed both ends alike one delta serves both. Stored apart they would be dropped under masks
    of their own, and come out of a merge untied.
    """
    if not may_tie(base.config):
        return {}
    groups: dict[tuple[str, str, str], list[str]] = {}
    rivals = {}
    for name, other in sorted(pairs, key=lambda pair: (not is_input_embedding(pair[0]), pair)):
        if is_vocabulary(name):
            dtypes = (base.source.entries[name].dtype, source.entries[other].dtype)
            group = groups.setdefault((base.digests[name], *dtypes), [])
            rivals[name] = tuple(group)
            group.append(name)
    return {name: before for name, before in rivals.items() if before}


def rivals_first(pairs: Iterable[Pair], rivals: Rivals) -> list[Pair]:
    """The pairs in an order in which every name comes after its rivals."""
    others = dict(pairs)
    names = [name for name, before in rivals.items() for name in (*before, name)]
    return [(name, others[name]) for name in dict.fromkeys([*names, *others])]


def is_same(base: BaseModel, source: TensorSource, pair: Pair, digest: str) -> bool:
    """Whether a fine-tuned tensor of this digest is the base's own, bit for bit."""
    name, other = pair
    return base.source.entries[name].dtype == source.entries[other].dtype and base.digests[name] == digest


def tied_to(base: BaseModel, name: str, digest: str, rivals: Iterable[tuple[str, str]]) -> str | None:
    """The rival that a changed tensor is tied to, from (name, digest of the fine-tuned tensor) of each."""
    entries = base.source.entries
    alike = next((rival for rival, theirs in rivals if theirs == digest), None)
    return alike if alike is not None and entries[alike].shape == entries[name].shape else None
