"""What is printed for people: tables that fit, lineage without repetition, nothing that steers the terminal."""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Sequence
from typing import Any

import pytest

from cli import grid, lineage, tables
from cli.grid import Column, print_grid
from mergestore import Audit
from registry.licences.combined import combined

COLUMNS = [Column("name"), Column("size", right=True)]


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().out.splitlines()


def test_a_table_is_title_headings_rule_and_rows(capsys):
    print_grid("skills", COLUMNS, [["math", "5 B"], ["c", "120 kB"]])
    assert lines(capsys) == ["skills", "", " name     size", " " + "─" * 13, " math      5 B", " c      120 kB", ""]


def test_a_table_without_rows_has_its_headings(capsys):
    print_grid("skills", COLUMNS, [])
    assert lines(capsys)[2] == " name   size"


def test_wide_and_combining_characters_keep_columns_straight(capsys):
    print_grid("t", COLUMNS, [["日本", "1"], ["e\u0301", "2"], ["abcd", "3"]])
    assert lines(capsys)[4:7] == [" 日本      1", " e\u0301         2", " abcd      3"]


def test_control_characters_are_spelled_out(capsys):
    print_grid("t", COLUMNS, [["a\x1b[31mb\nc", "1"]])
    assert "a\\x1b[31mb\\nc" in lines(capsys)[4]


@pytest.mark.parametrize("room", [30, 40, 60, 200])
def test_at_a_terminal_cells_are_folded_and_nothing_is_lost(capsys, monkeypatch, room):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setattr(grid.shutil, "get_terminal_size", lambda: os.terminal_size((room, 24)))
    name, path = "n" * 25, "/" + "p" * 70
    print_grid("t", [Column("name"), Column("path")], [[name, path], ["math", "/m"]])
    printed = lines(capsys)
    assert max(map(len, printed)) <= room
    rows = [line for line in printed[4:] if line]
    assert sum(line.count("n") for line in rows[:-1]) == 25
    assert sum(line.count("p") for line in rows[:-1]) == 70
    assert rows[-1].split() == ["math", "/m"]


def test_in_a_pipe_no_line_is_folded(capsys):
    print_grid("t", COLUMNS, [["n" * 3000, "1"]])
    assert len(lines(capsys)[4]) > 3000


@pytest.mark.parametrize(("count", "told"), [(2, ""), (12_345, " … and 12,343 older: --tree or --json tells all")])
def test_what_is_not_shown_is_counted(capsys, count, told):
    tables.newest("events", [{"at": "2026-01-01T00:00:00"}, {"at": "2026-01-02T00:00:00"}], ("at",), count)
    assert (told in lines(capsys)) if told else ("older" not in "".join(lines(capsys)))


# The tree of an audit


def test_a_version_with_parents_is_told_once(capsys):
    """A line of merges of merges has 2^n paths, and n versions."""
    edges = [("m0", "b0", "base")]
    for number in range(1, 25):
        edges += [(f"m{number}", f"m{number - 1}", "merge"), (f"m{number}", f"s{number}", "skill")]
        edges += [(f"s{number}", f"m{number - 1}", "merge")]
    lineage.audit(answer("m24", edges))
    printed = list(itertools.takewhile(lambda line: not line.startswith("licences "), lines(capsys)))
    assert sum("base b0@1" in line for line in printed) == 1
    assert len([line for line in printed if "@1" in line]) == len(edges) + 1
    assert sum(", as above" in line for line in printed) == 24


def test_a_version_is_told_in_full_once_and_what_was_withdrawn_first(capsys):
    edges = [("m", "b", "base"), ("m", "s", "skill"), ("s", "b", "base"), ("m", "t", "skill"), ("t", "s", "merge")]
    told = answer("m", edges)
    for each in told.lineage["nodes"]:
        if each["id"] in ("s@1", "b@1"):
            each.update(state="yanked", reason="trained on the test set")
    lineage.audit(told)
    printed = lines(capsys)[:6]
    assert sum("me@host" in line for line in printed) == 4
    assert printed[1].startswith("├── base b@1 YANKED: trained on the test set (blake3:")
    assert printed[2].startswith("├── skill s@1 YANKED: trained on the test set (blake3:")
    assert printed[3] == "│   └── base b@1 YANKED"
    assert printed[5] == "    └── merge of skill s@1 YANKED, as above"


def test_branches_are_drawn(capsys):
    edges = [("m", "b", "base"), ("m", "s", "skill"), ("s", "b", "base"), ("m", "t", "skill"), ("t", "b", "base")]
    lineage.audit(answer("m", edges))
    assert [line.split(" (")[0] for line in lines(capsys)[:6]] == [
        "merge m@1",
        "├── base b@1",
        "├── skill s@1",
        "│   └── base b@1",
        "└── skill t@1",
        "    └── base b@1",
    ]


KINDS = {"b": "base", "s": "skill", "t": "skill", "m": "merge"}


def answer(root: str, edges: Sequence[tuple[str, str, str]]) -> Audit:
    names = dict.fromkeys(name for child, parent, _ in edges for name in (child, parent))
    arrows = [{"child": f"{child}@1", "parent": f"{parent}@1", "role": role} for child, parent, role in edges]
    counts: dict[str, Any] = {"materializations": 0, "evaluations": 0, "descendants": {}, "events": 0}
    graph = {"nodes": [*map(node, names)], "edges": arrows}
    licences = combined(graph, [f"{root}@1"])
    return Audit(root, 1, "merge", digest(root), None, None, None, graph, licences, [], counts)


def node(name: str) -> dict[str, Any]:
    known = {"id": f"{name}@1", "name": name, "version": 1, "kind": KINDS[name[0]], "digest": digest(name)}
    return {**known, "state": "ready", "licence": None, "created_by": "me@host"}


def digest(word: str) -> str:
    return "blake3:" + word.encode().hex().ljust(64, "0")
