"""What looking things up asks of the database does not grow with the store: as many statements, and by index."""

from __future__ import annotations

import gc
import re
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event, text
from sqlalchemy.orm import Session

from registry import answers, merges
from registry.audits.audit import audit
from registry.audits.filters import Filters
from registry.audits.impact import impact
from registry.audits.queries import find
from registry.home import Home
from registry.records import (
    aliases,
    catalog,
    contents,
    events,
    garbage,
    lineage,
    objects,
    outbox,
    parts,
    readiness,
    recipes,
    told,
    version_witness,
)
from registry.records.contents import BlobRow
from registry.records.database import reading, writing
from registry.records.integrity import verify_records
from registry.records.lookup import find_versions
from registry.records.names import parse_reference
from registry.records.result_witness import changed_recipes, changed_results
from registry.records.tables import ModelVersion
from registry.records.told import Told
from registry.records.version_witness import changed_versions
from registry.resolved import Choices
from tests.integration.registry_samples import FILES, ME, digest, made, make, skill

TERMS = 64
HOME = Home(Path())  # nothing is read of it: these versions have no bytes
Look = Callable[[Session], Any]


def grow(engine: Engine, first: int, skills: int) -> None:
    """Add skills, and with them versions, alias moves and materializations of what is asked about."""
    with writing(engine) as session:
        base = catalog.resolve(session, "llama") if first else whole_base(session)
        for number in range(first, skills):
            version = skill(session, base, name(number))
            if number % 10 == 9:
                aliases.set_alias(session, version, "prod", actor=ME)
        for number in range(first, skills, 10):
            hot = skill(session, base, f"hot{number}", model="hot")
            aliases.set_alias(session, hot, "prod", actor=ME)
        merged = merges.resolve_expression(session, HOME, expression(3), Choices())
        merges.record_merge(session, "mix", merged, actor=ME)
        for number in range(first, skills, 10):
            recipe = recipes.load_recipe(session, merged.recipe.digest)
            recipes.record_materialization(session, made(recipe, f"m{number}", cached=True))


def whole_base(session: Session) -> ModelVersion:
    base = make(session, "llama", "base")
    contents.record_blobs(session, [BlobRow(digest("weights"), 100, "weights")])
    contents.add_files(session, base, FILES, actor=ME)
    return base


def name(number: int) -> str:
    return f"skill{number:04}"


def expression(terms: int) -> str:
    return "llama" + "".join(f" + 0.1*{name(number)}" for number in range(terms))


def found(kind: str, **filters: Any) -> Look:
    """A page of what is found so, and a later one."""

    def look(session: Session) -> Any:
        first = find(session, kind, Filters(**filters), limit=3, page=1)
        return [first, find(session, kind, Filters(**filters), limit=1, page=max(1, first.total))]

    return look


