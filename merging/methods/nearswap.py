"""nearswap: a fine-tune's values where they lie near the base's, less and less of them where they do not."""

import numpy as np

from merging.methods.method import Computed, Inputs, Method
from merging.methods.parameters import Parameter
from storage.encodings.numeric import Floats

_T = Parameter("t", 0.001, "distance from the base up to which a value is taken whole", 0.0, 1e30, open_low=True)


def _swap(given: Inputs) -> Floats:
    delta, t = given.parts[0].delta, np.float32(given.parameters["t"])
    return given.base + np.clip(delta, -t, t)


METHOD = Method(
    "nearswap",
    "interpolate from the base to one skill, strongly where the two lie near each other",
    "θ₀ + min(1, t/|δ|)·δ",
    "alchemonaut, https://huggingface.co/alchemonaut/QuartetAnemoi-70B-t0.0001; as in mergekit",
    Computed(_swap, whole=False),
    (_T,),
    needs=frozenset({"unsparsified"}),
    weighted=False,
    skills=(1, 1),
)
