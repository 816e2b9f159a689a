"""What ``adapter_config.json`` says of a LoRA adapter: rank and scaling of each module; all else is refused by name.

The meaning of every key, and the rule by which patterns match modules, is PEFT's (0.21: ``LoraConfig``).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from storage.checkpoints.tensors import quoted
from storage.errors import InputRefused

_READ = frozenset(
    {"peft_type", "r", "lora_alpha", "rank_pattern", "alpha_pattern", "use_rslora", "fan_in_fan_out", "bias"}
    | {"use_dora"}
    | {"modules_to_save", "init_lora_weights", "base_model_name_or_path"}
)
# Where, when and how it was trained: no part of the forward result once the factors are known.
_HARMLESS = frozenset(
    {"task_type", "auto_mapping", "peft_version", "revision", "inference_mode", "target_modules", "exclude_modules"}
    | {"lora_dropout", "layers_to_transform", "layers_pattern", "qalora_group_size", "runtime_config"}
    | {"loftq_config", "eva_config", "corda_config", "lora_ga_config", "megatron_core", "merge_weights"}
)
_MERGE_FIRST = "merge it into its base with PEFT's merge_and_unload, save that, and register the saved model"
_CANNOT_MERGE = "this adapter is no fixed change of the base's weights, so it cannot become a skill"
_REFUSED = {
    "use_qalora": ("QALoRA (use_qalora)", _MERGE_FIRST),
    "use_bdlora": ("BD-LoRA (use_bdlora)", _MERGE_FIRST),
    "kasa_config": ("KaSA (kasa_config), which alters the base's weights", _MERGE_FIRST),
    "velora_config": ("VeLoRA (velora_config)", _MERGE_FIRST),
    "monteclora_config": ("MonteCLoRA (monteclora_config)", _CANNOT_MERGE),
    "arrow_config": ("Arrow routing (arrow_config)", _CANNOT_MERGE),
    "alora_invocation_tokens": ("activated LoRA (alora_invocation_tokens)", _CANNOT_MERGE),
    "alora_invocation_string": ("activated LoRA (alora_invocation_string)", _CANNOT_MERGE),
    "layer_replication": ("replicated layers (layer_replication)", "its model has more layers than the base"),
    "trainable_token_indices": ("trained token rows (trainable_token_indices)", _MERGE_FIRST),
    "target_parameters": ("LoRA on bare parameters (target_parameters)", _MERGE_FIRST),
    "megatron_config": ("Megatron layers (megatron_config)", _MERGE_FIRST),
    "lora_bias": ("a bias on the B factor (lora_bias)", _MERGE_FIRST),
    "ensure_weight_tying": ("tied adapters (ensure_weight_tying)", _MERGE_FIRST),
    "enable_lora": ("merged linear layers of an old PEFT (enable_lora)", _MERGE_FIRST),
}
_PLAIN_INITS = frozenset({"gaussian", "eva", "orthogonal", "mica"})
# They subtract the first product from the base, so the factors are relative to weights that the base never had.
_ALTERING_INITS = ("pissa", "olora", "corda", "lora_ga", "loftq")
_LONGEST_NAME = 200
_MOST_REPEATS = 3

_Value = TypeVar("_Value")


@dataclass(frozen=True)
class LoraSettings:
    """The keys that decide the product of two factors."""

    rank: int
    alpha: float
    ranks: tuple[tuple[re.Pattern[str], int], ...]
    alphas: tuple[tuple[re.Pattern[str], float], ...]
    rank_stabilized: bool
    fan_in_fan_out: bool
    decomposed: bool  # DoRA
    base_model_name: str | None

    def of(self, module: str) -> tuple[int, float]:
        """Rank and alpha of a module: those of the first pattern that matches its name, else the general ones."""
        return _first_match(self.ranks, module, self.rank), _first_match(self.alphas, module, self.alpha)

    def scaling(self, rank: int, alpha: float) -> float:
        """What the product of the factors is multiplied by: alpha/r, or alpha/√r when rank-stabilized."""
        return alpha / math.sqrt(rank) if self.rank_stabilized else alpha / rank


def read_settings(config: Mapping[str, Any], where: str) -> LoraSettings:
    """The settings of a LoRA adapter. Raises InputRefused naming the key that cannot be honoured."""
    _refuse_variants(config, where)
    return LoraSettings(
        rank=_rank(config.get("r", 8), f"{where}: r"),
        alpha=_number(config.get("lora_alpha", 8), f"{where}: lora_alpha"),
        ranks=tuple(
            (pattern, _rank(value, f"{where}: rank_pattern")) for pattern, value in _patterns(config, "rank", where)
        ),
        alphas=tuple(
            (pattern, _number(value, f"{where}: alpha_pattern")) for pattern, value in _patterns(config, "alpha", where)
        ),
        rank_stabilized=_truth(config, "use_rslora", where),
        fan_in_fan_out=_truth(config, "fan_in_fan_out", where),
        decomposed=_truth(config, "use_dora", where),
        base_model_name=_base_name(config),
    )


def _refuse_variants(config: Mapping[str, Any], where: str) -> None:
    kind = config.get("peft_type")
    if kind != "LORA":
        raise InputRefused(f"{where}: peft_type {_shown(kind)} is not supported, only LORA", hint=_MERGE_FIRST)
    for key in sorted(config):
        if not config[key] or key in _READ or key in _HARMLESS:
            continue
        what, advice = _REFUSED.get(key, (f"the unknown setting {quoted(key)}", _MERGE_FIRST))
        raise InputRefused(f"{where}: {what} is not supported", hint=advice)
    if config.get("bias", "none") not in ("none", "all", "lora_only"):
        raise InputRefused(f"{where}: bias must be none, all or lora_only, found {_shown(config['bias'])}")
    _refuse_altering_init(config.get("init_lora_weights", True), where)


def _refuse_altering_init(init: object, where: str) -> None:
    if init is None or isinstance(init, bool):
        return
    name = init.lower() if isinstance(init, str) else ""
    if name in _PLAIN_INITS:
        return
    if name.startswith(_ALTERING_INITS):
        raise InputRefused(
            f"{where}: init_lora_weights {quoted(name)} altered the base's weights before training, "
            "so the adapter does not apply to the base as published",
            hint="save it again with PEFT's save_pretrained(..., path_initial_model_for_weight_conversion=...), "
            "which makes it a plain LoRA adapter; or " + _MERGE_FIRST,
        )
    raise InputRefused(f"{where}: unknown init_lora_weights {_shown(init)}", hint=_MERGE_FIRST)


def _patterns(config: Mapping[str, Any], kind: str, where: str) -> list[tuple[re.Pattern[str], Any]]:
    table = config.get(f"{kind}_pattern") or {}
    if not isinstance(table, dict):
        raise InputRefused(f"{where}: {kind}_pattern must map module names to numbers")
    return [(_compiled(key, f"{where}: {kind}_pattern"), value) for key, value in table.items()]


def _compiled(key: str, where: str) -> re.Pattern[str]:
    """PEFT's rule: the key, read as a regular expression, must match the whole end of the name after a dot."""
    if _may_explode(key):
        raise InputRefused(
            f"{where}: {quoted(key)} repeats too much to be matched safely",
            hint="spell the modules' names out instead",
        )
    try:
        return re.compile(rf"(.*\.)?({key})$")
    except (re.error, RecursionError, OverflowError) as error:
        raise InputRefused(f"{where}: {quoted(key)} is not a regular expression: {error}") from error


