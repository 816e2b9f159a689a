"""Laws of the catalog on random histories: lineage, names, the audit chain, and what references mean."""

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule
from sqlalchemy import Engine, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

import migrations
from registry.records import aliases, catalog, events, lineage, readiness
from registry.records.database import open_engine, sqlite_url, writing
from registry.records.names import MAX_LENGTH, parse_reference, validate_name
from registry.records.tables import ModelVersion
from storage.digests import blake3_digest
from storage.errors import Conflict, NotFound, UsageError

ME = "me"
DIGEST = blake3_digest(b"content")


class Undo(Exception):
    """Raised at the end of an example, so that the next finds the database as it was."""


@contextlib.contextmanager
def scratch(engine: Engine) -> Iterator[Session]:
    with contextlib.suppress(Undo), writing(engine) as session:
        yield session
        raise Undo


def registry(folder: Path) -> Engine:
    engine = open_engine(sqlite_url(folder / "registry.db"))
    migrations.upgrade(engine)
    return engine


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    engine = registry(tmp_path_factory.mktemp("catalog"))
    yield engine
    engine.dispose()


def make(session: Session, name: str) -> ModelVersion:
    return catalog.create_model_version(session, name=name, kind="skill", digest=DIGEST, actor=ME)


# --- lineage ----------------------------------------------------------------------------------------------


def closure(start: int, towards: dict[int, set[int]]) -> set[int]:
    reached, todo = {start}, [start]
    while todo:
        new = towards.get(todo.pop(), set()) - reached
        reached |= new
        todo += new
    return reached


ROLES = st.sampled_from(["base", "skill", "head", "merge"])
SIZE = 9
EDGES = st.lists(st.tuples(st.integers(0, SIZE - 1), st.integers(0, SIZE - 1), ROLES), max_size=25, unique=True)


@settings(max_examples=60, deadline=None)
@given(edges=EDGES)
def test_lineage_is_acyclic_and_complete(engine: Engine, edges: list[tuple[int, int, str]]) -> None:
    with scratch(engine) as session:
        made = [make(session, "math") for _ in range(SIZE)]
        parents: dict[int, set[int]] = {}
        children: dict[int, set[int]] = {}
        kept = set()
        for child, parent, role in edges:
            try:
                with session.begin_nested():
                    lineage.add_lineage(session, made[child], [(made[parent], role)], actor=ME)
            except IntegrityError:
                assert child <= parent
                continue
            assert child > parent
            kept.add((made[child].reference, made[parent].reference, role))
            parents.setdefault(child, set()).add(parent)
            children.setdefault(parent, set()).add(child)
        for start in range(SIZE):
            check(lineage.ancestors(session, made[start].id), made, closure(start, parents), kept)
            check(lineage.descendants(session, made[start].id), made, closure(start, children), kept)
        assert events.verify_chain(session) == []


def check(
    found: lineage.Lineage, made: list[ModelVersion], expected: set[int], kept: set[tuple[str, str, str]]
) -> None:
    names = [node.id for node in found.nodes]
    assert names == [made[number].reference for number in sorted(expected)]
    edges = {(edge.child, edge.parent, edge.role) for edge in found.edges}
    assert len(edges) == len(found.edges)
    assert edges == {edge for edge in kept if {edge[0], edge[1]} <= set(names)}
    for child, parent, _ in edges:  # in order of age there is no way back
        assert names.index(parent) < names.index(child)


# --- names ------------------------------------------------------------------------------------------------


NEARLY = st.text(alphabet=st.sampled_from("aZ09._-/@ é\n\x00а"), max_size=12)
RULE = re.compile(r"(?:[A-Za-z0-9][A-Za-z0-9._-]*/)?[A-Za-z0-9][A-Za-z0-9._-]*")


@given(name=NEARLY | st.text(max_size=140))
def test_a_name_is_accepted_iff_the_rule_says_so(name: str) -> None:
    try:
        accepted = validate_name(name) == name
    except UsageError:
        accepted = False
    assert accepted == (bool(RULE.fullmatch(name)) and len(name) <= MAX_LENGTH)


@given(name=NEARLY)
def test_an_accepted_name_stays_inside_its_folder(name: str) -> None:
    with contextlib.suppress(UsageError):
        path = Path("/store", validate_name(name))
        assert path.resolve().is_relative_to("/store")
        assert path.resolve() != Path("/store")


@given(reference=NEARLY)
def test_a_reference_reads_as_it_is_written(reference: str) -> None:
    with contextlib.suppress(UsageError):
        parsed = parse_reference(reference)
        assert str(parsed) == reference
        assert parsed.version is None or parsed.alias is None


# --- the audit chain --------------------------------------------------------------------------------------


