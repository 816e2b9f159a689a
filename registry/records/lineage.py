"""Lineage: what came from what, as a graph of versions that can have no cycle."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, CompoundSelect, Select, and_, func, insert, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from registry.records import events
from registry.records.columns import Known
from registry.records.tables import KINDS, LineageEdge, Model, ModelVersion

Starts = Select[Any] | CompoundSelect[Any]
"""A query for the ids of versions."""


@dataclass(frozen=True)
class Node:
    """A version in a lineage graph; ``id`` is its reference, ``name@version``."""

    id: str
    kind: str
    name: str
    version: int
    digest: str
    licence: str | None
    state: str

    def to_dict(self) -> dict[str, Any]:
        """The node as JSON-ready values."""
        return dict(vars(self))


@dataclass(frozen=True)
class Edge:
    """``child`` was made from ``parent``, which played this role in it; both are node ids."""

    child: str
    parent: str
    role: str


@dataclass(frozen=True)
class Lineage:
    """A graph of versions: oldest nodes first, edges in the order of their children."""

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]

    def to_dict(self) -> dict[str, list[dict[str, Any]]]:
        """The graph as JSON-ready values."""
        return {"nodes": [node.to_dict() for node in self.nodes], "edges": [dict(vars(edge)) for edge in self.edges]}


def add_lineage(
    session: Session, child: ModelVersion, parents: Iterable[tuple[ModelVersion, str]], *, actor: str
) -> None:
    """Record what a version was made from: (parent, role) with role base, skill, head or merge.

    The database refuses a parent that is not older than its child.
    """
    edges = sorted({(parent.id, role, parent.reference) for parent, role in parents})
    rows = [{"child_version_id": child.id, "parent_version_id": parent, "role": role} for parent, role, _ in edges]
    if rows:
        session.execute(insert(LineageEdge), rows)
    details = {"parents": [{"parent": reference, "role": role} for _, role, reference in edges]}
    events.append(session, actor=actor, action="lineage.add", subject=child.reference, details=details)


def parents(session: Session, version_id: int) -> list[tuple[ModelVersion, str]]:
    """What a version was made from directly: (parent, role), oldest first."""
    query = (
        select(ModelVersion, LineageEdge.role)
        .join(LineageEdge, LineageEdge.parent_version_id == ModelVersion.id)
        .where(LineageEdge.child_version_id == version_id)
        .order_by(LineageEdge.parent_version_id, LineageEdge.role)
    )
    return [(version, role) for version, role in session.execute(query)]


def ancestors(session: Session, *version_ids: int) -> Lineage:
    """Everything these versions came from, with the versions themselves."""
    return _reach(session, version_ids, LineageEdge.child_version_id, LineageEdge.parent_version_id)


def descendants(session: Session, *version_ids: int) -> Lineage:
    """Everything that came from these versions, with the versions themselves."""
    return _reach(session, version_ids, LineageEdge.parent_version_id, LineageEdge.child_version_id)


def reached_from(start: int | Starts) -> Select[tuple[int]]:
    """A query for the ids of a version, or of those that a query finds, and of everything that came from them."""
    starts = (start,) if isinstance(start, int) else start
    return _closure(starts, LineageEdge.parent_version_id, LineageEdge.child_version_id)


def origins_of(version_ids: Sequence[int]) -> Select[tuple[int]]:
    """A query for the ids of versions and of everything that they came from, directly or not."""
    return _closure(version_ids, LineageEdge.child_version_id, LineageEdge.parent_version_id)


def count_descendants(session: Session, version_id: int) -> dict[str, int]:
    """How many versions of each kind came from this one, directly or not."""
    query = select(Model.kind, func.count()).join(ModelVersion.model).where(_below(version_id)).group_by(Model.kind)
    found: dict[str, int] = {row[0]: row[1] for row in session.execute(query)}
    return {kind: found[kind] for kind in KINDS if kind in found}


def newest_descendants(session: Session, version_id: int, limit: int | None = None) -> list[Node]:
    """What came from this version, directly or not, newest first: all, or so many."""
    query = _NODES.where(_below(version_id)).order_by(ModelVersion.id.desc()).limit(limit)
    return [node for _, node in _read_nodes(session, query)]


def _below(version_id: int) -> ColumnElement[bool]:
    inside = _closure((version_id,), LineageEdge.parent_version_id, LineageEdge.child_version_id)
    return and_(ModelVersion.id.in_(inside), ModelVersion.id != version_id)


def _closure(
    starts: Sequence[int] | Starts, near: InstrumentedAttribute[int], far: InstrumentedAttribute[int]
) -> Select[tuple[int]]:
    # Without a name: one statement may reach from several.
    reached = select(ModelVersion.id).where(ModelVersion.id.in_(starts)).cte(recursive=True)
    reached = reached.union(select(far).join(reached, near == reached.c.id))
    return select(reached.c.id)


def _reach(
    session: Session, starts: Sequence[int], near: InstrumentedAttribute[int], far: InstrumentedAttribute[int]
) -> Lineage:
    inside = _closure(starts, near, far)
    nodes = Known(_read_nodes(session, _NODES.where(ModelVersion.id.in_(inside)).order_by(ModelVersion.id)))
    columns = (LineageEdge.child_version_id, LineageEdge.parent_version_id, LineageEdge.role)
    edges = session.execute(select(*columns).where(near.in_(inside)).order_by(*columns))
    return Lineage(
        tuple(nodes.values()),
        tuple(Edge(nodes[child].id, nodes[parent].id, role) for child, parent, role in edges),
    )


_NODES = select(
    ModelVersion.id,
    Model.kind,
    Model.name,
    ModelVersion.version,
    ModelVersion.digest,
    ModelVersion.licence,
    ModelVersion.state,
).join(ModelVersion.model)


def _read_nodes(session: Session, query: Select[*tuple[Any, ...]]) -> Iterator[tuple[int, Node]]:
    for id_, kind, name, version, digest, licence, state in session.execute(query):
        yield id_, Node(f"{name}@{version}", kind, name, version, digest, licence, state)
