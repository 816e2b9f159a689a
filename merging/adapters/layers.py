"""Which tensors of a merged model an adapter changes by factors, which it saves whole, and under which names.

A checkpoint does not say of which kind a layer is; its tensors' names and shapes do, by the conventions of Hugging Face
transformers: a two-dimensional ``weight`` is a linear layer's, unless its name is that of an embedding.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from merging.plans.plan import OutputTensor, Plan
from storage.checkpoints.tensors import listed, quoted
from storage.deltas.roles import is_input_embedding, is_vocabulary, may_tie
from storage.dtypes import MERGEABLE
from storage.errors import InputRefused, UsageError

# Models whose linear layers are transformers' Conv1D, which stores (inputs, outputs); by the last part of their names.
_CONV1D = {
    "gpt2": {"c_attn", "c_proj", "c_fc", "q_attn"},
    "openai-gpt": {"c_attn", "c_proj", "c_fc"},
    "imagegpt": {"c_attn", "c_proj", "c_fc", "q_attn"},
    "decision_transformer": {"c_attn", "c_proj", "c_fc", "q_attn"},
}
_EMBEDDING = re.compile(r"embed|^emb$|^wte$|^wpe$|^shared$|relative_attention_bias|^codebook")
_LM_HEAD = ("ForCausalLM", "LMHeadModel", "ForConditionalGeneration", "DoubleHeadsModel")
_TIED_ELSEWHERE = ("ForMaskedLM", "ForPreTraining")


@dataclass(frozen=True)
class Layers:
    """What may have to go into an adapter. Names are the result's.

    ``linear``: weights that have factors, and whether they are stored transposed (Conv1D). ``biases``: those of linear
    layers. ``saved``: modules that are saved whole if one of their tensors changes, and these; those that PEFT would
    take for one of them, by the end of its name, are among them. ``others``: tensors for which an adapter is to have no
    place, or has none. ``tied``: the module that shares the input embeddings, and the tensor of these.
    """

    linear: Mapping[str, bool]
    biases: frozenset[str]
    saved: Mapping[str, tuple[str, ...]]
    others: frozenset[str]
    tied: tuple[str, str] | None

    @property
    def names(self) -> set[str]:
        """Every tensor that has to be looked at."""
        inside = {name for names in self.saved.values() for name in names}
        return {*self.linear, *self.biases, *self.others, *inside}

    def with_namesakes(self, modules: set[str]) -> list[str]:
        """Modules to save, and all others that PEFT would take for one of them.

        Raises InputRefused where it would take a module for one of them that lies within another.
        """
        found = _with_namesakes(modules, set(self.saved))
        for module in sorted(found):
            inner = {part for name in self.saved[module] for part in _prefixes(module_of(name))} - {module}
            if taken := sorted(part for part in inner if part.startswith(f"{module}.") and part.endswith(tuple(found))):
                raise InputRefused(
                    f"module {quoted(module)} would have to be saved whole, and by its name PEFT would take "
                    f"{quoted(taken[0])}, which lies within it, for another one to save",
                    hint="leave such tensors out (--rest drop), or materialize the whole model",
                )
        return sorted(found)


def find_layers(plan: Plan, config: Mapping[str, Any] | None, *, saves: bool) -> Layers:
    """Sort the tensors that a merge may change; ``config``: the model's config.json, if there is one.

    ``saves``: whether what has no factors may be saved whole. Raises InputRefused where it cannot be told which way a
    linear layer's weight lies, or where an adapter has no word for what is tied.
    """
    outputs = {output.name: output for output in plan.outputs if output.elements}
    changed = {name for name, output in outputs.items() if may_change(plan, output)}
    linear = {name for name in outputs if _is_linear(outputs[name])}
    biases = {name for name in changed if _sibling(name, "bias", "weight") in linear}
    rest = changed - linear - biases
    saved = _saved_modules(outputs, {module_of(name) for name in rest} - {""}) if saves else {}
    inside = {name for names in saved.values() for name in names}
    wanted = (changed & linear) - inside
    lying = _transposed({name: outputs[name] for name in linear}, outputs, config)
    return Layers(
        linear={name: lying[name] for name in sorted(wanted)},
        biases=frozenset(biases - inside),
        saved=saved,
        others=frozenset(rest - inside),
        tied=_tied(outputs, rest, config) if saves else None,
    )


def may_change(plan: Plan, output: OutputTensor) -> bool:
    """Whether some skill, the method or a head has something to say about a tensor."""
    if output.base is None:
        return True
    if plan.base.entries[output.base].dtype not in MERGEABLE:
        return False
    if plan.task is not None:
        return plan.task.tensor(output.base) is not None
    return bool(plan.terms(output.base)) or plan.combine_of(output.base).base_scale != 1.0


def check_rank(rank: int, linear: Iterable[OutputTensor]) -> None:
    """Raise UsageError where a weight cannot have so high a rank."""
    for output in linear:
        if rank > min(output.shape):
            raise UsageError(
                f"rank {rank} is above the {min(output.shape)} that {quoted(output.name)} of shape "
                f"{list(output.shape)} has",
                hint="choose a smaller rank, or let --energy choose each layer's (a rank given with it is the largest)",
            )


def module_of(name: str) -> str:
    """The module that a tensor belongs to; empty for one that belongs to the model itself."""
    return name.rpartition(".")[0]


def _is_linear(output: OutputTensor) -> bool:
    module, _, kind = output.name.rpartition(".")
    if output.base is None or kind != "weight" or len(output.shape) != 2 or output.dtype not in MERGEABLE or not module:
        return False
    return not (is_input_embedding(output.name) or _EMBEDDING.search(module.rpartition(".")[2]))


def _sibling(name: str, own: str, other: str) -> str | None:
    module, _, kind = name.rpartition(".")
    return f"{module}.{other}" if kind == own else None


def _transposed(
    linear: Mapping[str, OutputTensor], outputs: Mapping[str, OutputTensor], config: Mapping[str, Any] | None
) -> dict[str, bool]:
    """Which weights are stored (inputs, outputs): by the kind of model, and by the length of their biases."""
    kinds = _CONV1D.get(str((config or {}).get("model_type")), set())
    lying = {name: _last(name) in kinds for name in linear}
    told = {name: way for name in linear if (way := _told_by_bias(linear[name], outputs)) is not None}
    if wrong := sorted(name for name, way in told.items() if kinds and way != lying[name]):
        raise InputRefused(f"the biases of {listed(wrong)} do not fit the weights of a {(config or {})['model_type']}")
    alike = {_last(name): way for name, way in told.items()}
    unknown = sorted(name for name, output in linear.items() if name not in told and output.shape[0] == output.shape[1])
    if not kinds and any(told.values()) and (open_ := [name for name in unknown if _last(name) not in alike]):
        raise InputRefused(
            f"some linear layers of this model are stored transposed, and it cannot be told whether "
            f"{listed(open_)} are",
            hint="materialize the whole model instead",
        )
    return {name: told.get(name, lying[name] or (not kinds and alike.get(_last(name), False))) for name in linear}


def _told_by_bias(weight: OutputTensor, outputs: Mapping[str, OutputTensor]) -> bool | None:
    bias = outputs.get(f"{module_of(weight.name)}.bias")
    if bias is None or weight.shape[0] == weight.shape[1] or bias.shape not in ((weight.shape[0],), (weight.shape[1],)):
        return None
    return bias.shape == (weight.shape[1],)


def _last(name: str) -> str:
    return module_of(name).rpartition(".")[2]


def _saved_modules(outputs: Mapping[str, OutputTensor], wanted: set[str]) -> dict[str, tuple[str, ...]]:
    """The modules, none within another, with all of their tensors; and what PEFT would take for one of them."""
    modules = {part for name in outputs for part in _prefixes(module_of(name))}
    found = _with_namesakes(wanted, modules)
    outer = {module for module in found if not found & (set(_prefixes(module)) - {module})}
    return {module: tuple(sorted(n for n in outputs if n.startswith(f"{module}."))) for module in sorted(outer)}


def _with_namesakes(wanted: set[str], modules: set[str]) -> set[str]:
    """And every module whose name ends with that of one, which is PEFT's rule for modules_to_save, over and over."""
    found: set[str] = set()
    while wanted - found:
        found |= wanted
        wanted = {module for module in modules if module.endswith(tuple(found))}
    return found


def _prefixes(module: str) -> Iterable[str]:
    parts = module.split(".") if module else []
    return [".".join(parts[: end + 1]) for end in range(len(parts))]


def _tied(
    outputs: Mapping[str, OutputTensor], rest: set[str], config: Mapping[str, Any] | None
) -> tuple[str, str] | None:
    """What shares the input embeddings without being saved in the checkpoint: it would keep the base's values."""
    names = [str(name) for name in (config or {}).get("architectures") or ()]
    changed = sorted(name for name in rest if is_input_embedding(name))
    apart = any(is_vocabulary(name) and not is_input_embedding(name) for name in outputs if name.endswith("weight"))
    if not changed or apart or not may_tie(config):
        return None
    if any(name.endswith(_TIED_ELSEWHERE) for name in names) or _last(changed[0]) == "shared":
        raise InputRefused(
            f"other layers of {names[0] if names else 'the model'} share {listed(changed)}, for which an adapter has "
            "no word",
            hint="leave them out (--rest drop), or materialize the whole model",
        )
    return ("lm_head", changed[0]) if any(name.endswith(_LM_HEAD) for name in names) else None
