"""Every verb of the command line against a real store: the JSON that is promised, the text, the exit codes."""

import contextlib
import io
import json
import os
import pty
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from cli import main

ROOT = Path(__file__).parents[2]
SHAPES = {"embed.weight": (64, 16), "layer.0.weight": (16, 16), "layer.0.bias": (16,)}
UNREACHABLE = "postgresql://nobody@127.0.0.1:9/none"


class Shell:
    """One store, and the command line on it."""

    def __init__(self, store):
        self.store = store

    def __call__(self, *words):
        """Exit code, stdout and stderr of one command line."""
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main(["--store", str(self.store), *map(str, words)])
        return code, out.getvalue(), err.getvalue()

    def text(self, *words):
        """The answer for a person, which must be a success."""
        code, out, err = self(*words)
        assert code == 0, err
        return out

    def json(self, *words, code=0):
        """The JSON document, which must be the whole of stdout."""
        ended, out, err = self(*words, "--json")
        assert ended == code, out + err
        return json.loads(out)

    def error(self, code, *words):
        """The JSON of an error with this exit code; the text face must say the same on stderr."""
        found = self.json(*words, code=code)["error"]
        ended, out, err = self(*words)
        assert (ended, out) == (code, "")
        assert err.startswith(f"error: {found['message']}")
        assert "Traceback" not in err
        return found


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A tiny base model and two fine-tunes of it, as folders."""
    folder, random = tmp_path_factory.mktemp("models"), np.random.default_rng(7)
    base = {name: random.normal(0, 0.02, shape).astype(np.float32) for name, shape in SHAPES.items()}
    _save(folder / "base", base)
    for name in ("math", "code"):
        tuned = {key: value + random.normal(0, 1e-3, value.shape).astype(np.float32) for key, value in base.items()}
        _save(folder / name, tuned)
    return folder


def _save(folder, tensors):
    folder.mkdir()
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "config.json").write_text(json.dumps({"model_type": "bert", "torch_dtype": "float32"}))


@pytest.fixture(scope="module")
def filled(models, tmp_path_factory):
    """A store with a base model, two skills and a merge; the tests only add to it."""
    shell = Shell(tmp_path_factory.mktemp("shell") / "store")
    shell.text("init")
    shell.text("register", "base", "tiny", models / "base", "--licence", "Apache-2.0")
    shell.text("register", "skill", "math", models / "math", "--base", "tiny", "--drop-rate", "0.5")
    shell.text("register", "skill", "code", models / "code", "--base", "tiny", "--encoding", "exact")
    shell.text("merge", "assistant", "tiny + 0.6*math + 0.4*code")
    return shell


@pytest.fixture
def fresh(tmp_path):
    """An empty store of this test's own."""
    shell = Shell(tmp_path / "store")
    shell.text("init")
    return shell


# The promised JSON


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
    assert filled.error(3, "show", "math@prod")["kind"] == "not_found"
    shown = json.dumps(filled.json("show", "math"))
    assert "prod" in shown


def test_yank_is_refused_to_new_merges(fresh, models):
    fresh.text("register", "base", "tiny", models / "base")
    fresh.text("register", "skill", "math", models / "math", "--base", "tiny")
    fresh.text("yank", "math@1", "--reason", "trained on the test set")
    refused = fresh.error(4, "merge", "bad", "tiny + math@1")
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


# The face for people


def test_the_path_alone_is_on_stdout(filled):
    code, out, err = filled("materialize", "assistant", "--no-wait")
    assert code == 0
    assert Path(out.removesuffix("\n")).is_dir()
    assert "sha256:" in err


def test_a_skill_is_told_with_its_size_and_advice(fresh, models):
    fresh.text("register", "base", "tiny", models / "base")
    told = fresh.text("register", "skill", "math", models / "math", "--base", "tiny")
    assert "registered math@1" in told
    assert "bits per parameter" in told
    again = fresh.text("register", "skill", "math", models / "math", "--base", "tiny")
    assert "registered before" in again


def test_lists_records_and_trees_are_readable(filled):
    listed = filled.text("list")
    assert all(word in listed for word in ("base models", "skills", "merges", "tiny", "math", "assistant"))
    assert "blake3:" in filled.text("show", "math")
    tree = filled.text("audit", "assistant")
    assert tree.startswith("merge assistant@1")
    assert "skill math@1" in tree
    assert "Apache-2.0" in tree


def test_an_empty_store_says_how_to_begin(fresh):
    assert "register base" in fresh.text("list")


# What goes wrong, and its exit code


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (2, ["merge", "a/b/c", "tiny + math"]),
        (2, ["merge", "../up", "tiny + math"]),
        (2, ["merge", "bad", "tiny + + math"]),
        (2, ["merge", "bad", "tiny + math + math"]),
        (2, ["merge", "bad", "tiny + math", "--method", "magic"]),
        (2, ["merge", "bad", "tiny + math", "--param", "nonsense=1"]),
        (2, ["materialize", "tiny + code", "--method", "dare_linear", "--param", "drop_rate=1", "--no-wait"]),
        (2, ["list", "nonsense"]),
        (3, ["show", "maths"]),
        (3, ["audit", "nobody"]),
        (3, ["show", "math@9"]),
        (3, ["materialize", "tiny + maths", "--no-wait"]),
        (3, ["register", "skill", "x", "folder", "--base", "nobody"]),
        (4, ["register", "skill", "tiny", "tuned", "--base", "tiny"]),
        (5, ["register", "base", "x", "folder"]),
        (7, ["materialize", "assistant", "--device", "cuda:99", "--no-cache", "--no-wait"]),
        (7, ["list", "--database", UNREACHABLE]),
    ],
)
def test_what_goes_wrong_has_its_exit_code(filled, models, tmp_path, code, words):
    places = {"folder": tmp_path, "tuned": models / "math"}
    found = filled.error(code, *[places.get(word, word) for word in words])
    assert found["message"]
    assert found["hint"]


