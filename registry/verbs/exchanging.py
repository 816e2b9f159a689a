"""Verbs that take versions from one store into another."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from registry.records.database import require_writable
from registry.results import Exported, Imported
from registry.upkeep.writers import storing
from registry.verbs.opened import Opened
from storage.paths import as_path
from storage.progress import Progress, Silent


class Exchanging(Opened):
    """The verbs that exchange."""

    def export(
        self,
        references: str | Iterable[str],
        path: str | Path,
        *,
        lineage: bool = False,
        bases: bool = True,
        force: bool = False,
        progress: Progress | None = None,
    ) -> Exported:
        """Write skills, merges and bases, named by reference, into one file that another store imports.

        By default just these; what they were made from is told by digest, and must be in the other store. ``lineage``:
        that too, down to the bases, whose bytes stay away without ``bases``. ``force`` replaces a file.
        """
        from registry.bundles.exporting import Scope, export

        require_writable(self.engine)
        named = [references] if isinstance(references, str) else list(references)
        scope = Scope(lineage, bases, force)
        return export(self.engine, self.home, named, as_path(path), scope, self.actor, progress or Silent())

    def import_bundle(
        self,
        path: str | Path,
        *,
        name: str | None = None,
        namespace: str | None = None,
        expected: str | None = None,
        dry_run: bool = False,
        progress: Progress | None = None,
    ) -> Imported:
        """Take in a bundle, every digest of it checked, all of it or nothing; what is there already is recognised.

        A name that has other content gets its next version. ``name``: what was exported gets this name. ``namespace``:
        all of it goes there. ``expected``: refuse a bundle of another digest than this. With ``dry_run`` everything is
        checked, and nothing is stored.
        """
        from registry.bundles.importing import import_bundle
        from registry.bundles.planning import Naming

        naming = Naming(name, namespace)
        with storing(self.engine, self.home):
            return import_bundle(
                self.engine,
                self.home,
                as_path(path),
                naming,
                expected=expected,
                dry_run=dry_run,
                actor=self.actor,
                progress=progress or Silent(),
            )
