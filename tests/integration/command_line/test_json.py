"""Every verb of the command line against a real store: the JSON that is promised."""

import json

import pytest
from safetensors.numpy import load_file

from tests.integration.command_line.models import SHAPES
from tests.integration.shell import Shell


def test_init_says_whether_the_store_is_new(tmp_path):
    shell = Shell(tmp_path / "new")
    first, second = shell.json("init"), shell.json("init")
    assert (first["created"], second["created"]) == (True, False)
    assert first["home"] == second["home"] == str(tmp_path / "new")


def test_register_base(fresh, models):
    answer = fresh.json("register", "base", "org/tiny", models / "base")
    assert answer["name"] == "org/tiny"
    assert answer["version"] == 1
    assert answer["digest"].startswith("blake3:")
    assert answer["tensors"] == len(SHAPES)
    assert answer["parameters"] == 64 * 16 + 16 * 16 + 16
    assert answer["bytes"] >= 4 * answer["parameters"]
    assert answer["created"] is True
    assert fresh.json("register", "base", "org/tiny", models / "base")["created"] is False


def test_register_skill(fresh, models):
    fresh.text("register", "base", "tiny", models / "base")
    words = ("register", "skill", "math", models / "math", "--base", "tiny", "--seed", 7, "--values", "bf16")
    answer = fresh.json(*words)
    assert (answer["name"], answer["version"], answer["encoding"], answer["values"]) == ("math", 1, "dare", "bf16")
    assert answer["base"]["name"] == "tiny"
    assert set(answer["base"]) == {"name", "version", "digest"}
    assert answer["drop_rate"] == pytest.approx(0.9, abs=1e-4)
    assert answer["seed"] == 7
    assert answer["stored_bytes"] > 0
    assert answer["bits_per_parameter"] > 0
    assert answer["statistics"]


def test_merge_names_a_recipe_once(filled):
    words = ("merge", "again", "tiny + 0.5*math", "--method", "dare_linear", "--param", "lambda=0.8")
    first, second = filled.json(*words), filled.json(*words)
    assert set(first) >= {"name", "version", "recipe_digest", "recipe"}
    assert (first["version"], first["created"], second["version"], second["created"]) == (1, True, 1, False)
    assert first["recipe_digest"] == second["recipe_digest"]


def test_materialize_writes_the_folder_and_reuses_the_cache(filled, tmp_path):
    target = tmp_path / "out"
    answer = filled.json("materialize", "assistant", "-o", target, "--no-wait", "--threads", 1)
    promised = "recipe_digest output_digest path device seconds cached materialization_id mlflow_run_id"
    assert set(answer) >= set(promised.split())
    assert answer["path"] == str(target)
    assert answer["device"] == "cpu"
    assert load_file(target / "model.safetensors").keys() == SHAPES.keys()
    cached = filled.json("materialize", "assistant", "--no-wait")
    assert cached["output_digest"] == answer["output_digest"]
    assert filled.json("materialize", "assistant", "--no-wait")["cached"] is True
    assert filled.json("materialize", "assistant", "--no-wait", "--no-cache")["cached"] is False


def test_an_expression_materializes_to_what_its_merge_does(filled, tmp_path):
    named = filled.json("materialize", "assistant", "--no-wait")
    expressed = filled.json("materialize", "tiny + 0.4*code + 0.6*math", "-o", tmp_path / "out", "--no-wait")
    assert expressed["recipe_digest"] == named["recipe_digest"]
    assert expressed["output_digest"] == named["output_digest"]


def test_shard_size_is_obeyed(filled, tmp_path):
    filled.json("materialize", "assistant", "-o", tmp_path / "out", "--shard-size", "4100", "--no-wait")
    assert len(list((tmp_path / "out").glob("*.safetensors"))) > 1
    assert (tmp_path / "out" / "model.safetensors.index.json").exists()


def test_audit(filled):
    filled.text("materialize", "assistant", "--no-wait")
    answer = filled.json("audit", "assistant")
    promised = "name version recipe_digest recipe lineage materializations events"
    assert set(answer) >= set(promised.split())
    names = {(node["kind"], node["name"]) for node in answer["lineage"]["nodes"]}
    assert names >= {("merge", "assistant"), ("skill", "math"), ("skill", "code"), ("base", "tiny")}
    assert answer["materializations"]
    assert answer["events"]


def test_verify_the_store_a_name_and_a_folder(filled, tmp_path):
    filled.text("materialize", "assistant", "-o", tmp_path / "out", "--no-wait")
    for target in ([], ["math"], [tmp_path / "out"]):
        answer = filled.json("verify", *target)
        assert answer["ok"] is True
        assert answer["problems"] == []
        assert sum(answer["checked"].values()) > 0


def test_list_and_its_kinds(filled):
    answer = filled.json("list")
    assert set(answer) == {"bases", "skills", "merges"}
    assert {row["name"] for row in answer["skills"]} == {"math", "code"}
    assert all({"name", "version", "digest"} <= set(row) for rows in answer.values() for row in rows)
    only = filled.json("list", "base")
    assert [row["name"] for row in only["bases"]] == ["tiny"]
    assert only["skills"] == only["merges"] == []


def test_alias_moves_and_its_history_is_shown(filled):
    filled.json("alias", "math@1", "prod")
    assert filled.json("show", "math@prod")["version"] == 1
    filled.json("alias", "math", "prod", "--remove")
    assert filled.refused(3, "show", "math@prod")["kind"] == "not_found"
    shown = json.dumps(filled.json("show", "math"))
    assert "prod" in shown


def test_yank_is_refused_to_new_merges(fresh, models):
    fresh.text("register", "base", "tiny", models / "base")
    fresh.text("register", "skill", "math", models / "math", "--base", "tiny")
    fresh.text("yank", "math@1", "--reason", "trained on the test set")
    refused = fresh.refused(4, "merge", "bad", "tiny + math@1")
    assert "math@1" in refused["message"]
    assert "trained on the test set" in json.dumps(fresh.json("show", "math@1"))


def test_doctor_is_well_and_says_what_it_checked(filled):
    answer = filled.json("doctor")
    assert answer["ok"] is True
    assert all({"name", "ok", "level", "detail", "hint"} <= set(check) for check in answer["checks"])


def test_provenance_that_cannot_be_delivered_waits(fresh, models, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    fresh.text("register", "base", "tiny", models / "base")
    fresh.text("register", "skill", "math", models / "math", "--base", "tiny")
    fresh.text("materialize", "tiny + math", "--no-wait")
    answer = fresh.json("sync", code=7)
    assert answer["delivered"] == 0
    assert answer["pending"] == 1
    assert answer["errors"]
