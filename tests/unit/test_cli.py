"""The command line's own work: parsing, exit codes, the two faces of an answer, and staying light."""

import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
from functools import partial
from pathlib import Path
from textwrap import dedent

import pytest
from typer.main import get_command

from cli import main
from cli.app import VERBS, app
from cli.options import parse_parameters
from cli.units import count_text, digest_text, number_text, parse_size, seconds_text, size_text
from mergestore import EnvironmentFailure, UsageError

ROOT = Path(__file__).parents[2]
ISSUE_VERBS = (
    "init", "doctor", "register", "stats", "merge", "check", "materialize", "methods", "evaluations",
    "audit", "impact", "find", "diff", "verify", "attest", "anchor",
    "list", "show", "alias", "yank", "pin", "export", "import", "backup", "restore", "repair", "gc", "metrics", "sync",
)  # fmt: skip


def _load_generator():
    spec = importlib.util.spec_from_file_location("generate_cli", ROOT / "docs" / "generate_cli.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


generator = _load_generator()
COMMANDS = dict(generator.walk("mergestore", get_command(app)))


def run(*words):
    """A separate process, as a user starts it."""
    return subprocess.run(
        [sys.executable, "-m", "cli", *map(str, words)], cwd=ROOT, env=_plain(), capture_output=True, text=True
    )


def _plain():
    return {name: value for name, value in os.environ.items() if not name.startswith(("MERGESTORE", "MLFLOW"))}


# Help and documentation


def test_the_verbs_are_those_promised():
    assert VERBS == ISSUE_VERBS
    assert get_command(app).list_commands(None) == list(ISSUE_VERBS)
    assert sorted(get_command(app).commands["register"].commands) == ["base", "skill"]
    assert sorted(get_command(app).commands["stats"].commands) == ["collect", "list", "show"]
    assert sorted(get_command(app).commands["evaluations"].commands) == ["add", "list"]


@pytest.mark.parametrize("path", COMMANDS)
def test_every_command_option_and_argument_has_help(path):
    command = COMMANDS[path]
    assert command.help
    for parameter in command.params:
        assert parameter.help, parameter.name
        assert parameter.param_type_name == "option" or parameter.metavar, parameter.name


@pytest.mark.parametrize("path", COMMANDS)
def test_every_command_takes_the_common_options(path):
    options = {option for parameter in COMMANDS[path].params for option in parameter.opts}
    assert {"--store", "--database", "--json", "--debug"} <= options


@pytest.mark.parametrize("path", COMMANDS)
def test_help_is_shown_and_is_success(path, capsys):
    assert main([*path.split()[1:], "--help"]) == 0
    assert capsys.readouterr().out.startswith(f"Usage: {path} ")


def test_a_summary_fits_its_line_in_the_list_of_commands(capsys):
    main(["--help"])
    assert "..." not in capsys.readouterr().out.partition("Commands:")[2]


def test_no_arguments_show_the_help(capsys):
    assert main([]) == 0
    assert "materialize" in capsys.readouterr().out


def test_the_page_of_the_command_line_is_up_to_date():
    assert generator.PAGE.read_text() == generator.page(), "run: make docs"


# Lightness


@pytest.mark.parametrize("words", [["--help"], ["materialize", "--help"], ["--version"]])
def test_help_loads_nothing_heavy(words):
    assert not {"torch", "mlflow", "numba", "alembic", "transformers", "sqlalchemy", "rich"} & _modules(words)


def _modules(words):
    """What one run imports."""
    listed = "import sys, cli; code = cli.main(sys.argv[1:]); print(*sys.modules, file=sys.stderr); sys.exit(code)"
    done = subprocess.run(
        [sys.executable, "-c", listed, *words], cwd=ROOT, env=_plain(), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return {name.partition(".")[0] for name in done.stderr.split()}


# Usage errors: exit code 2, a hint, and JSON where asked for


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["audi"], "Did you mean 'audit'?"),
        (["register"], "Missing command"),
        (["register", "skil"], "Did you mean 'skill'?"),
        (["merge", "assistant"], "Say what to combine once"),
        (["register", "skill", "math", "somewhere"], "Missing option '--base'"),
        (["list", "--jsn"], "No such option"),
        (["register", "skill", "math", "x", "--base", "b", "--drop-rate", "much"], "--drop-rate"),
        (["materialize", "x", "--threads", "0"], "--threads"),
        (["materialize", "x", "--threads", "two"], "--threads"),
        (["materialize", "x", "--shard-size", "big"], "'big' is not a size"),
        (["materialize", "x", "--param", "density"], "is not NAME=VALUE"),
        (["materialize", "x", "--param", "a=1", "--param", "a=2"], "given twice"),
        (["alias", "math@3", "prod", "--remove"], "--remove takes a name"),
        (["list", "extra", "words"], "unexpected extra argument"),
        (["audit", "x", "--html"], "--html needs a value: FILE"),
        (["audit", "x", "--html", "--tree"], "--html needs a value: FILE"),
        (["find", "skills", "--since"], "--since needs a value: DATE"),
        (["find", "skills", "--since", "--until", "2026-01-01"], "--since needs a value: DATE"),
        (["find", "skills", "--seed"], "--seed needs a value: N"),
        (["find", "skills", "--seed", "--debug"], "--seed needs a value: N"),
        (["find", "skills", "--meta", "a=b", "--meta", "--by", "x"], "--meta needs a value: KEY=VALUE"),
        (["register", "skill", "math", "x", "--base"], "--base needs a value: BASE"),
        (["export", "x", "-o"], "--output needs a value: FILE"),
        (["--store"], "--store needs a value: DIR"),
        (["--database", "--store", "x", "list"], "--database needs a value: URL"),
        (["list", "--html"], "mergestore list has no option --html"),
        (["audit", "x", "--tree=yes"], "does not take a value"),
    ],
)
@pytest.mark.parametrize("face", ["text", "json"])
def test_a_malformed_command_line_is_usage(words, said, face, capsys):
    assert main([*(["--json"] if face == "json" else []), *words]) == 2
    out, err = capsys.readouterr()
    if face == "text":
        assert out == ""
        assert err.startswith("error: ")
        assert said in err
    else:
        assert err == ""
        error = json.loads(out)["error"]
        assert error["kind"] == "usage"
        assert said in error["message"]
        assert error["hint"]


