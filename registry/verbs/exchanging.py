"""Verbs that let versions out of a store and into it: bundles."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from registry.results import Exported, Imported
from registry.verbs.opened import Opened
from storage.progress import Progress, Silent


class Exchanging(Opened):
    """The verbs that exchange."""

    def export(
        self,
        references: str | Sequence[str],
        output: str | Path,
        *,
        lineage: bool = False,
        bases: bool = True,
        force: bool = False,
        progress: Progress | None = None,
    ) -> Exported:
        """Write versions into one file, a bundle, which ``import_bundle`` takes into another store.

        Alone, or with their whole ``lineage``; with ``bases`` False no base model's bytes are in it. What is not in it,
        the other store must have. The same versions give the same bytes.
        """
        from registry.exchange.exporting import Wanted, export

        named = (references,) if isinstance(references, str) else tuple(references)
        wanted = Wanted(named, lineage, bases)
        return export(
            self.engine, self.home, wanted, Path(output), self.actor, force=force, progress=progress or Silent()
        )

    def import_bundle(
        self,
        path: str | Path,
        *,
        namespace: str | None = None,
        expected: str | None = None,
        dry_run: bool = False,
        progress: Progress | None = None,
    ) -> Imported:
        """Take in what a bundle holds, after every digest was checked. What is here already is recognised.

        Versions keep their names and are numbered anew; ``namespace`` puts all of them there. ``expected``: the
        file's digest, as ``export`` told it. ``dry_run`` checks everything and changes nothing.
        """
        from registry.exchange.importing import import_bundle

        return import_bundle(
            self.engine,
            self.home,
            Path(path),
            self.actor,
            namespace=namespace,
            expected=expected,
            dry_run=dry_run,
            progress=progress or Silent(),
        )
