"""Scores on record: of what they are, who sees them, and that the chain vouches for them, on SQLite and PostgreSQL."""

from __future__ import annotations

import shutil

import pytest
import yaml
from sqlalchemy import Engine, text

import mergestore
from mergestore import IntegrityFailure, NotFound, UsageError
from registry.records import integrity
from registry.records.database import migrating, reading, writing
from registry.records.evaluations import add_evaluation, evaluations
from registry.scores import model_index
from tests.integration.models import LLAMA_CONFIG, fine_tune, llama, save
from tests.integration.registry_samples import ME, make, record, skill
from tests.integration.shell import Shell

BASE = llama(seed=1)


@pytest.fixture(scope="module")
def models(surroundings, tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    save(folder / "tiny", BASE, LLAMA_CONFIG)
    for number in (1, 2):
        save(folder / f"ft{number}", fine_tune(BASE, number), LLAMA_CONFIG)
    return folder


@pytest.fixture
def shell(models, tmp_path):
    shell = Shell(tmp_path / "store", tmp_path)
    shell.text("init")
    shell.text("register", "base", "tiny", models / "tiny", "--licence", "MIT")
    shell.text("register", "skill", "math", models / "ft1", "--base", "tiny", "--licence", "MIT")
    shell.text("register", "skill", "code", models / "ft2", "--base", "tiny", "--licence", "MIT")
    shell.text("merge", "assistant", "tiny + 0.6*math + 0.4*code")
    shell.text("merge", "other", "tiny + 0.6*math")
    return shell


def score(shell, target, value=0.8, **more):
    words = [word for key, given in more.items() for word in (f"--{key}", given)]
    return shell.json(
        "evaluations", "add", target, "--metric", "recall", "--value", value, "--dataset", "gsm8k", *words
    )


def test_a_score_is_of_what_it_was_measured_on(shell, tmp_path):
    made = shell.json("materialize", "assistant", "-o", tmp_path / "out", "--no-wait")
    unnamed = shell.json("materialize", "tiny + 0.1*code", "-o", tmp_path / "unnamed", "--no-wait")
    named = score(shell, "assistant", detail="task=text-retrieval")
    assert (named["of"], named["recipe_digest"]) == ("assistant@1", made["recipe_digest"])
    assert named["details"] == {"task": "text-retrieval"}
    for target in (tmp_path / "out", made["recipe_digest"], made["output_digest"], made["output_digest"][:20]):
        again = score(shell, target)
        assert (again["of"], again["recipe_digest"]) == ("assistant@1", made["recipe_digest"]), target
    for target in (tmp_path / "unnamed", unnamed["output_digest"], unnamed["recipe_digest"]):
        assert score(shell, target)["of"] == unnamed["recipe_digest"]
    for target in ("math", "tiny@1"):
        found = score(shell, target, -1.5)
        assert (found["of"], found["recipe_digest"], found["value"]) == (f"{target[:4]}@1", None, -1.5)
    assert len(shell.json("evaluations", "list")["evaluations"]) == 10
    listed = shell.json("evaluations", "list", "assistant")["evaluations"]
    assert [each["id"] for each in listed] == sorted((each["id"] for each in listed), reverse=True)
    assert {each["of"] for each in listed} == {"assistant@1"}
    assert len(listed) == 5
    assert shell.json("verify")["ok"]


def never_evaluated(shell):
    return [row["name"] for row in shell.json("find", "merges", "--never", "evaluated")["rows"]]


def test_those_who_ask_see_scores(shell):
    assert never_evaluated(shell) == ["other", "assistant"]
    score(shell, "assistant", 0.5)
    score(shell, "assistant", 0.75)
    assert never_evaluated(shell) == ["other"]
    audited = shell.json("audit", "assistant")
    assert [each["value"] for each in audited["evaluations"]] == [0.75, 0.5]
    assert audited["counts"]["evaluations"] == 2
    assert "evaluation.add" in {event["action"] for event in audited["events"]}
    assert [each["value"] for each in shell.json("show", "assistant")["evaluations"]] == [0.75, 0.5]
    assert "0.75" in shell.text("show", "assistant")
    assert " recall   0.75 " in shell.text("audit", "assistant")
    assert "recorded recall 0.9 on gsm8k of other@1" in shell.text(
        *("evaluations", "add", "other", "--metric", "recall", "--value", 0.9, "--dataset", "gsm8k")
    )


def test_the_model_card_has_the_newest_scores_in_the_form_of_the_hub(shell, tmp_path):
    huggingface_hub = pytest.importorskip("huggingface_hub")
    score(shell, "assistant", 0.5, detail="task=text-retrieval")
    score(shell, "assistant", 0.75, detail="task=text-retrieval")
    shell.json("materialize", "assistant", "-o", tmp_path / "out", "--no-wait")
    card = (tmp_path / "out" / "README.md").read_text()
    front = yaml.safe_load(card.split("---\n")[1])
    assert front["model-index"] == [
        {
            "name": "assistant",
            "results": [
                {
                    "task": {"type": "text-retrieval"},
                    "dataset": {"type": "gsm8k", "name": "gsm8k"},
                    "metrics": [{"type": "recall", "value": 0.75}],
                }
            ],
        }
    ]
    (result,) = huggingface_hub.ModelCard(card).data.eval_results
    assert (result.metric_type, result.metric_value, result.task_type) == ("recall", 0.75, "text-retrieval")
    assert model_index("x", []) == []


@pytest.mark.parametrize(
    ("code", "target", "options"),
    [
        (3, "nobody", {}),
        (3, "sha256:0123456789", {}),
        (2, ".", {}),
        (2, "assistant", {"--value": "nan"}),
        (2, "assistant", {"--value": "inf"}),
        (2, "assistant", {"--value": "much"}),
        (2, "assistant", {"--metric": " "}),
        (2, "assistant", {"--dataset": "a\nb"}),
        (2, "assistant", {"--detail": "task"}),
        (2, "assistant", {"--detail": "a b=c"}),
    ],
)
def test_what_is_no_score_is_refused_and_nothing_changes(shell, code, target, options):
    words = {"--metric": "recall", "--value": "0.5", "--dataset": "gsm8k"} | options
    shell.refused(code, "evaluations", "add", target, *(word for pair in words.items() for word in pair))


def test_a_folder_of_another_store_is_refused(shell, tmp_path, models):
    shell.json("materialize", "assistant", "-o", tmp_path / "out", "--no-wait")
    shutil.copytree(tmp_path / "out", tmp_path / "copy")
    assert score(shell, tmp_path / "copy")["of"] == "assistant@1"
    with mergestore.open(tmp_path / "elsewhere") as other, pytest.raises(NotFound, match="has not made"):
        other.add_evaluation(tmp_path / "out", metric="recall", value=0.5, dataset="d")
    (tmp_path / "copy" / "mergestore.json").write_text("{}")
    with mergestore.open(tmp_path / "store") as store:
        for call in (store.add_evaluation, store.evaluations):
            more = {"metric": "a", "value": 1, "dataset": "b"} if call == store.add_evaluation else {}
            with pytest.raises(IntegrityFailure):
                call(tmp_path / "copy", **more)
        with pytest.raises(UsageError, match="finite"):
            store.add_evaluation("assistant", metric="a", value=True, dataset="b")


@pytest.fixture
def scored(engine: Engine) -> Engine:
    with writing(engine) as session:
        base = make(session, "llama", "base")
        math = skill(session, base, "math")
        recipe = record(session, math)
        for version, digest in ((math, None), (None, recipe.digest)):
            add_evaluation(
                session, version=version, recipe_digest=digest, metric="m", value=0.1 + 0.2, dataset="d",
                details={"split": "test"}, actor=ME,
            )  # fmt: skip
    return engine


def test_scores_are_kept_as_they_are(scored: Engine) -> None:
    with reading(scored) as session:
        assert [each["where"] for each in integrity.verify_records(session)] == ["llama@1"]  # which has no files here
        found = evaluations(session, [2], [])
        assert [(each.value, each.details, each.created_by) for each in found] == [(0.1 + 0.2, {"split": "test"}, ME)]


@pytest.mark.parametrize(
    ("statement", "where"),
    [
        ("UPDATE evaluation SET value = 0.9 WHERE id = 1", "math@1"),
        ("UPDATE evaluation SET dataset = 'e' WHERE id = 2", "sha256:"),
        ("UPDATE evaluation SET version_id = 1 WHERE id = 1", "math@1"),
        ("UPDATE evaluation SET details = '{}' WHERE id = 2", "sha256:"),
        ("DELETE FROM evaluation WHERE id = 1", "math@1"),
        ("INSERT INTO evaluation (id, version_id, metric, value, dataset, details, created_at, created_by) "
         "SELECT 7, version_id, metric, value, dataset, details, created_at, created_by FROM evaluation WHERE id = 1",
         "evaluation 7"),
    ],
)  # fmt: skip
def test_a_score_that_was_changed_is_found(scored: Engine, statement: str, where: str) -> None:
    with reading(scored) as session:
        before = integrity.verify_records(session)
    with migrating(scored) as connection:
        connection.execute(text(statement))
    with reading(scored) as session:
        found = [each for each in integrity.verify_records(session) if each not in before]
    assert [each["where"].startswith(where) for each in found] == [True]
    assert "evaluation" in found[0]["what"]
