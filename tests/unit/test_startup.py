"""What a process loads before it answers: nothing that its verb does not need."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import pytest
import typer
from typer.main import get_command

from cli.app import app
from cli.quick import QuickCommand

ROOT = Path(__file__).parents[2]
LOADED = "import sys, cli; code = cli.main(); print(*sys.modules, file=sys.stderr); sys.exit(code)"
NEVER = {"torch", "mlflow", "numba", "numpy", "alembic", "rich", "pydantic", "sqlalchemy.dialects.postgresql"}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("store")
    _run(home, "init")
    return home


def _run(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MERGESTORE_")}
    command = [sys.executable, "-c", LOADED, "--store", str(home), *words]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    "words", [["list"], ["--json", "list", "skill"], ["show", "x"], ["audit", "x"], ["yank", "x", "--reason", "y"]]
)
def test_looking_up_loads_neither_kernels_nor_a_second_database_nor_what_draws_bars(
    store: Path, words: list[str]
) -> None:
    done = _run(store, *words)
    assert done.returncode in (0, 3), done.stderr
    assert NEVER & set(done.stderr.split()) == set()


def test_naming_a_merge_loads_no_kernels(store: Path) -> None:
    done = _run(store, "merge", "mix", "llama + 0.5*math")
    assert done.returncode == 3, done.stderr
    assert {"numba", "torch", "mlflow", "alembic", "rich", "pydantic"} & set(done.stderr.split()) == set()


@pytest.mark.parametrize(
    "module", ["registry.registering.register_base", "registry.verifying", "registry.doctor", "registry.publishing"]
)
def test_modules_that_compute_nothing_load_no_kernels(module: str) -> None:
    script = f"import sys, {module}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert {"numba", "torch", "mlflow"} & set(done.stdout.split()) == set()


# Words that are taken as they are


def _parsed(command: type, words: list[str]) -> dict[str, object]:
    taken: dict[str, object] = {}
    program = typer.Typer(add_completion=False, rich_markup_mode=None)

    @program.command(cls=command)
    def run(
        name: str,
        more: Annotated[list[str] | None, typer.Argument()] = None,
        path: Path | None = None,
        word: list[str] | None = None,
        text: str = "as it is",
        number: Annotated[int | None, typer.Option(min=1)] = None,
        share: float = 0.5,
        flag: bool = False,
    ) -> None:
        taken.update(name=name, more=more, path=path, word=word, text=text, number=number, share=share, flag=flag)

    @program.command("other")
    def other() -> None: ...

    get_command(program)(["run", *words], standalone_mode=False)
    return taken


@pytest.mark.parametrize(
    "words",
    [
        ["n"],
        ["n", "a", "b"],
        ["", "--text", ""],
        ["é x", "--path", "a/../b", "--word", "1", "--word", "2"],
        ["n", "--number", "3", "--share", "2e-3", "--flag", "--text", "3"],
    ],
)
def test_quick_commands_read_words_as_others_do(words: list[str]) -> None:
    usual, quick = _parsed(typer.core.TyperCommand, words), _parsed(QuickCommand, words)
    assert quick == usual
    assert list(map(type, quick.values())) == list(map(type, usual.values()))


@pytest.mark.parametrize("words", [[], ["n", "--number", "0"], ["n", "--share", "x"], ["n", "--nonsense"]])
def test_quick_commands_complain_as_others_do(words: list[str]) -> None:
    complaints = []
    for command in (typer.core.TyperCommand, QuickCommand):
        with pytest.raises(typer.BadParameter.__base__) as refused:  # the parser's own errors, whatever their class
            _parsed(command, words)
        complaints.append((type(refused.value), refused.value.format_message()))
    assert complaints[0] == complaints[1]


def test_every_command_is_quick() -> None:
    def commands(group: object) -> list[object]:
        inner = getattr(group, "commands", {}).values()
        return [each for child in inner for each in (commands(child) if hasattr(child, "commands") else [child])]

    found = commands(get_command(app))
    assert len(found) > 10
    assert all(isinstance(each, QuickCommand) for each in found)


# The compiler


LOAD = """
import sys
from cli.compiled import load_compiler
load_compiler()
print(*(name for name in ("numba", "scipy", "cffi") if name in sys.modules))
import numba, numpy
total = numba.njit(lambda values: values.sum())
print(total(numpy.arange(5)))
for name in ("scipy.linalg", "cffi"):
    try:
        __import__(name)
    except ModuleNotFoundError as error:
        assert error.name == name.partition(".")[0] and "halted" not in str(error), error
"""


def test_the_compiler_is_loaded_without_what_no_kernel_uses() -> None:
    done = subprocess.run([sys.executable, "-c", LOAD], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["numba", "10"]


COMPILE = """
from cli.compiled import load_compiler, tell_of_compiling
load_compiler()
import numba, sys
assert not sys.stderr.isatty()
numba.njit(lambda value: value)(1)
tell_of_compiling()
for add in (lambda value: value + 1, lambda value: value + 2):
    numba.njit(add)(1)
"""


def test_a_person_is_told_once_that_kernels_are_compiled() -> None:
    done = subprocess.run([sys.executable, "-c", COMPILE], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == ""
    assert done.stderr.count("compiling for this machine") == len(done.stderr.splitlines()) == 1


def test_a_person_is_told_where_kernels_cannot_be_kept() -> None:
    script = "from storage.encodings import kernels\nkernels.cache_folder = lambda: None\n" + COMPILE
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "compiling for this machine: in each process" in done.stderr


def test_a_compiler_that_is_loaded_is_left_alone() -> None:
    script = "import sys, numba\nfrom cli.compiled import load_compiler\nload_compiler()\n"
    script += "assert all(module is not None for module in sys.modules.values())"
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
