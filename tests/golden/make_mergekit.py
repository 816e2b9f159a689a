"""How tests/golden/mergekit/0.1.5.json was made, in mergekit's own environment, from the root of the repository:

    .venv-mergekit/bin/python -m tests.golden.make_mergekit > tests/golden/mergekit/0.1.5.json

The methods of the released package itself, given a base and five models of one small tensor, in three dtypes. Every bit
pattern is written as a number; the inputs come from ``random`` of the standard library, whose stream does not change.
"""

import json
import platform
import random
import sys
from importlib.metadata import version

import torch
from mergekit import merge_methods
from mergekit.merge_methods import TensorGroup

from tests.integration.against_mergekit.cases import BASE, DETERMINISTIC

SHAPE = (3, 5)
DTYPES = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}


def main():
    draw = random.Random(15)
    base = [draw.uniform(-0.1, 0.1) for _ in range(15)]
    models = {BASE: base}
    for number in range(5):
        models[f"ft{number}"] = [value + draw.uniform(-0.02, 0.02) * (draw.random() < 0.8) for value in base]
    document = {
        "origin": f"mergekit {version('mergekit')}, torch {torch.__version__}, {platform.machine()}",
        "shape": SHAPE,
        "inputs": {dtype: {name: bits(tensor(values, dtype)) for name, values in models.items()} for dtype in DTYPES},
        "results": {
            name: {dtype: merged(case, models, dtype) for dtype in DTYPES} for name, case in DETERMINISTIC.items()
        },
    }
    json.dump(document, sys.stdout, indent=None, separators=(",", ":"))


def tensor(values, dtype):
    return torch.tensor(values, dtype=torch.float32).reshape(SHAPE).to(DTYPES[dtype])


def bits(values):
    return values.contiguous().view({4: torch.int32, 2: torch.int16}[values.element_size()]).flatten().tolist()


def merged(case, models, dtype):
    """[dtype of the result, its bit patterns]."""
    method = merge_methods.get(case.method)
    base = case.base if case.method not in ("linear", "karcher", "passthrough") else None
    names = list(case.models) + ([base] if base is not None and base not in case.models else [])
    group = TensorGroup.from_tensors(
        [tensor(models[name], dtype) for name in names],
        ids=names,
        base_index=names.index(base) if base is not None else None,
    )
    parameters = dict(case.whole)
    for parameter in method.spec.input_parameters:
        given = {name: own[parameter.name] for name, own in case.models.items() if parameter.name in own}
        if given:
            parameters[parameter.name] = given
    (result,) = method([group], parameters=parameters)
    return [next(name for name, known in DTYPES.items() if known == result.dtype), bits(result)]


main()
