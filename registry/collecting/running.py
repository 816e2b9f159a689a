"""The model that statistics are collected of, as transformers loads it, and its weights by the base's names."""

from __future__ import annotations

import hashlib
import importlib
import json
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from storage.blobs import hash_file
from storage.checkpoints.tensors import listed
from storage.errors import EnvironmentFailure, InputRefused, MergestoreError

if TYPE_CHECKING:
    from torch.nn import Module, Parameter

Task = Literal["causal", "masked", "classes", "none"]
"""What the model's output says: the next token, a masked one, the class of the text, or no probabilities at all."""

_TASKS: tuple[tuple[str, Task], ...] = (
    ("ForCausalLM", "causal"),
    ("LMHeadModel", "causal"),
    ("ForMaskedLM", "masked"),
    ("ForSequenceClassification", "classes"),
)
_COMPANIONS = (
    *("config.json", "tokenizer*", "vocab.*", "merges.txt", "*.model"),
    *("special_tokens_map.json", "added_tokens.json", "chat_template*"),
)


@dataclass(frozen=True)
class Running:
    """A model in evaluation mode on its device, and its parameters by the names of the base's tensors.

    ``companions``: SHA-256 of its configuration and tokenizer files. ``positions``: how many tokens it takes at most.
    """

    model: Module
    parameters: Mapping[str, Parameter]
    task: Task = "none"
    architecture: str = ""
    tokenizer: Any = None
    vocabulary: int = 0
    positions: int | None = None
    companions: str | None = None


def import_transformers() -> Any:
    """Torch must be there, and transformers. Raises EnvironmentFailure naming the extra where one is missing."""
    try:
        importlib.import_module("torch")
        return importlib.import_module("transformers")
    except (ImportError, OSError) as error:
        raise EnvironmentFailure(
            f"statistics are collected with torch and transformers, and one cannot be imported: {error}",
            hint="install them with: pip install 'mergestore[stats]'",
        ) from error


def load_model(folder: Path, names: Mapping[str, str], device: str) -> Running:
    """The model in a folder as its config.json says. ``names``: of its tensors, by the base's names.

    Raises InputRefused for a model that transformers does not know, or whose weights are not all in the folder.
    """
    transformers = import_transformers()
    config = _config(folder)
    architecture = str((config.get("architectures") or [""])[0])
    kind = getattr(transformers, architecture or "-", None)
    known = isinstance(kind, type) and issubclass(kind, transformers.PreTrainedModel)
    if not known or config.get("is_encoder_decoder"):
        what = "reads and writes (an encoder and a decoder)" if known else "is not a model that transformers knows"
        raise InputRefused(
            f"the architecture {architecture or 'that config.json does not name'} {what}",
            hint="collect from Python with a forward function of your own: "
            "store.collect_statistics(SKILL, …, model=model, forward=forward)",
        )
    with _quiet(transformers):
        model = _loaded(transformers, kind, folder).to(device).eval()
        model.config.use_cache = False  # keys and values of a text that nobody goes on with
        tokenizer = _tokenizer(transformers, folder)
    return Running(
        model=model,
        parameters=_matched(model, names),
        task=next((task for ending, task in _TASKS if architecture.endswith(ending)), "none"),
        architecture=architecture,
        tokenizer=tokenizer,
        vocabulary=_vocabulary(model, architecture),
        positions=getattr(model.config, "max_position_embeddings", None),
        companions=_companions(folder),
    )


def _config(folder: Path) -> dict[str, Any]:
    try:
        document = json.loads((folder / "config.json").read_bytes())
    except FileNotFoundError:
        raise InputRefused(
            "the model has no config.json, so transformers cannot load it",
            hint="register the base from a whole model folder, or collect from Python with a forward function",
        ) from None
    except ValueError as error:
        raise InputRefused(f"the model's config.json is not JSON: {error}") from error
    return document if isinstance(document, dict) else {}


