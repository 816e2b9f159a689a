"""What differs between two models: in what they are made of, and in every tensor.

Tensors are compared one at a time, in fp64. Where both are made of the same base, their deltas from it are: else a
cosine would say little, as fine-tunes lie close together. For each tensor, with a and b its values and a₀ the base's:

    distance   ‖a − b‖
    norms      ‖a − a₀‖ and ‖b − a₀‖; without a common base ‖a‖ and ‖b‖
    cosine     of a − a₀ and b − a₀; without a common base of a and b
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from merging.choosing import open_engine
from merging.passes.preparing import prepared
from merging.plans.plan import Plan
from merging.streaming.materializer import materialize
from merging.streaming.sinks import MemorySink
from registry.answers import show
from registry.audits.folder import check_told
from registry.directories import read_manifest
from registry.materializing import opened
from registry.merges import resolve_expression, stored_merge
from registry.opening import open_base
from registry.publishing import MANIFEST
from registry.records.catalog import look_up
from registry.records.database import reading
from registry.records.tables import ModelVersion
from registry.resolved import Choices, ResolvedMerge
from registry.results import Difference
from registry.targets import folder_instead
from registry.tasks import require_task
from registry.wish import Context
from storage.checkpoints.adapter import is_adapter
from storage.checkpoints.checkpoint import open_checkpoint
from storage.checkpoints.tensors import TensorSource
from storage.dtypes import DTYPES, MERGEABLE
from storage.encodings.numeric import as_bits, widen
from storage.errors import NotFound, UsageError
from storage.pipeline import thread_count
from storage.progress import Progress, Silent

Doubles = NDArray[np.float64]
_OF_A_SKILL = ("encoding", "values", "drop_rate", "seed", "density", "trim", "stored_bytes")


@dataclass(frozen=True)
class _Side:
    """One of the two. ``tensors``: (dtype, shape) by name; ``raw``: a tensor's bytes; ``made_of``: what is compared of
    its making, by what it is called; ``base``: digest, and tensors if they are here, of the base that it is made of.
    """

    told: dict[str, Any]
    tensors: Mapping[str, tuple[str, tuple[int, ...]]]
    raw: Callable[[str], bytes]
    made_of: Mapping[str, Any]
    base: tuple[str, TensorSource | None] | None


def diff(context: Context, one: str | Path, other: str | Path, threads: int | None, progress: Progress) -> Difference:
    """Compare two versions, or published or other model folders, tensor by tensor. Raises UsageError for adapters."""
    threads = thread_count(threads)
    with ExitStack() as stack:
        sides = _alike(*(_open(context, stack, target, threads) for target in (one, other)))
        common = _common_base(*sides)
        names = sorted(sides[0].tensors.keys() & sides[1].tensors.keys())
        sizes = {
            name: math.prod(sides[0].tensors[name][1]) * DTYPES[sides[0].tensors[name][0]].itemsize for name in names
        }
        progress.start("compare", sum(sizes.values()))
        try:
            rows = []
            for name in names:
                rows.append(_compared(name, sides[0], sides[1], common))
                progress.advance(sizes[name])
        finally:
            progress.finish()
    only = [sorted(mine.tensors.keys() - theirs.tensors.keys()) for mine, theirs in (sides, sides[::-1])]
    return Difference(
        one=sides[0].told,
        other=sides[1].told,
        made_of=_changes(sides[0].made_of, sides[1].made_of),
        deltas=common is not None,
        tensors=rows,
        only={"one": only[0], "other": only[1]},
        whole=_whole(rows),
    )


def _open(context: Context, stack: ExitStack, target: str | Path, threads: int | None) -> _Side:
    if isinstance(target, Path):
        return _folder(stack, target)
    with reading(context.engine) as session:
        try:
            version = look_up(session, target)
        except (UsageError, NotFound) as refusal:
            return _folder(stack, folder_instead(target, refusal))
        facts = show(session, version.reference)
        if version.kind == "base":
            base = open_base(session, context.home, version)
            stack.callback(base.source.close)
            return _of_source(_version(version), base.source, {}, (version.digest, base.source))

    def resolved_anew(session: Session) -> ResolvedMerge:
        if version.kind == "merge":
            found = stored_merge(session, version)
            require_task(found)
            return found
        base = f"{facts['base']['name']}@{facts['base']['version']}"
        return resolve_expression(session, context.home, f"{base} + {version.reference}", Choices())

    made = stack.enter_context(opened(context, resolved_anew, looking=True))
    plan = prepared(made.plan, thread_count(threads), Silent())
    resolved = made.sources.resolved
    made_of = _recipe(resolved.recipe.to_dict(), {each.digest: each.reference for each in resolved.inputs})
    if version.kind == "skill":
        made_of = {name: facts[name] for name in _OF_A_SKILL} | {"base": facts["base"]["digest"]}
        made_of |= {f"training: {key}": value for key, value in facts["attributes"].get("training", {}).items()}
    return _of_plan(_version(version), plan, thread_count(threads), made_of, (resolved.base.digest, plan.base))


def _alike(one: _Side, other: _Side) -> list[_Side]:
    """Both under the same names: a model with a head is named as its fine-tune is, with a prefix."""
    for mine, theirs in ((one, other), (other, one)):
        prefixes = {f"{name.partition('.')[0]}." for name in mine.tensors.keys() - theirs.tensors.keys() if "." in name}
        for prefix in sorted(prefixes):
            bare = {name: name.removeprefix(prefix) for name in mine.tensors}
            gained = len(theirs.tensors.keys() & set(bare.values())) > len(theirs.tensors.keys() & mine.tensors.keys())
            if gained and len(set(bare.values())) == len(bare):
                renamed = _renamed(mine, {short: name for name, short in bare.items()})
                return [renamed, theirs] if mine is one else [theirs, renamed]
    return [one, other]


def _renamed(side: _Side, names: Mapping[str, str]) -> _Side:
    """``names``: what each tensor is called now, and what it was called."""
    tensors = {now: side.tensors[before] for now, before in names.items()}
    return replace(side, tensors=tensors, raw=lambda name: side.raw(names[name]))


def _folder(stack: ExitStack, folder: Path) -> _Side:
    if folder.is_dir() and is_adapter(folder):
        raise UsageError(
            f"{folder} is an adapter, and whole models are compared", hint="register it, and name the skill"
        )
    checkpoint = open_checkpoint(folder)
    stack.callback(checkpoint.close)
    made_of: dict[str, Any] = {}
    base = None
    if (folder / MANIFEST).is_file():
        document = read_manifest(folder)
        check_told(folder, document)
        known = [*document["skills"], document["base"], *filter(None, [document.get("head")])]
        base = (document["base"]["digest"], None)
        made_of = _recipe(document["recipe"], {each["digest"]: f"{each['name']}@{each['version']}" for each in known})
    return _of_source({"what": str(folder), "kind": "folder", "digest": None}, checkpoint.source, made_of, base)


def _version(version: ModelVersion) -> dict[str, Any]:
    return {"what": version.reference, "kind": version.kind, "digest": version.digest}


def _of_source(
    told: dict[str, Any],
    source: TensorSource,
    made_of: Mapping[str, Any],
    base: tuple[str, TensorSource | None] | None,
) -> _Side:
    def raw(name: str) -> bytes:
        data = bytearray(source.entries[name].nbytes)
        source.read_into(name, 0, memoryview(data))
        return bytes(data)

    tensors = {name: (entry.dtype, entry.shape) for name, entry in source.entries.items()}
    return _Side(told, tensors, raw, made_of, base)


def _of_plan(
    told: dict[str, Any], plan: Plan, threads: int, made_of: Mapping[str, Any], base: tuple[str, TensorSource | None]
) -> _Side:
    # By the base's names, which a head's fine-tune has with a prefix: so they are found in the base, too.
    outputs = {output.base or output.name: output for output in plan.outputs}
    if plan.stack:
        outputs = {output.name: output for output in plan.outputs}
    engine = open_engine("cpu")

    def raw(name: str) -> bytes:
        sink = MemorySink()
        materialize(replace(plan, outputs=(outputs[name],)), sink, engine, threads, Silent())
        return bytes(sink.tensors.get(outputs[name].name, b""))

    tensors = {name: (output.dtype, output.shape) for name, output in outputs.items()}
    return _Side(told, tensors, raw, made_of, base)


def _values(raw: bytes, dtype: str) -> Doubles:
    return widen(as_bits(memoryview(bytearray(raw)), dtype), dtype).astype(np.float64)


def _recipe(recipe: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """What a recipe says, by what it is said of; models by name."""
    found: dict[str, Any] = {"base": names.get(recipe["base"], recipe["base"])}
    for term in recipe["terms"]:
        said = {key: value for key, value in term.items() if key != "skill"}
        found[f"skill {names.get(term['skill'], term['skill'])}"] = said if len(said) > 1 else said["weight"]
    found |= {f"parameter {name}": value for name, value in recipe["parameters"].items()}
    found["head"] = names.get(recipe["head"], recipe["head"])
    rest = ("method", "semantics", "dtype", "vocabulary", "chat_template", "generation_config", "task", "slices")
    return found | {name: recipe.get(name) for name in rest}


def _changes(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[dict[str, Any]]:
    names = dict.fromkeys([*one, *other])
    return [
        {"what": name, "one": one.get(name), "other": other.get(name)}
        for name in names
        if one.get(name) != other.get(name)
    ]


def _common_base(one: _Side, other: _Side) -> TensorSource | None:
    bases = [side.base for side in (one, other) if side.base is not None]
    if not bases or len({digest for digest, _ in bases}) > 1:
        return None
    # A folder that tells of no base is compared with the other one's, too.
    return next((source for _, source in bases if source is not None), None)


def _compared(name: str, one: _Side, other: _Side, base: TensorSource | None) -> dict[str, Any]:
    (dtype, shape), (dtype_, shape_) = one.tensors[name], other.tensors[name]
    row: dict[str, Any] = {"name": name, "dtypes": [dtype, dtype_], "shapes": [list(shape), list(shape_)]}
    if shape != shape_:
        return {**row, "equal": False, "distance": None, "norms": None, "cosine": None}
    raw, raw_ = one.raw(name), other.raw(name)
    row["equal"] = dtype == dtype_ and raw == raw_
    if dtype not in MERGEABLE or dtype_ not in MERGEABLE:
        return {**row, "distance": None, "norms": None, "cosine": None}
    a, b = _values(raw, dtype), _values(raw_, dtype_)
    distance = float(np.linalg.norm(a - b))
    entry = base.entries.get(name) if base is not None else None
    if base is not None and entry is not None and entry.shape == shape and entry.dtype in MERGEABLE:
        data = bytearray(entry.nbytes)
        base.read_into(name, 0, memoryview(data))
        origin = _values(bytes(data), entry.dtype)
        a, b = a - origin, b - origin
    norms = [float(np.linalg.norm(a)), float(np.linalg.norm(b))]
    product = float(np.vdot(a, b))
    return {**row, "distance": distance, "norms": norms, "cosine": _cosine(product, norms), "product": product}


def _cosine(product: float, norms: list[float]) -> float | None:
    length = norms[0] * norms[1]
    return max(-1.0, min(1.0, product / length)) if length else None


def _whole(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The same over all tensors together."""
    known = [row for row in rows if row["norms"] is not None]
    norms = [math.sqrt(math.fsum(row["norms"][side] ** 2 for row in known)) for side in (0, 1)]
    product = math.fsum(row.pop("product") for row in known)
    return {
        "equal": sum(row["equal"] for row in rows),
        "differing": sum(not row["equal"] for row in rows),
        "distance": math.sqrt(math.fsum(row["distance"] ** 2 for row in known)),
        "norms": norms,
        "cosine": _cosine(product, norms),
    }
