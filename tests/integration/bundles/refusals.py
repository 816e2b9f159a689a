"""A small model and what was tuned of it, in bundles that are refused; and proof that a refusal left nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mergestore import InputRefused, IntegrityFailure, MergestoreError, Store
from tests.integration.models import floats
from tests.integration.shell import listing, rows

BASE = {"w": floats(np.arange(12).reshape(3, 4) / 64), "v": floats([1, 2])}
TUNED = {
    "one": {"w": floats(np.arange(12).reshape(3, 4) / 60), "v": floats([1, 3])},
    "two": {**BASE, "v": floats([2, 2])},
}
CONFIG = {"model_type": "tiny"}


def state(store: Store) -> Any:
    return listing(store.home.root), rows(store.home.root / "registry.db")


def refused(store: Store, path: Path, kinds: Any = (InputRefused, IntegrityFailure)) -> MergestoreError:
    """The error of an import, which left nothing."""
    before = state(store)
    with pytest.raises(kinds) as caught:
        store.import_bundle(path)
    assert state(store) == before
    assert str(path) in caught.value.message
    return caught.value
