"""What a check tells a person: the verdict and every problem, then inputs, resources, licences and interference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cli.console import say
from cli.grid import Column, print_grid
from cli.lineage import licences
from cli.tables import policy_text
from cli.units import number_text, size_text
from merging.setting_text import spelled

if TYPE_CHECKING:
    from mergestore import Checked

Row = Mapping[str, Any]
_MOST_PAIRS = 4  # columns that a table of layers has room for; of more it tells the lowest


def checked(answer: Checked) -> None:
    """All of a check."""
    _verdict(answer)
    _inputs(answer)
    if answer.licences["expression"] is not None:
        licences(answer.licences)
        say()
    if answer.policies:
        say(f"policies asked: {', '.join(policy_text(policy) for policy in answer.policies)}")
        say()
    if answer.resources is not None:
        _resources(answer.resources)
    if answer.interference is not None:
        _interference(answer.interference)
    if answer.plot is not None:
        say(f"picture: {answer.plot}")


def _verdict(answer: Checked) -> None:
    count = len(answer.problems)
    verdict = "can be materialized" if answer.ok else "cannot be materialized"
    say(f"{verdict}: {answer.expression}" if answer.expression else verdict)
    if answer.method is not None:
        say(f"  {answer.method}{f', recipe {answer.recipe_digest}' if answer.recipe_digest else ''}")
    if count:
        say(f"{number_text(count, 'problems')}:")
    for number, problem in enumerate(answer.problems, 1):
        say(f"  {number}. {_indented(problem['message'])}")
        if problem["hint"]:
            say(f"     {_indented(problem['hint'])}")
    for warning in answer.warnings:
        say(f"warning: {warning['message']}")
    say()


def _indented(text: str) -> str:
    return text.replace("\n", "\n     ")


def _inputs(answer: Checked) -> None:
    if not answer.inputs:
        return
    needs: dict[str, list[Row]] = {}
    for need in answer.needs:
        needs.setdefault(need["skill"], []).append(need)
    columns = ["reference", "is a", "weight", "of base", "stored", "size", "licence", "must carry"]
    rows = [
        [
            each["reference"] + ("" if each["state"] == "ready" else f" ({each['state']})"),
            each["role"],
            spelled(each["weight"]) if each.get("weight") is not None else "",
            each.get("base", ""),
            _stored(each),
            size_text(each["stored_bytes"]) if "stored_bytes" in each else "",
            each["licence"] or "unknown",
            ", ".join(_carried(need) for need in needs.get(each["reference"], [])) if each["role"] == "skill" else "",
        ]
        for each in answer.inputs
    ]
    shown = [place for place in range(len(columns)) if any(row[place] for row in rows)]
    headings = [Column(columns[place], right=columns[place] == "size") for place in shown]
    print_grid("inputs", headings, [[row[place] for place in shown] for row in rows])
    if missing := [need["command"] for need in answer.needs if not need["carried"]]:
        say("what is missing would be provided by:")
        for command in missing:
            say(f"  {command}")
        say()


def _stored(each: Row) -> str:
    if "encoding" not in each:
        return ""
    return f"{each['encoding']}, p = {each['drop_rate']:.3g}" if each["drop_rate"] else str(each["encoding"])


def _carried(need: Row) -> str:
    what = "all of its delta" if need["need"] == "unsparsified" else f"{need['need']} statistics"
    return what if need["carried"] else f"{what}: missing"


def _resources(resources: Row) -> None:
    say("resources")
    where = "the cache" if resources["kind"] == "cache" else resources["place"]
    free = size_text(resources["free_bytes"])
    meanwhile = resources["peak_bytes"]
    more = f" ({size_text(meanwhile)} while it is made)" if meanwhile > resources["needed_bytes"] else ""
    say(f"  disk    {size_text(resources['needed_bytes'])}{more} in {where}, where {free} are free")
    if resources["cached"]:
        say("          the cache has this recipe's result already: nothing has to be computed")
    largest = max(resources["stages"], key=lambda stage: stage["bytes"])
    process, held = size_text(resources["process_bytes"]), size_text(largest["bytes"])
    say(
        f"  memory  about {size_text(resources['memory_bytes'])} at the peak, with {resources['threads']} threads: "
        f"{process} for the process, {held} to {largest['what']}"
    )
    say(f"  reads   {size_text(resources['read_bytes'])} in {len(resources['passes'])} passes")
    for each in resources["passes"]:
        parts = [("base", each["base_bytes"]), ("skills", each["skill_bytes"])]
        say(f"          {each['what']}: {', '.join(f'{what} {size_text(nbytes)}' for what, nbytes in parts if nbytes)}")
    say()


def _interference(found: Row) -> None:
    whole, skills = found["whole"], found["skills"]
    if whole["pairs"]:
        rows = [[each["one"], each["other"], *_compared(each)] for each in whole["pairs"]]
        columns = [Column("skill"), Column("and"), Column("cosine", right=True), Column("same sign", right=True)]
        print_grid("interference", [*columns, Column("both change", right=True)], rows)
    if whole["cancelled"] is not None:
        say(f"{whole['cancelled']:.1%} of the norms cancel in the sum; of unrelated skills {whole['unrelated']:.1%}")
    if found["estimated"]:
        signs = "; signs count where both were kept" if whole["pairs"] else ""
        say(f"estimated from what was kept: {', '.join(found['estimated'])}{signs}")
    if whole["cancelled"] is not None or found["estimated"]:
        say()
    _layers(found, skills)


def _layers(found: Row, skills: Sequence[str]) -> None:
    """Norms, and cosines: of each pair, or of the lowest where there are many."""
    pairs = found["whole"]["pairs"]
    columns = [Column("layer"), *(Column(f"norm {skill}", right=True) for skill in skills)]
    few = len(pairs) <= _MOST_PAIRS
    if few:
        columns += [Column(f"{each['one']} · {each['other']}", right=True) for each in pairs]
    else:
        columns += [Column("lowest cosine", right=True), Column("between")]
    rows = []
    for group in [*found["groups"], found["whole"]]:
        row = [group["name"], *(f"{norm:.4g}" for norm in group["norms"].values())]
        rows.append(row + ([_cosine(each) for each in group["pairs"]] if few else _lowest(group["pairs"])))
    print_grid("norms and cosines by layer" if pairs else "norms by layer", columns, rows)


def _compared(pair: Row) -> list[str]:
    share = "" if pair["agreement"] is None else f"{pair['agreement']:.1%}"
    return [_cosine(pair), share, f"{pair['overlap']:.2%}"]


def _cosine(pair: Row) -> str:
    if pair["cosine"] is None:
        return "none"
    error = f" ± {pair['error']:.1g}" if pair["error"] else ""
    return f"{round(pair['cosine'], 3) + 0.0:.3f}{error}"


def _lowest(pairs: Sequence[Row]) -> list[str]:
    known = [pair for pair in pairs if pair["cosine"] is not None]
    if not known:
        return ["none", ""]
    lowest = min(known, key=lambda pair: float(pair["cosine"]))
    return [_cosine(lowest), f"{lowest['one']} · {lowest['other']}"]
