"""Models as points on spheres: slerp, nuslerp, multislerp, karcher."""

from __future__ import annotations

from typing import TYPE_CHECKING

from merging.methods.method import Arithmetic, Method, Need
from merging.methods.parameters import Parameter
from storage.errors import InputRefused

if TYPE_CHECKING:
    from torch import Tensor

    from merging.mergekit.models import Models

_PIECE = 1 << 20  # elements over which norms and products are taken before they are added up
_ZERO = 1e-8
_SOURCE = "mergekit, https://github.com/arcee-ai/mergekit"
_T = Parameter("t", 0.5, "how far to go from the base to the other model", -1e30, 1e30)
_ROW_WISE = Parameter("nuslerp_row_wise", False, "angles of rows instead of columns; not with nuslerp_flatten")
_FLATTEN = Parameter("nuslerp_flatten", True, "one angle for the whole tensor")
_NORMALIZE = Parameter("normalize_weights", True, "divide the weights by their sum")
_EPS = Parameter("eps", 1e-8, "what is added to lengths, and below which a mean is none", 0.0, 1.0)
_MAX_ITER = Parameter("max_iter", 10, "most steps towards the mean", 0, 10_000)
_TOLERANCE = Parameter("tol", 1e-5, "what counts as zero: a length, an angle, a step that ends the search", 0.0, 1.0)


def _slerp(given: Models) -> Tensor:
    """In fp32, and straight where the angle is next to 0 or π."""
    import torch

    base, t = given.origin, torch.tensor([[float(given.parameters["t"])]], dtype=torch.float32)
    ends = [end.reshape(1, -1) for end in (base, given.others[0].tensor)]
    pieces = [slice(start, start + _PIECE) for start in range(0, ends[0].shape[1], _PIECE)]
    lengths = [_length([end[:, piece].float() for piece in pieces]) for end in ends]
    products = []
    for piece in pieces:
        one, other = (end[:, piece].float() / length for end, length in zip(ends, lengths, strict=True))
        products.append((one * other).sum(dim=1, keepdim=True))
    cosine = torch.stack(products).sum(dim=0).clamp(-1, 1)
    straight = cosine.abs() > 0.9995
    angle = torch.acos(torch.where(straight, 0, cosine))
    sine = torch.sin(angle)
    shares = (
        torch.where(straight, 1 - t, torch.sin((1 - t) * angle) / sine),
        torch.where(straight, t, torch.sin(t * angle) / sine),
    )
    merged = torch.empty_like(ends[0])
    for piece in pieces:
        one, other = (end[:, piece].float() for end in ends)
        merged[:, piece] = shares[0] * one + shares[1] * other
    return merged.reshape(base.shape)


def _length(pieces: list[Tensor]) -> Tensor:
    """The norm of the pieces' norms; 1 for next to nothing."""
    import torch

    norms = torch.stack([torch.linalg.vector_norm(piece, dim=1, keepdim=True) for piece in pieces])
    length = torch.linalg.vector_norm(norms, dim=0)
    return torch.where(length > _ZERO, length, 1)


def _nuslerp(given: Models) -> Tensor:
    """Of models, or with a base of deltas, which are then added to it; in the dtype of the inputs."""
    weights = [model.weight for model in given.others]
    total = sum(weights)
    t = 0.5 if abs(total) < 1e-6 else weights[1] / total
    ends = given.tensors if given.base is None else [tensor - given.base for tensor in given.tensors]
    merged = _between(
        t,
        ends[0],
        ends[1],
        flat=bool(given.parameters["nuslerp_flatten"]),
        axis=0 if given.parameters["nuslerp_row_wise"] else -1,
    )
    return merged if given.base is None else given.base + merged


def _between(t: float, one: Tensor, other: Tensor, *, flat: bool, axis: int) -> Tensor:
    import torch

    shape, turned = one.shape, axis != -1 and not flat
    if flat:
        one, other = one.reshape(-1), other.reshape(-1)
    elif turned:
        one, other = one.transpose(axis, -1), other.transpose(axis, -1)
    units = [end / torch.norm(end, dim=-1, keepdim=True).clamp(min=1e-7) for end in (one, other)]
    cosine = torch.sum(units[0] * units[1], dim=-1, keepdim=True).clamp(-1, 1)
    straight = (1 - cosine.square()) <= _ZERO**2
    angle = torch.acos(torch.where(straight, 0, cosine))
    around = (torch.sin((1 - t) * angle) * one + torch.sin(t * angle) * other) / torch.sin(angle)
    merged = torch.where(straight, (1 - t) * one + t * other, around)
    return (merged.transpose(axis, -1) if turned else merged).reshape(shape)


def _multislerp(given: Models) -> Tensor:
    """In the tangent space at the weighted mean of the directions, which is left again by the exponential map."""
    import torch

    if len(given.others) == 1:
        return given.others[0].tensor
    points = torch.stack(given.tensors, dim=0)
    if given.base is not None:
        points -= given.base
    flat, eps = points.view(points.shape[0], -1), float(given.parameters["eps"])
    weights = torch.tensor([model.weight for model in given.others], dtype=points.dtype)
    if given.parameters["normalize_weights"]:
        weights = weights / weights.sum()
    column = weights.view(-1, 1)
    lengths = torch.norm(flat, dim=-1, keepdim=True)
    units = flat / (lengths + eps)
    mean = (units * column).sum(0)
    size = torch.norm(mean)
    if size < eps:
        merged = _straight(given, points, weights)
    else:
        mean = mean / size
        tangents = units - (units * mean).sum(-1, keepdim=True) * mean
        step = (tangents * column).sum(0)
        far = torch.norm(step) + eps
        merged = mean * torch.cos(far) + step * (torch.sin(far) / far)
        merged = (merged * (lengths.squeeze(-1) * weights).sum()).view(points.shape[1:])
    return merged if given.base is None else merged + given.base


