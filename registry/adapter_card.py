"""What an adapter's model card tells of its factors: how near they come, and what is not in them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def adapter_lines(told: Mapping[str, Any]) -> list[str]:
    """Lines of a list, from the ``adapter`` of a manifest."""
    ranks = sorted({layer["rank"] for layer in told["layers"].values()})
    span = f"{ranks[0]}" if len(ranks) == 1 else f"{ranks[0]} to {ranks[-1]}"
    worst = max(told["layers"], key=lambda name: told["layers"][name]["error"])
    lines = [
        f"- factors of rank {span} for {len(told['layers'])} layers, {told['parameters']:,} numbers",
        f"- what the adapter leaves of the merged delta: {told['error']:.3g} of its norm; {told['energy']:.2%} of its "
        "energy are kept",
        f"- the layer that it comes least near: `{worst}`, {told['layers'][worst]['error']:.3g} of its norm are left",
    ]
    if told["modules_to_save"]:
        lines.append(f"- saved whole: {_names(told['modules_to_save'])}")
    if told["biases"]:
        lines.append(f"- biases: {len(told['biases'])}")
    if told["dropped"]:
        lines.append(f"- **left out**, so that the base's own values stay: {_names(sorted(told['dropped']))}")
    return lines


def _names(names: list[str]) -> str:
    shown = ", ".join(f"`{name}`" for name in names[:10])
    return shown + (f" and {len(names) - 10} more" if len(names) > 10 else "")
