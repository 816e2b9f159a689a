"""The Store: the verbs of mergestore as methods of one object."""

from __future__ import annotations

from registry.verbs.combining import Combining
from registry.verbs.curating import Curating
from registry.verbs.examining import Examining
from registry.verbs.exchanging import Exchanging
from registry.verbs.keeping import Keeping


class Store(Combining, Examining, Curating, Exchanging, Keeping):
    """A store of base models, skills and merges. Made by ``mergestore.open``; a context manager.

    Every method raises a MergestoreError of the kind that says what to do (``storage.errors``).
    """
