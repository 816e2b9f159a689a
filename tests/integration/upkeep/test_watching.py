"""What tells of a store's work and size: the log, the numbers, the quota."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

import mergestore
from mergestore import EnvironmentFailure, Store
from registry.records.alone import alone
from registry.records.database import reading, writing
from registry.records.tables import StoreMeta
from registry.upkeep.about import ABOUT
from tests.integration.golden_stores import GOLDEN, copy_objects, load_sqlite
from tests.integration.models import LLAMA_CONFIG, fine_tune, llama, save
from tests.integration.shell import Shell

pytestmark = pytest.mark.usefixtures("surroundings")
TUNED = GOLDEN / "format1" / "models" / "tuned"
BASE = llama("F32", seed=1)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A store with something in it, brought up to date."""
    home = copy_objects("store2", tmp_path / "store")
    load_sqlite("store2", home / "registry.db")
    mergestore.init(home)
    return home


@pytest.fixture
def shell(home: Path) -> Shell:
    return Shell(home)


# --- the log ----------------------------------------------------------------------------------------------


def lines(err: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in err.splitlines()]


def test_nothing_is_logged_unless_it_is_asked_for(shell: Shell) -> None:
    assert shell("list")[2] == ""


def test_a_verb_tells_of_its_beginning_and_end(shell: Shell) -> None:
    plain = shell("--json", "list")[1]
    code, out, err = shell("--log-format", "json", "--json", "list")
    assert (code, out) == (0, plain)
    begun, ended = lines(err)
    assert (begun["event"], begun["level"], begun["verb"]) == ("verb.begin", "info", "list")
    assert (ended["event"], ended["outcome"], ended["verb"]) == ("verb.end", "done", "list")
    assert (ended["store"], ended["actor"]) == (str(shell.home), "tester@here")
    assert ended["seconds"] >= 0
    assert (ended["exit_code"], ended["store_id"]) == (0, mergestore_id(shell.home))
    assert begun["time"] <= ended["time"]
    assert shell("list")[2] == ""  # and only of that run


def mergestore_id(home: Path) -> str:
    with mergestore.open(home) as store:
        return store.id


def test_a_verb_tells_what_it_is_about_and_what_came_of_it(shell: Shell) -> None:
    _, out, err = shell("--log-format", "json", "--json", "merge", "new", "golden/base + 0.5*code", "--head", "none")
    begun, *_, ended = lines(err)
    made = json.loads(out)
    assert begun["subject"] == ended["subject"] == ended["name"] == "new"
    assert (ended["version"], ended["recipe_digest"]) == (1, made["recipe_digest"])


@pytest.mark.parametrize(
    "words",
    [
        ("--log-format", "json", "list", "--nonsense"),
        ("--log-format", "json", "nonsense"),
        ("--log-format=json", "--nonsense"),
        ("--nonsense", "--log-format", "json", "--log-level", "error"),
    ],
)
def test_a_command_line_that_cannot_be_read_is_told_too(shell: Shell, words: tuple[str, ...]) -> None:
    _, _, err = shell(*words)
    told, error = lines(err)
    assert (told["event"], told["outcome"], told["exit_code"]) == ("command.refused", "usage", 2)
    assert (error["event"], error["message"]) == ("error", told["message"])


@pytest.mark.parametrize("words", [("--log-format", "noise", "nonsense"), ("nonsense", "--log-format"), ("nonsense",)])
def test_nothing_is_logged_where_no_log_was_asked_for_that_there_is(shell: Shell, words: tuple[str, ...]) -> None:
    code, _, err = shell(*words)
    assert (code, err.startswith("error: ")) == (2, True)


def test_damage_is_told_by_its_exit_code(shell: Shell) -> None:
    next(path for path in (shell.home / "objects").rglob("*") if path.is_file()).unlink()
    _, _, err = shell("--log-format", "json", "check")
    ended = lines(err)[-1]
    assert (ended["level"], ended["outcome"], ended["exit_code"]) == ("error", "integrity", 6)


def test_a_refusal_is_an_error_of_the_log_too(shell: Shell) -> None:
    code, _, err = shell("--log-format", "json", "--log-level", "error", "show", "nobody")
    ended, error = lines(err)
    assert (code, ended["level"], ended["outcome"]) == (3, "error", "not_found")
    assert (error["event"], error["message"]) == ("error", ended["message"])
    assert "mergestore list" in error["hint"]
    assert shell("show", "nobody")[2].startswith("error: ")


