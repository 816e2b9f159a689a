"""Models named ``hf:repo@revision``: found through huggingface_hub, pinned to a commit."""

from __future__ import annotations

from pathlib import Path

from storage.errors import EnvironmentFailure, InputRefused, UsageError

_PATTERNS = ["*.safetensors", "*.bin", "*.json", "*.txt", "*.model", "*.jinja", "LICENSE*", "README.md"]


def hub_place(source: str | None) -> tuple[str, str | None] | None:
    """Repository and revision on the Hub that a recorded source names; None for any other."""
    if not source or not source.startswith("hf:"):
        return None
    name, _, revision = source.removeprefix("hf:").partition("@")
    return name, revision or None


def package_url(repository: str, revision: str | None) -> str:
    """Where a model of the Hub is had: https://github.com/package-url/purl-spec, type huggingface."""
    return f"pkg:huggingface/{repository}" + (f"@{revision}" if revision else "")


def snapshot(source: str) -> tuple[Path, str]:
    """(folder, ``hf:repo@commit``) of a model on the Hugging Face Hub, or in its local cache when offline.

    Raises EnvironmentFailure when the library or the Hub cannot be had, InputRefused for an unknown model.
    """
    repo, _, revision = source.removeprefix("hf:").partition("@")
    if not repo or repo.count("/") > 1:
        raise UsageError(f"{source!r} does not name a model of the Hub", hint="write hf:owner/model@revision")
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
    except ImportError as error:
        raise EnvironmentFailure(
            "models of the Hugging Face Hub need huggingface_hub", hint="pip install 'mergestore[hub]'"
        ) from error
    try:
        folder = Path(snapshot_download(repo, revision=revision or None, allow_patterns=_PATTERNS))
    except HFValidationError as error:
        raise UsageError(f"{source!r} does not name a model of the Hub: {error}") from error
    except LocalEntryNotFoundError as error:
        raise EnvironmentFailure(
            f"{source!r} is not in the local cache and the Hub cannot be reached",
            hint="download it where there is a network, or give a folder",
        ) from error
    except HfHubHTTPError as error:
        raise InputRefused(f"the Hub has no {source!r}: {error}", hint="check the name and the revision") from error
    except OSError as error:
        raise EnvironmentFailure(f"the Hub cannot be reached for {source!r}: {error}") from error
    return folder, f"hf:{repo}@{folder.name}"
