"""Publishing a merge as a LoRA adapter: a folder that PEFT loads onto the base, with its manifest and card."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from merging.adapters.extraction import Extracted, ExtractionSink, Layer
from merging.adapters.layers import Layers, check_rank, find_layers
from merging.adapters.settings import Extraction
from merging.plans.plan import OutputTensor, Plan
from merging.streaming.sinks import WrittenFile
from registry import publishing
from registry.computing import compute
from registry.hub import hub_place
from registry.model_card import model_card
from registry.outputs import require_space
from registry.publishing import ADAPTER_FORMAT, Published, Sources
from registry.resolved import ResolvedMerge
from registry.software import package_version
from registry.wish import Wish
from storage.checkpoints.adapter import CONFIG, WEIGHTS, open_adapter
from storage.checkpoints.inputs import tensor_digests
from storage.checkpoints.spool import Spool
from storage.digests import model_digest, sha256_digest
from storage.errors import UsageError
from storage.files import publish_directory, staged_directory, temporary_path, write_file
from storage.pipeline import thread_count
from storage.progress import Progress, Silent

Config = Mapping[str, Any]


def as_adapter(resolved: ResolvedMerge, extraction: Extraction) -> ResolvedMerge:
    """The recipe of a merge's adapter: that merge, and then its factors. It is not the merge any more."""
    if resolved.recipe.vocabulary is not None:
        raise UsageError(
            "an adapter goes onto the base as it is, whose vocabulary has other rows than this merge's",
            hint="materialize the whole model; or choose --vocabulary base (and --pad-vocabulary 1)",
        )
    if resolved.recipe.slices:
        raise UsageError(
            "an adapter goes onto the base as it is, which has other layers than this stack",
            hint="materialize the whole model",
        )
    return replace(resolved, recipe=replace(resolved.recipe, adapter=extraction), merge=None)


def publish_adapter(
    sources: Sources, plan: Plan, config: Config | None, target: Path, wish: Wish, progress: Progress
) -> Published:
    """Compute a merge and extract its adapter into the folder ``target``.

    Raises UsageError where the rank is above a matrix's, InputRefused where an adapter cannot say what changes.
    """
    started, clock = datetime.now(UTC), time.perf_counter()
    extraction = plan.recipe.adapter
    assert extraction is not None
    config = model_config(sources, config)
    layers, outputs, needed = adapter_parts(plan, config, extraction)
    require_space(needed, target)
    with staged_directory(target) as staging:
        with Spool(temporary_path(staging, "spool")) as spool:
            sink = ExtractionSink(plan, layers, extraction, spool, wish.device)
            engine, merged = compute(replace(plan, outputs=outputs), sink, wish.device, wish.threads, progress)
            extracted = sink.finish()
            writer = spool.write(staging / WEIGHTS, publishing.WEIGHTS_METADATA)
        settings = adapter_config(extracted, sources, config)
        text = (json.dumps(settings, indent=2, sort_keys=True) + "\n").encode()
        write_file(staging / CONFIG, text)
        files = [WrittenFile(WEIGHTS, writer.size, writer.sha256), WrittenFile(CONFIG, len(text), sha256_digest(text))]
        document = _manifest(sources, staging, files, extracted)
        publishing.write_papers(staging, document, model_card(sources, document))
        publish_directory(staging, target, replace=wish.force or wish.output is None)
    return Published(target, document, tuple(merged), engine, time.perf_counter() - clock, started)


def adapter_parts(
    plan: Plan, config: Config | None, extraction: Extraction
) -> tuple[Layers, tuple[OutputTensor, ...], int]:
    """What goes into an adapter, the tensors that are computed for it, and the bytes on disk that it takes at most.

    Raises UsageError where the rank is above a matrix's, InputRefused where an adapter cannot say what changes.
    """
    layers = find_layers(plan, config, saves=extraction.rest == "save")
    outputs = tuple(output for output in plan.outputs if output.name in layers.names)
    if extraction.rank is not None and extraction.energy is None:
        check_rank(extraction.rank, [output for output in outputs if output.name in layers.linear])
    return layers, outputs, _space(outputs, layers, extraction)


def model_config(sources: Sources, config: Config | None) -> Config | None:
    """The config.json of the model that the adapter goes onto: the head's fine-tune's, where the recipe has a head."""
    head = sources.resolved.recipe.head
    return (sources.manifests[head].config if head else None) or config


