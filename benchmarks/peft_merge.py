"""What one does with PEFT to merge adapters: a script that is measured as a whole process.

    python -m benchmarks.peft_merge OUTPUT BASE ADAPTER=WEIGHT ...

``cat`` is the combination that equals adding the weighted deltas; ``linear`` also multiplies factors of different
adapters with each other.
"""

from __future__ import annotations

import sys

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM


def main() -> None:
    output, base, *terms = sys.argv[1:]
    adapters = [term.rpartition("=") for term in terms]
    names = [f"adapter{number}" for number in range(len(adapters))]
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.bfloat16)
    model = PeftModel.from_pretrained(model, adapters[0][0], adapter_name=names[0])
    for name, (path, _, _) in zip(names[1:], adapters[1:], strict=True):
        model.load_adapter(path, adapter_name=name)
    weights = [float(weight) for _, _, weight in adapters]
    model.add_weighted_adapter(names, weights, "merged", combination_type="cat")
    model.set_adapter("merged")
    model.merge_and_unload(adapter_names=["merged"]).save_pretrained(output)


if __name__ == "__main__":
    main()
