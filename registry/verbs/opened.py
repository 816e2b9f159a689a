"""A store that is open: what every verb stands on."""

from __future__ import annotations

import functools
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Self

from sqlalchemy import Engine

from registry.home import Home
from registry.own_place import claim_for
from registry.records import garbage
from registry.records.database import reading
from registry.records.identity import store_id
from registry.records.location import is_settled, object_storage
from registry.records.read_only import is_read_only_file
from storage.paths import as_path

HUB = "hf:"


class Opened:
    """Where the books and the bytes are, who acts, and where provenance goes."""

    def __init__(
        self,
        home: Path,
        engine: Engine,
        tracking_uri: str,
        actor: str,
        objects_cache: int | None = None,
        quota: int | None = None,
    ):
        """``objects_cache``: bytes that copies of objects take in ``home``, where an object storage has these.

        ``quota``: bytes that objects may take together, if that is less than the store's own.
        """
        self.engine = engine
        self.tracking_uri = tracking_uri
        self.actor = actor
        self._home = Home(
            Path(home),
            functools.partial(garbage.spare, engine),
            quota,
            cache_limit=objects_cache,
            claim=functools.partial(claim_for, engine),
        )
        self._settled = False
        if not is_read_only_file(engine.url):
            self.home.prepare()

    @property
    def home(self) -> Home:
        """The folders of the store; as long as it is empty, another process may choose where its objects will lie."""
        if not self._settled:
            with reading(self.engine) as session:
                self._settled, storage = is_settled(session), object_storage(session)
            if storage is not None:
                self._home = replace(self._home, storage=storage)
        return self._home

    @cached_property
    def id(self) -> str:
        """The store's own identifier: 32 hexadecimal digits, drawn when it was made."""
        with reading(self.engine) as session:
            return store_id(session)

    def close(self) -> None:
        """Let go of database connections."""
        self.engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def locate(self, source: str | Path) -> tuple[Path, str]:
        """Where the files of a folder, or of ``hf:repo@revision``, are on this machine, and how that is recorded."""
        text = str(source)
        if text.startswith(HUB):
            from registry import hub

            return hub.snapshot(text)
        path = as_path(source)
        return path, str(path.absolute())
