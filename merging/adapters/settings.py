"""How a merged delta becomes an adapter: what a recipe says of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from storage.errors import UsageError

Rest = Literal["save", "drop", "refuse"]
RESTS = ("save", "drop", "refuse")
DEFAULT_OVERSAMPLING, DEFAULT_ITERATIONS = 16, 3
_MOST = 1 << 20


@dataclass(frozen=True)
class Extraction:
    """Rank and care of the factors, and what becomes of changed tensors that have none.

    ``rank``: that of every layer; with ``energy``, the largest one. ``energy``: share in (0, 1) of a layer's ‖delta‖²
    that its factors keep at least; each layer then has the smallest rank that does. ``rest``: changed tensors that are
    no linear weights are saved whole, dropped, or refused. ``oversampling``: columns that the random projection draws
    beyond the rank; ``iterations``: power iterations that refine it (``merging.adapters.truncated``).
    """

    rank: int | None = None
    energy: float | None = None
    rest: Rest = "save"
    oversampling: int = DEFAULT_OVERSAMPLING
    iterations: int = DEFAULT_ITERATIONS

    def to_dict(self) -> dict[str, Any]:
        """The part of the recipe's JSON."""
        return dict(vars(self))


def check_extraction(extraction: Extraction) -> Extraction:
    """The settings, if they make sense. Raises UsageError naming the one that does not."""
    if extraction.rank is None and extraction.energy is None:
        raise UsageError("an adapter needs a rank", hint="give --rank N, or --energy SHARE, or both")
    _check_whole("rank", 1 if extraction.rank is None else extraction.rank, 1)
    _check_whole("oversampling", extraction.oversampling, 0)
    _check_whole("iterations", extraction.iterations, 0)
    energy = extraction.energy
    number = isinstance(energy, int | float) and not isinstance(energy, bool)
    if energy is not None and not (number and 0 < energy < 1):
        raise UsageError(f"energy {energy!r} is no share between 0 and 1", hint="0.99 keeps 99 % of each layer's delta")
    if extraction.rest not in RESTS:
        raise UsageError(f"unknown rest {extraction.rest!r}", hint=f"choose one of {', '.join(RESTS)}")
    return extraction


def read_extraction(document: Mapping[str, Any]) -> Extraction:
    """The settings in a recipe's JSON. Raises UsageError, TypeError or KeyError where they are none."""
    rank = document["rank"]
    whole = (None if rank is None else int(rank), int(document["oversampling"]), int(document["iterations"]))
    return check_extraction(Extraction(whole[0], document["energy"], document["rest"], *whole[1:]))


def _check_whole(name: str, value: object, least: int) -> None:
    if type(value) is not int or not least <= value <= _MOST:
        raise UsageError(f"{name} {value!r} is no whole number from {least} to {_MOST}")
