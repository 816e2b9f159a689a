"""What has to be known of the skills before the first tensor is merged: cutoffs, lengths and angles, scales."""

from __future__ import annotations

from merging.others import check_other_bases
from merging.plan import Plan
from merging.products import inner_products, with_coefficients
from merging.trimming import with_cutoffs
from merging.unifying import with_task
from storage.progress import Progress


def prepared(plan: Plan, threads: int, progress: Progress) -> Plan:
    """The plan with all that its method's first passes find; the plan itself where it takes none."""
    check_other_bases(plan, threads, progress)
    plan = with_cutoffs(plan, threads, progress)
    plan = with_task(plan, threads, progress)
    return with_coefficients(plan, inner_products(plan, threads, progress))
