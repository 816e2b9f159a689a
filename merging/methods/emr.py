"""emr: one vector that stands for all skills, with a mask and a scale for each, which give back every skill's model."""

from merging.methods.method import Method, Unified

METHOD = Method(
    "emr",
    "store one vector for all skills, with a mask and a scale for each, and materialize any one of them",
    "θ₀ + λₖ·Mₖ⊙τ_uni, k the task; τ_uni the largest τ of the elected sign, Mₖ where τₖ agrees, λₖ = Σ|τₖ|/Σ|Mₖ⊙τ_uni|",
    "Huang et al. 2024, https://arxiv.org/abs/2405.17461",
    Unified(),
    needs=frozenset({"unsparsified"}),
    weighted=False,
    skills=(2, None),
)