def test_what_is_said_to_people_is_in_a_log_of_json(shell: Shell) -> None:
    """The file that stderr goes to has nothing else in it."""
    words = ("materialize", "golden/base + 0.5*code", "--no-wait", "--head", "none")
    _, _, err = shell("--log-format", "json", *words)
    remarks = [each["message"] for each in lines(err) if each["event"] == "remark"]
    assert "provenance waits in the outbox: run `mergestore sync`" in " ".join(remarks)
    assert "provenance waits in the outbox" in shell(*words, "--no-cache")[2]


def test_the_log_can_be_text(shell: Shell) -> None:
    _, _, err = shell("--log-level", "info", "list")
    assert 'info verb.end verb="list"' in err
    assert shell("--log-level", "loud", "list")[0] == 2
    assert shell("--log-format", "xml", "list")[0] == 2


def test_provenance_that_nobody_takes_is_a_warning(shell: Shell) -> None:
    code, _, err = shell("--log-format", "json", "--log-level", "warning", "sync")
    assert code == 7
    assert "provenance.unreachable" in err


def test_waiting_for_others_is_told(home: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "mergestore")
    with mergestore.open(home) as one, mergestore.open(home) as other:
        held, waited = threading.Event(), threading.Event()

        def hold() -> None:
            with alone(one.engine, "job"):
                held.set()
                waited.wait(10)
                with writing(one.engine):
                    pass

        def wait() -> None:
            with alone(other.engine, "job"):
                pass

        holder, waiter = threading.Thread(target=hold), threading.Thread(target=wait)
        holder.start()
        held.wait(10)
        waiter.start()
        threading.Timer(0.3, waited.set).start()
        holder.join()
        waiter.join()
    told = [record for record in caplog.records if record.message == "lease.waiting"]
    assert told
    assert vars(told[0])["fields"]["lease"] == "job"


def test_an_upgrade_is_told(tmp_path: Path) -> None:
    home = copy_objects("store2", tmp_path / "old")
    load_sqlite("store2", home / "registry.db")
    code, _, err = Shell(home)("--log-format", "json", "init")
    (changed,) = [line for line in lines(err) if line["event"] == "schema.changed"]
    assert (code, changed["before"], changed["store"]) == (0, "0002", str(home))
    assert Path(changed["backup"]).exists()


# --- numbers ----------------------------------------------------------------------------------------------


def test_numbers_are_what_is_there(shell: Shell) -> None:
    with mergestore.open(shell.home) as store:
        found = store.metrics()
    listed = {(each["kind"], each["state"]): each["count"] for each in found["versions"]}
    assert sum(listed.values()) == 11
    assert listed["skill", "yanked"] >= 1
    objects = [path for path in (shell.home / "objects").rglob("*") if path.is_file()]
    assert found["object_bytes"] == sum(path.stat().st_size for path in objects)
    assert found["objects"] == found["objects_never_read"] == len(objects)
    assert found["oldest_read_seconds"] is None
    assert found["outbox_messages"] == 4
    assert found["outbox_oldest_seconds"] > 0
    shell.text("verify")
    after = shell.json("metrics")
    assert after["objects_never_read"] == 0
    assert 0 <= after["oldest_read_seconds"] < 600


def test_prometheus_can_read_them(shell: Shell) -> None:
    found = {family.name: family for family in text_string_to_metric_families(shell.text("metrics"))}
    numbers = shell.json("metrics")
    assert found.keys() == {f"mergestore_{name}" for name, value in numbers.items() if value is not None}
    assert all(family.type == "gauge" and family.documentation for family in found.values())
    counts = {tuple(sorted(each.labels.items())): each.value for each in found["mergestore_versions"].samples}
    assert counts[("kind", "base"), ("state", "ready")] == 1
    (objects,) = found["mergestore_objects"].samples
    assert objects.value == numbers["objects"]


def test_the_page_tells_of_every_number(shell: Shell) -> None:
    page = (GOLDEN.parents[1] / "docs" / "operations.md").read_text()
    rows = re.findall(r"^\| `mergestore_(\w+)` \| (.+) \|$", page, re.MULTILINE)
    assert dict(rows) == ABOUT
    assert shell.json("metrics").keys() == ABOUT.keys()


# --- the quota --------------------------------------------------------------------------------------------


