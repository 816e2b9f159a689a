"""A store with a base and two fine-tunes of it, small enough to run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

import mergestore
from tests.integration.models import Model, floats, save


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Threads that wait for each other take most of the time of models this small."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def store(surroundings: None, tmp_path: Path) -> Iterator[mergestore.Store]:
    with mergestore.open(tmp_path / "home", tracking_uri="http://127.0.0.1:9", actor="tester@here") as opened:
        yield opened


@pytest.fixture
def register(store: mergestore.Store, tmp_path: Path) -> Callable[..., str]:
    """Registers a base, or with ``of`` a skill of it, stored exactly, from arrays by name; its name comes back."""

    def register(name: str, of: str | None = None, **arrays: np.ndarray) -> str:
        model: Model = {key.replace("__", "."): floats(array) for key, array in arrays.items()}
        folder = save(tmp_path / "models" / name, model)
        if of is None:
            store.register_base(name, folder)
        else:
            store.register_skill(name, folder, base=of, encoding="exact")
        return name

    return register
