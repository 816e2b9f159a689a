"""Lineage: what came from what, as a graph of versions that can have no cycle."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Select, insert, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from registry.records import events
from registry.records.tables import LineageEdge, Model, ModelVersion


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
        return {"nodes": [asdict(node) for node in self.nodes], "edges": [asdict(edge) for edge in self.edges]}


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
    edges = session.scalars(
        select(LineageEdge)
        .where(LineageEdge.child_version_id == version_id)
        .order_by(LineageEdge.parent_version_id, LineageEdge.role)
    )
    return [(session.get_one(ModelVersion, edge.parent_version_id), edge.role) for edge in edges]


def ancestors(session: Session, version_id: int) -> Lineage:
    """Everything this version came from, with the version itself."""
    return _reach(session, version_id, LineageEdge.child_version_id, LineageEdge.parent_version_id)


def descendants(session: Session, version_id: int) -> Lineage:
    """Everything that came from this version, with the version itself."""
    return _reach(session, version_id, LineageEdge.parent_version_id, LineageEdge.child_version_id)


def _reach(session: Session, start: int, near: InstrumentedAttribute[int], far: InstrumentedAttribute[int]) -> Lineage:
    reached = select(ModelVersion.id).where(ModelVersion.id == start).cte("reached", recursive=True)
    reached = reached.union(select(far).join(reached, near == reached.c.id))
    inside = select(reached.c.id)
    nodes = dict(_nodes(session, inside))
    edges = session.scalars(
        select(LineageEdge)
        .where(near.in_(inside))
        .order_by(LineageEdge.child_version_id, LineageEdge.parent_version_id, LineageEdge.role)
    )
    return Lineage(
        tuple(nodes.values()),
        tuple(Edge(nodes[edge.child_version_id].id, nodes[edge.parent_version_id].id, edge.role) for edge in edges),
    )


def _nodes(session: Session, inside: Select[tuple[int]]) -> Iterator[tuple[int, Node]]:
    columns = (
        ModelVersion.id,
        Model.kind,
        Model.name,
        ModelVersion.version,
        ModelVersion.digest,
        ModelVersion.licence,
        ModelVersion.state,
    )
    query = select(*columns).join(Model, Model.id == ModelVersion.model_id).where(ModelVersion.id.in_(inside))
    for id_, kind, name, version, digest, licence, state in session.execute(query.order_by(ModelVersion.id)):
        yield id_, Node(f"{name}@{version}", kind, name, version, digest, licence, state)
