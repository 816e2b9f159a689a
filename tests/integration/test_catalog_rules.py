"""The rules of the catalog, on SQLite and PostgreSQL: versions, what references mean, aliases."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine, event

from registry.records import aliases, catalog, events, readiness
from registry.records.database import reading, writing
from storage.errors import Conflict, NotFound, UsageError
from tests.integration.registry_samples import ME, actions, digest, make

# --- versions ------------------------------------------------------------------------------------------------


def test_versions_count_from_one_per_name(engine: Engine) -> None:
    with writing(engine) as session:
        numbers = [make(session, name).version for name in ("math", "math", "code", "math")]
        assert numbers == [1, 2, 1, 3]


def test_a_version_remembers_what_it_was_given(engine: Engine) -> None:
    with writing(engine) as session:
        make(session, "math", licence="MIT", source="/models/math", attributes={"prefix": "bert.", "n": [1, 2.5]})
    with reading(engine) as session:
        found = catalog.resolve(session, "math@1")
        made_so = events.of(session, ["math@1"])[0]
    assert (found.name, found.kind, found.licence, found.source) == ("math", "skill", "MIT", "/models/math")
    assert found.attributes == {"prefix": "bert.", "n": [1, 2.5]}
    assert found.created_at.tzinfo is UTC
    assert datetime.now(UTC) - found.created_at < timedelta(minutes=1)
    assert (made_so["action"], made_so["actor"]) == ("version.create", ME)
    assert made_so["details"]["digest"] == digest("math")


def test_names_are_unique_across_kinds(engine: Engine) -> None:
    with writing(engine) as session:
        make(session, "math", "skill")
        with pytest.raises(Conflict, match="taken by a skill"):
            make(session, "math", "base")


def test_a_malformed_name_is_not_recorded(engine: Engine) -> None:
    with writing(engine) as session, pytest.raises(UsageError):
        make(session, "../math")
    with reading(engine) as session:
        assert catalog.list_versions(session) == []


def test_content_is_recognised(engine: Engine) -> None:
    with writing(engine) as session:
        first, _ = make(session, "math", content="a"), make(session, "math", content="b")
        make(session, "code", content="c")
        assert catalog.find_version_by_digest(session, "math", digest("a")) is first
        assert catalog.find_version_by_digest(session, "math", digest("c")) is None
        assert catalog.find_version_by_digest(session, "physics", digest("a")) is None


# --- resolving -----------------------------------------------------------------------------------------------


@pytest.fixture
def three(engine: Engine) -> Engine:
    """math with three versions, the newest yanked, the first called prod; a base and a merge."""
    with writing(engine) as session:
        versions = [make(session, "math", content=word) for word in "abc"]
        aliases.set_alias(session, versions[0], "prod", actor=ME)
        readiness.yank(session, versions[2], "trained on the test set", actor=ME)
        make(session, "llama", "base")
        make(session, "assistant", "merge")
    return engine


@pytest.mark.parametrize(
    ("reference", "version", "state"),
    [("math", 2, "ready"), ("math@1", 1, "ready"), ("math@3", 3, "yanked"), ("math@prod", 1, "ready")],
)
def test_what_a_reference_means(three: Engine, reference: str, version: int, state: str) -> None:
    with reading(three) as session:
        found = catalog.resolve(session, reference)
    assert (found.name, found.version, found.state) == ("math", version, state)


@pytest.mark.parametrize(
    ("reference", "message", "hint"),
    [
        ("mth", "there is no model 'mth'", "did you mean math?"),
        ("zebra", "there is no model 'zebra'", "`mergestore list` shows what there is"),
        ("math@4", "math has no version 4", "it has versions 1 to 3"),
        ("llama@2", "llama has no version 2", "it has only version 1"),
        ("math@99999999999999999999", "math has no version 99999999999999999999", "it has versions 1 to 3"),
        ("math@dev", "math has no alias 'dev'", "its aliases are prod"),
        ("llama@dev", "llama has no alias 'dev'", "it has no aliases"),
    ],
)
def test_what_a_reference_cannot_mean(three: Engine, reference: str, message: str, hint: str) -> None:
    with reading(three) as session, pytest.raises(NotFound) as caught:
        catalog.resolve(session, reference)
    assert (caught.value.message, caught.value.hint) == (message, hint)


def test_kinds_narrow_what_is_found(three: Engine) -> None:
    with reading(three) as session:
        assert catalog.resolve(session, "llama", kinds=("base",)).kind == "base"
        with pytest.raises(NotFound, match="there is no base model 'math': it is a skill"):
            catalog.resolve(session, "math", kinds=("base",))
        with pytest.raises(NotFound) as caught:
            catalog.resolve(session, "mathe", kinds=("skill", "merge"))
    assert caught.value.message == "there is no skill or merge 'mathe'"
    assert caught.value.details == {"near": ["math"]}


def test_nothing_ready(three: Engine) -> None:
    with writing(three) as session:
        for number in (1, 2):
            readiness.yank(session, catalog.resolve(session, f"math@{number}"), "old", actor=ME)
        with pytest.raises(Conflict, match=r"2 is yanked: old; 3 is yanked: trained on the test set"):
            catalog.resolve(session, "math")
        assert catalog.resolve(session, "math@prod").state == "yanked"


def test_listing_shows_what_bare_names_mean(three: Engine) -> None:
    with writing(three) as session:
        readiness.yank(session, make(session, "bad"), "wrong", actor=ME)
    with reading(three) as session:
        listed = [(each.reference, each.state) for each in catalog.list_versions(session)]
        skills = [each.name for each in catalog.list_versions(session, "skill")]
    assert listed == [("assistant@1", "ready"), ("bad@1", "yanked"), ("llama@1", "ready"), ("math@2", "ready")]
    assert skills == ["bad", "math"]


def test_listing_is_one_query(three: Engine) -> None:
    statements: list[str] = []
    event.listen(three, "before_cursor_execute", lambda c, cur, statement, *rest: statements.append(statement))
    with reading(three) as session:
        assert len([each.name for each in catalog.list_versions(session)]) == 3
    assert len([statement for statement in statements if statement.startswith(("SELECT", "WITH"))]) == 1


def test_listing_is_in_order_of_code_points(engine: Engine) -> None:
    names = ["b", "B", "a-b", "a.b", "a/b", "a_b", "ab", "A", "1"]
    with writing(engine) as session:
        for name in names:
            make(session, name)
    with reading(engine) as session:
        assert [each.name for each in catalog.list_versions(session)] == sorted(names)


def test_all_versions_of_a_name(three: Engine) -> None:
    with reading(three) as session:
        assert [each.version for each in catalog.versions(session, "math")] == [1, 2, 3]
        assert catalog.versions(session, "nobody") == []


# --- yanking and aliases -------------------------------------------------------------------------------------


def test_yanking_keeps_the_version_and_its_reason(three: Engine) -> None:
    with reading(three) as session:
        version = catalog.resolve(session, "math@3")
        assert version.reason == "trained on the test set"
        assert events.of(session, ["math@3"])[-1]["details"] == {"reason": "trained on the test set"}


def test_yanking_twice_or_without_reason(three: Engine) -> None:
    with writing(three) as session:
        with pytest.raises(Conflict, match="yanked already: trained on the test set"):
            readiness.yank(session, catalog.resolve(session, "math@3"), "again", actor=ME)
        with pytest.raises(UsageError):
            readiness.yank(session, catalog.resolve(session, "math@2"), "  ", actor=ME)


def test_an_alias_moves_and_remembers(three: Engine) -> None:
    with writing(three) as session:
        second = catalog.resolve(session, "math@2")
        aliases.set_alias(session, second, "prod", actor="you")
        aliases.set_alias(session, second, "prod", actor="you")  # means it already: no move
        aliases.remove_alias(session, "math", "prod", actor="she")
        aliases.set_alias(session, catalog.resolve(session, "math@1"), "prod", actor=ME)
    with reading(three) as session:
        model_id = catalog.resolve(session, "math").model_id
        history = aliases.alias_history(session, model_id)
        assert [(move["version"], move["previous"], move["actor"]) for move in history] == [
            (1, None, ME),
            (2, 1, "you"),
            (None, 2, "she"),
            (1, None, ME),
        ]
        assert actions(session).count("alias.set") == 3
        assert actions(session).count("alias.remove") == 1
        first = catalog.resolve(session, "math@1")
        assert aliases.aliases(session, model_id) == [(first.id, "prod")]
        assert aliases.aliases(session) == [(first.id, "prod")]


def test_aliases_are_per_model(three: Engine) -> None:
    with writing(three) as session:
        aliases.set_alias(session, catalog.resolve(session, "llama"), "prod", actor=ME)
        assert catalog.resolve(session, "math@prod").name == "math"
        assert catalog.resolve(session, "llama@prod").name == "llama"


def test_refused_aliases(three: Engine) -> None:
    with writing(three) as session:
        with pytest.raises(Conflict, match="math@3 is yanked"):
            aliases.set_alias(session, catalog.resolve(session, "math@3"), "prod", actor=ME)
        with pytest.raises(UsageError):
            aliases.set_alias(session, catalog.resolve(session, "math@2"), "7", actor=ME)
        for name, alias in (("math", "dev"), ("nobody", "prod")):
            with pytest.raises(NotFound, match="has no alias"):
                aliases.remove_alias(session, name, alias, actor=ME)
