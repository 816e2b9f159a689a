"""What each tensor of the result is made of, and where its pieces lie."""

from __future__ import annotations

from dataclasses import dataclass

from merging.plans.plan import OutputTensor, Plan, SkillTerm
from merging.plans.tasks import TaskTensor
from storage.deltas.delta import TensorTerm
from storage.dtypes import DTYPES, MERGEABLE
from storage.encodings.frames import chunk_count, chunk_span


@dataclass(frozen=True)
class Origin:
    """What one tensor of the result is made of: bytes of ``dtype``, which are recorded to hash to ``digest``, and
    the skills that change them. ``carried``: the result is the very bytes that are read. ``whole``: it is computed in
    one piece, not chunk by chunk. ``task``: of a recipe that has one, what a skill takes of the unified vector.
    """

    output: OutputTensor
    dtype: str
    digest: str
    terms: tuple[tuple[SkillTerm, TensorTerm], ...]
    carried: bool
    whole: bool = False
    task: TaskTensor | None = None

    @property
    def own_pieces(self) -> int:
        """In how many pieces it is made of the base's: chunks, or one; an empty tensor in none."""
        own = self.output.own_elements
        return min(1, own) if self.whole else chunk_count(own)

    @property
    def pieces(self) -> int:
        """In how many pieces it is made: the base's, then those of rows that were added."""
        return self.own_pieces + (0 if self.output.aligned else chunk_count(self._added))

    @property
    def _added(self) -> int:
        return self.output.elements - self.output.own_elements

    def is_added(self, index: int) -> bool:
        """Whether a piece is one of added rows, which nothing of the base goes into."""
        return bool(self.output.added) and not self.output.aligned and index >= self.own_pieces

    def span(self, index: int) -> tuple[int, int]:
        """First element and number of elements of a piece."""
        own = self.output.own_elements
        if self.is_added(index):
            start, count = chunk_span(index - self.own_pieces, self._added)
            return own + start, count
        return (0, own) if self.whole else chunk_span(index, own)

    def source_span(self, index: int) -> tuple[int, int]:
        """First byte and number of bytes of a piece as it is read: of added rows, none."""
        return (0, 0) if self.is_added(index) else self._bytes(index, self.dtype)

    def result_span(self, index: int) -> tuple[int, int]:
        """First byte and number of bytes of a piece of the result."""
        return (0, self.output.nbytes) if self.output.aligned else self._bytes(index, self.output.dtype)

    def _bytes(self, index: int, dtype: str) -> tuple[int, int]:
        start, count = self.span(index)
        return start * DTYPES[dtype].itemsize, count * DTYPES[dtype].itemsize


def origin(plan: Plan, output: OutputTensor) -> Origin:
    """What the plan makes a tensor of; reads where the skills' chunks lie."""
    if output.base is None:
        assert plan.head is not None
        assert output.head is not None
        head = plan.head.manifest.head[output.head]
        return Origin(output, head.dtype, head.digest, (), carried=head.dtype == output.dtype)
    dtype, digest = plan.base.entries[output.base].dtype, plan.base_digests[output.base]
    if dtype not in MERGEABLE:
        return Origin(output, dtype, digest, (), carried=True)
    if plan.task is not None:
        task = plan.task.tensor(output.base)
        own = task is None and dtype == output.dtype and not output.added
        return Origin(output, dtype, digest, (), carried=own, task=task)
    terms = tuple(plan.terms(output.base))
    if plan.arithmetic is not None:
        # mergekit computes what no skill changes too, and rounding can change it.
        return Origin(output, dtype, digest, terms, carried=False, whole=True)
    own = not terms and dtype == output.dtype and not output.added and plan.combine_of(output.base).base_scale == 1.0
    whole = bool(terms) and plan.computes is not None and plan.computes.whole
    return Origin(output, dtype, digest, terms, carried=own, whole=whole)
