"""What an adapter is, by digest: its tensors and its settings, wherever they lie and whatever it was trained on."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

from storage.checkpoints.adapter import open_adapter
from storage.checkpoints.inputs import source_digest, tensor_digests
from storage.digests import sha256_digest
from storage.pipeline import thread_count
from storage.progress import Progress

_OF_ITS_PLACE = ("base_model_name_or_path", "revision", "inference_mode", "auto_mapping")


def adapter_content(folder: Path, progress: Progress) -> str:
    """``sha256:…`` of an adapter's tensors and of its settings but those that tell where its base is found."""
    with closing(open_adapter(folder)) as adapter:
        digests = tensor_digests(adapter.source, thread_count(None), progress, f"look at {folder.name}", str(folder))
        tensors = source_digest(adapter.source.entries, digests)
        settings = {key: value for key, value in adapter.config.items() if key not in _OF_ITS_PLACE}
    return sha256_digest(f"{tensors}\n{json.dumps(settings, sort_keys=True)}".encode())
