"""What MLflow loads of mergestore: merges as artifacts, by URIs of our scheme, and tags for the runs that people start.

MLflow finds both by entry points (pyproject.toml) whenever it is imported itself, so that this module imports nothing
but MLflow's own base class; whoever imports it by hand imports mlflow first. The store is opened when a URI is asked
for. It stands above the floors, as ``mergestore``.

    mergestore:/assistant@prod                     a merge by its reference, in the environment's store
    mergestore:/assistant@prod/config.json         a file of it; the reference needs its @
    mergestore://STORE/sha256:DIGEST               a recipe, as registered versions name their source
"""

from __future__ import annotations

import re
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from mlflow.store.artifact.artifact_repo import ArtifactRepository

if TYPE_CHECKING:
    from registry.store import Store

_STORE = re.compile(r"[0-9a-f]{32}")
_RECIPE = "sha256:"
_PATIENCE_SECONDS = 1.0
"""How long a run that is started waits for the store to say which it is."""


class StoreArtifacts(ArtifactRepository):  # type: ignore[misc]  # MLflow has no types
    """The files of merges, materialized when they are asked for: into the store's cache, and from there.

    Raises MlflowException, with the message and hint of the error that caused it.
    """

    def __init__(self, artifact_uri: str, tracking_uri: str | None = None, registry_uri: str | None = None):
        super().__init__(artifact_uri)
        self._told_to = tracking_uri
        self._folders: dict[str, Path] = {}  # by target: whatever an alias means, one call of MLflow's sees one model
        self._one_at_a_time = threading.Lock()

    def list_artifacts(self, path: str | None = None) -> list[Any]:
        """What lies in a folder of a model; nothing for a file, as MLflow has it."""
        from mlflow.entities import FileInfo

        place = self._place(path)
        if not place.is_dir():
            return []
        within = f"{path.rstrip('/')}/" if path else ""
        return [
            FileInfo(within + found.name, found.is_dir(), None if found.is_dir() else found.stat().st_size)
            for found in sorted(place.iterdir())
        ]

    def download_artifacts(self, artifact_path: str, dst_path: str | None = None) -> str:
        """The folder in the store's cache, or a copy of it in ``dst_path``."""
        if dst_path is not None:
            return str(super().download_artifacts(artifact_path, dst_path))
        return str(self._place(artifact_path))

    def _download_file(self, remote_file_path: str, local_path: str) -> None:
        from storage.files import copy_file, temporary_path

        target = Path(local_path)
        temporary = temporary_path(target.parent, target.name)
        try:
            copy_file(self._place(remote_file_path), temporary)
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)

    def log_artifact(self, local_file: str, artifact_path: str | None = None) -> None:
        """Refused: models come into a store by its own verbs."""
        self._refuse_writing()

    def log_artifacts(self, local_dir: str, artifact_path: str | None = None) -> None:
        """Refused: models come into a store by its own verbs."""
        self._refuse_writing()

    def delete_artifacts(self, artifact_path: str | None = None) -> None:
        """Refused: what is committed in a store stays."""
        self._refuse_writing()

    def _place(self, path: str | None) -> Path:
        """The file or folder that a path below the URI means, there and sound. Raises MlflowException."""
        from mergestore import MergestoreError

        try:
            with self._one_at_a_time:
                target, inner = self._read(path or "")
                if target not in self._folders:
                    self._folders[target] = self._materialize(target)
            folder = self._folders[target].resolve()
            place = folder.joinpath(inner)
            if not place.resolve().is_relative_to(folder) or not place.exists():
                raise _failure("RESOURCE_DOES_NOT_EXIST", f"{target} has no file {inner!r}")
            return place
        except MergestoreError as error:
            code = _CODES.get(error.kind, "INTERNAL_ERROR")
            raise _failure(code, error.message + (f"; {error.hint}" if error.hint else "")) from error

    def _read(self, path: str) -> tuple[str, str]:
        """(the reference or recipe digest that is meant, the path inside of it)."""
        from mergestore import UsageError

        parts = [part for part in f"{urlsplit(self.artifact_uri).path}/{path}".split("/") if part]
        whole = "/".join(parts)
        for target in self._folders:
            if f"{whole}/".startswith(f"{target}/"):
                return target, whole[len(target) + 1 :]
        ends = (place for place, part in enumerate(parts, 1) if "@" in part or part.startswith(_RECIPE))
        end = next(ends, len(parts))
        if not parts:
            raise UsageError(f"{self.artifact_uri} names no merge", hint=_SPELLED)
        return "/".join(parts[:end]), "/".join(parts[end:])

    def _materialize(self, target: str) -> Path:
        """The folder of a target in the cache of the environment's store, its digests verified."""
        import mergestore

        named = urlsplit(self.artifact_uri).netloc
        if named and not _STORE.fullmatch(named):
            raise mergestore.UsageError(f"{self.artifact_uri}: {named!r} is no store's identifier", hint=_SPELLED)
        with mergestore.open(create=False, tracking_uri=self._tracking_uri()) as store:
            _refuse_other(store, named, target)
            try:
                return Path(store.materialize(target).path)
            except mergestore.NotFound as error:
                made = f"; it was registered by the store {named}, and this is {store.id}" if named else ""
                raise mergestore.NotFound(f"{error.message}{made}", hint=error.hint or _WHICH) from error

    def _tracking_uri(self) -> str | None:
        """Where MLflow stands in this process, if that was said: there the record of what is computed goes."""
        import mlflow

        return self._told_to or (str(mlflow.get_tracking_uri()) if mlflow.is_tracking_uri_set() else None)

    def _refuse_writing(self) -> None:
        raise _failure(
            "INVALID_PARAMETER_VALUE",
            f"nothing is written to {self.artifact_uri}: register models with `mergestore register`, combine them with "
            "`mergestore merge`",
        )