@pytest.mark.parametrize("rate", ["1", "1.5", "-0.1", "nan"])
def test_a_drop_rate_outside_its_range_is_usage(filled, models, rate):
    words = ("register", "skill", "x", models / "math", "--base", "tiny", "--drop-rate", rate)
    assert filled.error(2, *words)["kind"] == "usage"


def test_an_existing_folder_is_kept_without_force(filled, tmp_path):
    target = tmp_path / "out"
    target.mkdir()
    (target / "mine.txt").write_text("mine")
    filled.error(4, "materialize", "assistant", "-o", target, "--no-wait")
    assert (target / "mine.txt").read_text() == "mine"
    filled.error(4, "materialize", "assistant", "-o", target, "--force", "--no-wait")
    (target / "mine.txt").unlink()
    filled.text("materialize", "assistant", "-o", target, "--force", "--no-wait")
    assert not (target / "mine.txt").exists()


def test_damage_is_named_and_is_six(fresh, models, tmp_path):
    fresh.text("register", "base", "tiny", models / "base")
    stored = max((path for path in (fresh.store / "objects").rglob("*") if path.is_file()), key=_size)
    stored.chmod(0o644)
    damaged = bytearray(stored.read_bytes())
    damaged[-1] ^= 1
    stored.write_bytes(damaged)
    answer = fresh.json("verify", code=6)
    assert answer["ok"] is False
    assert answer["problems"]
    code, out, _ = fresh("verify")
    assert code == 6
    assert out.startswith("DAMAGED")


def _size(path):
    return path.stat().st_size


def test_only_init_makes_a_store(tmp_path):
    shell = Shell(tmp_path / "none")
    found = shell.error(7, "list")
    assert "mergestore init" in found["hint"]
    assert not (tmp_path / "none").exists()


def test_the_environment_names_the_store_and_the_option_wins(filled, tmp_path, monkeypatch):
    monkeypatch.setenv("MERGESTORE_HOME", str(filled.store))
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        assert main(["list", "--json"]) == 0
        assert main(["list", "--store", str(tmp_path / "none")]) == 7
    assert json.loads(out.getvalue())["bases"]


def test_list_loads_nothing_heavy(filled):
    listed = "import sys, cli; code = cli.main(sys.argv[1:]); print(*sys.modules, file=sys.stderr); sys.exit(code)"
    command = [sys.executable, "-c", listed, "list", "--store", str(filled.store), "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in done.stderr.split()}
    assert not {"torch", "mlflow", "numba", "alembic", "transformers", "numpy"} & loaded


def test_list_is_quick(filled):
    seconds = min(_cpu_seconds("-m", "cli", "list", "--store", str(filled.store)) for _ in range(5))
    # Half a second, or on a slow machine as much more as the database library alone takes longer there.
    yardstick = min(_cpu_seconds("-c", "import sqlalchemy.orm") for _ in range(5))
    assert seconds < max(0.5, 2.5 * yardstick)


def _cpu_seconds(*words):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


# At a terminal


def test_progress_and_colour_are_for_terminals_only(filled, models, tmp_path):
    store = tmp_path / "store"
    assert _at_terminal("init", "--store", store) == (b"created", b"")
    words = ("register", "base", "tiny", models / "base", "--store", store)
    answer, shown = _at_terminal(*words)
    assert answer == b"registered"
    assert b"hash base" in shown
    assert filled(*words)[2] == ""


def test_errors_are_coloured_unless_unwanted(tmp_path):
    words = ("list", "--store", tmp_path / "none")
    assert _at_terminal(*words)[1].startswith(b"\x1b[1;31merror:\x1b[0m there is no store")
    assert _at_terminal(*words, NO_COLOR="1")[1].startswith(b"error: there is no store")


def _at_terminal(*words, **settings):
    """The first word on stdout, a pipe, and all that a terminal on stderr shows."""
    master, terminal = pty.openpty()
    try:
        done = subprocess.Popen(
            [sys.executable, "-m", "cli", *map(str, words)],
            cwd=ROOT,
            env={**os.environ, "TERM": "xterm", **settings},
            stdout=subprocess.PIPE,
            stderr=terminal,
        )
        os.close(terminal)
        shown = _read_to_the_end(master)
        out, _ = done.communicate()
    finally:
        os.close(master)
    return out.partition(b" ")[0].partition(b":")[0], shown


def _read_to_the_end(terminal):
    shown = b""
    with contextlib.suppress(OSError):  # how Linux says that the other side has closed
        while piece := os.read(terminal, 65536):
            shown += piece
    return shown
