"""What a verb tells a person: a few plain lines, the answer first, then what is worth knowing."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cli.console import remark, say, say_problem
from cli.grid import Column, print_grid
from cli.units import count_text, digest_text, number_text, seconds_text, size_text
from mergestore import EnvironmentFailure, IntegrityFailure

if TYPE_CHECKING:
    from mergestore import (
        Difference,
        Exported,
        Imported,
        Materialized,
        MaterializedAdapter,
        Merged,
        Rebuilt,
        RegisteredBase,
        RegisteredSkill,
        Verification,
    )

_SHOWN = 5
_NAMED = 20  # tensors that are not the same
_WHOLE = {"modules_to_save": "saved whole", "biases": "biases", "dropped": "LEFT OUT"}


def initialized(answer: Mapping[str, Any]) -> None:
    """Where the store is, and whether it is new."""
    say(f"{'created' if answer['created'] else 'ready'}: {answer['home']}")
    before = answer["schema_before"]
    was = f" (was {before})" if before not in (None, answer["schema"]) else ""
    say(f"  database {answer['database']}, schema {answer['schema']}{was}")
    say(f"  objects {answer['objects']}")
    if answer["quota"]:
        say(f"  quota {size_text(answer['quota'])}")
    if answer["backup"]:
        say(f"  as it was before: {answer['backup']}")
    for name, state in answer["guarded"].items():
        say(f"  put back: {name}, which {state}; hold the audit log against an anchor (verify --anchor)")


def findings(answer: Mapping[str, Any]) -> None:
    """One line for each check of the doctor, with advice below the ones that failed."""
    for check in answer["checks"]:
        say(f"{check['level']:<8} {check['name']}: {check['detail']}")
        if check["level"] != "ok" and check.get("hint"):
            say(f"{'':<8} {check['hint']}")


def delivered(answer: Mapping[str, Any]) -> None:
    """How much provenance reached MLflow, how much still waits, and why."""
    say(f"delivered {answer['delivered']}, pending {answer['pending']}")
    for error in answer["errors"]:
        remark(f"  {error}")


def registered_base(answer: RegisteredBase) -> None:
    """The base model's version, size and digest."""
    _registered(answer)
    how = "referenced in place" if answer.referenced else size_text(answer.bytes)
    say(f"  {count_text(answer.parameters)} parameters in {number_text(answer.tensors, 'tensors')}, {how}")
    say(f"  {answer.digest}")
    _notes(answer.notes)


def registered_skill(answer: RegisteredSkill) -> None:
    """The skill's version, stored size, compression, statistics and advice."""
    _registered(answer)
    say(f"  of {answer.base.name}@{answer.base.version}, {_encoding(answer)}")
    say(f"  {size_text(answer.stored_bytes)} stored, {_density(answer.bits_per_parameter)}")
    _delta(answer.statistics["total"])
    say(f"  {answer.digest}")
    _notes(answer.notes)


def merged(answer: Merged) -> None:
    """The merge's version, what it means and its identity."""
    say(f"{'named' if answer.created else 'exists already:'} {answer.name}@{answer.version}")
    say(f"  {answer.expression}")
    say(f"  {answer.recipe_digest}")
    if answer.unified is not None:
        _unified(answer.unified)
    _notes(answer.notes)


def materialized(answer: Materialized) -> None:
    """The folder on stdout, ready for a script; the rest on stderr."""
    say(answer.path)
    rate = f" in {seconds_text(answer.seconds)}" if not answer.cached else ", from the cache"
    remark(f"  {size_text(answer.bytes)}{rate}, on {answer.device}")
    remark(f"  recipe {answer.recipe_digest}")
    remark(f"  output {answer.output_digest}")
    _remarks(answer.notes)


def materialized_adapter(answer: MaterializedAdapter) -> None:
    """The folder on stdout; on stderr how near the factors come, and what is not in them."""
    materialized(answer)
    told = answer.adapter
    ranks = sorted({layer["rank"] for layer in told["layers"].values()})
    span = f"{ranks[0]}" if len(ranks) == 1 else f"{ranks[0]} to {ranks[-1]}"
    remark(f"  rank {span} for {len(told['layers'])} layers, {count_text(told['parameters'])} numbers")
    remark(f"  left of the delta: {told['error']:.3g} of its norm ({told['energy']:.2%} of its energy kept)")
    for name, layer in sorted(told["layers"].items(), key=lambda each: -float(each[1]["error"]))[:_SHOWN]:
        remark(f"    {layer['error']:.3g} of {name}, rank {layer['rank']}")
    for what in ("modules_to_save", "biases", "dropped"):
        if told[what]:
            names = sorted(told[what])
            more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
            remark(f"  {_WHOLE[what]}: {', '.join(names[:_SHOWN])}{more}")