LOOKS: dict[str, Look] = {
    "list": lambda session: answers.listing(session),
    "list skill": lambda session: answers.listing(session, "skill"),
    "show a base": lambda session: answers.show(session, "llama"),
    "show a skill": lambda session: answers.show(session, "hot"),
    "show a merge": lambda session: answers.show(session, "mix"),
    "a name": lambda session: catalog.resolve(session, "hot"),
    "a version": lambda session: catalog.resolve(session, "hot@1"),
    "an alias": lambda session: catalog.resolve(session, "hot@prod"),
    "an expression": lambda session: merges.resolve_expression(session, HOME, expression(3), Choices()),
    "a merge": lambda session: merges.resolve_target(session, HOME, "mix", Choices()),
    "audit a base": lambda session: audit(session, "llama"),
    "audit a base, the newest": lambda session: audit(session, "llama", newest=10),
    "audit a skill": lambda session: audit(session, "hot"),
    "audit a merge": lambda session: audit(session, "mix", newest=10),
    "audit a digest": lambda session: audit(session, mix(session)[:20], newest=10),
    "impact of a base": lambda session: impact(session, "llama", newest=10),
    "impact of a skill": lambda session: impact(session, "hot"),
    "impact of a base, all": lambda session: impact(session, "llama"),
    "find bases": found("bases", licence="MIT"),
    "find skills": found("skills"),
    "find skills by seed": found("skills", seed=7),
    "find skills of a base": found("skills", base="llama", licence="MIT", meta={"dataset": "x"}),
    "find merges with a skill": found("merges", contains=name(1)),
    "find merges by seed": found("merges", seed=7, method="task_arithmetic"),
    "find merges by licence": found("merges", licence="MIT AND Apache-2.0"),
    "find merges by method": found("merges", method="task_arithmetic"),
    "find merges that were never evaluated": found("merges", never="evaluated"),
    "find merges by software": found("merges", software="0.1.0"),
    "find materializations": found("materializations"),
    "find materializations with a skill": found("materializations", contains=name(1)),
    "find materializations with a base": found("materializations", contains="llama"),
    "find materializations of a time": found("materializations", since="2020-01-01", until="2999-01-01"),
    "find materializations by software": found("materializations", software="0.1.0", device="cpu", by=ME),
    "find events": found("events"),
    "find events of an action": found("events", action="alias.set"),
    "find events about a skill": found("events", subject="hot@1"),
    "find events of a time": found("events", since="2020-01-01", by=ME),
    "the cache": lambda session: recipes.cached_materialization(session, mix(session)),
    "the outbox": lambda session: (outbox.count_pending(session), outbox.pending(session)),
    "which of some objects are needed": lambda session: garbage.needed(session, [digest("weights"), digest("none")]),
    "which of some objects are garbage": lambda session: garbage.known(session, [digest("weights"), digest("none")]),
    "what some objects are of": lambda session: objects.uses(session, [digest("weights"), digest("none")]),
    "what the log tells of some versions": lambda session: Told(session).about(["llama@1", "hot@1"]),
    "what some versions are made of": lambda session: [list(each(session, (1, 3))) for each in PARTS],
    "recipes held against the log": lambda session: list(changed_recipes(session, Told(session))),
    "results held against the log": lambda session: list(changed_results(session, Told(session))),
}
PARTS = (parts.each_files, parts.each_tensors, parts.each_delta, parts.each_statistics)
WHOLE = (  # they read every row, and may
    *("list", "list skill"),
    *("find skills", "find skills by seed", "find skills of a base"),
    *("find merges by seed", "find merges by method", "find merges that were never evaluated"),
    "find merges by software",
    *("find materializations by software", "find events", "find events of a time"),
)


def mix(session: Session) -> str:
    return catalog.resolve(session, "mix").digest


