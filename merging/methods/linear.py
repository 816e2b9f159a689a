"""linear: the weighted average of models."""

from merging.methods.method import Fused, Method
from merging.methods.parameters import NORMALIZE

METHOD = Method(
    "linear",
    "weighted average of the fine-tuned models",
    "Σ wₖθₖ / Σ wₖ, computed as θ₀ + Σ (wₖ/Σw)·δₖ",
    "Wortsman et al. 2022, https://arxiv.org/abs/2203.05482",
    Fused(normalizes=True),
    (NORMALIZE,),
)
