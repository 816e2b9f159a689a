"""Verbs that say what versions are for, and keep the house: aliases, recalls, evidence, delivery, the doctor."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from registry.audits.impact import impact
from registry.evidence.keys import signer
from registry.provenance import messages
from registry.provenance.standing import fits_mlflow
from registry.records import aliases as alias_records
from registry.records import catalog, readiness
from registry.records import pins as pin_records
from registry.records.database import require_writable, writing
from registry.records.names import parse_reference
from registry.records.tables import ModelVersion, Outbox
from registry.results import Attested
from registry.verbs.opened import Opened
from storage.errors import UsageError
from storage.paths import as_path
from storage.progress import Progress, Silent

if TYPE_CHECKING:
    from registry.evidence.keys import Password


class Curating(Opened):
    """The verbs that keep order."""

    def alias(self, reference: str, alias: str, *, wait: bool = True) -> dict[str, Any]:
        """Let ``name@alias`` mean the version that ``reference`` means now.

        Of a merge that was materialized, MLflow's registered model gets the alias too; with ``wait`` False by ``sync``.
        """
        with writing(self.engine) as session:
            version = catalog.resolve(session, parse_reference(reference))
            alias_records.set_alias(session, version, alias, actor=self.actor)
            fits = version.kind != "merge" or fits_mlflow(alias)
            told = messages.add_registered(session, version.model) if fits else None
            found = {"name": version.name, "version": version.version, "digest": version.digest, "alias": alias}
            unknown = told is not None and not messages.has_results(session, version)
        notes = [] if fits else [f"MLflow takes no alias such as {alias!r}: it stands in this store only"]
        if unknown:
            here = f"{found['name']}@{found['version']}"
            notes.append(f"MLflow has no result of {here} yet: it gets the alias when that is materialized")
        return found | {"notes": [*notes, *self._tell(told, wait)]}

    def unalias(self, name: str, alias: str, *, wait: bool = True) -> dict[str, Any]:
        """Take an alias away, in MLflow too, as ``alias`` does; its history stays."""
        with writing(self.engine) as session:
            alias_records.remove_alias(session, name, alias, actor=self.actor)
            model = catalog.find_model(session, name)
            told = messages.add_registered(session, model) if model else None
        return {"name": name, "alias": alias, "removed": True, "notes": self._tell(told, wait)}

    def yank(self, reference: str, reason: str, *, wait: bool = True) -> dict[str, Any]:
        """Take a version out of use, with a reason: new merges and materializations refuse it, and what contains it.

        ``reference`` says which version: name@version or name@alias. ``contained`` in the answer says what it went
        into. Of a merge that was materialized, MLflow's registered version is marked too; with ``wait`` False by
        ``sync``.
        """
        return self._withdraw(readiness.yank, reference, reason, wait)

    def unyank(self, reference: str, reason: str, *, wait: bool = True) -> dict[str, Any]:
        """Take a yank back, with a reason; the log keeps both. MLflow is told as ``yank`` does."""
        return self._withdraw(readiness.unyank, reference, reason, wait)

    def _withdraw(self, change: Callable[..., ModelVersion], reference: str, reason: str, wait: bool) -> dict[str, Any]:
        said = parse_reference(reference)
        with writing(self.engine) as session:
            version = catalog.look_up(session, said)
            if said.version is None and said.alias is None:
                raise UsageError(
                    f"{reference} has no version: say which one is meant",
                    hint=f"the newest is {version.reference}; `mergestore show {reference}` tells of all",
                )
            change(session, version, reason, actor=self.actor)
            told = messages.add_registered(session, version.model)
            touched = impact(session, version.reference, newest=1)
            found = {"name": version.name, "version": version.version, "state": version.state, "reason": reason}
            found["contained"] = {**touched.counts, "aliases": touched.aliases}
        return found | {"notes": self._tell(told, wait)}

    def _tell(self, message: Outbox | None, wait: bool) -> list[str]:
        if message is None:
            return []
        from registry.provenance.telling import tell

        return tell(
            self.engine, self.tracking_uri, self.home.tracking, self.actor, message.kind, message.key, wait=wait
        )

    def pin(self, reference: str, reason: str) -> dict[str, Any]:
        """Keep a version, and all it came from, from being deleted, with a reason."""
        with writing(self.engine) as session:
            version = catalog.resolve(session, parse_reference(reference))
            pin = pin_records.set_pin(session, version, reason, actor=self.actor)
            return {"name": version.name, "version": version.version, "pinned": pin_records.pin_facts(pin)}

    def unpin(self, reference: str) -> dict[str, Any]:
        """Take a pin away; the log remembers it."""
        with writing(self.engine) as session:
            version = catalog.resolve(session, parse_reference(reference))
            pin_records.remove_pin(session, version, actor=self.actor)
            return {"name": version.name, "version": version.version, "pinned": None}

    def attest(
        self,
        target: str | Path,
        *,
        key: str | Path | None,
        password: Password | None = None,
        output: str | Path | None = None,
        append: bool = False,
        progress: Progress | None = None,
    ) -> Attested:
        """State what a published folder holds and came from (in-toto, SLSA provenance), sign it, and put it on record.

        ``target``: a folder that this store made, or as for ``audit`` what was made of it last and is still there.
        ``key``: a private Ed25519 key in PEM, ``password`` is asked for one that is encrypted; with None the statement
        alone is made, to be signed elsewhere. It is written to ``output``, if given: a new file; with ``append`` also
        one with what is signed already, a line for each.
        """
        from registry.evidence.attesting import attest

        require_writable(self.engine)
        place = as_path(output) if output is not None else None
        watcher = progress or Silent()
        return attest(self.engine, target, signer(key, password), place, self.actor, watcher, append=append)

    def sync(self) -> dict[str, Any]:
        """Deliver the provenance that waits in the outbox to MLflow."""
        from registry.provenance import delivery

        synced = delivery.sync(self.engine, self.tracking_uri, self.home.tracking, self.actor)
        return {"delivered": synced.delivered, "pending": synced.pending, "errors": list(synced.errors)}

    def doctor(self) -> dict[str, Any]:
        """Look at everything around the store that could give trouble."""
        from registry import doctor
        from registry.finding import Patient

        return doctor.examine(Patient(self.engine, self.engine.url, self.home, self.tracking_uri))
