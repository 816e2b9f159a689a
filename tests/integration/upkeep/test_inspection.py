"""``check`` of a store: structure without reading bytes, bytes in parts and in time, and what was read when."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import pytest
from sqlalchemy import text

import mergestore
from mergestore import UsageError
from registry.records.database import writing
from tests.integration.models import LLAMA_CONFIG, fine_tune, llama, save
from tests.integration.shell import Shell

ROOT = Path(__file__).parents[3]
BASE = llama("F32", seed=1)


@pytest.fixture
def store(surroundings, database_url, tmp_path):
    save(tmp_path / "tiny", BASE, LLAMA_CONFIG)
    save(tmp_path / "far", llama("F32", seed=2), LLAMA_CONFIG)
    with mergestore.open(tmp_path / "store", database=database_url, actor="ann@lab") as opened:
        opened.register_base("tiny", tmp_path / "tiny")
        opened.register_base("far", tmp_path / "far", reference=True)
        for number in range(6):
            save(tmp_path / f"m{number}", fine_tune(BASE, number), LLAMA_CONFIG)
            opened.register_skill(f"skill-{number}", tmp_path / f"m{number}", base="tiny")
        yield opened


def test_the_structure_is_checked_without_reading(store, tmp_path):
    found = store.check_store()
    total = len(list(store.home.blobs.digests()))
    assert (found.ok, found.read, found.never_read) == (True, {"objects": 0, "bytes": 0}, total)
    assert found.checked == {"versions": 8, "objects": total}
    first, second, third = list(store.home.blobs.digests())[:3]
    path = store.home.blobs.path(first)
    path.write_bytes(path.read_bytes()[:-1])
    store.home.blobs.path(second).unlink()
    damaged = store.home.blobs.path(third)
    damaged.write_bytes(bytes([damaged.read_bytes()[0] ^ 1]) + damaged.read_bytes()[1:])
    (tmp_path / "far" / "model.safetensors").unlink()
    found = store.check_store()
    assert not found.ok
    told = {problem.get("digest"): problem for problem in found.problems}
    assert set(told) == {first, second, None}, "the third is changed in a byte: only reading finds that"
    assert "instead of" in told[first]["what"]
    assert "is missing" in told[second]["what"]
    assert (told[None]["where"], "is missing" in told[None]["what"]) == ("far@1", True)
    assert all("@1" in problem["where"] for problem in found.problems)
    found = store.check_store(read_data=True)
    assert third in {problem.get("digest") for problem in found.problems}
    assert (found.never_read, found.references) == (3, 1)
    repaired = store.repair()
    assert [each["where"] for each in repaired.references] == ["far@1"]
    assert not repaired.ok


def test_a_record_that_is_damaged(store):
    with writing(store.engine) as session:
        session.execute(text("UPDATE version_file SET path = 'other' WHERE path = 'config.json'"))
    found = store.check_store()
    assert any("the record of the files of tiny@1 was changed" in problem["what"] for problem in found.problems)


def test_a_path_that_no_file_can_have(store, database_url):
    if store.engine.dialect.name != "sqlite":
        pytest.skip("the server holds no such text")
    nul = "UPDATE version_file SET referenced_path = 'a' || char(0) || 'b' WHERE referenced_path IS NOT NULL"
    with writing(store.engine) as session:
        session.execute(text(nul))
    found = store.check_store()
    assert any(("is missing" in told["what"], told["where"]) == (True, "far@1") for told in found.problems)
    for words in (("check",), ("verify",), ("verify", "far"), ("diff", "far", "tiny"), ("repair",)):
        code, out, err = Shell(store.home.root)(*words, "--database", database_url, "--json")
        assert code == 6, (words, out + err)


@pytest.mark.parametrize("words", [("check", "--read-data"), ("verify",), ("verify", "far")])
def test_a_base_that_cannot_be_looked_at_hides_no_damage(store, database_url, tmp_path, words):
    """Its folder is without the right to it, as that of another user; root is bound by that here too."""
    far, digest = tmp_path / "far", min(store.home.blobs.digests())

    def asked():
        code, answer = ask(store, database_url, *words)
        return code, {(each["kind"], each["where"]) for each in answer["problems"]}

    far.chmod(0)
    try:
        assert asked() == (7, {("environment", "far@1")})
        path = store.home.blobs.path(digest)
        path.write_bytes(bytes([path.read_bytes()[0] ^ 1]) + path.read_bytes()[1:])
        code, problems = asked()
    finally:
        far.chmod(0o755)
    assert ("environment", "far@1") in problems
    whole = words != ("verify", "far")
    assert (code, {kind for kind, _ in problems}) == (
        (6, {"environment", "integrity"}) if whole else (7, {"environment"})
    )


slow = pytest.mark.slow


@slow
@pytest.mark.parametrize("what", ["object", "folder", "all", "published"])
def test_what_may_not_be_read_hides_no_damage_and_is_none(store, database_url, tmp_path, what):
    """An object, or a folder of them, without the right to it; root is bound by that here too."""
    blobs = store.home.blobs
    withheld, damaged = sorted(blobs.digests(), key=lambda digest: -blobs.size(digest))[:2]
    out = Path(store.materialize("tiny + skill-0", output=tmp_path / "out").path)
    place = {
        "object": blobs.path(withheld),
        "folder": blobs.path(withheld).parent,
        "all": blobs.objects,
        "published": out,
    }[what]
    mode, path = place.stat().st_mode, blobs.path(damaged)
    good, objects = path.read_bytes(), len(list(blobs.digests()))

    def asked(*words):
        return ask(store, database_url, *words)

    def close(place, mode):
        place.chmod(0)
        try:
            return [asked(*words) for words in READING]
        finally:
            place.chmod(mode)

    for words, (code, answer) in zip(READING, close(place, mode), strict=True):
        told = problems(answer)
        if what == "published" and words != ("verify",):
            assert (code, told) == (0, [])
            continue
        assert (code, {each["kind"] for each in told}) == (7, {"environment"}), (words, answer)
        assert all("Permission denied" in each["what"] for each in told)
        named = {each.get("digest") for each in told}
        assert withheld in named or words == ("verify",)
        if what in ("object", "folder") and "read" in answer:
            assert answer["read"]["objects"] == objects - len(named)
        assert answer.get("objects", []) == []
    if what == "all":
        return
    path.write_bytes(bytes([good[0] ^ 1]) + good[1:])
    for words, (code, answer) in zip(READING, close(place, mode), strict=True):
        kinds = {each["kind"] for each in problems(answer)} | {"integrity" for _ in answer.get("objects", [])}
        assert (code, "integrity" in kinds) == (6, True), (words, answer)
        if words == ("repair",):
            assert [each["digest"] for each in answer["objects"]] == [damaged]
    if what == "object":
        (tmp_path / "copy").write_bytes(good)
        place.chmod(0)
        code, answer = asked("repair", "--apply", "--from", str(tmp_path / "copy"))
        assert (code, [each["state"] for each in answer["objects"]], path.read_bytes() == good) == (7, ["mended"], True)
        assert {each["digest"] for each in answer["unreadable"]} == {withheld}
        assert [each.name for each in store.home.quarantine.iterdir()] == [damaged.replace(":", "-")]
        assert "UNREADABLE: " in in_words(store, database_url, "repair")


@slow
def test_what_may_not_be_read_keeps_nothing_else_from_being_read(store, database_url):
    """A night's share is as large as the object, which stays the one that was not read for longest."""
    blobs = store.home.blobs
    sizes = {digest: blobs.size(digest) for digest in blobs.digests()}
    withheld = max(sizes, key=lambda digest: sizes[digest])
    share = f"{100 * sizes[withheld] / sum(sizes.values()) - 0.1}%"
    blobs.path(withheld).chmod(0)
    for _ in range(len(sizes)):
        code, answer = ask(store, database_url, "check", "--read-data-subset", share)
        assert code in (0, 7), answer
        if answer["never_read"] == 1:
            break
    assert (code, answer["never_read"]) == (7, 1)


