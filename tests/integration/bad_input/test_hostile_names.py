"""Hostile names in every place where a name is read: the exit code of the error tree, nothing changed, nothing raw."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import mergestore
from mergestore import MergestoreError, Store
from tests.integration.bad_input.refusal import BASE
from tests.integration.models import fine_tune, save
from tests.integration.shell import KINDS, Shell

NAMES = {
    "empty": "",
    "dot": ".",
    "dots": "..",
    "parted twice": "a/b/c",
    "up": "../x",
    "option": "-x",
    "two versions": "a@b@c",
    "version 0": "a@0",
    "space": "a b",
    "newline": "ma\nth",
    "NUL": "ma\0th",
    "bidi": "math\u202egpj",
    "combining": "ma\u0301th",
    "Cyrillic": "m\u0430th",
    "NFC": "caf\u00e9",
    "NFD": unicodedata.normalize("NFD", "caf\u00e9"),
    "full width": "\uff4dath",
    "emoji": "math\U0001f600",
    "long": "m" * 10_000,
    "format": "%s",
    "substitution": "$(x)",
    "SQL": "'; drop table model; --",
    "escape": "\x1b[31mmath",
    "byte": "math\udcff",
    "surrogate": "math\ud800",
    "digest cut short": "blake3:00",
}
PLAIN = ("con", "aux", "123456789012345678901234567890", "0" * 64, "org/math", "blake3")
STEERING = {"\x1b", "\u202e", "\0"}

NAME, TARGET, FOLDER = {2}, {2, 3}, {2, 3, 5, 6}
"""What a name may be refused with; what may also be a folder or a digest, too; and what is read, if it is a folder."""

_GRAM = ("--kind", "gram", "--data", "CONFIG", "--examples", "1")
_SCORE = ("--metric", "m", "--value", "1", "--dataset", "d")
Words = Callable[[str], tuple[object, ...]]
COMMANDS: dict[str, tuple[set[int], Words]] = {
    "register base": (NAME, lambda name: ("register", "base", name, "MODEL")),
    "register skill": (NAME, lambda name: ("register", "skill", name, "MODEL", "--base", "tiny")),
    "its base": (NAME, lambda name: ("register", "skill", "new", "MODEL", "--base", name)),
    "its licence": (NAME, lambda name: ("register", "base", "new", "MODEL", "--licence", name)),
    "its metadata": (NAME, lambda name: ("register", "base", "new", "MODEL", "--meta", f" {name}=v")),
    "merge": (NAME, lambda name: ("merge", name, "tiny + math")),
    "a term": (NAME, lambda name: ("merge", "new", f"tiny + {name}")),
    "first term": (NAME, lambda name: ("merge", "new", f"{name} + math")),
    "head": (NAME, lambda name: ("merge", "new", "tiny + math", "--head", name or " ")),
    "vocabulary": (NAME, lambda name: ("merge", "new", "tiny + math", "--vocabulary", name or " ")),
    "chat template": (NAME, lambda name: ("merge", "new", "tiny + math", "--chat-template", name or " ")),
    "mergekit": (NAME, lambda name: ("merge", name, "--from-mergekit", "CONFIG", "--register")),
    "materialize": (NAME, lambda name: ("materialize", name, "--no-wait")),
    "task": (NAME, lambda name: ("materialize", "assistant", "--no-wait", "--task", name or " ")),
    "policy": (NAME, lambda name: ("materialize", "assistant", "--no-wait", "--policy", name or " ")),
    "stats collect": (
        NAME,
        lambda name: ("stats", "collect", name, *_GRAM),
    ),
    "stats list": (NAME, lambda name: ("stats", "list", name)),
    "stats show": (TARGET, lambda name: ("stats", "show", name)),
    "evaluations add": (TARGET, lambda name: ("evaluations", "add", name, *_SCORE)),
    "evaluations list": (TARGET, lambda name: ("evaluations", "list", name)),
    "audit": (TARGET, lambda name: ("audit", name)),
    "bom": (TARGET, lambda name: ("audit", name, "--bom")),
    "rebuild": (TARGET, lambda name: ("audit", name, "--rebuild")),
    "impact": (TARGET, lambda name: ("impact", name)),
    "find contains": (NAME, lambda name: ("find", "merges", "--contains", name)),
    "find base": (NAME, lambda name: ("find", "skills", "--base", name)),
    "find method": (TARGET, lambda name: ("find", "merges", "--method", name)),
    "diff": (FOLDER, lambda name: ("diff", name, "math")),
    "diff with": (FOLDER, lambda name: ("diff", "math", name)),
    "verify": (FOLDER, lambda name: ("verify", name)),
    "attest": (TARGET, lambda name: ("attest", name)),
    "list": (NAME, lambda name: ("list", name)),
    "show": (NAME, lambda name: ("show", name)),
    "alias of": (NAME, lambda name: ("alias", name, "prod", "--no-wait")),
    "alias": (NAME, lambda name: ("alias", "math@1", name, "--no-wait")),
    "alias --remove": (NAME, lambda name: ("alias", "math", name, "--remove", "--no-wait")),
    "alias --remove of": (NAME, lambda name: ("alias", name, "prod", "--remove", "--no-wait")),
    "at an alias": (NAME, lambda name: ("show", f"math@{name}")),
    "yank": (NAME, lambda name: ("yank", f"{name}@1", "--reason", "x", "--no-wait")),
    "pin": (NAME, lambda name: ("pin", name, "--reason", "x")),
    "pin --remove": (NAME, lambda name: ("pin", name, "--remove")),
    "export": (NAME, lambda name: ("export", name, "-o", "NEW")),
    "import": ({2, 5}, lambda name: ("import", name)),
    "import as": (NAME, lambda name: ("import", "BUNDLE", "--name", name)),
    "import below": (NAME, lambda name: ("import", "BUNDLE", "--namespace", name)),
    "restore": (TARGET, lambda name: ("--store", "NEW", "restore", name)),
    "methods": (NAME, lambda name: ("methods", name)),
}

Call = Callable[[Store, str, dict[str, Path]], Any]
METHODS: dict[str, Call] = {
    "register_base": lambda store, name, at: store.register_base(name, at["MODEL"]),
    "its source": lambda store, name, at: store.register_base("new", at["NEW"] / "x" / name),
    "register_skill": lambda store, name, at: store.register_skill(name, at["MODEL"], base="tiny"),
    "its base": lambda store, name, at: store.register_skill("new", at["MODEL"], base=name),
    "collect_statistics": lambda store, name, at: store.collect_statistics(
        name, kind="fisher", data=at["CONFIG"], examples=1
    ),
    "add_evaluation": lambda store, name, at: store.add_evaluation(name, metric="m", value=1, dataset="d"),
    "evaluations": lambda store, name, at: store.evaluations(name),
    "merge": lambda store, name, at: store.merge(name, "tiny + math"),
    "a term": lambda store, name, at: store.merge("new", f"tiny + {name}"),
    "head": lambda store, name, at: store.merge("new", "tiny + math", head=name or " "),
    "merge_from_mergekit": lambda store, name, at: store.merge_from_mergekit(name, at["CONFIG"], register=True),
    "its file": lambda store, name, at: store.merge_from_mergekit("new", name),
    "materialize": lambda store, name, at: store.materialize(name, wait=False),
    "policy": lambda store, name, at: store.materialize("assistant", policy=name, wait=False),
    "load": lambda store, name, at: store.load(name),
    "resident": lambda store, name, at: store.resident("tiny", [name]),
    "audit": lambda store, name, at: store.audit(name),
    "bom": lambda store, name, at: store.bom(name),
    "diff": lambda store, name, at: store.diff("math", name),
    "find by": lambda store, name, at: store.find("events", by=f"\ud800{name}"),
    "find subject": lambda store, name, at: store.find("events", subject=f"\0{name}"),
    "find contains": lambda store, name, at: store.find("merges", contains=name),
    "find meta": lambda store, name, at: store.find("skills", meta={f"\ud800{name}": "x"}),
    "impact": lambda store, name, at: store.impact(name),
    "influence": lambda store, name, at: store.influence(name),
    "rebuild": lambda store, name, at: store.rebuild(name),
    "verify": lambda store, name, at: store.verify(name) if name.strip(".") else store.show(name),
    "statistics": lambda store, name, at: store.statistics(name),
    "show_statistics": lambda store, name, at: store.show_statistics(name),
    "list": lambda store, name, at: store.list(name),
    "show": lambda store, name, at: store.show(name),
    "alias": lambda store, name, at: store.alias("math@1", name, wait=False),
    "unalias": lambda store, name, at: store.unalias("math", name, wait=False),
    "unalias of": lambda store, name, at: store.unalias(name, "prod", wait=False),
    "yank": lambda store, name, at: store.yank(f"{name}@1", "x", wait=False),
    "unyank": lambda store, name, at: store.unyank(f"{name}@1", "x", wait=False),
    "pin": lambda store, name, at: store.pin(name, "x"),
    "unpin": lambda store, name, at: store.unpin(name),
    "attest": lambda store, name, at: store.attest(name, key=None),
    "export": lambda store, name, at: store.export(name, at["NEW"]),
    "import_bundle": lambda store, name, at: store.import_bundle(at["NEW"] / "x" / name),
    "its name": lambda store, name, at: store.import_bundle(at["BUNDLE"], name=name),
    "its namespace": lambda store, name, at: store.import_bundle(at["BUNDLE"], namespace=name),
    "repair": lambda store, name, at: store.repair(copies=[at["NEW"] / "x" / name]),
    "methods": lambda store, name, at: mergestore.methods(name),
    "restore": lambda store, name, at: mergestore.restore(at["NEW"] / "x" / name, at["NEW"]),
    "open": lambda store, name, at: mergestore.open(at["NEW"] / "x" / name, create=False),
    "open as": lambda store, name, at: mergestore.open(store.home.root, actor=f"\n{name}"),
}


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working folder where no name is by chance that of something."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")


@pytest.fixture(scope="module")
def places(home: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """What the words in capitals stand for: a model, a bundle, a configuration of mergekit's, a path of nothing."""
    folder = tmp_path_factory.mktemp("places")
    model, bundle, config = save(folder / "model", fine_tune(BASE, 9)), folder / "bundle.tar", folder / "config.yml"
    assert Shell(home)("export", "math", "-o", bundle)[0] == 0
    config.write_text(
        f"merge_method: task_arithmetic\nbase_model: {home.parent / 'models' / 'tiny'}\nmodels:\n- model: {model}\n"
        "  parameters: {weight: 1}\n"
    )
    return {"MODEL": model, "BUNDLE": bundle, "CONFIG": config, "NEW": folder / "new"}


