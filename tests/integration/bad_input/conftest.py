"""A store of everything, which bad input must leave as it is."""

import subprocess

import pytest

from tests.integration.bad_input.refusal import BASE, BERT, HALF, OTHER, head
from tests.integration.models import BERT_CONFIG, LLAMA_CONFIG, fine_tune, floats, renamed, save
from tests.integration.shell import Shell


@pytest.fixture(scope="module")
def home(surroundings, tmp_path_factory):
    """A store of two Llama bases, a BERT and a half-precision model, with skills of each and a merge."""
    folder = tmp_path_factory.mktemp("bad")
    shell, models = Shell(folder / "store"), folder / "models"
    shell.json("init")
    for name, model, config in (
        ("tiny", BASE, LLAMA_CONFIG),
        ("other", OTHER, LLAMA_CONFIG),
        ("bert", BERT, BERT_CONFIG),
        ("half", HALF, None),
    ):
        save(models / name, model, config, files={"tokenizer.json": "{}"})
        shell.json("register", "base", name, models / name)
    for name, base, model, encoding in (
        ("math", "tiny", fine_tune(BASE, 1), "dare"),
        ("code", "tiny", fine_tune(BASE, 2), "exact"),
        ("legal", "other", fine_tune(OTHER, 3), "dare"),
        ("sentiment", "bert", fine_tune(BERT, 4) | head(4), "exact"),
        ("topics", "bert", renamed(fine_tune(BERT, 5), "bert.") | head(5), "exact"),
        ("loud", "half", {**HALF, "w": floats([[64000.0, 2.0]], "F16")}, "exact"),
        ("gone", "tiny", fine_tune(BASE, 6), "dare"),
    ):
        save(models / name, model, BERT_CONFIG)
        shell.json("register", "skill", name, models / name, "--base", base, "--encoding", encoding)
    shell.json("merge", "assistant", "tiny + 0.6*math + 0.4*code")
    shell.json("yank", "gone@1", "--reason", "trained on the test set")
    return folder / "store"


@pytest.fixture
def shell(home, tmp_path):
    return Shell(home, tmp_path)


@pytest.fixture
def alone(home, tmp_path):
    """A copy of the store, for tests that damage it."""
    place = tmp_path / "copy"
    subprocess.run(["cp", "-r", home, place], check=True)
    return Shell(place, tmp_path)
