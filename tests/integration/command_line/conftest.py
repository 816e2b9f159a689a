"""Stores, and the command line on them."""

import numpy as np
import pytest

from tests.integration.command_line.models import SHAPES, save
from tests.integration.shell import Shell


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A tiny base model and two fine-tunes of it, as folders."""
    folder, random = tmp_path_factory.mktemp("models"), np.random.default_rng(7)
    base = {name: random.normal(0, 0.02, shape).astype(np.float32) for name, shape in SHAPES.items()}
    save(folder / "base", base)
    for name in ("math", "code"):
        tuned = {key: value + random.normal(0, 1e-3, value.shape).astype(np.float32) for key, value in base.items()}
        save(folder / name, tuned)
    return folder


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
