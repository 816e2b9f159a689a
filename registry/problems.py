"""What is wrong with a request, collected: a check goes on where a verb that works would raise."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from storage.errors import MergestoreError


class Problems:
    """Errors in the order in which they were met; the same one met again counts once."""

    def __init__(self) -> None:
        self.found: list[MergestoreError] = []
        self.violations: list[dict[str, Any]] = []  # of policies, which are problems too

    def add(self, error: MergestoreError) -> None:
        """Take down one error."""
        if (error.kind, error.message) not in {(each.kind, each.message) for each in self.found}:
            self.found.append(error)

    @contextmanager
    def noted(self) -> Iterator[None]:
        """Take down what the block raises; what comes after the block is done all the same."""
        try:
            yield
        except MergestoreError as error:
            self.add(error)