@contextmanager
def watched(engine: Engine) -> Iterator[list[tuple[str, Any]]]:
    """The statements that are executed, with their parameters."""
    seen: list[tuple[str, Any]] = []

    def note(connection: Any, cursor: Any, statement: str, parameters: Any, *rest: Any) -> None:
        seen.append((statement, parameters))

    event.listen(engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(engine, "before_cursor_execute", note)


def asked(engine: Engine, look: Look) -> list[tuple[str, Any]]:
    with watched(engine) as seen, reading(engine) as session:
        look(session)
    return seen


@pytest.mark.slow
def test_as_many_statements_for_many_skills_as_for_10(engine: Engine) -> None:
    many = 1000 if engine.dialect.name == "sqlite" else 200  # the server takes its time to write them
    grow(engine, 0, 10)
    few = {what: len(asked(engine, look)) for what, look in LOOKS.items()}
    grow(engine, 10, many)
    assert {what: len(asked(engine, look)) for what, look in LOOKS.items()} == few
    with reading(engine) as session:
        assert len(answers.listing(session).skills) == many + 1
        assert verify_records(session) == []
        shown = answers.show(session, "hot")
        assert len(shown["versions"]) == len(shown["alias_history"]) == many // 10
        whole, cut = audit(session, "llama"), audit(session, "llama", newest=10)
    assert whole.counts == cut.counts
    assert whole.counts["descendants"] == {"skill": many + many // 10, "merge": 1}
    assert len(whole.descendants) == many + many // 10 + 1
    assert cut.descendants == whole.descendants[:10]


def test_as_many_statements_for_64_terms_as_for_3(engine: Engine) -> None:
    grow(engine, 0, TERMS)
    few, many = (
        asked(
            engine,
            lambda session, terms=terms: merges.resolve_expression(session, HOME, expression(terms), Choices()),
        )
        for terms in (3, TERMS)
    )
    assert len(many) == len(few)


def test_what_is_looked_up_is_found_by_index(engine: Engine) -> None:
    grow(engine, 0, 20)
    for what, look in LOOKS.items():
        if what not in WHOLE:
            assert scanned(engine, asked(engine, look)) == [], what
    assert scanned(engine, asked(engine, LOOKS["list"])) != []  # what reads a table is noticed


def test_versions_are_held_against_the_log_by_index(engine: Engine) -> None:
    """A page of them is read in their order, and the facts about the store are few."""
    grow(engine, 0, 20)
    found = scanned(engine, asked(engine, lambda session: list(changed_versions(session, Told(session)))))
    assert [line for line in found if "model_version" not in line and "store_meta" not in line] == []


@pytest.mark.slow
def test_the_check_of_records_takes_no_more_memory_for_more_versions(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (events, parts, told, version_witness):
        monkeypatch.setattr(module, "_AT_ONCE", 20)  # else there were but one batch here
    few, many = 30, 100
    grow(engine, 0, few)
    before = peak(engine)
    grow(engine, few, many)
    most = 300 if engine.dialect.name == "sqlite" else 600  # bytes; as records they take 15 times as much at least
    assert peak(engine) - before < most * (many - few)


def test_the_check_of_records_has_few_rows_from_a_server_at_once(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the driver has fetched and nobody has seen yet is in memory too, of which Python knows nothing."""
    for module in (events, parts, told, version_witness):
        monkeypatch.setattr(module, "_AT_ONCE", 20)
    grow(engine, 0, 100)
    assert fetched(engine) <= 20 * 5  # a few events of each version; of the whole log there are five times as many


def fetched(engine: Engine) -> int:
    """The most rows that one statement of the check has brought along; none where they come one by one."""
    found = [0]

    def note(*words: Any) -> None:
        found.append(words[1].rowcount)

    event.listen(engine, "after_cursor_execute", note)
    try:
        with reading(engine) as session:
            assert verify_records(session) == []
    finally:
        event.remove(engine, "after_cursor_execute", note)
    return max(found)


def peak(engine: Engine) -> int:
    """The bytes that the check of all records takes at most: of two runs, for the first fills caches."""
    found = []
    for _ in range(2):
        gc.collect()
        tracemalloc.start()
        with reading(engine) as session:
            assert verify_records(session) == []
        found.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    return min(found)


THROUGH = ("SELECT count(*)", "SELECT DISTINCT model_version.licence")
"""What reads an index from end to end, and may: how many there are of something, and which licences."""


def scanned(engine: Engine, statements: list[tuple[str, Any]]) -> list[str]:
    """Lines of the query plans that read a whole table."""
    found: list[str] = []
    for statement, parameters in statements:
        if statement.startswith(("SELECT", "WITH")):
            found += _scanned(engine, statement, parameters)
    return found


def _scanned(engine: Engine, statement: str, parameters: Any) -> list[str]:
    with reading(engine) as session:
        connection = session.connection()
        if engine.dialect.name == "sqlite":
            plan = [row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)]
            # What a query made for itself (a recursion's rows) is no table.
            lines = [line for line in plan if line.startswith("SCAN ") and line.split()[1] in TABLES]
            page = "LIMIT" in statement and not any("TEMP B-TREE" in line for line in plan)
            through = page or statement.lstrip().startswith(THROUGH)
            return [line for line in lines if not (through and "INDEX" in line)]
        connection.exec_driver_sql("SET LOCAL enable_seqscan = off")  # a small table is read whole where it may be
        plan = [row[0] for row in connection.exec_driver_sql(f"EXPLAIN {statement}", parameters)]
        return [line for line in plan if "Seq Scan" in line]


TABLES = {table.name for table in catalog.Model.metadata.sorted_tables}


def test_only_messages_that_wait_are_indexed(engine: Engine) -> None:
    """The records do not say so: the words for it would load both dialects at every start."""
    told = {
        "sqlite": "SELECT sql FROM sqlite_master WHERE name = 'ix_outbox_pending'",
        "postgresql": "SELECT indexdef FROM pg_indexes WHERE indexname = 'ix_outbox_pending'",
    }
    with reading(engine) as session:
        definition = session.scalar(text(told[engine.dialect.name]))
    assert re.search(r"WHERE \(?delivered_at IS NULL", definition)


# --- many at once answer as one by one --------------------------------------------------------------------


def test_many_references_are_found_as_one_by_one(engine: Engine) -> None:
    grow(engine, 0, 30)
    with writing(engine) as session:
        for each in ("hot@3", "skill0003"):
            readiness.yank(session, catalog.resolve(session, each), "wrong data", actor=ME)
    with reading(engine) as session:
        words = ("hot", "hot@1", "hot@3", "hot@prod", "skill0009@prod", "skill0003@1", "llama", "mix")
        missing = ("skill0003", "nobody", "hot@99", "hot@99999999999", "hot@none", "skill0001@prod")
        references = [parse_reference(word) for word in (*words, *missing)]
        found = find_versions(session, references)
        alone = {parse_reference(word): catalog.resolve(session, word) for word in words}
        assert {reference: version.id for reference, version in found.items()} == {
            reference: version.id for reference, version in alone.items()
        }
        assert found[parse_reference("hot")].version == 2
        assert find_versions(session, []) == {}


def test_descendants_are_counted_and_told_newest_first(engine: Engine) -> None:
    grow(engine, 0, 5)
    with reading(engine) as session:
        base = catalog.resolve(session, "llama").id
        below = [node.id for node in lineage.descendants(session, base).nodes][1:]
        told = [node.id for node in lineage.newest_descendants(session, base)]
        assert told == below[::-1]
        assert [node.id for node in lineage.newest_descendants(session, base, 2)] == told[:2]
        assert lineage.count_descendants(session, base) == {"skill": 6, "merge": 1}
        leaf = catalog.resolve(session, "mix").id
        assert lineage.count_descendants(session, leaf) == {}
        assert lineage.newest_descendants(session, leaf) == []


def test_ancestors_of_several_versions_are_told_once(engine: Engine) -> None:
    grow(engine, 0, 5)
    with reading(engine) as session:
        one, other = (catalog.resolve(session, each).id for each in ("skill0001", "skill0002"))
        both = lineage.ancestors(session, one, other)
        assert [node.id for node in both.nodes] == ["llama@1", "skill0001@1", "skill0002@1"]
        assert len(both.edges) == 2


@pytest.mark.parametrize("merge", [None, 1])
def test_the_newest_cached_materialization_is_found(engine: Engine, merge: int | None) -> None:
    with writing(engine) as session:
        base = make(session, "llama", "base")
        version = skill(session, base, "math")
        recipe = recipes.record_recipe(session, canonical='{"a":1}', method="ties", inputs=[], actor=ME)
        whose = version.id if merge else None
        for place, (cached, of) in enumerate([(True, whose), (True, base.id), (False, whose)]):
            row = made(recipe, f"m{place}", cached=cached, merge_version_id=of, output_digest=digest("out"))
            recipes.record_materialization(session, row)
    with reading(engine) as session:
        found = recipes.cached_materialization(session, recipe.digest, whose)
        assert found is not None
        assert found.id == ("m0" if merge else "m1")