@pytest.fixture
def models(tmp_path: Path) -> Path:
    save(tmp_path / "models" / "base", BASE, LLAMA_CONFIG)
    save(tmp_path / "models" / "math", fine_tune(BASE, 1), LLAMA_CONFIG)
    return tmp_path / "models"


@pytest.fixture
def store(tmp_path: Path, models: Path, database_url: str) -> Iterator[Store]:
    with mergestore.open(tmp_path / "new", database=database_url) as store:
        store.register_base("base", models / "base")
        yield store


def limit_to_what_is_there(store: Store, more: int) -> int:
    used = int(store.metrics()["object_bytes"])
    mergestore.init(store.home.root, database=store.engine.url.render_as_string(False), quota=used + more)
    return used


def test_what_would_exceed_the_quota_is_refused_before_it_is_written(store: Store, models: Path) -> None:
    used = limit_to_what_is_there(store, 10)
    before = sorted(store.home.blobs.digests())
    for attempt in (
        lambda: store.register_base("other", models / "math"),
        lambda: store.register_skill("math", models / "math", base="base"),
    ):
        with pytest.raises(EnvironmentFailure, match=f"quota of {used + 10:,} bytes is used up"):
            attempt()
    assert sorted(store.home.blobs.digests()) == before
    assert not list((store.home.root / "tmp").iterdir())
    assert store.metrics()["quota_bytes"] == used + 10
    (check,) = [each for each in store.doctor()["checks"] if each["name"] == "quota"]
    assert check["level"] == "warning"
    limit_to_what_is_there(store, 10**9)
    assert store.register_skill("math", models / "math", base="base").created
    assert store.verify().problems == []


def test_a_bundle_that_is_too_large_is_refused(store: Store, models: Path, tmp_path: Path) -> None:
    bundle = tmp_path / "base.tar"
    store.export("base", bundle, bases=True)
    mergestore.init(tmp_path / "small", quota=100)
    with mergestore.open(tmp_path / "small") as small:
        with pytest.raises(EnvironmentFailure, match="quota of 100 bytes"):
            small.import_bundle(bundle)
        assert list(small.home.blobs.digests()) == []
        assert small.list().bases == []


def test_the_environment_can_only_make_it_smaller(store: Store, models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home, database = store.home.root, store.engine.url.render_as_string(False)
    monkeypatch.setenv("MERGESTORE_QUOTA", "1kB")
    with mergestore.open(home, database=database) as small:
        assert small.metrics()["quota_bytes"] == 1000
        with pytest.raises(EnvironmentFailure, match="quota of 1,000 bytes"):
            small.register_skill("math", models / "math", base="base")
    limit_to_what_is_there(store, 0)
    monkeypatch.setenv("MERGESTORE_QUOTA", "5TB")
    with mergestore.open(home, database=database) as small, pytest.raises(EnvironmentFailure, match="is used up"):
        small.register_skill("math", models / "math", base="base")
    monkeypatch.setenv("MERGESTORE_QUOTA", "much")
    with pytest.raises(mergestore.UsageError):
        mergestore.open(home, database=database)


def test_a_cache_of_nothing_is_refused_with_the_smallest_that_there_is(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MERGESTORE_OBJECTS_CACHE", "0")
    with pytest.raises(mergestore.UsageError, match="OBJECTS_CACHE: 0 is too small, the smallest is 1") as caught:
        mergestore.open(store.home.root, database=store.engine.url.render_as_string(False))
    assert "is read from this cache" in str(caught.value.hint)


def test_a_quota_is_set_shown_and_taken_away_on_record(shell: Shell) -> None:
    assert "quota 500 GB" in shell.text("init", "--quota", "500GB")
    assert shell.json("init")["quota"] == 500 * 10**9
    assert shell.json("init", "--quota", "0")["quota"] is None
    found = shell.json("find", "events", "--action", "store.quota")
    assert [event["details"]["bytes"] for event in found["rows"]] == [None, 500 * 10**9]
    assert shell.json("verify")["ok"]


def test_a_quota_that_was_changed_by_hand_is_found(store: Store) -> None:
    limit_to_what_is_there(store, 10)
    with writing(store.engine) as session:
        session.get_one(StoreMeta, "quota").value = "1" * 20
    with reading(store.engine):
        (problem,) = store.check_store().problems
    assert "quota" in problem["what"]
