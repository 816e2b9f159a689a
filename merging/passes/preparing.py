"""What has to be known of the skills before the first tensor is merged: cutoffs, lengths and angles, scales."""

from __future__ import annotations

from merging.passes.others import check_other_bases
from merging.passes.products import inner_products, with_coefficients
from merging.passes.trimming import with_cutoffs
from merging.passes.unifying import with_task
from merging.plans.plan import Plan
from storage.progress import Progress


def prepared(plan: Plan, threads: int, progress: Progress) -> Plan:
    """The plan with all that its method's first passes find; the plan itself where it takes none."""
    check_other_bases(plan, threads, progress)
    plan = with_cutoffs(plan, threads, progress)
    plan = with_task(plan, threads, progress)
    return with_coefficients(plan, inner_products(plan, threads, progress))
