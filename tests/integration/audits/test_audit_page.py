"""The page of an audit in a real browser, without a network: what a reviewer sees and can do."""

from __future__ import annotations

import pytest

import mergestore
from registry.audits.page import write
from tests.integration.models import LLAMA_CONFIG, fine_tune, llama, save

BASE = llama("F32", seed=1)


@pytest.fixture(scope="module")
def audited(surroundings, tmp_path_factory):
    """A file with the page of a merge of a merge, one of whose skills was withdrawn."""
    folder = tmp_path_factory.mktemp("page")
    save(folder / "tiny", BASE, LLAMA_CONFIG)
    for number, name in enumerate(("math", "code", "chat")):
        save(folder / name, fine_tune(BASE, number + 1), LLAMA_CONFIG)
    with mergestore.open(folder / "store", actor="ann@lab") as store:
        store.register_base("tiny", folder / "tiny", licence="MIT")
        store.register_skill("math", folder / "math", base="tiny", meta={"dataset": "<b>gsm8k</b>"})
        store.register_skill("code", folder / "code", base="tiny", licence="Apache-2.0")
        store.register_skill("chat", folder / "chat", base="tiny")
        store.merge("inner", "tiny + 0.6*math + 0.4*code")
        store.materialize("inner", output=folder / "inner", wait=False)
        store.register_skill("both", folder / "inner", base="tiny", encoding="exact")
        store.merge("outer", "tiny + 0.5*both + 0.5*chat")
        for _ in range(14):
            store.alias("outer", "prod")
            store.unalias("outer", "prod")
        store.yank("code@1", "trained on the test set")
        write(store.audit("outer"), folder / "audit.html")
    return folder / "audit.html"


@pytest.fixture
def page(browser, audited):
    """The page, opened offline; whatever goes wrong in it fails the test."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, offline=True)
    opened, troubles, asked = context.new_page(), [], []
    opened.on("pageerror", lambda error: troubles.append(str(error)))
    opened.on("console", lambda message: troubles.append(message.text) if message.type == "error" else None)
    opened.on("request", lambda request: asked.append(request.url))
    opened.goto(audited.as_uri())
    yield opened
    assert troubles == []
    assert [url for url in asked if not url.startswith("file:")] == []
    context.close()


def test_the_whole_lineage_is_drawn_and_nothing_lies_on_another(page):
    assert page.title() == "Audit of outer@1"
    boxes = {box.get_attribute("data-id"): box.bounding_box() for box in page.locator(".node").all()}
    assert set(boxes) == {"tiny@1", "math@1", "code@1", "chat@1", "inner@1", "both@1", "outer@1"}
    assert page.locator("path.edge").count() == len(page.evaluate("audit.lineage.edges"))
    for name, one in boxes.items():
        for other in (boxes[each] for each in boxes if each != name):
            apart = abs(one["x"] - other["x"]) >= one["width"] or abs(one["y"] - other["y"]) >= one["height"]
            assert apart, name
    area = page.locator("#graph").bounding_box()
    result = boxes["outer@1"]
    assert area["x"] <= result["x"] <= area["x"] + area["width"] - result["width"], "the result is seen at first"
    assert result["height"] > 25, "and what is written in it can be read"
    page.locator("#graph").dblclick(position={"x": 3, "y": 3})
    boxes = {box.get_attribute("data-id"): box.bounding_box() for box in page.locator(".node").all()}
    assert all(area["x"] <= box["x"] and box["x"] + box["width"] <= area["x"] + area["width"] for box in boxes.values())
    assert "yanked code@1: trained on the test set" in page.locator("#checks").inner_text()


def test_a_box_tells_all_of_its_version_and_shows_what_belongs_to_it(page):
    page.locator('.node[data-id="math@1"]').click()
    told = page.locator("#details").inner_text()
    assert "skill math@1" in told
    assert "<b>gsm8k</b>" in told  # as text
    assert "skill of inner@1" in told
    faded = {box.get_attribute("data-id") for box in page.locator(".node.faded").all()}
    assert faded == {"code@1", "chat@1"}
    assert page.url.endswith("#math%401")
    page.get_by_role("button", name="show all").click()
    assert page.locator(".faded").count() == 0


def test_licences_are_told_with_the_ways_by_which_they_come_in(page):
    told = page.locator("#licences").inner_text()
    assert "Apache-2.0 AND MIT AND NOASSERTION: a list of what was stated, not legal advice." in told
    rows = [row.inner_text().split("\t") for row in page.locator("#licences tbody tr").all()]
    assert ["Apache-2.0", "code@1", "outer@1 → both@1 → inner@1 → skill code@1"] in rows
    assert ["not stated", "chat@1", "outer@1 → skill chat@1"] in rows


def test_the_keyboard_and_a_link_choose_a_version_too(page):
    page.locator('.node[data-id="chat@1"]').focus()
    page.keyboard.press("Enter")
    assert "skill chat@1" in page.locator("#details").inner_text()
    page.locator("#versions a", has_text="tiny@1").click()
    assert "base tiny@1" in page.locator("#details").inner_text()
    page.goto(page.url.split("#")[0] + "#code%401")
    page.reload()
    assert "trained on the test set" in page.locator("#details").inner_text()


def test_the_graph_is_moved_and_zoomed(page):
    before = page.locator('.node[data-id="tiny@1"]').bounding_box()
    area = page.locator("#graph").bounding_box()
    page.mouse.move(area["x"] + 10, area["y"] + 10)
    page.mouse.down()
    page.mouse.move(area["x"] + 60, area["y"] + 40)
    page.mouse.up()
    moved = page.locator('.node[data-id="tiny@1"]').bounding_box()
    assert (round(moved["x"] - before["x"]), round(moved["y"] - before["y"])) == (50, 30)
    page.mouse.wheel(0, -200)
    page.wait_for_function(
        "before => document.querySelector('.node').getBoundingClientRect().width > before", arg=before["width"]
    )


def test_rows_of_a_long_table_are_filtered(page):
    rows = page.locator("#events tbody tr")
    assert rows.count() > 12
    page.get_by_label("filter events").fill("version.yank")
    assert [row.inner_text() for row in rows.all() if row.is_visible()]
    assert all("version.yank" in row.inner_text() for row in rows.all() if row.is_visible())
