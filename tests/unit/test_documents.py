"""The documents say what is so: commands parse, links lead somewhere, tables are complete, nothing is machine-bound."""

import ast
import inspect
import re
import shlex
import tomllib
from pathlib import Path

import pytest
from typer.main import get_command

from cli.app import app
from cli.options import parse_parameters
from cli.verb import Invocation
from merging.methods import METHODS
from merging.recipes.expression import parse_expression
from registry.records.names import parse_reference
from registry.store import Store

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
WRITTEN = [page for page in PAGES if page != ROOT / "docs" / "cli.md"]  # that one is generated, with usage lines
PACKAGES = ("cli", "merging", "migrations", "registry", "storage")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_MACHINE = re.compile(r"/(?:work|root|tmp|home|Users|var/folders)/\w")


def short(page):
    return page.relative_to(ROOT).as_posix()


def commands(page):
    """Command lines of a page: in shell blocks, and in code spans that spell one out."""
    text = page.read_text()
    for language, block in _FENCE.findall(text):
        if language in ("sh", "console"):
            lines = block.replace("\\\n", " ").splitlines()
            found = (line.removeprefix("$ ").split("  #")[0].strip() for line in lines)
            yield from (line for line in found if line.startswith("mergestore "))
    for span in re.findall(r"`([^`\n]+)`", _FENCE.sub("", text)):
        inner = re.fullmatch(r"\$\((.*)\)", span)
        line = inner[1] if inner else span
        if re.match(r"mergestore [a-z]", line) and not re.search(r"…|\b[A-Z]{3,}\b", line):
            yield line


COMMANDS = [(page, line) for page in WRITTEN for line in commands(page)]


def parsed(line):
    """The parameters of a command line, parsed by the real command tree and not executed."""
    command, arguments, parent = get_command(app), shlex.split(line)[1:], None
    while True:
        context = command.make_context(command.name, arguments, parent=parent, obj=Invocation())
        if not hasattr(command, "commands"):
            return command.name, context.params
        _, command, arguments = command.resolve_command(context, [*context._protected_args, *context.args])
        parent = context


@pytest.mark.parametrize(
    ("page", "line"), COMMANDS, ids=lambda value: value if isinstance(value, str) else short(value)
)
def test_command_lines_parse(page, line):
    verb, given = parsed(line)
    if given.get("method"):
        method = METHODS[given["method"]]
        method.check(parse_parameters(given.get("param")) or {}, draws=True)
    for reference in (given.get("reference"), given.get("base"), given.get("head")):
        if isinstance(reference, str):
            parse_reference(reference)
    expression = given.get("expression") or given.get("target")
    if verb in ("merge", "materialize") and " " in (expression or ""):
        parse_expression(expression)


def test_the_documents_have_command_lines():
    verbs = {parsed(line)[0] for _, line in COMMANDS}
    assert verbs == set(get_command(app).commands) - {"register", "stats", "evaluations"} | {
        *("base", "skill", "collect", "add"),
    }
    assert len(COMMANDS) > 40


def anchors(page):
    headings = re.findall(r"^#+ (.+)$", _FENCE.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=short)
def test_links_resolve(page):
    for link in _LINK.findall(_FENCE.sub("", page.read_text())):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target), link


@pytest.mark.parametrize("page", PAGES, ids=short)
def test_no_page_names_a_place_on_a_machine(page):
    assert not _MACHINE.search(page.read_text())


def test_the_methods_page_is_complete():
    text = (ROOT / "docs" / "methods.md").read_text()
    sections = dict(re.findall(r"^## `(\w+)`\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL))
    assert list(sections) == list(METHODS)
    for name, method in METHODS.items():
        section = sections[name]
        rows = re.findall(r"^\| `(\w+)` \| `([^`]+)` \| ([^|]+) \|", section, re.MULTILINE)
        assert [row[:2] for row in rows] == [(p.name, p.unless or _spelled(p.default)) for p in method.parameters], name
        for parameter, (_, _, allowed) in zip(method.parameters, rows, strict=True):
            if parameter.choices:
                assert tuple(allowed.strip().split(", ")) == parameter.choices
        assert f"\n    {method.formula}\n" in section
        assert method.summary.lower() in section.lower()
        assert all(url in section for url in re.findall(r"https://\S+?(?=[;\s]|$)", method.source))


def _spelled(value):
    return str(value).lower() if isinstance(value, bool) else f"{value:g}" if isinstance(value, float) else str(value)


def test_the_house_names_every_module():
    text = (ROOT / "ARCHITECTURE.md").read_text()
    spoken = set(re.findall(r"`([\w/.]+)`", text))
    for package in PACKAGES:
        for path in (ROOT / package).rglob("[a-z]*.py"):
            assert path.parent.name == "versions" or path.name.startswith("__") or path.stem in spoken, (
                f"{package}/{path.name}"
            )


def test_every_module_the_house_names_is_there():
    text = (ROOT / "ARCHITECTURE.md").read_text()
    tables = text[text.index("## What each module is for") : text.index("## The path of `register skill`")]
    for name in re.findall(
        r"`(\w+)`", "\n".join(line.split("|")[1] for line in tables.splitlines() if line[:3] == "| `")
    ):
        assert any(list((ROOT / package).rglob(f"{name}.py")) for package in PACKAGES), name


def test_the_index_lists_every_page_and_decision():
    index = (ROOT / "docs" / "README.md").read_text()
    for page in (ROOT / "docs").rglob("*.md"):
        if page.name != "README.md":
            assert f"({page.relative_to(ROOT / 'docs').as_posix()})" in index, page
    numbers = [page.name[:4] for page in (ROOT / "docs" / "decisions").glob("*.md")]
    assert sorted(numbers) == [f"{number:04}" for number in range(1, len(numbers) + 1)]


def test_make_targets_and_extras_exist():
    text = "\n".join(page.read_text() for page in WRITTEN)
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"(?:^|`)make (?:[A-Z_]+=\S+ )?([a-z]+)", text, re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
    for extras in re.findall(r"pip install '(?:mergestore|\.)\[([^\]]+)\]'", text):
        assert set(extras.split(",")) <= set(PROJECT["optional-dependencies"])


def test_environment_variables_are_read_by_the_code():
    code = "\n".join(path.read_text() for path in (ROOT / "mergestore.py", *(ROOT / "cli").glob("*.py")))
    for page in WRITTEN:
        for variable in re.findall(r"\b(?:MERGESTORE|MLFLOW)_[A-Z_]+\b", page.read_text()):
            assert variable in code, f"{short(page)}: {variable}"


def test_the_changes_speak_of_this_version():
    assert re.search(rf"^## {re.escape(PROJECT['version'])}\b", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)


@pytest.mark.parametrize("page", WRITTEN, ids=short)
def test_python_examples_call_the_store_as_it_is(page):
    for language, block in _FENCE.findall(page.read_text()):
        if language != "python":
            continue
        for node in ast.walk(ast.parse(block)):
            function = node.func if isinstance(node, ast.Call) else None
            if (
                isinstance(function, ast.Attribute)
                and isinstance(function.value, ast.Name)
                and function.value.id == "store"
            ):
                keywords = {keyword.arg: None for keyword in node.keywords}
                inspect.signature(getattr(Store, function.attr)).bind(None, *node.args, **keywords)