def rebuilt(answer: Rebuilt) -> None:
    """Whether the same came out, beside what it was compared with, and where it did not."""
    verdicts = {True: "the same", False: "NOT THE SAME", None: "made, and nothing is there to compare it with"}
    verdict = verdicts[answer.ok]
    tensors, seconds = number_text(answer.tensors, "tensors"), seconds_text(answer.seconds)
    say(f"{verdict}: {tensors} from their lineage in {seconds}, on {answer.device}")
    say(f"  recipe {answer.recipe_digest}")
    say(f"  output {answer.output_digest}")
    for each in answer.compared:
        say(f"  {'ok' if each['ok'] else 'DIFFERS'}: {each['what']}: {each['detail']}")
    if answer.gone:
        say(f"  not there any more: {', '.join(answer.gone)}")
    for each in answer.differing[:_NAMED]:
        found = f", its bytes are {each['found']}" if each["found"] else ""
        say(f"  {each['tensor']} in {each['where']}: recorded {each['recorded']}, made {each['made']}{found}")
    if len(answer.differing) > _NAMED:
        say(f"  … and {number_text(len(answer.differing) - _NAMED, 'more tensors')}: --json tells all")
    say(f"  receipt: event {answer.receipt} of the audit chain")


def difference(answer: Difference, most: int | None) -> None:
    """What two models are made of, where that differs; how far their tensors lie apart, and which of them most."""
    one, other, whole = answer.one["what"], answer.other["what"], answer.whole
    equal = f"{number_text(whole['equal'], 'tensors')} {'is' if whole['equal'] == 1 else 'are'} equal"
    say(f"{one} and {other}: {equal}, {whole['differing']:,} differ{'s' if whole['differing'] == 1 else ''}")
    cosine = "none" if whole["cosine"] is None else f"{whole['cosine']:.4f}"
    what = "deltas from their base" if answer.deltas else "values"
    norms = " and ".join(f"{norm:.4g}" for norm in whole["norms"])
    say(f"  distance {whole['distance']:.4g}; norms of the {what} {norms}, cosine {cosine}")
    for side, names in answer.only.items():
        if names:
            said = ", ".join(names[:_SHOWN])
            say(f"  only in {answer.one['what'] if side == 'one' else answer.other['what']}: {len(names)}, as {said}")
    say()
    if answer.made_of:
        rows = [[row["what"], _said(row["one"]), _said(row["other"])] for row in answer.made_of]
        print_grid("what they are made of", [Column("what"), Column(one), Column(other)], rows)
    odd = sorted((row for row in answer.tensors if not row["equal"]), key=lambda row: -(row["distance"] or math.inf))
    if odd:
        columns = [Column("tensor"), *(Column(name, right=True) for name in ("distance", one, other, "cosine"))]
        print_grid("tensors that differ", columns, [_tensor(row) for row in odd[:most]])
    if most is not None and len(odd) > most:
        say(f" … and {len(odd) - most:,} more: --all or --json tells all")
        say()


def _tensor(row: Mapping[str, Any]) -> list[str]:
    if row["norms"] is None:
        return [
            row["name"],
            f"{row['dtypes'][0]} {row['shapes'][0]} and {row['dtypes'][1]} {row['shapes'][1]}",
            "",
            "",
            "",
        ]
    cosine = "none" if row["cosine"] is None else f"{row['cosine']:.4f}"
    return [row["name"], f"{row['distance']:.4g}", *(f"{norm:.4g}" for norm in row["norms"]), cosine]


def _said(value: Any) -> str:
    return "" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def exported(answer: Exported) -> None:
    """The file on stdout, ready for a script; on stderr what is in it, and what another store must have."""
    say(answer.path)
    counts = Counter(v["kind"] for v in answer.versions)
    kinds = ", ".join(number_text(count, f"{kind}s") for kind, count in counts.items())
    remark(f"  {size_text(answer.bytes)}: {kinds}; {number_text(answer.blobs, 'files')}")
    remark(f"  {answer.bundle}")
    for version in answer.versions:
        if version["state"] != "ready":
            remark(f"  note: {version['name']}@{version['version']} is {version['state']}, and stays so")
    for need in answer.needs:
        remark(f"  needs {need['kind']} {need['reference']} ({digest_text(need['digest'])}) where it is imported")


