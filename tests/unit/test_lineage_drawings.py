"""Lineage as text for other programs and as a page: what is drawn, and that no text leaves its place."""

import html
import itertools
import json
import random
import re
import shutil
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from registry.audits.drawing import dot, mermaid
from registry.audits.layout import HIGH, WIDE, layout
from registry.audits.page import render, write
from registry.licences.combined import combined
from registry.results import Audit
from storage.errors import UsageError

DIGEST = "blake3:" + "0" * 64
texts = st.text(max_size=12)


@st.composite
def graphs(draw):
    """Versions, each made of some that came before it; names and reasons are any text."""
    kinds = draw(st.lists(st.sampled_from(["base", "skill", "merge"]), min_size=1, max_size=8))
    nodes = [
        {
            "id": f"n{place}", "kind": kind, "name": draw(texts), "version": place + 1, "digest": DIGEST,
            "licence": draw(st.none() | texts), "state": draw(st.sampled_from(["ready", "yanked"])),
            "reason": draw(texts),
        }
        for place, kind in enumerate(kinds)
    ]  # fmt: skip
    edges = [
        {"child": f"n{child}", "parent": f"n{parent}", "role": draw(texts)}
        for child in range(len(nodes))
        for parent in draw(st.sets(st.integers(0, child - 1)) if child else st.just(set()))
    ]
    return {"nodes": nodes, "edges": edges}


@given(graphs())
def test_every_version_and_every_edge_has_a_line(graph):
    for text, arrow in ((mermaid(graph), "-->"), (dot(graph), "->")):
        lines = text.splitlines()
        for place in range(len(graph["nodes"])):
            assert sum(bool(re.match(rf"  n{place}[\[(]| {{2}}n{place} \[", line)) for line in lines) == 1
        assert sum(f" {arrow}" in line.split('"')[0] or f" {arrow}|" in line for line in lines) == len(graph["edges"])


def layered(seed):
    """Base models, skills, merges, results registered again: each made of some of any layer before it."""
    chance = random.Random(seed)
    nodes, edges, older = [], [], []
    for layer in range(chance.randint(1, 7)):
        fresh = [f"n{layer}.{place}" for place in range(chance.randint(1, 9))]
        for child in fresh:
            nodes.append({"id": child})
            parents = chance.sample(older, chance.randint(0, min(6, len(older))))
            edges += [{"child": child, "parent": parent, "role": "skill"} for parent in parents]
        older += fresh
    chance.shuffle(nodes)
    chance.shuffle(edges)
    return {"nodes": nodes, "edges": edges}


layers = st.integers(0, 2**32).map(layered)


def points(line, steps=40):
    """Points along a path of M, C and H, close together."""
    found = []
    for command, numbers in re.findall(r"([MCH])([^MCH]*)", line):
        values = [float(each) for each in numbers.split()]
        if command == "M":
            found.append((values[0], values[1]))
            continue
        x, y = found[-1]
        if command == "H":
            values = [x, y, values[0], y, values[0], y]
        for step in range(1, steps + 1):
            part = step / steps
            shares = ((1 - part) ** 3, 3 * part * (1 - part) ** 2, 3 * part**2 * (1 - part), part**3)
            found.append(
                tuple(
                    sum(share * each for share, each in zip(shares, axis, strict=True))
                    for axis in ((x, *values[0::2]), (y, *values[1::2]))
                )
            )
    return found