def _vocabulary(model: Any, architecture: str) -> int:
    try:
        return int(model.get_input_embeddings().weight.shape[0])
    except (AttributeError, NotImplementedError) as error:
        raise InputRefused(
            f"{architecture} does not read text",
            hint="collect from Python with a forward function of your own",
        ) from error


@contextmanager
def told(where: str, device: str) -> Iterator[None]:
    """Say where a model failed: EnvironmentFailure where memory ran out, InputRefused where it does not run."""
    from merging.engines.torch_engine import told_out_of_memory

    try:
        with told_out_of_memory(device):
            yield
    except (RuntimeError, TypeError, ValueError, IndexError) as error:
        if isinstance(error, MergestoreError):
            raise
        raise InputRefused(
            f"{where}: the model does not run on this example: {str(error)[:300]}",
            hint="look at the example and at --max-length, or collect from Python with a forward function of your own",
        ) from error


def _loaded(transformers: Any, kind: Any, folder: Path) -> Any:
    import torch

    try:
        model, found = kind.from_pretrained(
            folder,
            dtype=torch.float32,
            attn_implementation="eager",
            output_loading_info=True,
            local_files_only=True,
            use_safetensors=True if any(folder.glob("*.safetensors")) else None,
        )
    except (OSError, ValueError, RuntimeError, KeyError, TypeError, AttributeError, ImportError) as error:
        raise InputRefused(
            f"transformers {transformers.__version__} cannot load the model: {str(error)[:300]}",
            hint="upgrade transformers, or collect from Python with a forward function of your own",
        ) from error
    missing = sorted(found["missing_keys"])
    if missing or found.get("mismatched_keys"):
        raise InputRefused(
            f"{kind.__name__} needs weights that the model does not have: "
            f"{listed(missing or sorted(map(str, found['mismatched_keys'])))}",
            hint="register the base and the skill with all their weights, or correct `architectures` in config.json",
        )
    return model


def _tokenizer(transformers: Any, folder: Path) -> Any:
    try:
        return transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, RuntimeError, KeyError, TypeError, AttributeError, ImportError):
        return None  # told where a text is to be tokenized


@contextmanager
def _quiet(transformers: Any) -> Iterator[None]:
    """Stderr is ours: transformers draws bars and warns there."""
    logging = transformers.utils.logging
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


@contextmanager
def repeatable(device: str) -> Iterator[None]:
    """For the time of the block, CUDA adds up in one order wherever it can; a processor does anyway."""
    import torch

    if not device.startswith("cuda"):
        yield
        return
    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*deterministic")
            yield
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])


def match_parameters(model: Module, names: Mapping[str, str]) -> dict[str, Parameter]:
    """The model's parameters by the base's names, where it has one of the name that goes with it."""
    there = dict(model.named_parameters(remove_duplicate=False))
    return {name: there[own] for name, own in names.items() if own in there}


def _matched(model: Any, names: Mapping[str, str]) -> dict[str, Parameter]:
    """Transformers puts the model's prefix before names, or takes it away, when it loads."""
    prefix = f"{model.base_model_prefix}."
    there = dict(model.named_parameters(remove_duplicate=False))
    found = {}
    for name, saved in names.items():
        own = next((each for each in (saved, prefix + saved, saved.removeprefix(prefix)) if each in there), None)
        if own is not None:
            found[name] = there[own]
    if not found:
        raise InputRefused(
            f"transformers names none of the weights as the base does: {listed(there)}",
            hint="collect from Python with a forward function of your own",
        )
    return found


def _companions(folder: Path) -> str:
    """SHA-256 over names and SHA-256 of the files that decide what a text becomes, and what is done with it."""
    hasher = hashlib.sha256()
    for path in sorted({path for pattern in _COMPANIONS for path in folder.glob(pattern) if path.is_file()}):
        own = hashlib.sha256()
        hash_file(path, own)
        hasher.update(f"{own.hexdigest()} {path.name}\n".encode())
    return f"sha256:{hasher.hexdigest()}"