def _straight(given: Models, points: Tensor, weights: Tensor) -> Tensor:
    """Of two models that cancel each other the plain weighted sum; of more there is none."""
    if len(given.others) == 2:
        return (points[0] * weights[0] + points[1] * weights[1]).view(points.shape[1:])
    raise InputRefused(
        f"multislerp: the models' {given.name!r} cancel each other, so they have no mean direction",
        hint="choose other weights, or another method",
    )


def _karcher(given: Models) -> Tensor:
    """Steps on the sphere towards the mean of the directions; then made as long as the models are on average."""
    import torch

    tensors, tolerance = given.tensors, float(given.parameters["tol"])
    if len(tensors) == 1:
        return tensors[0]
    share = 1.0 / len(tensors)
    lengths = [_norm(tensor) for tensor in tensors]
    directions = [
        (tensor / length).to(tensor.dtype)
        for tensor, length in zip(tensors, lengths, strict=True)
        if length.item() != 0.0 and length.item() > tolerance
    ]
    if not directions:
        return torch.zeros_like(tensors[0])
    alphas = [share / sum([share] * len(directions))] * len(directions)
    mean = torch.zeros_like(directions[0])
    for alpha, direction in zip(alphas, directions, strict=True):
        mean += alpha * direction
    size = _norm(mean)
    mean = directions[0].clone() if size.item() < tolerance else (mean / size).to(mean.dtype)
    for _ in range(int(given.parameters["max_iter"])):
        step = _towards(mean, directions, alphas, tolerance)
        far = _norm(step)
        if far.item() < tolerance:
            break
        mean = (torch.cos(far) * mean + torch.sin(far) * (step / far)).to(mean.dtype)
        size = _norm(mean)
        if size.item() > tolerance:
            mean = (mean / size).to(mean.dtype)
    average = torch.zeros_like(lengths[0])
    for length in lengths:
        average = average + share * length
    return average * mean


def _towards(mean: Tensor, directions: list[Tensor], alphas: list[float], tolerance: float) -> Tensor:
    """The weighted sum of the tangents at ``mean`` that lead to the directions."""
    import torch

    step = torch.zeros_like(mean)
    for alpha, direction in zip(alphas, directions, strict=True):
        cosine = torch.clamp(torch.dot(mean.flatten(), direction.flatten()), -1.0, 1.0)
        angle = torch.arccos(cosine)
        if angle.item() >= tolerance:
            step += alpha * (angle / torch.sin(angle)) * (direction - cosine * mean)
    return step


def _norm(tensor: Tensor) -> Tensor:
    import torch

    norm: Tensor = torch.linalg.vector_norm(tensor.float())
    return norm


_WHOLE: frozenset[Need] = frozenset({"unsparsified"})
SLERP = Method(
    "slerp",
    "from the base to one other model along the sphere",
    "sin((1−t)φ)/sin φ · θ₀ + sin(tφ)/sin φ · θ₁, φ the angle between them, in fp32",
    "Shoemake 1985, https://doi.org/10.1145/325334.325242; " + _SOURCE,
    Arithmetic(_slerp, base="required"),
    (_T,),
    needs=_WHOLE,
    exactness="torch",
    weighted=False,
    skills=(1, 1),
)
NUSLERP = Method(
    "nuslerp",
    "between two models, or two deltas, along the sphere",
    "θ₀ + slerp(δ₁, δ₂; w₂/(w₁+w₂)), or slerp(θ₁, θ₂; …) with base_model none",
    _SOURCE,
    Arithmetic(_nuslerp, base="optional"),
    (_FLATTEN, _ROW_WISE),
    needs=_WHOLE,
    exactness="torch",
    skills=(2, 2),
)
MULTISLERP = Method(
    "multislerp",
    "many models, or deltas, interpolated in the tangent space of the sphere",
    "exp of Σ wₖ·(tangent to uₖ at the mean direction), at the weighted mean length; around θ₀, or around zero",
    "Goddard, https://goddard.blog/posts/multislerp-wow-what-a-cool-idea",
    Arithmetic(_multislerp, base="optional"),
    (_NORMALIZE, _EPS),
    needs=_WHOLE,
    exactness="torch",
)
KARCHER = Method(
    "karcher",
    "the unweighted Riemannian mean of models on the sphere, at their mean length",
    "(mean of ‖θₖ‖)·argmin over unit m of Σ ∠(m, θₖ)²",
    "Karcher 1977, https://doi.org/10.1002/cpa.3160300502; for models: https://arxiv.org/abs/2603.04972",
    Arithmetic(_karcher),
    (_MAX_ITER, _TOLERANCE),
    needs=_WHOLE,
    exactness="close",
    weighted=False,
)
