"""Putting on record what was published: recipe, materialization and provenance in one transaction, or nothing."""

from __future__ import annotations

import uuid

from registry.merges import record as record_recipe
from registry.model_card import model_card
from registry.provenance.payload import payload
from registry.publishing import Published, Sources, folder_size
from registry.records import outbox
from registry.records.database import writing
from registry.records.identity import store_id
from registry.records.readiness import refuse_unready
from registry.records.recipes import record_materialization
from registry.records.tables import Materialization
from registry.software import versions
from registry.wish import Context, Wish
from storage.errors import Undecided
from storage.files import remove_tree


def record_or_retract(
    context: Context, sources: Sources, published: Published, wish: Wish, *, fresh: bool
) -> Materialization:
    """Record what was published; a folder that cannot be put on record is taken back, if it replaced nothing."""
    try:
        return _record(context, sources, published, wish)
    except Undecided:
        raise
    except BaseException:
        if fresh:
            remove_tree(published.path)
        raise


def _record(context: Context, sources: Sources, published: Published, wish: Wish) -> Materialization:
    """One transaction: recipe, materialization, outbox message. Raises Conflict for what is out of use by now."""
    resolved, document = sources.resolved, published.document
    made = _row(context, sources, published, wish)
    card = model_card(sources, document)
    with writing(context.engine) as session:
        refuse_unready(session, *resolved.inputs, *resolved.roots)  # one may have been yanked meanwhile
        store = store_id(session)
        told = payload(store, made, resolved.recipe, document, card, published.merged, published.started)
        record_recipe(session, resolved, actor=context.actor)
        message = outbox.add(session, kind=outbox.MATERIALIZATION, key=made.id, payload=told)
        record_materialization(session, made, sources.policies, message)
    return made


def _row(context: Context, sources: Sources, published: Published, wish: Wish) -> Materialization:
    resolved = sources.resolved
    return Materialization(
        id=str(uuid.uuid4()),
        recipe_digest=resolved.recipe.digest,
        merge_version_id=resolved.merge.id if resolved.merge else None,
        output_digest=published.document["output_digest"],
        device=wish.device,
        engine=published.engine,
        versions=versions(),
        seconds=published.seconds,
        bytes=folder_size(published.path),
        path=str(published.path),
        cached=wish.output is None,
        created_by=context.actor,
    )
