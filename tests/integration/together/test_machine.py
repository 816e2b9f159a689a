"""A store beside its perfect twin in memory: after every step, on either database, both say and hold the same."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from sqlalchemy import select

import mergestore
from mergestore import EnvironmentFailure, MergestoreError, Store
from registry.records.database import reading
from registry.records.tables import AuditEvent
from tests.integration.conftest import Server
from tests.integration.models import Model, floats, read_model, save
from tests.integration.together.crowd import models
from tests.integration.together.twin import TINY, Content, Recipe, Twin, Version
from tests.integration.upkeep.test_garbage import lay

pytestmark = pytest.mark.usefixtures("surroundings")
MODELS = models()
TOLD = (
    *("version.create", "version.yank", "version.unyank", "alias.set", "alias.remove", "pin.set", "pin.remove"),
    *("materialization.record", "objects.delete", "store.quota"),
)
"""Events that the twin knows of."""

SKILLS = st.sampled_from(["s0", "s1"])
SOME = st.sampled_from(["s0", "s1", "s0@1", "s1@1", "s0@2", "s0@prod"])
ANY = SOME | st.sampled_from(["tiny@1", "m0", "m0@1", "m0@2", "u@1", "b@1"])
NAMED = st.sampled_from(["s0@1", "s0@2", "s1@1", "s1@2", "m0@1", "m0@2", "u@1", "b@1", "s0@prod", "tiny@1"])
ALIASES = st.sampled_from(["prod", "next"])
WEIGHTS = st.sampled_from([0.25, 0.5, 1.0])
METHODS = st.sampled_from(["task_arithmetic", "task_arithmetic", "linear", "ties"])
TERMS = st.lists(st.tuples(SOME, WEIGHTS), min_size=1, max_size=2)
NONE = timedelta(0)


class Places:
    """Where stores can be made: folders, and a fresh database for each."""

    def __init__(self, folder: Path, database: Callable[[], contextlib.AbstractContextManager[str | None]]):
        self.folder, self.database = folder, database
        for name, model in MODELS.items():
            save(folder / "models" / name, model, {"model_type": "llama"})


class Machine(RuleBasedStateMachine):
    """Every rule does one thing to both."""

    places: Places

    @initialize()
    def begin(self) -> None:
        self.stack = contextlib.ExitStack()
        self.folder = Path(tempfile.mkdtemp(dir=self.places.folder))
        self.stack.callback(shutil.rmtree, self.folder)
        self.twin, self.count = Twin(), 0
        self.outputs: dict[Content, str] = {}  # digests of results
        self.recipes: dict[str, Content] = {}
        self.moved()
        self.made("tiny", "base0", lambda: self.twin.register("tiny", ("base0",)))
        for number in (0, 1):
            self.skill(f"s{number}", number, "exact")
        self.merge("m0", "task_arithmetic", [("s0", 0.5), ("s1", 0.25)])
        self.merge_by_emr("u", [0, 1])
        self.curate("alias", "s0@1", "prod")

    def moved(self) -> None:
        """To a home and a database that were not there before."""
        self.home = self.place("home")
        self.database = self.stack.enter_context(self.places.database())
        self.store = self.opened()

    def place(self, what: str) -> Path:
        self.count += 1
        return self.folder / f"{what}{self.count}"

    def opened(self) -> Store:
        store = mergestore.open(self.home, database=self.database)
        self.stack.callback(store.close)
        return store

    def teardown(self) -> None:
        self.stack.close()

    def both(self, twin: Callable[[], Any], store: Callable[[], Any]) -> tuple[Any, Any] | None:
        """What both answer; None where both refuse, for the same kind of reason."""
        try:
            expected = twin()
        except MergestoreError as error:
            with pytest.raises(type(error)):
                store()
            return None
        return expected, store()

    # --- what is put on record ---

    def made(self, name: str, model: str, twin: Callable[[], tuple[Version, bool]], **skill: Any) -> None:
        verb = self.store.register_skill if skill else self.store.register_base
        self.record(self.both(twin, lambda: verb(name, self.places.folder / "models" / model, **skill)))

    def record(self, answers: tuple[tuple[Version, bool], Any] | None) -> None:
        if answers is None:
            return
        (version, created), made = answers
        assert (made.name, made.version, made.created) == (version.name, version.number, created)
        if created:
            shown = self.store.show(version.reference)
            version.digest = shown["digest"]
            version.objects = frozenset(file["digest"] for file in shown["files"])
            self.twin.garbage -= version.objects

    @rule(name=st.sampled_from(["b", "tiny"]), model=st.sampled_from(["base0", "base1", "base2"]))
    def base(self, name: str, model: str) -> None:
        self.made(name, model, lambda: self.twin.register(name, (model,)))

    @rule(name=SKILLS, number=st.integers(0, 2), encoding=st.sampled_from(["exact", "exact", "dare", "sign"]))
    def skill(self, name: str, number: int, encoding: str) -> None:
        def twin() -> tuple[Version, bool]:
            base = self.twin.find(TINY)
            return self.twin.register(name, (f"tuned{number}", encoding), (base,))

        self.made(name, f"tuned{number}", twin, base=TINY, encoding=encoding)

    @rule(name=st.sampled_from(["m0", "m1"]), method=METHODS, terms=TERMS)
    def merge(self, name: str, method: str, terms: list[tuple[str, float]]) -> None:
        self.record(
            self.both(
                lambda: self.twin.merge(name, self.twin.resolve(method, terms)),
                lambda: self.store.merge(name, expression(terms), method=method),
            )
        )

    @rule(name=st.sampled_from(["m0", "u"]), numbers=st.permutations([0, 1, 2]))
    def merge_by_emr(self, name: str, numbers: list[int]) -> None:
        whole = [each for each in self.twin.all() if each.content[-1] == "exact"]
        terms = [
            (each.reference, 1.0) for number in numbers[:2] for each in whole if each.content[0][-1] == str(number)
        ]
        if len(terms) < 2:
            return
        text = " + ".join([TINY, *(reference for reference, _ in terms)])
        self.record(
            self.both(
                lambda: self.twin.merge(name, self.twin.resolve("emr", terms)),
                lambda: self.store.merge(name, text, method="emr"),
            )
        )

    @rule(verb=st.sampled_from(["alias", "alias", "unalias", "pin", "unpin"]), reference=ANY, alias=ALIASES)
    def curate(self, verb: str, reference: str, alias: str) -> None:
        match verb:
            case "alias":
                answers = self.both(
                    lambda: self.twin.alias(reference, alias), lambda: self.store.alias(reference, alias, wait=False)
                )
            case "unalias":
                name = reference.partition("@")[0]
                self.both(lambda: self.twin.unalias(name, alias), lambda: self.store.unalias(name, alias, wait=False))
                return
            case "pin":
                answers = self.both(
                    lambda: self.twin.pin(reference, "served"), lambda: self.store.pin(reference, "served")
                )
            case _:
                answers = self.both(lambda: self.twin.unpin(reference), lambda: self.store.unpin(reference))
        self.changed(answers)

    @rule(reference=NAMED)
    def yank(self, reference: str) -> None:
        self.changed(
            self.both(
                lambda: self.twin.yank(reference, "leaked"), lambda: self.store.yank(reference, "leaked", wait=False)
            )
        )

    @rule(reference=NAMED)
    def unyank(self, reference: str) -> None:
        self.changed(
            self.both(
                lambda: self.twin.unyank(reference), lambda: self.store.unyank(reference, "it was not", wait=False)
            )
        )

    @rule()
    def unyank_all(self) -> None:
        for version in [each for each in self.twin.all() if each.yanked]:
            self.unyank(version.reference)

    def changed(self, answers: tuple[Version, dict[str, Any]] | None) -> None:
        if answers is not None:
            version, found = answers
            assert (found["name"], found["version"]) == (version.name, version.number)

    # --- what is made ---

    @rule(method=METHODS, terms=TERMS, cached=st.booleans())
    def materialize(self, method: str, terms: list[tuple[str, float]], cached: bool) -> None:
        self.materialized(
            lambda: (self.twin.resolve(method, terms), None), expression(terms), cached=cached, method=method
        )

    @rule(reference=st.sampled_from(["m0", "m0@1", "m1", "u", "u@1", "m0@prod"]), cached=st.booleans())
    def materialize_merge(self, reference: str, cached: bool) -> None:
        more: dict[str, Any] = {}
        with contextlib.suppress(MergestoreError):
            recipe = self.twin.merges[self.twin.find(reference).reference]
            if recipe.method == "emr":
                more["task"] = recipe.terms[0][0].reference

        def meant() -> tuple[Recipe, Version]:
            merge = self.twin.find(reference)
            recipe = self.twin.merges[merge.reference]
            return Recipe(recipe.method, recipe.terms, more.get("task")), merge

        self.materialized(meant, reference, cached=cached, **more)

    def materialized(
        self, meant: Callable[[], tuple[Recipe, Version | None]], target: str, *, cached: bool, **more: Any
    ) -> None:
        output = None if cached else self.place("out")

        def twin() -> tuple[Recipe, bool, bool]:
            recipe, merge = meant()
            return recipe, *self.twin.materialize(recipe, merge, cached=cached)

        answers = self.both(twin, lambda: self.store.materialize(target, output=output, wait=False, threads=1, **more))
        if answers is None:
            assert output is None or not output.exists()
            return
        (recipe, usable, records), made = answers
        assert made.cached == usable
        assert output is None or made.path == str(output)
        self.recipes[made.recipe_digest] = recipe.content
        if records:
            self.twin.events.append(("materialization.record", made.recipe_digest))
        assert self.outputs.setdefault(recipe.content, made.output_digest) == made.output_digest
        values = expected(recipe)
        assert values is None or read_model(Path(made.path)) == values

    @rule()
    def damage_a_result(self) -> None:
        for folder in sorted(self.home.glob("cache/*")):
            content = self.recipes[f"sha256:{folder.name}"]
            if self.twin.cache[content] == "sound":
                flip(folder / "model.safetensors")
                self.twin.cache[content] = "damaged"
                assert not self.store.verify(folder).ok
                return

    # --- what keeps the house ---

    @rule(model=st.sampled_from(["base1", "base2", "base0", "tuned0"]))
    def abandon(self, model: str) -> None:
        """An object without records, of which some may be needed already, or come to be."""
        digest = lay(self.store, (self.places.folder / "models" / model / "model.safetensors").read_bytes())
        if digest not in self.twin.needed():
            self.twin.garbage.add(digest)

    @rule(evict=st.booleans())
    def collect(self, evict: bool) -> None:
        found = self.store.collect_garbage(grace=NONE, cache_limit=0 if evict else None, apply=True)
        assert {each["digest"] for each in found.objects} == self.twin.garbage
        if self.twin.garbage:
            self.twin.events.append(("objects.delete", "objects"))
        self.twin.garbage = set()
        if evict:
            assert len(found.evicted) == len(self.twin.cache)
            self.twin.cache = {}

    @rule(name=SKILLS, number=st.integers(0, 2))
    def exceed_the_quota(self, name: str, number: int) -> None:
        if self.twin.find(TINY).yanked:
            return
        mergestore.init(self.home, database=self.database, quota=1)
        with pytest.raises(EnvironmentFailure, match="quota"):
            self.store.register_skill(name, self.places.folder / "models" / f"tuned{number}", base=TINY, seed=7)
        mergestore.init(self.home, database=self.database, quota=0)
        self.twin.events += [("store.quota", "store")] * 2

    @rule(number=st.integers(0, 99))
    def damage_and_repair(self, number: int) -> None:
        needed = sorted(self.twin.needed())
        digest = needed[number % len(needed)]
        flip(self.store.home.blobs.path(digest))
        found = self.store.check_store(read_data=True)
        assert {each["digest"] for each in found.problems} == {digest}
        mended = self.store.repair(apply=True)
        assert mended.ok, mended
        self.twin.cache = {content: state for content, state in self.twin.cache.items() if state == "sound"}

    @rule()
    def check(self) -> None:
        found = self.store.check_store(read_data=True)
        assert found.problems == []
        assert found.read["objects"] == len(self.twin.needed())
        damaged = sum(state == "damaged" for state in self.twin.cache.values())
        assert len({Path(each["where"]).parent for each in self.store.verify().problems}) == damaged

    @rule(killed=st.booleans())
    def reopen(self, killed: bool) -> None:
        if not killed:  # else it is never closed, as far as the store can tell
            self.store.close()
        self.store = self.opened()

    @rule()
    def go_on_in_a_restored_backup(self) -> None:
        backup, home, database = self.place("backup"), self.home, self.database
        assert mergestore.backup(backup, home, database=database).ok
        self.store.close()
        self.home, self.database = self.place("home"), self.stack.enter_context(self.places.database())
        assert mergestore.restore(backup, self.home, database=self.database).ok
        self.store = self.opened()
        self.twin.garbage, self.twin.cache = set(), {}

    @rule(reference=SOME | st.sampled_from(["m0", "m1", "u"]))
    def export_and_import(self, reference: str) -> None:
        with contextlib.suppress(MergestoreError):
            version = self.twin.find(reference)
            bundle = self.place("bundle")
            self.store.export(version.reference, bundle, lineage=True)
            again = self.store.import_bundle(bundle)
            assert not any(each["created"] for each in again.versions)
            with mergestore.open(self.place("other")) as other:
                taken = other.import_bundle(bundle)
                digests = {each.digest for each in version.lineage}
                assert {each["digest"] for each in taken.versions} == digests
                assert other.verify().ok

    # --- what must be so after every step ---

    @invariant()
    def the_records_are_the_same(self) -> None:
        listing = self.store.list()
        listed = {each["name"]: each for each in (*listing.bases, *listing.skills, *listing.merges)}
        assert listed.keys() == self.twin.versions.keys()
        for name, versions in self.twin.versions.items():
            meant = next((each for each in reversed(versions) if not each.yanked), versions[-1])
            assert listed[name]["version"] == meant.number
            shown = self.store.show(f"{name}@{len(versions)}")
            found = [(each["version"], each["digest"], each["state"], each["reason"]) for each in shown["versions"]]
            states = [
                (each.number, each.digest, "yanked" if each.yanked else "ready", each.yanked) for each in versions
            ]
            assert sorted(found) == states
            own = sorted(
                alias
                for (model, alias), number in self.twin.aliases.items()
                if (model, number) == (name, len(versions))
            )
            assert sorted(shown["aliases"]) == own
            assert (shown["pinned"] or {}).get("reason") == self.twin.pins.get(f"{name}@{len(versions)}")
        for (name, alias), number in self.twin.aliases.items():
            assert self.store.show(f"{name}@{alias}")["version"] == number

    @invariant()
    def the_log_is_the_same(self) -> None:
        query = select(AuditEvent.action, AuditEvent.subject).where(AuditEvent.action.in_(TOLD))
        with reading(self.store.engine) as session:
            found = [(action, subject) for action, subject in session.execute(query.order_by(AuditEvent.sequence))]
        assert found == self.twin.events

    @invariant()
    def what_contains_the_newest_version_is_the_same(self) -> None:
        version = list(self.twin.all())[-1]
        found = self.store.impact(version.reference)
        assert sorted(f"{each['name']}@{each['version']}" for each in found.versions) == self.twin.containing(version)
        audit = self.store.audit(version.reference)
        assert {each.reference for each in version.lineage} == {node["id"] for node in audit.lineage["nodes"]}

    @invariant()
    def the_objects_are_the_same(self) -> None:
        assert set(self.store.home.blobs.digests()) == self.twin.needed() | self.twin.garbage
        assert len(list(self.home.glob("cache/*"))) == len(self.twin.cache)
        assert list(self.home.glob("tmp/*")) == []


def expression(terms: list[tuple[str, float]]) -> str:
    return " + ".join([TINY, *(f"{weight}*{reference}" for reference, weight in terms)])


def expected(recipe: Recipe) -> Model | None:
    """The result in numpy: base + (sum of weight * delta), fp32, in order of digests. None for what is not exact."""
    if recipe.method != "task_arithmetic" or any(skill.content[-1] != "exact" for skill, _ in recipe.terms):
        return None
    terms = sorted((skill.digest, np.float32(weight), MODELS[skill.content[0]]) for skill, weight in recipe.terms)
    if len(terms) == 1 and terms[0][1] == 1:
        return terms[0][2]
    found = {}
    for name, base in MODELS["base0"].items():
        total = np.zeros(base.shape, np.float32)
        for _, weight, tuned in terms:
            total = total + weight * (tuned[name].values - base.values)
        found[name] = floats(base.values + total)
    return found


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


@pytest.fixture
def places(request: pytest.FixtureRequest, tmp_path: Path, kind: str) -> Places:
    """On SQLite in the store's folder, or on PostgreSQL in a new database."""

    @contextlib.contextmanager
    def sqlite() -> Iterator[None]:
        yield None

    @contextlib.contextmanager
    def postgresql() -> Iterator[str]:
        name = f"machine_{uuid.uuid4().hex}"
        server.run(f'CREATE DATABASE "{name}"')
        yield server.url(name).render_as_string()
        server.run(f'DROP DATABASE "{name}" WITH (FORCE)')

    if kind == "sqlite":
        return Places(tmp_path, sqlite)
    server: Server = request.getfixturevalue("postgres_server")
    return Places(tmp_path, postgresql)


def run(places: Places, examples: int, steps: int) -> None:
    class Here(Machine):
        pass

    Here.places = places
    quiet = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
    run_state_machine_as_test(
        Here,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=quiet,
            print_blob=True,
        ),
    )


KINDS = pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgresql", marks=pytest.mark.server)])


@KINDS
def test_a_store_is_like_its_twin(places: Places) -> None:
    run(places, examples=2, steps=12)


@KINDS
@pytest.mark.slow
def test_a_store_is_like_its_twin_at_length(places: Places) -> None:
    run(places, examples=10, steps=30)