READING = (("check", "--read-data"), ("verify",), ("repair",))


def ask(store, database_url, *words):
    """Exit code and answer of a command whose user permissions bind."""
    command = [*bound(), sys.executable, "-m", "cli", "--store", str(store.home.root), "--database", database_url]
    done = subprocess.run([*command, *words, "--json"], cwd=ROOT, capture_output=True, text=True)
    return done.returncode, json.loads(done.stdout)


def in_words(store, database_url, *words):
    command = [*bound(), sys.executable, "-m", "cli", "--store", str(store.home.root), "--database", database_url]
    return subprocess.run([*command, *words], cwd=ROOT, capture_output=True, text=True).stdout


def problems(answer):
    return answer["problems"] if "problems" in answer else answer["unreadable"] + answer["references"]


def bound():
    """Before a command that permissions are to bind: root is, without these powers."""
    return ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []


@pytest.mark.parametrize("column", ["created_at", "verified_at"])
@pytest.mark.parametrize("moment", [-1, 2**62])
def test_a_moment_of_an_object_that_is_none(store, database_url, column, moment):
    if store.engine.dialect.name != "sqlite":
        pytest.skip("the server holds no such moment")
    with writing(store.engine) as session:
        session.execute(text(f"UPDATE blob SET {column} = {moment} WHERE size = (SELECT max(size) FROM blob)"))
    for words in (("check",), ("verify",)):
        code, out, err = Shell(store.home.root)(*words, "--database", database_url, "--json")
        assert code == 6, (words, out + err)
    assert f"blob: {column} of the row with digest" in out


