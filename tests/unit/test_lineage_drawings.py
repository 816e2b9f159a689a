"""Lineage as text for other programs and as a page: what is drawn, and that no text leaves its place."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.audits.drawing import dot, mermaid
from registry.audits.page import layout, render, write
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


@given(graphs())
def test_whoever_is_made_of_others_stands_behind_them_and_nobody_on_another(graph):
    places = layout(graph)
    assert len(set(places.values())) == len(graph["nodes"])
    for edge in graph["edges"]:
        assert places[edge["parent"]][0] < places[edge["child"]][0]


def test_a_graph_that_goes_round_is_laid_out_all_the_same():
    nodes = [{"id": name} for name in "ab"]
    edges = [{"child": "a", "parent": "b"}, {"child": "b", "parent": "a"}]
    assert set(layout({"nodes": nodes, "edges": edges})) == {"a", "b"}


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
    assert "http://" not in page.replace("http://www.w3.org/2000/svg", "")
    assert "https://" not in page.replace(json.dumps(expression), "")


def test_a_page_is_put_into_a_file_or_refused(tmp_path):
    audit = _audit({"nodes": [], "edges": []})
    for place in (tmp_path, tmp_path / "none" / "a.html"):
        with pytest.raises(UsageError, match=r"is a folder|no folder"):
            write(audit, place)
    write(audit, tmp_path / "a.html")
    assert (tmp_path / "a.html").read_text().startswith("<!doctype html>")
