"""What was tried, as a table in Markdown: python -m tests.integration.faults.report FILE, of what the tests counted."""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path

FAMILIES = {"kill": "killed", "error": "met an error", "full disk": "on a full disk", "ended": "asked to end"}


def table(lines: list[str]) -> str:
    """A row a verb, a column a family, and the sums; what was tried of all the places that there are."""
    found: dict[str, dict[str, tuple[int, int]]] = {}
    for counted in map(json.loads, lines):
        verb = found.setdefault(counted["scenario"], {})
        tried, points = verb.get(counted["family"], (0, 0))
        verb[counted["family"]] = tried + counted["tried"], max(points, counted["points"])
    families = [*FAMILIES, *sorted({family for verb in found.values() for family in verb} - FAMILIES.keys())]
    rows = [["verb", *(FAMILIES.get(family, family) for family in families)], ["---", *["---:" for _ in families]]]
    for verb, counts in found.items():
        rows.append([f"`{verb}`", *("{} of {}".format(*counts[each]) if each in counts else "" for each in families)])
    sums = [sum(counts.get(each, (0, 0))[0] for counts in found.values()) for each in families]
    rows.append(["**all**", *(f"**{each:,}**" for each in sums)])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def kinds(lines: list[str]) -> str:
    """How often each error was met, all verbs together."""
    found = Counter[str]()
    for counted in map(json.loads, lines):
        if counted["family"] == "error":
            found.update(
                {kind: n for kind, n in counted.items() if kind not in ("family", "scenario", "points", "tried")}
            )
    rows = [["error", "times"], ["---", "---:"], *([kind, f"{n:,}"] for kind, n in found.most_common())]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


if __name__ == "__main__":
    told = Path(sys.argv[1]).read_text().splitlines()
    print(f"{table(told)}\n\n{kinds(told)}")
