"""What is done, while it is done: events with fields, to the standard logger ``mergestore``; silent by default."""

from __future__ import annotations

import logging
from typing import Any

LOGGER = logging.getLogger("mergestore")
LOGGER.addHandler(logging.NullHandler())

DEBUG, INFO, WARNING, ERROR = logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR


def note(event: str, level: int = INFO, **fields: Any) -> None:
    """Tell that ``event``, such as ``lock.waited``, has happened; ``fields`` are JSON-ready, ``seconds`` a duration."""
    if LOGGER.isEnabledFor(level):
        LOGGER.log(level, event, extra={"fields": fields})