def _may_explode(pattern: str) -> bool:
    """Whether matching could take exponential time, or a high power of a name's length."""
    bare = re.sub(r"\\.|\[[^\]]*\]", "x", pattern)
    return bool(re.search(r"\)[*+{]", bare)) or len(re.findall(r"[*+{]", bare)) > _MOST_REPEATS


def _first_match(patterns: tuple[tuple[re.Pattern[str], _Value], ...], module: str, default: _Value) -> _Value:
    if patterns and len(module) > _LONGEST_NAME:
        raise InputRefused(f"the module name {quoted(module)} is too long to be matched against patterns")
    return next((value for pattern, value in patterns if pattern.match(module)), default)


def _rank(value: object, where: str) -> int:
    if type(value) is not int or not 0 < value < 1 << 31:
        raise InputRefused(f"{where} must be a positive whole number, found {_shown(value)}")
    return value


def _number(value: object, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e30:
        raise InputRefused(f"{where} must be a finite number, found {_shown(value)}")
    return float(value)


def _truth(config: Mapping[str, Any], key: str, where: str) -> bool:
    value = config.get(key)
    if value is not None and not isinstance(value, bool):
        raise InputRefused(f"{where}: {key} must be true or false, found {_shown(value)}")
    return bool(value)


def _base_name(config: Mapping[str, Any]) -> str | None:
    name = config.get("base_model_name_or_path")
    return name if isinstance(name, str) and name else None


def _shown(value: object) -> str:
    if isinstance(value, str):
        return quoted(value)
    return repr(value) if value is None or isinstance(value, bool | int | float) else f"a {type(value).__name__}"
