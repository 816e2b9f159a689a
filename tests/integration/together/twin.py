"""A store as plain dicts: what each verb must do, answer or refuse. It knows nothing of files and databases."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from mergestore import Conflict, NotFound, UsageError

Content = tuple[Any, ...]
"""What tells one content from another: of a base its folder, of a skill that and its encoding, of a merge a recipe."""
TINY = "tiny@1"


@dataclass
class Version:
    """A version of a model."""

    name: str
    number: int
    content: Content
    made_of: tuple[Version, ...] = ()
    yanked: str | None = None
    digest: str = ""  # what the store said, once: it is not for a model to know
    objects: frozenset[str] = frozenset()  # likewise

    @property
    def reference(self) -> str:
        return f"{self.name}@{self.number}"

    @property
    def lineage(self) -> list[Version]:
        return [self, *(above for parent in self.made_of for above in parent.lineage)]

    def require_ready(self) -> None:
        if any(each.yanked for each in self.lineage):
            raise Conflict(f"{self.reference} is yanked")


@dataclass(frozen=True)
class Recipe:
    """What an expression means: a method and weighted skills of the one base."""

    method: str
    terms: tuple[tuple[Version, float], ...]
    task: str | None = None

    @property
    def content(self) -> Content:
        return (self.method, frozenset((skill.content, weight) for skill, weight in self.terms), self.task)


@dataclass
class Twin:
    """All that a store keeps. Methods raise what the store must raise, and then have changed nothing."""

    versions: dict[str, list[Version]] = field(default_factory=dict)
    merges: dict[str, Recipe] = field(default_factory=dict)  # by reference
    aliases: dict[tuple[str, str], int] = field(default_factory=dict)
    pins: dict[str, str] = field(default_factory=dict)
    events: list[tuple[str, str]] = field(default_factory=list)
    garbage: set[str] = field(default_factory=set)
    cache: dict[Content, str] = field(default_factory=dict)  # recipes whose results are there: sound or damaged
    recorded: set[tuple[Content, str | None]] = field(default_factory=set)  # recipe in the cache, and as which merge

    def all(self) -> Iterable[Version]:
        return (version for found in self.versions.values() for version in found)

    def needed(self) -> set[str]:
        return {digest for version in self.all() for digest in version.objects}

    def newest_ready(self, name: str) -> Version | None:
        return next((each for each in reversed(self.versions[name]) if not each.yanked), None)

    def find(self, reference: str) -> Version:
        """What a name means, with a version, an alias or neither."""
        name, _, pointer = reference.partition("@")
        if name not in self.versions:
            raise NotFound(f"there is no {name}")
        if not pointer:
            if (found := self.newest_ready(name)) is None:
                raise Conflict(f"no version of {name} is ready")
            return found
        number = int(pointer) if pointer.isdigit() else self.aliases.get((name, pointer), 0)
        if not 1 <= number <= len(self.versions[name]):
            raise NotFound(f"there is no {reference}")
        return self.versions[name][number - 1]

    def register(self, name: str, content: Content, made_of: tuple[Version, ...] = ()) -> tuple[Version, bool]:
        """The version of this content, the newest if there are several, and whether it is new."""
        for parent in made_of:
            parent.require_ready()
        known = [each for each in self.versions.get(name, ()) if each.content == content]
        if known:
            known[-1].require_ready()
            return known[-1], False
        version = Version(name, len(self.versions.get(name, ())) + 1, content, made_of)
        self.versions.setdefault(name, []).append(version)
        self.events.append(("version.create", version.reference))
        return version, True

    def resolve(self, method: str, terms: Iterable[tuple[str, float]]) -> Recipe:
        """What an expression over ``tiny@1`` means."""
        self.find(TINY)
        found = tuple((self.find(reference), weight) for reference, weight in terms)
        if len({skill.content for skill, _ in found}) < len(found):
            raise UsageError("the same content twice")
        return Recipe(method, found)

    def merge(self, name: str, recipe: Recipe) -> tuple[Version, bool]:
        parents = (self.find(TINY), *(skill for skill, _ in recipe.terms))
        version, created = self.register(name, recipe.content, parents)
        if created:
            self.merges[version.reference] = recipe
        return version, created

    def materialize(self, recipe: Recipe, merge: Version | None, *, cached: bool) -> tuple[bool, bool]:
        """Whether the result comes from the cache, and whether it is put on record."""
        for version in (self.find(TINY), *(skill for skill, _ in recipe.terms), *([merge] if merge else [])):
            version.require_ready()
        usable, key = self.cache.get(recipe.content) == "sound", (recipe.content, merge.reference if merge else None)
        records = not (cached and usable and key in self.recorded)
        if cached:
            self.cache[recipe.content] = "sound"
            self.recorded |= {key, (recipe.content, None)}
        return usable, records

    def alias(self, reference: str, alias: str) -> Version:
        version = self.find(reference)
        version.require_ready()
        if self.aliases.get((version.name, alias)) != version.number:
            self.aliases[version.name, alias] = version.number
            self.events.append(("alias.set", version.reference))
        return version

    def unalias(self, name: str, alias: str) -> None:
        if (name, alias) not in self.aliases:
            raise NotFound(f"{name} has no alias {alias}")
        self.events.append(("alias.remove", f"{name}@{self.aliases.pop((name, alias))}"))

    def yank(self, reference: str, reason: str) -> Version:
        version = self.find(reference)
        if version.yanked:
            raise Conflict(f"{reference} is yanked already")
        version.yanked = reason
        self.events.append(("version.yank", version.reference))
        return version

    def unyank(self, reference: str) -> Version:
        version = self.find(reference)
        if not version.yanked:
            raise Conflict(f"{reference} is not yanked")
        version.yanked = None
        self.events.append(("version.unyank", version.reference))
        return version

    def pin(self, reference: str, reason: str) -> Version:
        version = self.find(reference)
        if version.reference in self.pins:
            raise Conflict(f"{reference} is pinned already")
        self.pins[version.reference] = reason
        self.events.append(("pin.set", version.reference))
        return version

    def unpin(self, reference: str) -> Version:
        version = self.find(reference)
        if version.reference not in self.pins:
            raise NotFound(f"{reference} is not pinned")
        del self.pins[version.reference]
        self.events.append(("pin.remove", version.reference))
        return version

    def containing(self, version: Version) -> list[str]:
        """The merges that a version went into."""
        return sorted(each.reference for each in self.all() if each is not version and version in each.lineage)
