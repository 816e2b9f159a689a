"""Texts of models, kept or left out alike on both databases and shown harmlessly in every face; and texts of people."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

import mergestore
from mergestore import InputRefused, MergestoreError, Store, UsageError
from tests.integration.models import LLAMA_CONFIG, fine_tune, llama, save
from tests.integration.shell import Shell

BASE = llama("F32", seed=1)
STEERING = set("\x1b\x07\x85\u202e\u2066")
SHOWN = "a\u202eb\x1b[31m\x07\u2066c\x85</script><img src=x>\"'`|]];-->"
KEPT = (SHOWN, "x" * 1_000_000, "größe 模型")
LEFT_OUT = ("a\0b", "a\ud800b")
FACES = (
    *(("show", "card"), ("audit", "m", "--tree"), ("audit", "m", "--dot"), ("audit", "m", "--mermaid")),
    *(("audit", "m", "--bom"), ("audit", "m", "--json"), ("find", "skills"), ("find", "events"), ("list",)),
)

pytestmark = pytest.mark.usefixtures("surroundings")


def card(folder: Path, text: str) -> Path:
    """A fine-tune whose papers say ``text`` wherever they can."""
    save(folder, fine_tune(BASE, 5), LLAMA_CONFIG)
    said = json.dumps(text)
    (folder / "README.md").write_text(
        f"---\nlicense: other\nlicense_name: {said}\ntags: [{said}]\ndatasets: {said}\nlanguage: de\n---\n"
    )
    (folder / "trainer_state.json").write_text(json.dumps({"trial_name": text, "epoch": 3}))
    (folder / "all_results.json").write_text(json.dumps({text: 1.0, "loss": 0.5}))
    return folder


@pytest.fixture(scope="module")
def registered(surroundings: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A store with a base."""
    folder = tmp_path_factory.mktemp("people")
    save(folder / "tiny", BASE, LLAMA_CONFIG)
    with mergestore.open(folder / "store") as store:
        store.register_base("tiny", folder / "tiny")
        yield store


def test_texts_of_models(database_url: str, tmp_path: Path) -> None:
    save(tmp_path / "tiny", BASE, LLAMA_CONFIG)
    with mergestore.open(tmp_path / "store", database=database_url) as store:
        store.register_base("tiny", tmp_path / "tiny")
        for number, text in enumerate((*KEPT, *LEFT_OUT)):
            name = f"card{number}" if number else "card"
            store.register_skill(name, card(tmp_path / name, text), base="tiny", seed=number)
            training = store.show(name)["attributes"]["training"]
            assert training["card"]["language"] == "de"
            assert (training["trainer"]["epoch"], training["results"]["loss"]) == (3, 0.5)
            kept = text[:1000] if text in KEPT else None
            assert training["trainer"].get("trial_name") == training["card"].get("datasets") == kept
            assert len(training["results"]) == (2 if kept == text else 1)
        store.merge("m", "tiny + card")
        store.actor = f"eve{SHOWN}"
        store.alias("m@1", "prod", wait=False)
        assert store.verify().ok
    shell = Shell(tmp_path / "store")
    for words in FACES:
        code, out, err = shell("--database", database_url, *words)
        assert code == 0, err
        assert not STEERING & set(out + err), words
    shell.text("--database", database_url, "audit", "m", "--html", tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert not STEERING & set(page)
    assert "<img src=x>" not in page


@pytest.mark.parametrize("text", [*LEFT_OUT, SHOWN, "x" * 1_000_000, "two\nlines", " "])
def test_texts_of_people(registered: Store, text: str) -> None:
    """One line that can be printed, or nothing is recorded."""
    before = registered.find("events").to_dict()
    model = registered.home.root.parent / "tiny"
    for attempt in (
        lambda: registered.pin("tiny", text),
        lambda: registered.yank("tiny@1", text, wait=False),
        lambda: registered.add_evaluation("tiny", metric=text, value=1, dataset="d"),
        lambda: registered.add_evaluation("tiny", metric="m", value=1, dataset="d", details={"note": f"{text}\n"}),
        lambda: registered.register_base("two", model, meta={"note": f"{text}\n"}),
        lambda: registered.register_base("two", model, licence=text),
        lambda: mergestore.open(registered.home.root, actor=text),
        lambda: mergestore.open(model / text / "x", create=False),
    ):
        with pytest.raises(MergestoreError):
            attempt()
    assert registered.find("events").to_dict() == before


@pytest.mark.parametrize("name", ["a\0b", "a\ud800b"])
def test_tensors_whose_names_no_record_can_hold(tmp_path: Path, name: str) -> None:
    torch = pytest.importorskip("torch")
    (tmp_path / "config.json").write_text("{}")
    torch.save({name: torch.ones(2)}, tmp_path / "pytorch_model.bin")
    with mergestore.open(tmp_path / "store") as store, pytest.raises(InputRefused, match="a tensor's name"):
        store.register_base("odd", tmp_path)


def test_a_folder_whose_name_is_not_utf8(tmp_path: Path) -> None:
    folder = save(tmp_path / "model\udcff", BASE, LLAMA_CONFIG)
    with mergestore.open(tmp_path / "store") as store:
        with pytest.raises(UsageError, match="it is not UTF-8"):
            store.register_base("tiny", folder)
        store.register_base("tiny", folder.rename(tmp_path / "model"))
        store.register_skill("math", save(tmp_path / "math", fine_tune(BASE, 1), LLAMA_CONFIG), base="tiny")
        with pytest.raises(UsageError, match="it is not UTF-8"):
            store.materialize("tiny + math", output=tmp_path / "out\udcff", wait=False)
        assert not (tmp_path / "out\udcff").exists()
