"""The hook through which long work reports how far it is; who watches is passed in."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Watches one piece of work at a time, measured in bytes."""

    def start(self, label: str, total: int) -> None:
        """A piece of work called ``label`` begins; it will advance by ``total`` bytes."""

    def advance(self, amount: int) -> None:
        """``amount`` more bytes are done."""

    def finish(self) -> None:
        """The current piece of work has ended, well or not."""


class Silent:
    """Watches nothing."""

    def start(self, label: str, total: int) -> None:
        """Ignore it."""

    def advance(self, amount: int) -> None:
        """Ignore it."""

    def finish(self) -> None:
        """Ignore it."""
