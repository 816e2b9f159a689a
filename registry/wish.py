"""How a materialization is asked for, and what a store gives to each."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from merging.adapters.settings import Extraction
from registry.home import Home

Given = str | os.PathLike[str] | Mapping[str, Any]
"""A policy: its file, or what stands in one."""


@dataclass(frozen=True)
class Wish:
    """How a materialization is asked for. ``output`` None: into the cache."""

    output: Path | None = None
    device: str = "cpu"
    shard_size: int = 5_000_000_000
    force: bool = False
    cache: bool = True
    threads: int | None = None
    wait: bool = True
    adapter: Extraction | None = None  # instead of the whole model
    policy: Given | None = None  # beside the store's own


@dataclass(frozen=True)
class Context:
    """What every materialization of a store needs."""

    engine: Engine
    home: Home
    tracking_uri: str
    actor: str
