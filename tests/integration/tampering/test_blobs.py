"""Every stored file, damaged in every region and in every way: found and named, and never taken for what it was."""

from __future__ import annotations

import json
import shutil
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

import mergestore
from mergestore import IntegrityFailure, Store
from registry.records.database import reading, writing
from tests.integration.shell import Shell
from tests.integration.tampering.conftest import Everything

pytestmark = pytest.mark.usefixtures("surroundings")

INTEGRITY = 6
Content = bytes | None


@pytest.fixture(scope="module")
def damaged(everything: Everything, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the store; every test leaves its files as they were."""
    home = tmp_path_factory.mktemp("damaged") / "store"
    shutil.copytree(everything.home, home, ignore=shutil.ignore_patterns("cache"))
    return home


@pytest.fixture(scope="module")
def store(damaged: Path) -> Iterator[Store]:
    with mergestore.open(damaged, create=False) as opened:
        yield opened


@pytest.fixture(scope="module")
def uses(store: Store) -> dict[str, set[str]]:
    """The versions that each blob is of."""
    query = (
        "SELECT f.blob_digest, m.name || '@' || v.version FROM model_version v JOIN model m ON m.id = v.model_id "
        "JOIN (SELECT version_id, blob_digest FROM version_file "
        "UNION SELECT version_id, blob_digest FROM statistics) f ON f.version_id = v.id "
        "WHERE f.blob_digest IS NOT NULL"
    )
    found: dict[str, set[str]] = {}
    with reading(store.engine) as session:
        for digest, reference in session.execute(text(query)):
            found.setdefault(digest, set()).add(reference)
    assert len(found) > 9
    return found


# --- the ways ---------------------------------------------------------------------------------------------


def regions(content: bytes) -> list[int]:
    """A place in each region of a file: its first and last bytes, its header, and every payload's edges and middle."""
    places = [0, len(content) // 2, len(content) - 1]
    if content[8:9] == b"{":  # safetensors: the header's length, the header, then the payloads that it names
        end = 8 + struct.unpack("<Q", content[:8])[0]
        places += [7, 8, 8 + (end - 8) // 2, end - 1]
        for name, entry in json.loads(content[8:end]).items():
            if name != "__metadata__" and entry["data_offsets"][0] < entry["data_offsets"][1]:
                first, last = (end + offset for offset in entry["data_offsets"])
                places += [first, (first + last) // 2, last - 1]
    return sorted(set(places))


def flipped(content: bytes, place: int) -> bytes:
    changed = bytearray(content)
    changed[place] ^= 1 << (place % 8)
    return bytes(changed)


Way = Callable[[Path, bytes, Path], None]
"""Does something to a file that has this content; the last is the file of another blob."""


def _written(change: Callable[[bytes], bytes]) -> Way:
    return lambda path, content, other: (path.write_bytes(change(content)), None)[1]


def _swapped(path: Path, content: bytes, other: Path) -> None:
    path.write_bytes(other.read_bytes())


def _gone(path: Path, content: bytes, other: Path) -> None:
    path.unlink()


def _a_folder(path: Path, content: bytes, other: Path) -> None:
    path.unlink()
    path.mkdir()


def _a_link(path: Path, content: bytes, other: Path) -> None:
    """To the very same bytes, somewhere else: right today, and whatever somebody makes of them tomorrow."""
    aside = path.parents[3] / "aside"
    aside.mkdir(exist_ok=True)
    (aside / path.name).write_bytes(content)
    path.unlink()
    path.symlink_to(aside / path.name)


def _a_link_to_another(path: Path, content: bytes, other: Path) -> None:
    path.unlink()
    path.symlink_to(other)


WAYS: dict[str, Way] = {
    "a bit": _written(lambda content: flipped(content, len(content) // 3)),
    "cut by one": _written(lambda content: content[:-1]),
    "cut in half": _written(lambda content: content[: len(content) // 2]),
    "cut to its header": _written(lambda content: content[:8]),
    "longer": _written(lambda content: content + b"\0"),
    "empty": _written(lambda content: b""),
    "zeros": _written(lambda content: bytes(len(content))),
    "another blob": _swapped,
    "gone": _gone,
    "a folder": _a_folder,
    "a link": _a_link,
    "a link to another": _a_link_to_another,
}


def restore(path: Path, content: bytes) -> None:
    if path.is_dir() and not path.is_symlink():
        path.rmdir()
    else:
        path.unlink(missing_ok=True)
    path.write_bytes(content)


# --- found --------------------------------------------------------------------------------------------------


def test_every_blob_of_the_store_is_of_something(store: Store, uses: dict[str, set[str]]) -> None:
    assert sorted(uses) == list(store.home.blobs.digests())


@pytest.mark.parametrize("way", WAYS)
def test_whatever_is_done_to_it_a_blob_is_named_with_what_it_is_of(
    store: Store, damaged: Path, uses: dict[str, set[str]], way: str
) -> None:
    """All blobs at once: each is found by itself."""
    contents = {digest: store.home.blobs.path(digest).read_bytes() for digest in uses}
    others = dict(zip(contents, [*list(contents)[1:], next(iter(contents))], strict=True))
    try:
        # Of those that are exchanged every second one stays, to be taken from.
        chosen = list(uses)[::2] if "another" in way else list(uses)
        for digest in chosen:
            path = store.home.blobs.path(digest)
            WAYS[way](path, contents[digest], store.home.blobs.path(others[digest]))
        problems = store.verify().problems
        for digest in chosen:
            named = [problem for problem in problems if digest in problem["what"]]
            assert named, digest
            assert all(reference in named[0]["where"] for reference in uses[digest])
            assert named[0]["hint"]
        told = Shell(damaged).json("verify", code=INTEGRITY)
        assert {problem["what"] for problem in told["problems"]} == {problem["what"] for problem in problems}
    finally:
        for digest, content in contents.items():
            restore(store.home.blobs.path(digest), content)
    assert store.verify().ok


def test_one_bit_in_every_region_is_found(store: Store, uses: dict[str, set[str]]) -> None:
    contents = {digest: store.home.blobs.path(digest).read_bytes() for digest in uses}
    places = {digest: regions(content) for digest, content in contents.items()}
    assert max(map(len, places.values())) > 20
    for turn in range(max(map(len, places.values()))):
        for digest, content in contents.items():
            place = places[digest][turn % len(places[digest])]
            store.home.blobs.path(digest).write_bytes(flipped(content, place))
        told = " ".join(problem["what"] for problem in store.verify().problems)
        assert [digest for digest in uses if digest not in told] == []
    for digest, content in contents.items():
        store.home.blobs.path(digest).write_bytes(content)


def test_a_sha256_that_was_changed_is_found(store: Store, uses: dict[str, set[str]]) -> None:
    """What left the store has its SHA-256 on record; no other record vouches for that, but the bytes do."""
    digest = next(digest for digest in uses if "small@1" in uses[digest])
    with writing(store.engine) as session:
        session.execute(text("UPDATE blob SET sha256 = :sha256"), {"sha256": "sha256:" + "0" * 64})
    try:
        (problem,) = [each for each in store.verify().problems if digest in each["what"]]
        assert "has the SHA-256" in problem["what"]
        assert "small@1" in problem["where"]
    finally:
        with writing(store.engine) as session:
            session.execute(text("UPDATE blob SET sha256 = NULL"))
    assert store.verify().ok


# --- never taken for what it was ----------------------------------------------------------------------------

OUT = "{out}"
COMMANDS: tuple[tuple[str, ...], ...] = (
    ("materialize", "assistant@1", "-o", OUT),
    ("audit", "assistant@1", "--rebuild"),
    ("materialize", "golden/base + 0.5*code", "--head", "none", "-o", OUT),
    ("export", "style@1", "-o", OUT),
    ("materialize", "several", "--task", "code", "-o", OUT),
    ("materialize", "weighed", "-o", OUT),
    ("materialize", "twice", "-o", OUT),
    ("export", "several", "weighted", "-o", OUT),
    ("check", "weighed"),
    ("materialize", "assistant@1", "--as", "lora", "--rank", "2", "--rest", "drop", "-o", OUT),
    ("diff", "math@1", "again@1"),
    ("show", "code"),
    ("audit", "assistant@1"),
    ("stats", "list"),
    ("impact", "golden/base"),
)
SAID = ("output_digest", "recipe_digest", "digest", "problems", "tensors", "needs", "lineage", "versions", "statistics")


def answer(home: Path, words: tuple[str, ...], out: Path) -> tuple[int, Any, str]:
    """Exit code, what matters of the answer, and all that was said."""
    for path in (home / "cache", out):
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    code, stdout, stderr = Shell(home)(*(word.replace(OUT, str(out)) for word in words), "--json")
    document = json.loads(stdout) if code == 0 else {}
    return code, {key: document[key] for key in SAID if key in document}, stdout + stderr


@pytest.fixture(scope="module")
def healthy(damaged: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, ...], Any]:
    """What each command answers when nothing is wrong."""
    out = tmp_path_factory.mktemp("healthy") / "out"
    found = {}
    for words in COMMANDS:
        code, said, told = answer(damaged, words, out)
        assert code == 0, told
        assert said or words[0] == "export", words
        found[words] = said
    return found


@pytest.mark.slow
def test_no_command_answers_wrongly(
    store: Store, damaged: Path, uses: dict[str, set[str]], healthy: dict[tuple[str, ...], Any], tmp_path: Path
) -> None:
    """With one file damaged, a command answers as before (it does not need the file), or fails with exit code 6."""
    out, failed, turn = tmp_path / "out", set(), 0
    for digest in sorted(uses):
        path = store.home.blobs.path(digest)
        content = path.read_bytes()
        other = store.home.blobs.path(next(each for each in uses if each != digest))
        for way, do in WAYS.items():
            do(path, content, other)
            some = COMMANDS if way == "a bit" else [COMMANDS[turn % len(COMMANDS)]]
            turn += 1
            for words in some:
                code, said, told = answer(damaged, words, out)
                assert "Traceback" not in told
                assert code == INTEGRITY or (code == 0 and said == healthy[words]), (uses[digest], way, words, told)
                if code == INTEGRITY:
                    failed.add(digest)
                    assert not out.exists(), (way, words)
            restore(path, content)
    spared = {digest: uses[digest] for digest in uses.keys() - failed}
    assert list(spared.values()) == [{"again@1"}]  # its config, which no result here has


def test_nothing_is_loaded_from_damaged_files(store: Store, uses: dict[str, set[str]]) -> None:
    import torch

    right = store.load("assistant@1")
    for digest, references in uses.items():
        if not references & {"golden/base@1", "math@2", "polite@1"}:
            continue
        path = store.home.blobs.path(digest)
        content = path.read_bytes()
        for place in regions(content):
            path.write_bytes(flipped(content, place))
            try:
                loaded = store.load("assistant@1")
            except IntegrityFailure:
                continue
            finally:
                path.write_bytes(content)
            assert all(torch.equal(loaded[name], right[name]) for name in right), (references, place)
