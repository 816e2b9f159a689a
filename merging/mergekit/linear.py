"""linear and passthrough: the weighted sum of models, and one model as it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from merging.methods.method import Arithmetic, Method
from merging.methods.parameters import NORMALIZE, Parameter

if TYPE_CHECKING:
    from torch import Tensor

    from merging.mergekit.models import Models

_SCALE = Parameter("scale", 1.0, "factor on the model", -1e30, 1e30)


def _sum(given: Models) -> Tensor:
    """Added up in fp32, whatever the inputs are; the weights are fp32 too, and so is their sum."""
    import torch

    tensors = [tensor.unsqueeze(0) for tensor in given.tensors]
    weights = torch.tensor([[model.weight for model in given.others]], dtype=torch.float32)
    ones = (1,) * tensors[0].ndim
    total = torch.zeros_like(tensors[0], dtype=torch.float32)
    for tensor, weight in zip(tensors, weights.unbind(1), strict=True):
        total.addcmul_(tensor, weight.reshape(ones))
    if given.parameters["normalize"]:
        total.div_(weights.sum(dim=1).reshape(ones))
    return total.to(tensors[0].dtype).squeeze(0)


def _scaled(given: Models) -> Tensor:
    only = given.others[0]
    return only.tensor * float(only.parameters["scale"])


LINEAR = Method(
    "linear",
    "weighted average of models",
    "Σ wₖθₖ / Σ wₖ, added up in fp32",
    "Wortsman et al. 2022, https://arxiv.org/abs/2203.05482",
    Arithmetic(_sum),
    (NORMALIZE,),
    exactness="torch",
)
PASSTHROUGH = Method(
    "passthrough",
    "one model as it is, or scaled",
    "scale·θ₁",
    "mergekit, https://github.com/arcee-ai/mergekit",
    Arithmetic(_scaled, own=frozenset({"scale"})),
    (_SCALE,),
    exactness="torch",
    weighted=False,
    skills=(1, 1),
)