def adapter_config(extracted: Extracted, sources: Sources, config: Config | None) -> dict[str, Any]:
    """``adapter_config.json``, in PEFT's words. A layer's alpha is its rank: its product counts as it is."""
    ranks = {layer.module: layer.rank for layer in extracted.layers}
    most = max(ranks.values())
    own = {_pattern(module): rank for module, rank in ranks.items() if rank != most}
    hub = hub_place(sources.resolved.base.source)
    return {
        "peft_type": "LORA",
        "task_type": _task(config),
        "base_model_name_or_path": hub[0] if hub else None,
        "revision": hub[1] if hub else None,
        "inference_mode": True,
        "r": most,
        "lora_alpha": most,
        "lora_dropout": 0.0,
        "rank_pattern": own,
        "alpha_pattern": own,
        "target_modules": sorted(ranks),
        "modules_to_save": list(extracted.saved) or None,
        "bias": "all" if extracted.biases else "none",
        "fan_in_fan_out": any(layer.transposed for layer in extracted.layers),
        "use_rslora": False,
        "use_dora": False,
        "init_lora_weights": True,
    }


def _pattern(module: str) -> str:
    """A key of rank_pattern, a regular expression: PEFT matches it with the end of a name, and from ``^`` with all."""
    return "^" + "".join(f"\\{character}" if character in r"\^$*+?{}[]|()" else character for character in module)


def _task(config: Config | None) -> str | None:
    """PEFT adds modules of its own for tasks with a head, so only that of plain language models is named."""
    names = [str(name) for name in (config or {}).get("architectures") or ()]
    return "CAUSAL_LM" if any(name.endswith(("ForCausalLM", "LMHeadModel")) for name in names) else None


def _space(outputs: Sequence[OutputTensor], layers: Layers, extraction: Extraction) -> int:
    """Bytes that the spool file and the adapter may take, together."""
    needed = 0
    for output in outputs:
        if output.name in layers.linear:
            rank = min(extraction.rank or min(output.shape), *output.shape)
            needed += 8 * rank * sum(output.shape)
        elif output.name not in layers.others:
            needed += 2 * output.nbytes
    return needed


def _manifest(sources: Sources, folder: Path, files: Sequence[WrittenFile], extracted: Extracted) -> dict[str, Any]:
    with closing(open_adapter(folder)) as adapter:
        entries = adapter.source.entries
        names = sorted(entries)
        digests = tensor_digests(adapter.source, thread_count(None), Silent(), "read adapter", str(folder), names)
    document = {
        "format": ADAPTER_FORMAT,
        "generator": f"mergestore {package_version('mergestore') or 'unknown'}",
        "output_digest": model_digest((name, e.dtype, e.shape, digests[name]) for name, e in entries.items()),
        "tensors": {
            name: {"dtype": entry.dtype, "shape": list(entry.shape), "digest": digests[name]}
            for name, entry in sorted(entries.items())
        },
        "files": {file.name: {"size": file.size, "sha256": file.sha256} for file in files},
        "adapter": told(extracted, sources),
    }
    return publishing.restated(sources, document)


def told(extracted: Extracted, sources: Sources) -> dict[str, Any]:
    """What the manifest says of the extraction: each layer's rank and error, and all that was saved or left out."""
    return {
        "merge_recipe_digest": replace(sources.resolved.recipe, adapter=None).digest,
        "error": _relative(extracted.residual, extracted.energy),
        "energy": _share(extracted.residual, extracted.energy),
        "norm": math.sqrt(extracted.energy),
        "parameters": sum(layer.rank * sum(layer.shape) for layer in extracted.layers),
        "layers": {layer.name: _told_layer(layer) for layer in extracted.layers},
        "modules_to_save": list(extracted.saved),
        "saved": list(extracted.tensors),
        "biases": list(extracted.biases),
        "dropped": {name: math.sqrt(energy) for name, energy in extracted.dropped.items()},
    }


def _told_layer(layer: Layer) -> dict[str, Any]:
    return {
        "rank": layer.rank,
        "transposed": layer.transposed,
        "error": _relative(layer.residual, layer.energy),
        "energy": _share(layer.residual, layer.energy),
        "norm": math.sqrt(layer.energy),
    }


def _relative(residual: float, energy: float) -> float:
    return math.sqrt(residual / energy) if energy else 0.0


def _share(residual: float, energy: float) -> float:
    return max(0.0, 1 - residual / energy) if energy else 1.0
