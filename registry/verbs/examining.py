"""Verbs that only look: what there is, what is in it, whether it is still that."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from registry import answers
from registry.evidence.keys import signer
from registry.records.database import reading, require_writable
from registry.results import Anchored, Audit, Difference, Found, Impact, Influence, Listing, Rebuilt, Verification
from registry.targets import folder_instead
from registry.verbs.opened import Opened
from storage.errors import NotFound, UsageError
from storage.paths import as_path
from storage.progress import Progress, Silent

if TYPE_CHECKING:
    from registry.evidence.keys import Password


class Examining(Opened):
    """The verbs that look."""

    def audit(self, target: str | Path, *, newest: int | None = None) -> Audit:
        """What is in a model, from whom, and what was made of it.

        ``target``: a version's reference; a digest, or how one begins, of a version, a recipe or an output; or a
        published folder, of which the store need not know. ``newest``: of materializations, descendants and events only
        so many, the newest; by default all.
        """
        from registry.audits.audit import audit

        with reading(self.engine) as session:
            if isinstance(target, str):
                try:
                    return audit(session, target, newest)
                except (UsageError, NotFound) as refusal:
                    target = folder_instead(target, refusal)
            from registry.audits.folder import audit_folder

            return audit_folder(target, session, newest)

    def bom(self, target: str | Path) -> dict[str, Any]:
        """What is in a model as a bill of materials, CycloneDX 1.6 in JSON; ``target`` as for ``audit``."""
        from registry.evidence.bom import bill_of

        with reading(self.engine) as session:
            return bill_of(session, self.home, target)

    def diff(
        self, one: str | Path, other: str | Path, *, threads: int | None = None, progress: Progress | None = None
    ) -> Difference:
        """Compare two models: what they are made of, and every tensor. Versions by reference, folders by path.

        A skill is compared as its fine-tune; with a common base, norms and cosines are those of the deltas from it.
        """
        from registry import wish
        from registry.audits.diff import diff

        context = wish.Context(self.engine, self.home, self.tracking_uri, self.actor)
        return diff(context, one, other, threads, progress or Silent())

    def find(self, kind: str, *, limit: int = 50, page: int = 1, **filters: Any) -> Found:
        """What is such: ``kind`` bases, skills, merges, materializations or events, newest first, a page at a time.

        ``filters``: contains, base, method, encoding, seed, licence, state, never (materialized, evaluated), software,
        device, action, subject, by, since, until, meta; which of them a kind takes is told when one is not.
        """
        from registry.audits.filters import Filters
        from registry.audits.queries import find

        with reading(self.engine) as session:
            return find(session, kind, Filters(**filters), limit=limit, page=page)

    def impact(self, reference: str, *, newest: int | None = None) -> Impact:
        """What contains a version: versions, aliases, materializations and their MLflow runs; what a recall is about.

        ``newest``: of versions and materializations only so many, the newest; by default all.
        """
        from registry.audits.impact import impact

        with reading(self.engine) as session:
            return impact(session, reference, newest)

    def influence(self, target: str | Path, pattern: str = "*") -> Influence:
        """Which skills touched the tensors of a merge whose names fit a pattern, with what weight, norm and share.

        ``target`` as for ``audit``.
        """
        from registry.audits.influence import influence

        if not pattern.strip():
            raise UsageError("no tensor is named", hint="part of a name, a pattern with * ? [ ], or '*' for all")
        with reading(self.engine) as session:
            return influence(session, target, pattern)

    def rebuild(
        self, target: str | Path, *, device: str = "cpu", threads: int | None = None, progress: Progress | None = None
    ) -> Rebuilt:
        """Make a result again from its lineage, and compare it with what is on record of it and with its folders.

        ``target`` as for ``audit``. Nothing is written but a receipt, an event of the audit chain.
        """
        from registry import wish
        from registry.audits.rebuild import rebuild

        require_writable(self.engine)
        context = wish.Context(self.engine, self.home, self.tracking_uri, self.actor)
        return rebuild(context, target, wish.Wish(device=device, threads=threads), progress or Silent())

    def verify(
        self,
        target: str | Path | None = None,
        progress: Progress | None = None,
        *,
        key: str | Path | None = None,
        attestation: str | Path | None = None,
        anchor: str | Path | None = None,
    ) -> Verification:
        """Check a version with all it came from, a published folder, or (nothing named) the whole store.

        ``key``: a public key in PEM; the folder, or the newest one of the version, must also be what a statement says
        that is signed with it: that in the file ``attestation``, or one in the store or the folder. ``anchor``: a file
        that ``anchor`` wrote, signed with the key if there is one; the store's audit chain must still pass through it.
        """
        from registry import verifying
        from registry.evidence.verifying import check_words, verify_anchored, verify_attested

        watcher = progress or Silent()
        check_words(target, key, attestation, anchor)
        if anchor is not None:
            return verify_anchored(self.engine, self.home, as_path(anchor), key, watcher)
        if target is None:
            return verifying.verify_store(self.engine, self.home, watcher)
        if key is not None:
            return verify_attested(self.engine, target, as_path(key), attestation, watcher)
        if isinstance(target, Path):
            return verifying.verify_directory(target, watcher)
        try:
            return verifying.verify_version(self.engine, self.home, target, watcher)
        except (UsageError, NotFound) as refusal:
            return verifying.verify_directory(folder_instead(target, refusal), watcher)

    def anchor(
        self, *, key: str | Path | None = None, password: Password | None = None, output: str | Path | None = None
    ) -> Anchored:
        """The last event of the audit chain, to be kept elsewhere: what it says can then not be rewritten unseen.

        Signed with the private ``key`` (a PEM file; ``password`` is asked for one that is encrypted), and written to
        ``output``, if given. Nothing is recorded.
        """
        from registry.evidence.anchor import anchor

        place = as_path(output) if output is not None else None
        return anchor(self.engine, signer(key, password), place)

    def statistics(self, skill: str | None = None) -> list[dict[str, Any]]:
        """What was collected of one skill, or of all, oldest first."""
        with reading(self.engine) as session:
            return answers.statistics(session, skill)

    def show_statistics(self, digest: str) -> dict[str, Any]:
        """Statistics in full, by their digest or its first digits: settings, software, size, and of which tensors."""
        with reading(self.engine) as session:
            return answers.show_statistics(session, self.home, digest)

    def evaluations(self, target: str | Path | None = None) -> list[dict[str, Any]]:
        """How a version, or a result, scored; or all scores on record. Newest first; ``target`` as for ``audit``."""
        from registry.evaluating import listed

        return listed(self.engine, target)

    def list(self, kind: str | None = None) -> Listing:
        """The newest ready version of every name; of one kind (base, skill, merge) if given."""
        if kind not in (None, "base", "skill", "merge"):
            raise UsageError(f"unknown kind {kind!r}", hint="choose base, skill or merge")
        with reading(self.engine) as session:
            return answers.listing(session, kind)

    def show(self, reference: str) -> dict[str, Any]:
        """One version in full: record, files, statistics, recipe, aliases and their history."""
        with reading(self.engine) as session:
            return answers.show(session, reference)
