"""Lineage graphs of any shape, on SQLite and PostgreSQL: what policies find in them, against a walk in Python."""

from __future__ import annotations

import itertools
import random
from dataclasses import replace

import pytest
from sqlalchemy import Engine

from registry.audits.audit import audit
from registry.licences.spdx import AND, combine, parse
from registry.policies.cases import case_of
from registry.policies.reading import read_policy
from registry.policies.rules import Violation, violations
from registry.records import catalog, lineage
from registry.records.database import reading, writing
from tests.integration.registry_samples import ME, make

Edges = dict[str, set[str]]
LICENCES = ("MIT", "ISC", "MIT OR CC-BY-NC-4.0", "CC-BY-NC-4.0", "Apache-2.0 AND CC-BY-NC-4.0", None)


def _written(engine: Engine, chance: random.Random) -> tuple[Edges, dict[str, str | None]]:
    """Versions, each made of some older ones: (parents, licences), by reference."""
    parents: Edges = {}
    licences: dict[str, str | None] = {}
    with writing(engine) as session:
        versions = []
        for number in range(chance.randint(3, 16)):
            chosen = chance.sample(versions, chance.randint(0, min(2, len(versions))))
            licence = chance.choice(LICENCES)
            version = make(session, f"n{number}", "skill" if chosen else "base", licence=licence)
            lineage.add_lineage(session, version, [(each, "skill") for each in chosen], actor=ME)
            parents[version.reference] = {each.reference for each in chosen}
            licences[version.reference] = licence
            versions.append(version)
    return parents, licences


def _distances(start: str, parents: Edges) -> dict[str, int]:
    found, pending = {start: 0}, [start]
    for each in pending:
        for parent in parents[each]:
            if parent not in found:
                found[parent] = found[each] + 1
                pending.append(parent)
    return found


def _check_way(violation: Violation, start: str, parents: Edges, end: str, length: int) -> None:
    assert violation.way is not None
    steps = violation.way.split(" → ")
    *before, last = steps
    names = [*before, last.partition(" ")[2]]
    assert (names[0], names[-1]) == (start, end)
    if "…" not in names:
        assert len(names) == length + 1
        assert all(parent in parents[child] for child, parent in itertools.pairwise(names))


@pytest.mark.parametrize("seed", range(12))
def test_what_is_forbidden_is_found_wherever_it_lies_and_nothing_else_is(engine: Engine, seed: int) -> None:
    parents, licences = _written(engine, random.Random(seed))
    with reading(engine) as session:
        for start in parents:
            below = _distances(start, parents)
            case = case_of(session, [catalog.resolve(session, start)], None)
            for name in parents:
                word = "skills" if parents[name] else "bases"
                policy = read_policy({"policy": 1, word: {"forbidden": [name.partition("@")[0]]}}, "p")
                found = violations(policy, case)
                assert len(found) == (name in below)
                for violation in found:
                    _check_way(violation, start, parents, name, below[name])
            policy = read_policy({"policy": 1, "licences": {"forbidden": ["CC-BY-NC-*"]}}, "p")
            found = violations(policy, case)
            expected = {
                name for name in below if licences[name] in (None, "CC-BY-NC-4.0", "Apache-2.0 AND CC-BY-NC-4.0")
            }
            assert {violation.what.partition(" ")[0] for violation in found} == expected
            for violation in found:
                name = violation.what.partition(" ")[0]
                assert (violation.rule == "licences.unstated") == (licences[name] is None)
                _check_way(violation, start, parents, name, below[name])


@pytest.mark.parametrize("seed", range(12))
def test_the_licence_of_the_whole_is_that_of_all_its_parts(engine: Engine, seed: int) -> None:
    parents, licences = _written(engine, random.Random(seed))
    with reading(engine) as session:
        for start in parents:
            below = _distances(start, parents)
            told = audit(session, start, newest=1).licences
            stated = [parse(licence) for name, licence in licences.items() if name in below and licence is not None]
            unknown = [name for name in below if licences[name] is None]
            assert told["expression"] == str(combine(AND, [*stated, *(["NOASSERTION"] if unknown else [])]))
            assert sorted(told["unknown"]) == sorted(unknown)
            assert set(told["paths"]) == set(below)
            by_licence = {name: licence for licence, names in told["stated"].items() for name in names}
            assert by_licence == {
                name: str(parse(licences[name] or "")) for name in below if licences[name] is not None
            }


def test_a_head_is_not_the_skill_itself(engine: Engine) -> None:
    with writing(engine) as session:
        base = make(session, "llama", "base")
        math, safety = make(session, "math"), make(session, "safety")
        for role in ("head", "skill"):
            merged = make(session, f"with-{role}")
            lineage.add_lineage(session, merged, [(base, "base"), (math, "skill"), (safety, role)], actor=ME)
        policy = read_policy({"policy": 1, "skills": {"required": ["safety"], "forbidden": ["safety"]}}, "p")
        found = {
            role: [
                violation.rule
                for violation in violations(
                    policy, replace(case_of(session, [catalog.resolve(session, f"with-{role}")], None), whole=True)
                )
            ]
            for role in ("head", "skill")
        }
    assert found == {"head": ["skills.forbidden", "skills.required"], "skill": ["skills.forbidden"]}
