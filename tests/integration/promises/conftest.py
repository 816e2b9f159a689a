"""Stores for the promises of DESIGN.md, each of which has a file that fails when it is broken."""

import contextlib

import pytest

import mergestore


@pytest.fixture
def opened(tmp_path):
    """Open stores in folders of this test; closed at the end."""
    with contextlib.ExitStack() as stack:
        yield lambda name="store": stack.enter_context(mergestore.open(tmp_path / name))
