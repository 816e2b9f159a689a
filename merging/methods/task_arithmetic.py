"""task_arithmetic: weighted deltas added to the base; dare_linear: the same of deltas dropped at random."""

from merging.methods.method import Fused, Method
from merging.methods.parameters import DROP_RATE, LAMBDA, SEED, Q

METHOD = Method(
    "task_arithmetic",
    "add weighted deltas to the base",
    "θ₀ + λ Σ wₖδₖ",
    "Ilharco et al. 2023, https://arxiv.org/abs/2212.04089",
    Fused(),
    (LAMBDA,),
)
DARE = Method(
    "dare_linear",
    "task arithmetic on deltas dropped at random and rescaled",
    "θ₀ + λ Σ wₖ·(mₖ⊙τₖ)/(1−pₖ), mₖ ~ Bernoulli(1−pₖ)",
    "Yu et al. 2024, https://arxiv.org/abs/2311.03099",
    Fused(drops=True),
    (LAMBDA, DROP_RATE, Q, SEED),
)