TEXT = st.text(st.characters(codec="utf-8"), max_size=8)
NUMBERS = st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(allow_nan=False, allow_infinity=False)
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
DETAILS = st.lists(st.dictionaries(TEXT, JSON, max_size=3), min_size=1, max_size=6)


@settings(max_examples=50, deadline=None)
@given(details=DETAILS, data=st.data())
def test_any_history_verifies_and_any_change_of_it_does_not(
    engine: Engine, details: list[dict[str, Any]], data: st.DataObject
) -> None:
    with scratch(engine) as session:
        for document in details:
            events.append(session, actor=ME, action="a", subject="s", details=document)
        assert events.verify_chain(session) == []
        assert [event["details"] for event in events.of(session, ["s"])] == details
        session.execute(text("DROP TRIGGER audit_event_keeps_rows"))
        session.execute(text("DROP TRIGGER audit_event_loses_none"))
        row = data.draw(st.integers(1, len(details)))
        column = data.draw(st.sampled_from(["at", "actor", "action", "subject", "details", "hash", "previous_hash"]))
        if data.draw(st.booleans()):
            session.execute(text(f"UPDATE audit_event SET {column} = {column} || 'x' WHERE sequence = {row}"))
        else:
            session.execute(text(f"DELETE FROM audit_event WHERE sequence = {row}"))
        assert events.verify_chain(session)[0]["where"] == f"audit_event {row}"


# --- references against a perfect memory ------------------------------------------------------------------


NAMES = st.sampled_from(["math", "code", "org/math"])
WORDS = st.sampled_from(["prod", "dev"])


class CatalogMachine(RuleBasedStateMachine):
    """Random verbs on the catalog and on dictionaries; after each step every reference means the same in both."""

    made = Bundle("made")

    @initialize()
    def begin(self) -> None:
        self.folder = TemporaryDirectory()
        self.engine = registry(Path(self.folder.name))
        self.stack = contextlib.ExitStack()
        self.session = self.stack.enter_context(scratch(self.engine))
        self.states: dict[str, list[str]] = {}
        self.aliases: dict[tuple[str, str], int] = {}

    @rule(target=made, name=NAMES)
    def create(self, name: str) -> ModelVersion:
        version = make(self.session, name)
        self.states.setdefault(name, []).append("ready")
        assert version.version == len(self.states[name])
        return version

    @rule(version=made)
    def yank(self, version: ModelVersion) -> None:
        if self.states[version.name][version.version - 1] == "yanked":
            with pytest.raises(Conflict):
                readiness.yank(self.session, version, "again", actor=ME)
        else:
            readiness.yank(self.session, version, "bad", actor=ME)
            self.states[version.name][version.version - 1] = "yanked"

    @rule(version=made)
    def unyank(self, version: ModelVersion) -> None:
        if self.states[version.name][version.version - 1] == "ready":
            with pytest.raises(Conflict):
                readiness.unyank(self.session, version, "a slip", actor=ME)
        else:
            readiness.unyank(self.session, version, "a slip", actor=ME)
            self.states[version.name][version.version - 1] = "ready"

    @rule(version=made, alias=WORDS)
    def set_alias(self, version: ModelVersion, alias: str) -> None:
        if self.states[version.name][version.version - 1] == "yanked":
            with pytest.raises(Conflict):
                aliases.set_alias(self.session, version, alias, actor=ME)
        else:
            aliases.set_alias(self.session, version, alias, actor=ME)
            self.aliases[version.name, alias] = version.version

    @rule(name=NAMES, alias=WORDS)
    def remove_alias(self, name: str, alias: str) -> None:
        if self.aliases.pop((name, alias), None) is None:
            with pytest.raises(NotFound):
                aliases.remove_alias(self.session, name, alias, actor=ME)
        else:
            aliases.remove_alias(self.session, name, alias, actor=ME)

    def meaning(self, reference: str) -> int | str:
        try:
            return catalog.resolve(self.session, reference).version
        except (NotFound, Conflict) as error:
            return error.kind

    @invariant()
    def references_mean_the_same(self) -> None:
        for name in ("math", "code", "org/math"):
            states = self.states.get(name, [])
            ready = [number for number, state in enumerate(states, 1) if state == "ready"]
            assert self.meaning(name) == (ready[-1] if ready else "conflict" if states else "not_found")
            assert self.meaning(f"{name}@{len(states) + 1}") == "not_found"
            for alias in ("prod", "dev"):
                assert self.meaning(f"{name}@{alias}") == self.aliases.get((name, alias), "not_found")

    @invariant()
    def the_chain_is_whole(self) -> None:
        assert events.verify_chain(self.session) == []

    def teardown(self) -> None:
        self.stack.close()
        self.engine.dispose()
        self.folder.cleanup()


CatalogMachine.TestCase.settings = settings(max_examples=12, stateful_step_count=20, deadline=None)
TestCatalog = CatalogMachine.TestCase
