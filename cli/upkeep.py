"""What a person reads of garbage."""

from __future__ import annotations

from collections import Counter

from cli.console import remark, say
from cli.units import seconds_text, size_text
from mergestore import Collected


def collected(answer: Collected) -> None:
    """What was found, what waits, what is gone; what to do next."""
    sizes: Counter[str] = Counter()
    for each in answer.objects:
        sizes[each["state"]] += each["bytes"]
    counts = Counter(each["state"] for each in answer.objects)
    for state, told in (("found", "found now"), ("waits", "found before"), ("deleted", "deleted")):
        if counts[state]:
            say(f"{counts[state]:,} objects that nothing needs, {size_text(sizes[state])}: {told}")
    if answer.leftovers:
        size = sum(each["bytes"] for each in answer.leftovers)
        gone = "deleted" if answer.applied else "to be deleted"
        say(f"{len(answer.leftovers):,} left by work that was cut short, {size_text(size)}: {gone}")
    if not answer.objects and not answer.leftovers:
        say("no garbage")
    if answer.waiting_bytes and answer.applied:
        say(f"deleted by the first gc --apply after {seconds_text(answer.grace_seconds)}")
    if not answer.applied and (answer.objects or answer.leftovers):
        say("nothing was changed: mergestore gc --apply notes it, and deletes what was noted long enough ago")
    if answer.writers and answer.waiting_bytes:
        remark(f"  {answer.writers} at work just now: what was found since they began stays")
    for path in answer.strangers:
        remark(f"  not mergestore's, and left alone: {path}")
