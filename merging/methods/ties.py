"""ties: trim, elect a sign, average what agrees; dare_ties: the same with random dropping instead of trimming."""

from merging.methods.method import Fused, Method
from merging.methods.parameters import DENSITY, DIVISOR, DROP_RATE, LAMBDA, SEED, TRIM, Q

METHOD = Method(
    "ties",
    "trim small values, elect a sign, average what agrees",
    "θ₀ + λ·mean of the agreeing non-zero wₖ·trim(δₖ)",
    "Yadav et al. 2023, https://arxiv.org/abs/2306.01708",
    Fused(trims=True, elects=True),
    (LAMBDA, DENSITY, TRIM, DIVISOR),
)
DARE = Method(
    "dare_ties",
    "DARE instead of trimming, then sign election and disjoint averaging",
    "θ₀ + λ·mean of the agreeing non-zero wₖ·(mₖ⊙τₖ)/(1−pₖ)",
    "Yu et al. 2024, https://arxiv.org/abs/2311.03099; Yadav et al. 2023, https://arxiv.org/abs/2306.01708",
    Fused(drops=True, elects=True),
    (LAMBDA, DROP_RATE, Q, SEED, DIVISOR),
)
