"""Which encoding and coding the options of `register skill` mean: a table of what each encoding takes."""

from __future__ import annotations

from dataclasses import dataclass

from storage.encodings.coding import EXACT, SIGN, Coding, dare_coding, magnitude_coding
from storage.errors import UsageError

DROP_RATE = 0.9
DENSITY = 0.1
VALUES = "int4"
TRIM = "model"


@dataclass(frozen=True)
class CodingOptions:
    """How a skill shall be stored, as asked for; None is an option not given."""

    encoding: str | None = None
    values: str | None = None
    drop_rate: float | None = None
    seed: int | None = None
    density: float | None = None
    trim: str | None = None


@dataclass(frozen=True)
class _Encoding:
    """The options that an encoding takes, and what it keeps, for whom another option was given."""

    takes: tuple[str, ...]
    keeps: str


_ENCODINGS = {
    "dare": _Encoding(("values", "drop_rate", "seed"), "it keeps values at random, as many as --drop-rate says"),
    "exact": _Encoding((), "it keeps every value exactly"),
    "magnitude": _Encoding(("values", "density", "trim"), "it keeps the largest values, as many as --density says"),
    "sign": _Encoding((), "it keeps one bit of every value"),
    "lora": _Encoding((), "it keeps every value exactly"),
}
_OPTIONS = ("values", "drop_rate", "seed", "density", "trim")


def choose_coding(options: CodingOptions, *, adapter: bool) -> tuple[str, Coding]:
    """The encoding and coding that the options mean, for a checkpoint or for a PEFT ``adapter``.

    Raises UsageError where they cannot go together, so that no option is without effect.
    """
    chosen = options.encoding or ("lora" if adapter else "dare")
    if chosen not in _ENCODINGS:
        raise UsageError(f"unknown encoding {chosen!r}", hint=f"choose one of {', '.join(_ENCODINGS)}")
    if adapter != (chosen == "lora"):
        kind, fits = ("an adapter", "lora") if adapter else ("a checkpoint", "dare, exact, magnitude or sign")
        raise UsageError(f"{kind} cannot be stored with encoding {chosen!r}", hint=f"use {fits}, or leave it out")
    _refuse_without_effect(options, chosen)
    values = VALUES if options.values is None else options.values
    if chosen == "dare":
        drop_rate = DROP_RATE if options.drop_rate is None else options.drop_rate
        return chosen, dare_coding(drop_rate, options.seed or 0, values)
    if chosen == "magnitude":
        density = DENSITY if options.density is None else options.density
        return chosen, magnitude_coding(density, TRIM if options.trim is None else options.trim, values)
    return chosen, SIGN if chosen == "sign" else EXACT


def _refuse_without_effect(options: CodingOptions, chosen: str) -> None:
    for option in _OPTIONS:
        if getattr(options, option) is None or option in _ENCODINGS[chosen].takes:
            continue
        takers = [name for name, encoding in _ENCODINGS.items() if option in encoding.takes]
        raise UsageError(
            f"encoding {chosen!r} has no {option.replace('_', ' ')}: {_ENCODINGS[chosen].keeps}",
            hint=f"leave it out, or use --encoding {' or '.join(takers)}; "
            "a dare method drops values while merging, ties trims them",
        )