@settings(deadline=None)
@given(layers)
def test_no_line_runs_behind_a_box_that_it_does_not_belong_to(graph):
    drawn = layout(graph)
    assert len(drawn.lines) == len(drawn.labels) == len(graph["edges"])
    for edge, line in zip(graph["edges"], drawn.lines, strict=True):
        way = points(line)
        start, end = drawn.places[edge["parent"]], drawn.places[edge["child"]]
        assert way[0] == (start[0] + WIDE, start[1] + HIGH // 2)
        assert way[-1] == (end[0], end[1] + HIGH // 2)
        for name, (x, y) in drawn.places.items():
            if name in (edge["child"], edge["parent"]):
                continue
            near = [at for at in way if x - 1 < at[0] < x + WIDE + 1 and y - 5 < at[1] < y + HIGH + 5]
            assert near == [], (edge, name)


@settings(deadline=None)
@given(layers)
def test_lines_of_different_boxes_do_not_run_along_each_other(graph):
    """Lines that lie on each other past a column would be taken for one."""
    lanes = {}
    for edge, line in zip(graph["edges"], layout(graph).lines, strict=True):
        for place in re.findall(r"(\d+ \d+)H", line):
            assert lanes.setdefault(place, edge["parent"]) == edge["parent"]


@given(graphs())
def test_whoever_is_made_of_others_stands_behind_them_and_nobody_on_another(graph):
    drawn = layout(graph)
    places = list(drawn.places.values())
    assert all(
        abs(one[0] - other[0]) >= WIDE or abs(one[1] - other[1]) > HIGH
        for one, other in itertools.combinations(places, 2)
    )
    assert all(0 <= x <= drawn.size[0] - WIDE and 0 <= y <= drawn.size[1] - HIGH for x, y in places)
    for edge in graph["edges"]:
        assert drawn.places[edge["parent"]][0] < drawn.places[edge["child"]][0]


def test_a_graph_that_goes_round_is_laid_out_all_the_same():
    nodes = [{"id": name} for name in "ab"]
    edges = [{"child": "a", "parent": "b"}, {"child": "b", "parent": "a"}]
    assert set(layout({"nodes": nodes, "edges": edges}).places) == {"a", "b"}


NESTED = {
    "nodes": [
        {"id": "b@1", "kind": "base", "name": "b", "version": 1, "digest": DIGEST, "licence": "MIT", "state": "ready"},
        {"id": "s@2", "kind": "skill", "name": "s", "version": 2, "digest": DIGEST, "licence": None, "state": "yanked"},
        {
            "id": "m@1", "kind": "merge", "name": "m", "version": 1, "digest": "sha256:" + "ab" * 32, "licence": None,
            "state": "ready", "recipe": {"method": "ties", "parameters": {"density": 0.2, "seed": 7}},
        },
    ],
    "edges": [
        {"child": "m@1", "parent": "b@1", "role": "base"},
        {
            "child": "m@1", "parent": "s@2", "role": "skill",
            "weight": [{"filter": "self_attn", "value": 0.5}, {"value": -1}],
        },
    ],
}  # fmt: skip


def test_digests_methods_seeds_weights_and_licences_are_drawn():
    assert mermaid(NESTED).splitlines()[1:6] == [
        '  n0[("base: b@1<br/>blake3:000000000000<br/>MIT")]',
        '  n1(["skill: s@2<br/>blake3:000000000000<br/>licence not stated<br/>YANKED"])',
        '  n2["merge: m@1<br/>sha256:abababababab<br/>ties, seed 7"]',
        '  n0 -->|"base"| n2',
        '  n1 -->|"{self_attn: 0.5, *: -1} skill"| n2',
    ]
    text = dot(NESTED)
    assert '[label="merge: m@1\\nsha256:abababababab\\nties, seed 7", shape=box];' in text
    assert 'n1 -> n2 [label="{self_attn: 0.5, *: -1} skill"];' in text


STATEMENT = re.compile(
    r'  n\d+ \[label="(?:[^"\\]|\\.)*", shape=\w+(?:, style=dashed)?\];|  n\d+ -> n\d+ \[label="(?:[^"\\]|\\.)*"\];'
)
"""A line of a digraph, by Graphviz's grammar: https://graphviz.org/doc/info/lang.html"""


@given(graphs())
def test_a_digraph_is_nothing_but_statements(graph):
    first, *statements, last = dot(graph).splitlines()
    assert (first, last) == ("digraph lineage {", "}")
    assert all(STATEMENT.fullmatch(line) for line in statements[2:])
    assert len(statements) == 2 + len(graph["nodes"]) + len(graph["edges"])


@pytest.mark.skipif(shutil.which("dot") is None, reason="Graphviz is not installed")
@settings(max_examples=25, deadline=None)
@given(graphs(), texts | st.just('"];\n}\x00 &lt; &nothing; \\ \\N <b>'))
def test_graphviz_reads_what_is_written_for_it(graph, name):
    graph["nodes"][0]["name"] = name
    ran = subprocess.run(["dot", "-Tdot_json"], input=dot(graph).encode(), capture_output=True, check=True)
    assert ran.stderr == b""
    read = json.loads(ran.stdout)
    assert [each["name"] for each in read["objects"]] == [f"n{place}" for place in range(len(graph["nodes"]))]
    assert len(read.get("edges", [])) == len(graph["edges"])
    printable = "".join(each if each.isprintable() else " " for each in name)
    if printable:
        assert html.unescape(read["objects"][0]["label"].split("\\n")[0]).startswith(
            f"{graph['nodes'][0]['kind']}: {printable}".replace("\\", "\\\\")
        )


def _audit(graph, **more):
    licences = combined(graph, [node["id"] for node in graph["nodes"][-1:]])
    return Audit("m", 1, "merge", DIGEST, more.get("expression"), None, None, graph, licences, [], {"descendants": {}})


@given(graphs(), texts | st.just("</script><script>alert(1)</script>") | st.just("<!--<script>"))
def test_what_a_page_holds_stays_in_its_place(graph, expression):
    page = render(_audit(graph, expression=expression))
    assert page.count("<script") == 2
    assert page.count("</script>") == 2
    data = re.search(r'<script type="application/json" id="audit">(.*?)</script>', page, re.DOTALL)
    document = json.loads(data[1])
    assert document["expression"] == expression
    assert [node["name"] for node in document["lineage"]["nodes"]] == [node["name"] for node in graph["nodes"]]
    shell = page.replace(data[0], "")
    assert "http://" not in shell.replace("http://www.w3.org/2000/svg", "")
    assert "https://" not in shell


def test_a_page_is_put_into_a_file_or_refused(tmp_path):
    audit = _audit({"nodes": [], "edges": []})
    for place in (tmp_path, tmp_path / "none" / "a.html"):
        with pytest.raises(UsageError, match=r"is a folder|no folder"):
            write(audit, place)
    write(audit, tmp_path / "a.html")
    assert (tmp_path / "a.html").read_text().startswith("<!doctype html>")
