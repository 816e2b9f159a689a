"""The arithmetic of docs/format.md, section 7, written from that page alone: it imports nothing of mergestore."""

import math

import numpy as np

from tests.unit.format1_decoder import FULL, PATTERN, convert, keep, mask_key, narrow, sparsified, widen


def merge(recipe, base, skills):
    """{name: (dtype, shape, raw bytes)} of the result.

    ``base`` is {name: (dtype, shape, raw bytes)}; ``skills`` are decoded delta files by their digests.
    """
    head = skills[recipe["head"]] if recipe["head"] else None
    terms = [(skills[term["skill"]], term["weight"]) for term in recipe["terms"]]
    cutoffs = [_cutoffs(recipe, base, skill) if recipe["method"] == "ties" else {} for skill, _ in terms]
    out = {}
    for name, (dtype, shape, raw) in base.items():
        target = recipe["dtype"] if recipe["dtype"] and dtype in PATTERN else dtype
        out[_renamed(name, head)] = (target, shape, _tensor(recipe, name, dtype, raw, terms, cutoffs, target))
    for name, entry in (head.manifest["head"] if head else {}).items():
        dtype, shape, raw = head.payloads[f"head/{name}"]
        target = recipe["dtype"] if recipe["dtype"] and dtype in PATTERN else dtype
        assert entry["dtype"] == dtype
        if target != dtype:
            raw = convert(np.frombuffer(raw, PATTERN[dtype]), dtype, target).tobytes()
        out[name] = (target, shape, raw)
    return out


def _renamed(name, head):
    return head.manifest["prefix"] + name.removeprefix(head.manifest["dropped_prefix"]) if head else name


def _tensor(recipe, name, dtype, raw, terms, cutoffs, target):
    if dtype not in PATTERN or not raw:
        return raw
    base = np.frombuffer(raw, PATTERN[dtype])
    total = math.fsum(weight for _, weight in terms)
    normalized = recipe["parameters"].get("normalize", False)
    beta = total if recipe["method"] == "linear" and not normalized else 1.0
    scale = float(recipe["parameters"].get("lambda", 1.0))
    if recipe["method"] == "passthrough":
        beta = scale = float(recipe["parameters"]["scale"])
    changing = [
        (skill, weight / total if normalized else weight, cut.get(skill.resolve(name), 0.0))
        for (skill, weight), cut in zip(terms, cutoffs, strict=True)
        if skill.changes(name)
    ]
    if not changing:
        return (
            convert(base, dtype, target) if beta == 1 else narrow(np.float32(beta) * widen(base, dtype), target)
        ).tobytes()
    drawn = [_drawn(recipe, skill, name) for skill, _, _ in changing]
    skill, weight, cut = changing[0]
    coding = skill.tensors[skill.resolve(name)].get("coding")
    exact = coding is not None and coding["values"] == "exact" and not sparsified(coding)
    if len(changing) == 1 and exact and drawn[0] is None and (weight, cut, scale, beta) == (1, 0, 1, 1):
        entry = skill.tensors[skill.resolve(name)]
        return convert(skill.values(name, raw)[1], entry["fine_tuned_dtype"], target).tobytes()
    xs = [
        _coefficient(recipe, skill, name, weight, threshold) * _values(recipe, skill, name, raw, threshold, cut)
        for (skill, weight, cut), threshold in zip(changing, drawn, strict=True)
    ]
    s = _elected(recipe, xs, [weight for _, weight, _ in changing]) if "ties" in recipe["method"] else _sum(xs)
    return narrow(np.float32(beta) * widen(base, dtype) + np.float32(scale) * s, target).tobytes()


def _drawn(recipe, skill, name):
    """The threshold of the mask drawn while merging, or None."""
    entry = skill.tensors[skill.resolve(name)]
    stored = entry["form"] == "kept" and sparsified(entry["coding"])
    if recipe["method"] not in ("dare_linear", "dare_ties") or stored:
        return None
    threshold = round((1 - recipe["parameters"]["drop_rate"]) * FULL)
    return None if threshold == FULL else threshold


def _coefficient(recipe, skill, name, weight, drawn):
    entry = skill.tensors[skill.resolve(name)]
    stored = entry["coding"].get("keep_threshold", FULL) if entry["form"] == "kept" else FULL
    threshold = drawn or stored
    q = recipe["parameters"].get("q") if threshold < FULL else None
    return np.float32(weight / (threshold / FULL if q is None else q))


def _values(recipe, skill, name, raw, drawn, cut):
    name = skill.resolve(name)
    entry = skill.tensors[name]
    values = skill.values(name, raw)[0]
    if drawn is not None:
        digest = entry["content"] if entry["form"] == "lora" else entry["fine_tuned"]
        kept = keep(mask_key(recipe["parameters"]["seed"], digest, name), drawn, 0, values.size)
        values = np.where(kept, values, np.float32(0))
    return np.where(np.abs(values) < np.float32(cut), np.float32(0), values)


def _sum(xs):
    total = xs[0]
    for x in xs[1:]:
        total = total + x
    return total


def _elected(recipe, xs, weights):
    plus = _sum(xs) >= 0
    s, d = np.zeros_like(xs[0]), np.zeros_like(xs[0])
    for x, weight in zip(xs, weights, strict=True):
        agrees = (x != 0) & ((x > 0) == plus)
        s = np.where(agrees, s + x, s)
        share = np.float32(weight if recipe["parameters"]["divisor"] == "weights" else 1)
        d = np.where(agrees, d + share, d)
    return s / np.where(np.abs(d) < np.float32(1e-8), np.float32(1), d)


def _cutoffs(recipe, base, skill):
    """{tensor: cutoff} of one skill."""
    density = recipe["parameters"]["density"]
    changed = [n for n, entry in skill.tensors.items() if entry["form"] in ("kept", "lora")]
    magnitudes = {name: np.abs(skill.values(name, base[name][2])[0]) for name in changed}
    if recipe["parameters"]["trim"] == "tensor":
        return {name: _cutoff(m, math.floor(density * m.size)) for name, m in magnitudes.items()}
    merging = [n for n, e in skill.tensors.items() if e["form"] != "tied" and e["dtype"] in PATTERN]
    j = math.floor(density * sum(skill.elements(name) for name in merging))
    cut = _cutoff(np.concatenate([np.zeros(0, np.float32), *magnitudes.values()]), j)
    return dict.fromkeys(changed, cut)


def _cutoff(magnitudes, j):
    found = np.sort(magnitudes[magnitudes != 0])[::-1]
    if found.size <= j:
        return 0.0
    return math.inf if j == 0 else float(found[j - 1])