def test_what_follows_two_hyphens_is_no_option(capsys, tmp_path):
    assert main(["--store", str(tmp_path / "none"), "show", "--", "--json"]) == EnvironmentFailure.exit_code
    assert "needs a value" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("count", "things", "told"),
    [
        *((0, "skills", "0 skills"), (1, "skills", "1 skill"), (1200, "files", "1,200 files")),
        *((1, "policies", "1 policy"), (1, "statistics", "1 statistics"), (1, "more tensors", "1 more tensor")),
    ],
)
def test_one_is_told_in_the_singular(count, things, told):
    assert number_text(count, things) == told


def test_the_hint_names_the_command_whose_help_answers(capsys):
    main(["register", "skill", "--json"])
    assert json.loads(capsys.readouterr().out)["error"]["hint"] == "See: mergestore register skill --help"


def test_tree_and_json_exclude_each_other(capsys):
    assert main(["audit", "x", "--tree", "--json"]) == 2
    assert "exclude" in json.loads(capsys.readouterr().out)["error"]["message"]


# Other ends of a run


@pytest.mark.parametrize(
    ("asked", "code", "kind"),
    [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated"), (signal.SIGHUP, 143, "terminated")],
)
def test_who_is_asked_to_end_ends_without_a_traceback(tmp_path, asked, code, kind):
    with socket.create_server(("127.0.0.1", 0)) as mute:
        url = f"postgresql://nobody@127.0.0.1:{mute.getsockname()[1]}/none"
        command = [sys.executable, "-m", "cli", "--store", str(tmp_path), "--database", url, "list", "--json"]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        # What a shell starts behind itself ignores SIGINT, and so would all below it; nohup does so with SIGHUP.
        heeds = partial(signal.signal, asked, signal.SIG_DFL)
        with subprocess.Popen(command, cwd=ROOT, env=_plain(), preexec_fn=heeds, **pipes) as running:
            mute.settimeout(60)
            connection, _ = mute.accept()
            connection.settimeout(60)
            assert len(connection.recv(8)) == 8  # it has asked, and waits now for an answer that never comes
            running.send_signal(asked)
            out, err = running.communicate(timeout=60)
            connection.close()
    assert (running.returncode, err) == (code, b""), out
    assert json.loads(out)["error"]["kind"] == kind


def test_an_interrupt_while_it_starts_is_130_too():
    """Before there is anything that could say so in another way."""
    code = dedent(
        """
        import builtins, sys, cli
        def interrupted(*_, **__): raise KeyboardInterrupt
        builtins.__import__ = interrupted
        sys.exit(cli.main())
        """
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=_plain(), capture_output=True)
    assert (done.returncode, done.stdout, done.stderr) == (130, b"", b"error: interrupted\n")


def test_a_reader_that_leaves_is_no_error():
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-m", "cli", "--help"], cwd=ROOT, env=_plain(), stdout=writing, stderr=subprocess.PIPE
    )
    os.close(writing)
    assert done.returncode == 141
    assert done.stderr == b""


