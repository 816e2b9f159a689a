"""The base that deltas are made against and applied to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from storage.checkpoints.tensors import TensorSource


@dataclass(frozen=True)
class BaseModel:
    """A base's tensors, their recorded digests, its model digest and config.json."""

    source: TensorSource
    digests: Mapping[str, str]
    digest: str
    config: Mapping[str, Any] | None = None
