"""mergestore: a model registry and versioned merge store. This module is its public face.

    store = mergestore.open()
    store.register_base("llama", "/models/llama")
    store.register_skill("math", "/models/llama-math", base="llama")
    store.merge("assistant", "llama + 0.6*math")
    model = store.load("assistant", device="cuda")

Importing it is quick: the Store and what stands behind it are loaded when first used.
"""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

_PACKAGES = ("cli", "migrations", "registry", "merging", "storage")


def _refuse_shadows() -> None:
    """Raise ImportError when one of our generically named packages would come from somebody else's folder."""
    here = Path(__file__).resolve().parent
    for name in _PACKAGES:
        spec = find_spec(name)
        folders = [Path(found).resolve() for found in (spec.submodule_search_locations or ())] if spec else []
        if here / name not in folders:
            found = str(folders[0]) if folders else (spec.origin if spec else None)
            raise ImportError(_shadow_message(name, here, found))


def _shadow_message(name: str, here: Path, found: str | None) -> str:
    if found is None:
        return f"mergestore's package {name!r} is missing beside {here}; install mergestore again"
    return (
        f"mergestore needs its own package {name!r} from {here / name}, but {found} comes first on the path; "
        "run from another folder, rename that one, or give mergestore an environment of its own"
    )


_refuse_shadows()

from registry.results import (  # noqa: E402  (only after the check that these are ours)
    Anchored,
    Attested,
    Audit,
    BackedUp,
    Checked,
    Collected,
    CollectedStatistics,
    Difference,
    Exported,
    Footprint,
    Found,
    Impact,
    Imported,
    Influence,
    Inspection,
    Listing,
    Loaded,
    Materialized,
    MaterializedAdapter,
    Merged,
    Rebuilt,
    RegisteredBase,
    RegisteredSkill,
    Repaired,
    Restored,
    Result,
    Verification,
    VersionRef,
)
from storage.errors import (  # noqa: E402
    Conflict,
    EnvironmentFailure,
    InputRefused,
    IntegrityFailure,
    MergestoreError,
    NotFound,
    UsageError,
)
from storage.paths import as_path as _as_path  # noqa: E402
from storage.sizes import check_bytes as _check_bytes  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Engine

    from merging.methods import Coefficients, Computed, Fused, Inputs, Method, Parameter, Part, Products, Spanned
    from migrations.opening import Place, Wish
    from registry.resident import Resident
    from registry.store import Store
    from storage.progress import Progress

    __version__: str

_METHOD_CONTRACT = (
    "Coefficients", "Computed", "Fused", "Inputs", "Method", "Parameter", "Part", "Products", "Spanned",
)  # fmt: skip
"""What a package needs that adds a merge method."""

__all__ = [
    "Anchored",
    "Attested",
    "Audit",
    "BackedUp",
    "Checked",
    "Coefficients",
    "Collected",
    "CollectedStatistics",
    "Computed",
    "Conflict",
    "Difference",
    "EnvironmentFailure",
    "Exported",
    "Footprint",
    "Found",
    "Fused",
    "Impact",
    "Imported",
    "Influence",
    "InputRefused",
    "Inputs",
    "Inspection",
    "IntegrityFailure",
    "Listing",
    "Loaded",
    "Materialized",
    "MaterializedAdapter",
    "Merged",
    "MergestoreError",
    "Method",
    "NotFound",
    "Parameter",
    "Part",
    "Products",
    "Rebuilt",
    "RegisteredBase",
    "RegisteredSkill",
    "Repaired",
    "Resident",
    "Restored",
    "Result",
    "Spanned",
    "Store",
    "UsageError",
    "Verification",
    "VersionRef",
    "__version__",
    "backup",
    "doctor",
    "init",
    "methods",
    "open",
    "restore",
]


def open(
    home: str | Path | None = None,
    *,
    database: str | None = None,
    objects: str | None = None,
    objects_cache: int | None = None,
    tracking_uri: str | None = None,
    create: bool = True,
    actor: str | None = None,
) -> Store:
    """Open a store; close it after use, or open it in a ``with`` statement.

    ``home``          folder of the store; else $MERGESTORE_HOME, else the user's data folder
    ``database``      URL of the registry; else $MERGESTORE_DATABASE, else SQLite in ``home``
    ``objects``       object storage of a new store, as ``s3://bucket/prefix``; else $MERGESTORE_OBJECTS, else ``home``.
                      A store that is there knows its own
    ``objects_cache`` bytes that copies of its objects take in ``home``; else $MERGESTORE_OBJECTS_CACHE, else 20 GB
    ``tracking_uri``  MLflow server for provenance; else $MLFLOW_TRACKING_URI, else SQLite in ``home``
    ``create``        make the store when there is none, and bring an older registry up to date
    $MERGESTORE_QUOTA how large objects may be together, such as 500GB, if that is less than the store's own quota
    ``actor``         who acts, for the audit trail; else $MERGESTORE_ACTOR, else user@host

    Raises EnvironmentFailure when there is no store and ``create`` is False, or the database or the object storage is
    out of reach; Conflict when ``objects`` names another storage than the store's; UsageError for an actor that is no
    line of text. A store on SQLite that cannot be written is opened all the same: what only looks works on it.
    """
    place, quota = _place(home, database), _given_quota()
    if objects_cache is not None:
        _check_bytes("the size of the cache of objects", objects_cache, least=1)
    held = objects_cache if objects_cache is not None else _cache_size()
    acting = _actor(actor)
    from migrations.opening import open_registry
    from registry.store import Store

    engine, _ = open_registry(place, _wish(create, acting, objects))
    try:
        return Store(place.home, engine, _tracking(place, tracking_uri), acting, held, quota)
    except BaseException:
        engine.dispose()
        raise


