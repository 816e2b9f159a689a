"""Tiny bases whose fine-tunes are merged one way or another."""

import pytest

from tests.unit.tiny_models import Tiny


@pytest.fixture
def tiny(tmp_path):
    """Makes tiny bases; closed at the end."""
    made = []

    def make(**tensors):
        folder = tmp_path / str(len(made))
        folder.mkdir()
        made.append(Tiny(folder, tensors))
        return made[-1]

    yield make
    for base in made:
        base.close()
