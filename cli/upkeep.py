"""What a person reads of a store that was checked, and of garbage."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from cli.console import remark, say, say_problem
from cli.report import verdict
from cli.units import number_text, seconds_text, size_text, time_text
from mergestore import BackedUp, Collected, Inspection, Repaired, Restored
from registry.upkeep.about import ABOUT


def inspected(answer: Inspection) -> None:
    """What was checked and read, and each problem: what, where and what to do."""
    counts = ", ".join(number_text(count, kind) for kind, count in answer.checked.items())
    say(f"{verdict(answer)}: checked {counts}")
    if answer.read["objects"]:
        say(f"read {number_text(answer.read['objects'], 'objects')}, {size_text(answer.read['bytes'])}")
        if answer.references:
            say(f"not read but by verify: {number_text(answer.references, 'referenced files')}")
    if answer.left["objects"]:
        say(f"no time for {number_text(answer.left['objects'], 'objects')}, {size_text(answer.left['bytes'])}")
    if answer.never_read:
        say(f"never read since they were stored: {number_text(answer.never_read, 'objects')}")
    elif answer.read_since is not None:
        say(f"every object was read since {time_text(answer.read_since)}")
    for problem in answer.problems:
        say_problem(problem)
    if answer.unneeded:
        remark(f"  {number_text(answer.unneeded, 'objects')} that nothing needs: mergestore gc")
    _strangers(answer.strangers)


def repaired(answer: Repaired) -> None:
    """Each object with what became of it; what is lost, and what contains it; what to do next."""
    told = (answer.objects, answer.caches, answer.records, answer.references, answer.unreadable)
    if not any(told):
        say("nothing is damaged")
    for each in answer.objects:
        say(f"{each['state']}: {each['was']} {each['digest']} ({size_text(each['bytes'])}), {', '.join(each['of'])}")
        if each["how"]:
            say(f"  {each['how']}")
    for path in answer.caches:
        say(f"{'deleted' if answer.applied else 'to be deleted'}: damaged in the cache, made again on demand: {path}")
    for each in answer.lost:
        parts = [*each["contained_in"], *(f"alias {alias}" for alias in each["aliases"])]
        parts += [number_text(each["materializations"], "materializations")] if each["materializations"] else []
        say(f"LOST: {each['kind']} {each['version']} is not whole; it is in {', '.join(parts) or 'nothing else'}")
    for problem in answer.records:
        say_problem(problem, "DAMAGED RECORDS: ")
    for problem in answer.references:
        say_problem(problem, "REFERENCED: ")
    for problem in answer.unreadable:
        say_problem(problem, "UNREADABLE: ")
    if answer.lost:
        say("look for a copy: mergestore repair --apply --from DIR; or register the same content again")
        if answer.unreadable:
            say("it may be made again from what cannot be read now")
    if not answer.applied and any(each["how"] for each in answer.objects):
        say("nothing was changed: the same with --apply mends it")
        if answer.lost:
            say("what is lost now may be made again from what that mends, which is tried then")
    if answer.referenced:
        say(f"not read but by verify: {number_text(answer.referenced, 'referenced files')}")


def backed_up(answer: BackedUp) -> None:
    """What is in the backup, what of it is new, what is lost."""
    say(f"backed up: {number_text(answer.objects, 'objects')}, {size_text(answer.bytes)}, in {answer.path}")
    say(f"  new: {number_text(answer.copied, 'objects')}, {size_text(answer.copied_bytes)}")
    for digest in answer.mended:
        say(f"  was damaged or missing in the backup, and is copied anew: {digest}")
    say(f"  as of audit event {answer.audit_head['sequence']}")
    _lost(answer.lost)
    for note in answer.notes:
        remark(f"  {note}")


def restored(answer: Restored) -> None:
    """What was restored, where it is, as of when; what is lost."""
    held = f"{number_text(answer.objects, 'objects')}, {size_text(answer.bytes)}"
    say(f"whole: {answer.source}, {held}" if answer.checked else f"restored: {answer.home}, {held}")
    if answer.created_at is not None:
        say(f"  backed up {time_text(answer.created_at)}")
    if answer.database is not None:
        say(f"  database {answer.database}")
        if answer.elsewhere:
            say("  name that database for every later command: --database, or $MERGESTORE_DATABASE")
    say(f"  as of audit event {answer.audit_head['sequence']}, {answer.audit_head['hash']}")
    _lost(answer.lost)
    if answer.unneeded:
        remark(f"  {number_text(answer.unneeded, 'objects')} there came later, which gc deletes")
        remark("  if the store that they are of lives on, let nobody run gc here, nor go on with this one")


def _lost(digests: Iterable[str]) -> None:
    for digest in digests:
        say(f"  LOST: {digest}; mergestore repair names what contains it")


def collected(answer: Collected) -> None:
    """What was found, what waits, what is gone; what to do next."""
    sizes: Counter[str] = Counter()
    for each in answer.objects:
        sizes[each["state"]] += each["bytes"]
    counts = Counter(each["state"] for each in answer.objects)
    for state, told in (("found", "found now"), ("waits", "found before"), ("deleted", "deleted")):
        if counts[state]:
            say(f"{number_text(counts[state], 'objects')} that nothing needs, {size_text(sizes[state])}: {told}")
    if answer.leftovers:
        size = sum(each["bytes"] for each in answer.leftovers)
        gone = "deleted" if answer.applied else "to be deleted"
        say(f"{len(answer.leftovers):,} left by work that was cut short, {size_text(size)}: {gone}")
    if answer.evicted:
        size, state = sum(each["bytes"] for each in answer.evicted), answer.evicted[0]["state"]
        say(f"{number_text(len(answer.evicted), 'results')} in the cache, {size_text(size)}: {state}")
    if not answer.objects and not answer.leftovers and not answer.evicted:
        say("no garbage")
    if answer.waiting_bytes and answer.applied:
        say(f"deleted by the first gc --apply after {seconds_text(answer.grace_seconds)}")
    if not answer.applied and (answer.objects or answer.leftovers or answer.evicted):
        say("nothing was changed: with --apply it is noted, and deleted if it was noted long enough ago")
    if answer.writers and answer.waiting_bytes:
        remark(f"  {answer.writers} at work just now: what was found since they began stays")
    _strangers(answer.strangers)


def measured(answer: Mapping[str, Any]) -> None:
    """Every number in Prometheus' text format; what is not known is left out."""
    for name, value in answer.items():
        if value is not None:
            say(f"# HELP mergestore_{name} {ABOUT[name]}\n# TYPE mergestore_{name} gauge")
        if name == "versions":
            for each in value:
                say(f'mergestore_versions{{kind="{each["kind"]}",state="{each["state"]}"}} {each["count"]}')
        elif value is not None:
            say(f"mergestore_{name} {value}")


def _strangers(paths: Iterable[str]) -> None:
    for path in paths:
        remark(f"  not mergestore's, and left alone: {path}")