def test_parts_make_up_the_whole(store):
    total = len(list(store.home.blobs.digests()))
    read = [store.check_store(share=f"{part}/4").read["objects"] for part in range(1, 5)]
    assert sum(read) == total
    done = store.check_store()
    assert done.never_read == 0
    assert datetime.fromisoformat(done.read_since).tzinfo is not None


def test_percent_read_what_was_not_read_for_longest(store):
    sizes = {digest: store.home.blobs.size(digest) for digest in store.home.blobs.digests()}
    rounds, left = 0, len(sizes)
    while left:
        found = store.check_store(share="25%")
        assert found.read["bytes"] >= sum(sizes.values()) / 4
        assert found.never_read < left, "something is read that never was"
        rounds, left = rounds + 1, found.never_read
    assert rounds <= 4 + len(sizes)
    since = store.check_store().read_since
    store.check_store(share="1%")
    assert store.check_store().read_since > since


def test_time_that_is_up(store):
    total = len(list(store.home.blobs.digests()))
    found = store.check_store(read_data=True, seconds=0)
    assert (found.read["objects"], found.left["objects"], found.ok) == (0, total, True)
    found = store.check_store(read_data=True, seconds=3600)
    assert (found.read["objects"], found.left["objects"]) == (total, 0)


def test_verify_is_remembered_too_and_damage_is_forgotten(store):
    assert store.verify().ok
    assert store.check_store().never_read == 0
    (digest, *_) = store.home.blobs.digests()
    path = store.home.blobs.path(digest)
    path.write_bytes(os.urandom(path.stat().st_size))
    assert not store.verify().ok
    found = store.check_store()
    assert (found.ok, found.never_read, found.read_since) == (True, 1, None)


@pytest.mark.parametrize("share", ["", "5", "0%", "101%", "0/3", "4/3", "1/0", "a/b", "-1%"])
def test_shares_that_are_none(store, share):
    with pytest.raises(UsageError, match="is no share of the data"):
        store.check_store(share=share)


def test_on_the_command_line(surroundings, tmp_path):
    save(tmp_path / "tiny", BASE, LLAMA_CONFIG)
    with mergestore.open(tmp_path / "store", actor="ann@lab") as opened:
        opened.register_base("tiny", tmp_path / "tiny")
    shell = Shell(tmp_path / "store", tmp_path)
    assert shell.text("check").startswith("ok: checked 1 version, ")
    assert "never read since they were stored" in shell.text("check")
    assert "every object was read since" in shell.text("check", "--read-data", "--max-duration", "1h")
    assert shell.json("check", "--read-data-subset", "1/1")["ok"] is True
    for words in (("tiny", "--read-data"), ("--read-data", "--read-data-subset", "5%"), ("--max-duration", "1h")):
        assert shell.refused(2, "check", *words)["message"]
    assert "Say what to combine once" in shell.refused(2, "check", "--method", "ties")["message"]
    for path in (tmp_path / "store" / "objects").rglob("*"):
        if path.is_file():
            path.write_bytes(path.read_bytes() + b"0")
    code, out, _ = shell("check")
    assert (code, out.startswith("DAMAGED")) == (6, True)


@pytest.mark.parametrize("change", ["gone", "changed"])
def test_what_is_lost_keeps_nothing_else_from_being_read(store, change):
    """A night's share is as large as the object: it would be chosen each night, and nothing else."""
    sizes = {digest: store.home.blobs.size(digest) for digest in store.home.blobs.digests()}
    lost = max(sizes, key=lambda digest: sizes[digest])
    path, share = store.home.blobs.path(lost), f"{100 * sizes[lost] / sum(sizes.values()) - 0.1}%"
    good = path.read_bytes()
    if change == "gone":
        path.unlink()
    else:
        path.write_bytes(bytes([good[0] ^ 1]) + good[1:])
    for _ in range(2 * len(sizes)):
        found = store.check_store(share=share)
    assert (found.ok, found.never_read, found.read_since) == (False, 1, None)
    assert {each["digest"] for each in found.problems} == {lost}
    assert store.metrics()["objects_never_read"] == 1
    path.write_bytes(good)
    assert store.check_store(share=share).read_since is not None, "it is read again, whatever else is"


def test_what_was_read_and_is_gone_since_is_not_told_to_have_been_read(store):
    assert store.check_store(read_data=True).read_since is not None
    store.home.blobs.path(min(store.home.blobs.digests())).unlink()
    assert store.check_store().read_since is None


def test_time_goes_to_what_is_not_known_to_be_damaged(store, monkeypatch):
    digests = list(store.home.blobs.digests())
    for digest in digests[:3]:
        path = store.home.blobs.path(digest)
        path.write_bytes(os.urandom(path.stat().st_size))
    store.check_store(read_data=True)
    read = []
    monkeypatch.setattr(type(store.home.blobs), "verify", lambda self, digest, sha256=None: read.append(digest))
    store.check_store(read_data=True)
    assert set(read[-3:]) == set(digests[:3])
