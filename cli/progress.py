"""Progress bars on stderr: seen by a person at a terminal, silent everywhere else."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


class Bars:
    """One rich bar for each piece of work, in bytes; implements ``storage.progress.Progress``."""

    def __init__(self) -> None:
        self._display: Progress | None = None
        self._task: TaskID | None = None

    def start(self, label: str, total: int) -> None:
        """Show a bar called ``label`` that is full at ``total`` bytes."""
        self.finish()
        self._display = _display()
        self._display.start()
        self._task = self._display.add_task(label, total=total)

    def advance(self, amount: int) -> None:
        """Move the bar on by ``amount`` bytes."""
        if self._display is not None and self._task is not None:
            self._display.advance(self._task, amount)

    def finish(self) -> None:
        """Leave the bar as it stands and give the terminal back."""
        if self._display is not None:
            self._display.stop()
        self._display = self._task = None


def bars() -> Bars | None:
    """Progress bars for a person, or None where stderr is not a terminal."""
    return Bars() if sys.stderr.isatty() else None


def _display() -> Progress:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=Console(stderr=True))