def methods(name: str | None = None, *, semantics: str = "paper") -> list[dict[str, Any]]:
    """What each merge method is, takes and needs: of all, or of one. ``semantics`` paper or mergekit.

    Raises UsageError for a name that none has.
    """
    from merging.recipes.semantics import method_of, methods_of

    found = methods_of(semantics).values() if name is None else [method_of(semantics, name)]
    return [method.to_dict() for method in found]


def doctor(
    home: str | Path | None = None, *, database: str | None = None, tracking_uri: str | None = None
) -> dict[str, Any]:
    """Look at everything around a store that could give trouble, also where it cannot be opened. Changes nothing.

    The arguments are those of ``open``. In the answer: ``ok``, and ``checks`` of {name, level, ok, detail, hint}.
    """
    try:
        with open(home, database=database, tracking_uri=tracking_uri, create=False) as store:
            return store.doctor()
    except UsageError:
        raise
    except MergestoreError as failure:
        from registry.doctor import examine
        from registry.finding import Patient
        from registry.home import Home
        from registry.records.database import parse_url

        place = _place(home, database)
        return examine(Patient(failure, parse_url(place.url), Home(place.home), _tracking(place, tracking_uri)))


def init(
    home: str | Path | None = None,
    *,
    database: str | None = None,
    objects: str | None = None,
    downgrade: str | None = None,
    quota: int | None = None,
) -> dict[str, Any]:
    """Make a store, or bring an older one up to date; ``created`` in the answer says whether it is new.

    Before a schema changes, the registry is backed up: ``backup`` in the answer. Triggers and indexes that are not as
    the schema has them are put back, which the audit log tells: ``guarded`` in the answer. ``downgrade``: take the
    schema back to this revision instead, for the older mergestore that knows no newer one; what only newer schemas
    keep is forgotten. ``objects``: the object storage of a new store, as for ``open``. ``quota``: how many bytes of
    objects may be on record from now on, a whole number; 0 takes it away.
    """
    if downgrade is not None and quota is not None:
        raise UsageError("an older schema is not given a quota", hint="say one of the two")
    if quota is not None:
        _check_bytes("a quota", quota)
    from migrations.opening import open_registry, take_back
    from registry.home import Home
    from registry.records.database import reading
    from registry.records.database_errors import shown_url
    from registry.records.location import object_storage

    place = _place(home, database)
    if downgrade is None:
        engine, done = open_registry(place, _wish(True, _actor(), objects))
    else:
        engine, done = take_back(place, downgrade)
    try:
        storage, guarded = None, dict[str, str]()
        if downgrade is None:
            from migrations.guarding import put_back

            guarded = put_back(engine, _actor())
            with reading(engine) as session:
                storage = object_storage(session)
            Home(place.home, storage=storage).prepare()
            quota = _quota_of(engine, quota)
        shown = shown_url(engine.url)
    finally:
        engine.dispose()
    return {
        "home": str(place.home),
        "database": shown,
        "objects": storage or str(place.home / "objects"),
        "created": done.before is None,
        "schema": done.after,
        "schema_before": done.before,
        "backup": str(done.backup) if done.backup is not None else None,
        "guarded": guarded,
        "quota": quota,
    }


def backup(
    folder: str | Path,
    home: str | Path | None = None,
    *,
    database: str | None = None,
    read_data: bool = False,
    progress: Progress | None = None,
) -> BackedUp:
    """Copy a whole store to a folder, as it is at one moment, while others go on writing.

    A folder that has the backup before gets what is new; what it has already is relied on if its size is right. With
    ``read_data`` it is read, and copied anew where it is damaged. ``home`` and ``database`` as for ``open``. Raises
    Conflict where there is something else, IntegrityFailure where records are damaged; objects that are not whole are
    ``lost``.
    """
    from migrations import head
    from migrations.snapshots import snapshot
    from registry.backups.writing import Wish, backup
    from registry.wish import Context
    from storage.progress import Silent

    with open(home, database=database, create=False) as store:
        context = Context(store.engine, store.home, store.tracking_uri, store.actor)
        wish = Wish(_as_path(folder), head(), _software(), read_data)
        return backup(context, wish, snapshot, progress or Silent())