def imported(answer: Imported) -> None:
    """What became of each version, who exported them, and what to know."""
    verb = "would be" if answer.dry_run else "is"
    for version in answer.versions:
        here = f"{version['name']}@{version['version']}"
        named = version["was"] if version["was"] == here else f"{version['was']} {verb} {here}"
        gained = ", ".join(f"{count} {name}" for name, count in version["added"].items())
        new = "new" if version["created"] else f"known, new are {gained}" if gained else "known"
        say(f"{version['kind']} {named}: {new} ({digest_text(version['digest'])})")
    by = answer.exported
    say(f"  exported by {by['by']} at {by['at']} from store {by['store']}")
    stored = "would be stored" if answer.dry_run else "stored"
    say(f"  {number_text(answer.blobs, 'files')} {stored}, {size_text(answer.bytes)}; all of it checked")
    say(f"  {answer.bundle}")
    _notes(answer.notes)


def verdict(answer: Verification) -> str:
    """What was found, in a word."""
    words = {0: "ok", IntegrityFailure.exit_code: "DAMAGED", EnvironmentFailure.exit_code: "INCOMPLETE"}
    return words.get(answer.exit_code, "WRONG")


def verification(answer: Verification) -> None:
    """What was checked, and each problem: what, where and what to do."""
    counts = ", ".join(number_text(count, kind.replace("_", " ")) for kind, count in answer.checked.items())
    say(f"{verdict(answer)}: checked {counts or 'nothing'}")
    for problem in answer.problems:
        say_problem(problem)


def set_alias(answer: Mapping[str, Any]) -> None:
    """Where the alias points now."""
    say(f"{answer['name']}@{answer['alias']} is version {answer['version']}")
    _remarks(answer["notes"])


def removed_alias(answer: Mapping[str, Any]) -> None:
    """The alias that is gone."""
    say(f"{answer['name']}@{answer['alias']} is removed")
    _remarks(answer["notes"])


def yanked(answer: Mapping[str, Any]) -> None:
    """The version that was withdrawn, or is ready again, why, and what contains it."""
    reference, contained = f"{answer['name']}@{answer['version']}", answer["contained"]
    say(f"{'ready again' if answer['state'] == 'ready' else 'yanked'} {reference}: {answer['reason']}")
    parts = [number_text(number, f"{kind}s") for kind, number in contained["versions"].items()]
    parts += [number_text(contained["materializations"], "materializations")] if contained["materializations"] else []
    if parts:
        aliases = f"; aliases that lead there: {', '.join(contained['aliases'])}" if contained["aliases"] else ""
        say(f"it is in {', '.join(parts)}{aliases} (`mergestore impact {reference}`)")
    _remarks(answer["notes"])


def pinned(answer: Mapping[str, Any]) -> None:
    """The version that is kept, and why."""
    say(f"pinned {answer['name']}@{answer['version']}: {answer['pinned']['reason']}")


def unpinned(answer: Mapping[str, Any]) -> None:
    """The version whose pin is gone."""
    say(f"{answer['name']}@{answer['version']} is not pinned any more")


def _registered(answer: RegisteredBase | RegisteredSkill) -> None:
    known = "registered" if answer.created else "registered before, same content:"
    say(f"{known} {answer.name}@{answer.version}")


def _unified(stored: Mapping[str, Any]) -> None:
    """What a merge by EMR stored: all of it against the skills by themselves, then each skill's share."""
    share = stored["stored_bytes"] / max(1, stored["skills_bytes"])
    say(
        f"  {size_text(stored['stored_bytes'])} stored, {share:.1%} of the {size_text(stored['skills_bytes'])} that "
        f"its skills take; {size_text(stored['vector_bytes'])} of it for all of them"
    )
    for skill in stored["skills"]:
        say(
            f"  {skill['skill']}: {size_text(skill['stored_bytes'])} of its own instead of "
            f"{size_text(skill['skill_bytes'])}, scale {skill['scale']:.4g}, "
            f"{skill['agreeing']:.1%} of its values agree"
        )


def _encoding(answer: RegisteredSkill) -> str:
    if answer.encoding == "dare":
        return f"encoding dare ({answer.values}), drop rate {answer.drop_rate:g}, seed {answer.seed}"
    if answer.encoding == "magnitude":
        return f"encoding magnitude ({answer.values}), density {answer.density:g}, trim {answer.trim}"
    return f"encoding {answer.encoding}"


def _notes(notes: Sequence[str]) -> None:
    for note in notes:
        say(f"  note: {note}")


def _remarks(notes: Sequence[str]) -> None:
    for note in notes:
        remark(f"  note: {note}")


def _density(bits: float) -> str:
    smaller = f", {16 / bits:.0f}x smaller than 16-bit weights" if bits < 8 else ""
    return f"{bits:.3g} bits per parameter{smaller}"


def _delta(total: Mapping[str, Any]) -> None:
    """The delta in figures: how many values, how large, how many of them zero."""
    say(
        f"  delta of {count_text(total['elements'])} values, {total['share_unchanged']:.1%} of them zero: "
        f"{total['minimum']:.3g} to {total['maximum']:.3g}, norm {total['norm']:.4g}"
    )