@pytest.mark.parametrize("debug", [False, True])
def test_a_bug_of_ours_is_said_plainly(debug, monkeypatch, capsys):
    def broken(text):
        raise ZeroDivisionError("something of ours")

    monkeypatch.setattr("cli.console.say", broken)
    assert main(["--version", *(["--debug"] if debug else [])]) == 1
    err = capsys.readouterr().err
    assert "this is a bug in mergestore: ZeroDivisionError: something of ours" in err
    assert ("Traceback" in err) is debug
    assert ("--debug" in err) is not debug


def test_a_rival_package_is_told_without_a_traceback(tmp_path):
    rival = tmp_path / "storage"
    rival.mkdir()
    (rival / "__init__.py").write_text("")
    done = subprocess.run(
        [sys.executable, "-m", "cli", "list"],
        cwd=tmp_path,
        env={**_plain(), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 7
    assert str(rival) in done.stderr
    assert "Traceback" not in done.stderr


# Words and numbers


@pytest.mark.parametrize(
    ("text", "size"),
    [("5GB", 5_000_000_000), ("500 mb", 500_000_000), ("2GiB", 2 << 30), ("1.5k", 1500), ("4096", 4096)],
)
def test_sizes_are_read(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "GB", "-5GB", "0", "5XB", "1e9", "5GB "])
def test_other_sizes_are_refused_or_trimmed(text):
    if text == "5GB ":
        assert parse_size(text) == 5_000_000_000
    else:
        with pytest.raises(UsageError, match="is not a size"):
            parse_size(text)


def test_parameters_are_numbers_truths_or_words():
    given = ["lambda=0.5", "seed=7", "normalize=false", "trim=tensor", "density=1e-1"]
    assert parse_parameters(given) == {
        "lambda": 0.5,
        "seed": 7,
        "normalize": False,
        "trim": "tensor",
        "density": 0.1,
    }
    assert isinstance(parse_parameters(given)["seed"], int)
    assert parse_parameters(None) is None


def test_numbers_are_told_in_human_units():
    assert size_text(90_900_000) == "90.9 MB"
    assert size_text(14_000_000_000) == "14 GB"
    assert size_text(12) == "12 B"
    assert count_text(22_713_216) == "22.7 M"
    assert count_text(104) == "104"
    assert [seconds_text(value) for value in (0.4171, 12.34, 185)] == ["0.42 s", "12.3 s", "3 min 5 s"]
    assert digest_text("blake3:" + "ab" * 32) == "blake3:abababababab"
    assert digest_text(None) == ""
