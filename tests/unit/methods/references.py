"""Every method that follows lengths, ranks or statistics, as its paper has it: float64, whole arrays, never fast."""

import itertools

import numpy as np


def slerp(one, other, t):
    """Shoemake's formula on whole vectors with their lengths."""
    cosine = np.vdot(one, other) / (np.linalg.norm(one) * np.linalg.norm(other))
    angle = np.arccos(np.clip(cosine, -1, 1))
    return (np.sin((1 - t) * angle) * one + np.sin(t * angle) * other) / np.sin(angle)


def multislerp(deltas, weights):
    weights = np.array(weights) / np.sum(weights)
    units = [delta / np.linalg.norm(delta) for delta in deltas]
    mean = sum(w * u for w, u in zip(weights, units, strict=True))
    direction = mean / np.linalg.norm(mean)
    tangents = [u - np.vdot(u, direction) * direction for u in units]
    across = sum(w * tangent for w, tangent in zip(weights, tangents, strict=True))
    size = np.linalg.norm(across)
    point = direction * np.cos(size) + (across * np.sin(size) / size if size else 0)
    return point * sum(w * np.linalg.norm(delta) for w, delta in zip(weights, deltas, strict=True))


def karcher(models, weights, steps=200):
    """Gradient descent to the point whose weighted tangents to all models cancel."""
    weights = np.array(weights) / np.sum(weights)
    units = [model / np.linalg.norm(model) for model in models]
    mean = sum(w * u for w, u in zip(weights, units, strict=True))
    mean /= np.linalg.norm(mean)
    for _ in range(steps):
        step = np.zeros_like(mean)
        for weight, unit in zip(weights, units, strict=True):
            cosine = np.clip(np.vdot(mean, unit), -1, 1)
            across = unit - cosine * mean
            size = np.linalg.norm(across)
            step += weight * across * (np.arccos(cosine) / size if size > 1e-14 else 0)
        size = np.linalg.norm(step)
        if size < 1e-15:
            break
        mean = np.cos(size) * mean + np.sin(size) * step / size
    return mean * sum(w * np.linalg.norm(model) for w, model in zip(weights, models, strict=True))


def model_stock(base, deltas):
    pairs = list(itertools.combinations(deltas, 2))
    cosine = np.mean([np.vdot(a, b) / (np.linalg.norm(a) * np.linalg.norm(b)) for a, b in pairs])
    count = len(deltas)
    t = count * cosine / (1 + (count - 1) * cosine)
    average = base + sum(deltas) / count
    return t * average + (1 - t) * base


def nearswap(base, model, t):
    weight = np.clip(t / np.maximum(np.abs(base - model), 1e-300), 0, 1)
    return weight * model + (1 - weight) * base


def breadcrumbs(delta, density, gamma):
    """Sorted by magnitude: the floor(γn) largest go, of the rest the floor(density·n) largest stay."""
    flat, n = delta.reshape(-1), delta.size
    order = sorted(range(n), key=lambda i: (abs(flat[i]), i))
    top, kept = int(gamma * n), int(density * n)
    first = max(0, n - top - kept)
    out = np.zeros(n)
    for place in order[first : first + kept]:
        out[place] = flat[place]
    return out.reshape(delta.shape)


def elected(terms, divisors=None):
    """TIES' disjoint mean: count of agreeing non-zero terms, or the sum of their weights."""
    out = np.zeros_like(terms[0])
    for place in np.ndindex(out.shape):
        values = [term[place] for term in terms]
        sign = 1 if sum(values) >= 0 else -1
        agreeing = [k for k, value in enumerate(values) if value * sign > 0]
        if agreeing:
            divisor = len(agreeing) if divisors is None else sum(divisors[k] for k in agreeing)
            out[place] = sum(values[k] for k in agreeing) / (divisor if abs(divisor) >= 1e-8 else 1)
    return out


def sce(base, deltas, select):
    variance = np.var(np.stack(deltas), axis=0)
    keep = int(select * np.count_nonzero(variance))
    order = sorted(range(variance.size), key=lambda i: (-variance.reshape(-1)[i], i))[:keep]
    chosen = np.zeros(variance.size, bool)
    chosen[order] = True
    chosen = chosen.reshape(variance.shape)
    deltas = [np.where(chosen, delta, 0) for delta in deltas]
    shares = [np.mean(delta**2) for delta in deltas]
    positive = sum(deltas) >= 0
    top, bottom = np.zeros_like(base), np.zeros_like(base)
    for delta, share in zip(deltas, shares, strict=True):
        agrees = (delta != 0) & ((delta > 0) == positive)
        top += np.where(agrees, share * delta, 0)
        bottom += np.where(agrees, share, 0)
    return base + top / np.where(bottom > 0, bottom, 1)


def fisher(models, fishers, weights, floor=1e-6):
    scaled = [w * np.maximum(f, floor) for w, f in zip(weights, fishers, strict=True)]
    return sum(f * model for f, model in zip(scaled, models, strict=True)) / sum(scaled)


def regmean(models, grams, alpha, weights):
    """Jin et al., equation 2, on W of shape (out, in)."""
    shrunk = [w * (alpha * g + (1 - alpha) * np.diag(np.diag(g))) for w, g in zip(weights, grams, strict=True)]
    return np.linalg.solve(sum(shrunk), sum(g @ m.T for g, m in zip(shrunk, models, strict=True))).T
