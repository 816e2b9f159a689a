"""What people see in MLflow's own pages: runs, the lineage drawn, registered versions with aliases, training runs."""

from __future__ import annotations

import uuid

import pytest

pytestmark = [
    pytest.mark.server,
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated"),
]
TRAINING = "?workflowType=machine_learning"  # half of MLflow's pages hide runs otherwise
SLOW = 90_000  # milliseconds: a small machine takes its time to load the pages


@pytest.fixture
def tracking(server):
    return server.url


@pytest.fixture
def page(browser, tracking):
    """A page that may ask the tracking server only; what goes wrong in it fails the test."""
    context = browser.new_context(viewport={"width": 1280, "height": 860})
    context.route(
        "**/*",
        lambda route: (
            route.continue_() if route.request.url.startswith((tracking, "blob:", "data:")) else route.abort()
        ),
    )
    opened, troubles = context.new_page(), []
    opened.set_default_timeout(SLOW)
    opened.on("pageerror", lambda error: troubles.append(str(error)))
    yield opened
    assert troubles == []
    context.close()


def test_a_merge_in_mlflow(world, page):
    store, name, client = world.store, world.merge, world.client
    trained = client.create_run(client.create_experiment("training-" + uuid.uuid4().hex[:8])).info.run_id
    skill = store.register_skill("maths", world.models / "math", base="tiny", seed=3, meta={"run-id": trained})
    store.merge(name, "tiny + 0.6*maths + 0.4*code")
    store.materialize(f"{name}@1")
    made = store.materialize(name)
    store.alias(name, "prod", wait=False)
    store.yank(f"{name}@1", "trained on the wrong catalogue", wait=False)
    assert store.sync()["errors"] == []
    experiment = client.get_run(made.mlflow_run_id).info.experiment_id

    def visit(address, awaited):
        page.goto(f"{world.tracking}/#/{address}")
        page.get_by_text(awaited).first.wait_for()
        assistant = page.get_by_role("button", name="Close")
        if assistant.count():
            assistant.first.click()

    run = f"experiments/{experiment}/runs/{made.mlflow_run_id}"
    visit(run + TRAINING, f"{name}@3")
    about = page.get_by_text("About this run")
    about.wait_for()
    for told in ("tiny + 0.6*maths + 0.4*code", "skill maths@1, licence unknown", "delta_norm", "recipe_digest"):
        page.get_by_text(told).first.wait_for()
    assert about.bounding_box()["x"] < 1000, "the note has pushed everything else off the page"

    visit(f"{run}/artifacts/audit.html{TRAINING}", "recipe.json")
    audit = page.frame_locator("iframe")
    audit.locator(f'.node[data-id="{name}@3"]').wait_for()
    boxes = {box.get_attribute("data-id") for box in audit.locator(".node").all()}
    assert boxes == {"tiny@1", "maths@1", "code@1", f"{name}@3"}
    audit.locator('.node[data-id="maths@1"]').click()
    details = audit.locator("#details").inner_text()
    assert trained in details
    assert "ann@lab" in details
    assert audit.locator("#materializations tbody tr").count() == 1

    visit(f"models/{name}", "Versions")
    page.get_by_text("Version 2").wait_for()
    page.get_by_text("@ prod").wait_for()
    assert page.get_by_text("trained on the wrong catalogue").count() == 1
    visit(f"models/{name}/versions/1", "mergestore.reason")
    assert page.get_by_text("tiny + 0.5*math").first.is_visible()
    visit(f"models/{name}/versions/2", "mergestore.recipe_digest")
    page.get_by_role("link", name=f"{name}@3").click()  # back to the run that made it
    about.wait_for()
    visit(f"experiments/{client.get_run(trained).info.experiment_id}/runs/{trained}{TRAINING}", "mergestore.skill")
    assert page.get_by_text("maths@1").first.is_visible()
    assert client.get_run(trained).data.tags["mergestore.digest"] == skill.digest
