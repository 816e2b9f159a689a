"""What a policy asks, as values. ``reading`` makes it of a file, ``rules`` compares it with a merge."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase


@dataclass(frozen=True)
class Twin:
    """A version of the store, as selectors name it."""

    name: str
    version: int
    aliases: frozenset[str]


@dataclass(frozen=True)
class Selector:
    """What of a policy means versions: a name or pattern, maybe with a version or alias; or how a digest begins."""

    text: str
    name: str = "*"
    version: int | None = None
    alias: str | None = None
    digest: str | None = None

    def fits(self, digest: str, twins: tuple[Twin, ...]) -> bool:
        """Whether it means content of this digest, which goes under these names in the store."""
        if self.digest is not None:
            return digest.startswith(self.digest)
        return any(
            fnmatchcase(twin.name, self.name)
            and self.version in (None, twin.version)
            and (self.alias is None or self.alias in twin.aliases)
            for twin in twins
        )


@dataclass(frozen=True)
class Licences:
    """``allowed`` None: all that are not forbidden. Patterns are compared with items, exceptions included."""

    allowed: tuple[str, ...] | None = None
    forbidden: tuple[str, ...] = ()
    unstated: bool = False  # whether content may state none

    def accepts(self, item: str) -> bool:
        """Whether a licence may be chosen."""
        return (self.allowed is None or covered(self.allowed, item)) and not covered(self.forbidden, item)


@dataclass(frozen=True)
class Versions:
    """What is asked of all bases, or of all skills, that go in. ``metadata``: patterns of values, by key."""

    allowed: tuple[Selector, ...] | None = None
    forbidden: tuple[Selector, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Methods:
    """Patterns of names."""

    allowed: tuple[str, ...] | None = None
    forbidden: tuple[str, ...] = ()


@dataclass(frozen=True)
class Required:
    """A skill that has to be in it; with a weight of ``at_least`` so much; in results of ``base``, if one is named."""

    skill: Selector
    at_least: float | None = None
    base: Selector | None = None


@dataclass(frozen=True)
class Threshold:
    """What a score has to reach, or must not pass."""

    metric: str
    dataset: str
    at_least: float | None = None
    at_most: float | None = None


@dataclass(frozen=True)
class Policy:
    """A policy, what it is called, and the SHA-256 of its file."""

    name: str
    digest: str
    licences: Licences | None = None
    bases: Versions = field(default_factory=Versions)
    skills: Versions = field(default_factory=Versions)
    required: tuple[Required, ...] = ()
    methods: Methods = field(default_factory=Methods)
    evaluations: tuple[Threshold, ...] = ()

    def told(self) -> dict[str, str]:
        """Which policy it is, for records and answers."""
        return {"policy": self.name, "digest": self.digest}


def covered(patterns: tuple[str, ...], item: str) -> bool:
    """Whether one of the patterns fits, in whatever case."""
    return any(fnmatchcase(item.lower(), pattern.lower()) for pattern in patterns)