def _one(place: str) -> str:
    """A name, another for each place: all places together meet every name."""
    return list(NAMES)[list(COMMANDS).index(place) % len(NAMES)]


def _refused(shell: Shell, at: dict[str, Path], place: str, cases: list[str]) -> None:
    codes, words = COMMANDS[place]
    before = shell.state()
    for case in cases:
        line = [str(at.get(str(word), word)) for word in words(NAMES[case])]
        plain, json = shell(*line), shell(*line, "--json")
        assert plain[0] == json[0], case
        assert plain[0] in codes, (case, plain)
        for text in (*plain[1:], *json[1:]):
            assert not STEERING & set(text), case
            assert "Traceback" not in text
        if plain[0] != 6:  # a folder that is no model of ours is an answer of verify's
            assert f'"kind": "{KINDS[plain[0]]}"' in json[1], case
    assert shell.state() == before


@pytest.mark.parametrize("place", COMMANDS)
def test_commands_refuse_a_hostile_name(shell: Shell, places: dict[str, Path], place: str) -> None:
    _refused(shell, places, place, [_one(place)])


@pytest.mark.slow
@pytest.mark.parametrize("place", COMMANDS)
def test_commands_refuse_every_hostile_name(shell: Shell, places: dict[str, Path], place: str) -> None:
    _refused(shell, places, place, [case for case in NAMES if case != _one(place)])


def test_methods_refuse_every_hostile_name(shell: Shell, places: dict[str, Path]) -> None:
    before = shell.state()
    with mergestore.open(shell.home, create=False) as store:
        taken = [(place, case) for place in METHODS for case in NAMES if not _refuses(store, place, case, places)]
    assert taken == []
    assert shell.state() == before


def _refuses(store: Store, place: str, case: str, places: dict[str, Path]) -> bool:
    try:
        METHODS[place](store, NAMES[case], places)
    except MergestoreError as refusal:
        return refusal.kind in KINDS.values()
    return False


def test_plain_names_that_look_odd_are_names_like_others(shell: Shell) -> None:
    for name in PLAIN:
        assert shell.refused(3, "show", name)["message"].startswith(f"there is no model {name!r}")
        assert shell("merge", "new", f"tiny + {name}")[0] == 3
