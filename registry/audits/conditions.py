"""What words of a question mean for rows: moments, versions by name, methods, licences. What there is not is told."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime

from sqlalchemy import ColumnElement, Select, or_, select
from sqlalchemy.orm import Session

from registry.licences.spdx import AND, UNSTATED, Compound, Expression, mentions, parse, understood
from registry.records.catalog import look_up
from registry.records.lineage import reached_from
from registry.records.names import near_names
from registry.records.tables import Model, ModelVersion, Recipe
from storage.errors import NotFound, UsageError

_STATING = ("base", "skill")  # a merge comes under the licences of such


def moment(text: str, option: str) -> datetime:
    """An ISO date or moment, in UTC where it says no zone. Raises UsageError for what is none."""
    try:
        found = datetime.fromisoformat(text)
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise UsageError(
            f"--{option} {text!r} is no date",
            hint="write 2026-11-25, or 2026-11-25T14:30:00+01:00; UTC if no zone is said",
        ) from error


def version_id(session: Session, reference: str, kinds: Collection[str] | None = None) -> int:
    """The version that is meant. Raises NotFound with names near to it."""
    return look_up(session, reference, kinds).id


def known_method(session: Session, name: str) -> str:
    """The method of this name, if there is one or a recipe was made by one. Raises NotFound with names near to it."""
    if session.scalar(select(Recipe.method).where(Recipe.method == name).limit(1)) is not None:
        return name
    from merging.recipes.semantics import SEMANTICS, methods_of  # loads every method

    names = {method for semantics in SEMANTICS for method in methods_of(semantics)}
    if name in names:
        return name
    near = near_names(name, names.union(session.scalars(select(Recipe.method).distinct())))
    hint = f"did you mean {' or '.join(near)}?" if near else "`mergestore methods` lists them"
    raise NotFound(f"there is no method {name!r}", hint=hint, details={"near": near})


def states(session: Session, licence: str) -> ColumnElement[bool]:
    """Whether a version states a licence, alone or within an expression, spelled as now or as in earlier records."""
    return _states(session, _asked(licence))


def under(session: Session, licence: str) -> list[Select[tuple[int]]]:
    """Queries for versions of which something that goes in, through others too, states a licence.

    Of several with AND each has a query of its own, since not one thing need state them all.
    """
    asked = _asked(licence)
    together = asked.parts if isinstance(asked, Compound) and asked.operator == AND else (asked,)
    stating = (
        select(ModelVersion.id).join(ModelVersion.model).where(Model.kind.in_(_STATING), _states(session, each))
        for each in together
    )
    return [reached_from(each) for each in stating]


def _asked(licence: str) -> Expression:
    return UNSTATED if licence.strip().upper() == UNSTATED else parse(licence, strict=False)


def _states(session: Session, asked: Expression) -> ColumnElement[bool]:
    told = session.scalars(select(ModelVersion.licence).distinct())
    texts = [text for text in told if mentions(understood(text or ""), asked)]
    stated = ModelVersion.licence.in_([text for text in texts if text is not None])
    return or_(stated, ModelVersion.licence.is_(None)) if None in texts else stated