def restore(
    source: str | Path,
    home: str | Path | None = None,
    *,
    database: str | None = None,
    objects: str | None = None,
    check: bool = False,
    partial: bool = False,
    progress: Progress | None = None,
) -> Restored:
    """Make a store out of a backup in ``home``, which must be new or empty, every byte checked; whole, or not at all.

    ``database``: an empty one for the registry, of either kind; by default SQLite in ``home``. ``objects``: the object
    storage that objects go to, by default ``home``, wherever they were. ``source`` may also be the snapshot of a
    registry alone: it is put back where there is none, and objects stay where they are. ``check``: read the backup, and
    write nothing. ``partial``: leave out objects that are not whole in it, which are ``lost`` then. Raises NotFound
    where there is no backup, IntegrityFailure for a damaged one, Conflict for what is in the way.
    """
    from migrations.opening import answering
    from migrations.restoring import Wish, check_backup, restore_registry, restore_store
    from storage.progress import Silent

    place, folder = _place(home, database), _as_path(source).absolute()
    if partial and (check or folder.is_file()):
        raise UsageError("a part is for making a store of a backup", hint="leave out --partial")
    if check and folder.is_file():
        hint = "put it back without --check: it is read first, and refused if it is damaged"
        raise UsageError("the snapshot of a registry is not checked alone", hint=hint)
    if check:
        return check_backup(folder, Wish(place.home, None, None, _actor(), _software()), progress or Silent())
    if objects is not None and not folder.is_dir():
        raise UsageError("the snapshot of a registry says itself where its objects are", hint="leave --objects out")
    wish = Wish(place.home, place.database, answering(objects), _actor(), _software(), partial)
    if folder.is_dir():
        return restore_store(folder, wish, progress or Silent())
    return restore_registry(folder, wish)


def _place(home: str | Path | None, database: str | None) -> Place:
    from migrations.opening import Place

    chosen = home if home is not None else os.environ.get("MERGESTORE_HOME") or None
    if chosen is None:
        from platformdirs import user_data_path

        chosen = user_data_path("mergestore", appauthor=False)
    url = database or os.environ.get("MERGESTORE_DATABASE") or None
    return Place(_as_path(chosen).expanduser().absolute(), url)


def _wish(create: bool, actor: str, objects: str | None) -> Wish:
    from migrations.opening import Wish

    return Wish(create, actor, _software(), objects, os.environ.get("MERGESTORE_OBJECTS") or None)


def _quota_of(engine: Engine, asked: int | None) -> int | None:
    """The store's own quota, after it was set to what is asked."""
    from registry.records import quota
    from registry.records.database import reading, writing

    if asked is not None:
        with writing(engine) as session:
            quota.set_limit(session, asked or None, actor=_actor())
    with reading(engine) as session:
        return quota.limit(session)


def _given_quota() -> int | None:
    from storage.sizes import parse_quota

    return _size_in("MERGESTORE_QUOTA", parse_quota) or None


def _tracking(place: Place, given: str | None) -> str:
    """Where provenance goes: else to the store's own MLflow database, whose path is escaped as URLs want it."""
    from registry.home import Home
    from registry.records.database import sqlite_url

    own = sqlite_url(Home(place.home).tracking).render_as_string()
    return given or os.environ.get("MLFLOW_TRACKING_URI") or own


def _cache_size() -> int | None:
    from storage.sizes import parse_quota

    size = _size_in("MERGESTORE_OBJECTS_CACHE", parse_quota)
    if size == 0:
        hint = "what is read of an object storage is read from this cache; with 1 it keeps no more than is in use"
        raise UsageError("$MERGESTORE_OBJECTS_CACHE: 0 is too small, the smallest is 1", hint=hint)
    return size


def _size_in(variable: str, parse: Callable[[str], int | None]) -> int | None:
    """The size that a variable of the environment names, if it does; an error names the variable."""
    given = os.environ.get(variable)
    try:
        return parse(given) if given else None
    except UsageError as error:
        raise UsageError(f"${variable}: {error.message}", hint=error.hint) from error


def _actor(named: str | None = None) -> str:
    """Who acts: as it is said, or as the system has it."""
    named = named or os.environ.get("MERGESTORE_ACTOR")
    if named:
        from registry.records.names import check_line

        check_line("name of who acts ($MERGESTORE_ACTOR)", named)
        return named
    import getpass
    import socket

    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # a process without an account, as in some containers
        user = f"uid{os.getuid()}"
    return f"{user}@{socket.gethostname()}"


def __getattr__(name: str) -> Any:
    """Load what costs time to import when it is first asked for."""
    if name == "Store":
        from registry.store import Store

        return Store
    if name == "Resident":
        from registry.resident import Resident

        return Resident
    if name in _METHOD_CONTRACT:
        import merging.methods

        return getattr(merging.methods, name)
    if name == "__version__":
        return _version()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _software() -> str:
    return f"mergestore {_version()}"


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("mergestore")
    except PackageNotFoundError:  # a source tree that was never installed
        return "unknown"
