"""The models behind the store that bad input is given to, and how it is offered as a skill."""

import numpy as np

from tests.integration.models import bert, floats, llama

BASE, OTHER, BERT = llama(seed=1), llama(seed=2), bert(seed=3)
ATTENTION = [f"model.layers.{layer}.self_attn.{part}_proj.weight" for layer in (0, 1) for part in "qv"]
HALF = {"w": floats([[60000.0, 1.0]], "F16"), "v": floats([0.5, 0.25], "F16")}


def head(seed, labels=3):
    """A task head that a base lacks."""
    random = np.random.default_rng(seed)
    return {
        "classifier.weight": floats(random.normal(0, 0.02, (labels, 16))),
        "classifier.bias": floats([0.0] * labels),
    }


def skill(shell, folder, *words, base="tiny", code=5):
    """The error of registering a folder as a skill."""
    return shell.refused(code, "register", "skill", "bad", folder, "--base", base, *words)