class StoreContext:
    """Tags of runs that are started beside a store: which store, and which version of mergestore.

    Asked by MLflow for every run of ``mlflow.start_run``. Writes nothing, never raises, and waits a second at most; the
    first answer counts for the process.
    """

    def __init__(self) -> None:
        self._found: dict[str, str] = {}

    def in_context(self) -> bool:
        """Whether there is a store in this environment, and it answers."""
        if not self._found:
            # A database that is out of reach would hold the run up: what hangs is left behind in its thread.
            asking = threading.Thread(target=self._ask, daemon=True)
            asking.start()
            asking.join(_PATIENCE_SECONDS)
        return bool(self._found)

    def tags(self) -> dict[str, str]:
        """``mergestore.version`` and ``mergestore.store``, the store's identifier."""
        return dict(self._found)

    def _ask(self) -> None:
        try:
            import mergestore

            with mergestore.open(create=False) as store:
                self._found = {"mergestore.version": mergestore.__version__, "mergestore.store": store.id}
        except Exception:  # whatever is wrong with a store is no business of somebody's run
            return


_SPELLED = "write mergestore:/NAME@VERSION, with one slash"
_WHICH = "MERGESTORE_HOME and MERGESTORE_DATABASE say which store is meant"
_CODES = {
    "not_found": "RESOURCE_DOES_NOT_EXIST",
    "usage": "INVALID_PARAMETER_VALUE",
    "conflict": "INVALID_STATE",
    "input_refused": "INVALID_STATE",
    "environment": "INVALID_STATE",
}


def _refuse_other(store: Store, named: str, target: str) -> None:
    """A name means something in its own store only; a recipe is the same everywhere."""
    from mergestore import NotFound

    if named and named != store.id and not target.startswith(_RECIPE):
        raise NotFound(f"{target} is meant of the store {named}, and this is {store.id}", hint=_WHICH)


def _failure(code: str, message: str) -> Exception:
    from mlflow.exceptions import MlflowException
    from mlflow.protos.databricks_pb2 import ErrorCode

    return MlflowException(message, error_code=ErrorCode.Value(code))  # type: ignore[no-any-return]
