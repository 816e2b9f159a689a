"""Policy files, YAML or JSON, read strictly: what is not understood is refused, all of it at once and by its path.

policy: 1                                     # the format
licences:
  allowed: [Apache-2.0, MIT, BSD-*]           # SPDX ids and patterns; what is not here is refused
  forbidden: [CC-BY-NC-*]
  unstated: refuse                            # which is the default; or allow
bases:
  allowed: [llama, "meta/*"]
  metadata: {source: "hf:*"}                  # a table of patterns, or a list of what has to be there
skills:
  forbidden: [toxic, "math@2", "trial/*", "code@dev", "blake3:0a1b2c3d"]
  metadata: [licence, meta.dataset]
  required: [{skill: safety@prod, at_least: 0.1, base: llama}]

Methods:
  forbidden: [passthrough]
evaluations:
  - {metric: recall, dataset: gsm8k, at_least: 0.8}

"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, TypeVar

from merging.recipes.document import parse_document, read_bounded
from merging.recipes.recipe_file import named
from merging.recipes.semantics import MERGEKIT, PAPER, methods_of
from registry.licences.spdx import Compound, known_ids, parse
from registry.policies.policy import Licences, Methods, Policy, Required, Selector, Threshold, Versions
from registry.records.names import parse_reference
from storage.digests import canonical_json, sha256_digest
from storage.errors import MergestoreError, UsageError

Item = TypeVar("Item")

FORMAT = 1
ORIGINS = ("meta", "card", "trainer", "results")
"""Where a version's metadata is from, beside ``licence`` and ``source``: ``meta.dataset`` was said with --meta."""
_KEYS = ("policy", "licences", "bases", "skills", "methods", "evaluations")
_WILD = frozenset("*?[")
_KEY = 60  # characters of a key in a message
_SHOWN = 100  # errors
_DIGEST = re.compile(r"(?:blake3|sha256):[0-9a-f]{8,64}")
_NAME = re.compile(r"[A-Za-z0-9._*?\[\]!/-]+")


def read_policy_file(path: Path, name: str) -> Policy:
    """Read a policy file. Raises UsageError with everything that is wrong in it."""
    content = read_bounded(path, f"the policy {name}")
    return read_policy(parse_document(content, name), name, sha256_digest(content))


def read_policy(document: Any, name: str, digest: str | None = None) -> Policy:
    """A policy that was read already. Raises UsageError with everything that is wrong in it."""
    reader = _Reader()
    content = reader.table(document, "", _KEYS)
    if type(content.get("policy")) is not int or content["policy"] != FORMAT:
        found = f"found {content['policy']!r}" if "policy" in content else "and there is none"
        reader.wrong("policy", f"must be {FORMAT}, the format of this file, {found}")
    skills = reader.table(content.get("skills", {}), "skills", ("allowed", "forbidden", "metadata", "required"))
    policy = Policy(
        name,
        digest or "",
        reader.licences(content["licences"]) if "licences" in content else None,
        reader.versions(reader.table(content.get("bases", {}), "bases", ("allowed", "forbidden", "metadata")), "bases"),
        reader.versions(skills, "skills"),
        reader.each(skills.get("required", []), "skills.required", reader.required),
        reader.methods(content.get("methods", {})),
        reader.each(content.get("evaluations", []), "evaluations", reader.threshold),
    )
    if reader.errors:
        count = f"{len(reader.errors)} errors" if len(reader.errors) > 1 else "an error"
        shown = [*reader.errors[:_SHOWN], "…"] if len(reader.errors) > _SHOWN else reader.errors
        raise UsageError(
            f"{name} has {count}, and is no policy:" + "".join(f"\n  {error}" for error in shown),
            hint="nothing is let through by a policy that cannot be read; correct it",
            details={"errors": shown},
        )
    return policy if digest else replace(policy, digest=sha256_digest(canonical_json(document)))


def _shown(key: object) -> str:
    """A key as a message may have it: whatever the file holds, on one line and not without end."""
    return str(key) if str(key).isprintable() and len(str(key)) <= _KEY else f"{key!r:.{_KEY}}"


class _Reader:
    """Checks each part, and goes on where something is wrong, to tell of all of it."""

    def __init__(self) -> None:
        self.errors: list[str] = []

    def wrong(self, where: str, what: str) -> None:
        self.errors.append(f"{where}: {what}" if where else what)

    def table(self, value: Any, where: str, keys: tuple[str, ...]) -> Mapping[str, Any]:
        if not isinstance(value, Mapping):
            self.wrong(where, f"must be a table with keys such as {keys[0]}, found {named(value)}")
            return {}
        for key in value:
            if key not in keys:
                near = difflib.get_close_matches(str(key), keys, n=1)
                meant = f"did you mean {near[0]}? " if near else ""
                self.wrong(
                    f"{where}.{_shown(key)}" if where else _shown(key), f"unknown; {meant}known are {', '.join(keys)}"
                )
        return value

    def each(self, value: Any, where: str, read: Callable[[Any, str], Item | None]) -> tuple[Item, ...]:
        if not isinstance(value, list):
            self.wrong(where, f"must be a list, found {named(value)}")
            return ()
        found = (read(each, f"{where}[{place}]") for place, each in enumerate(value))
        return tuple(each for each in found if each is not None)

    def chosen(
        self, part: Mapping[str, Any], where: str, read: Callable[[Any, str], Item | None]
    ) -> tuple[tuple[Item, ...] | None, tuple[Item, ...]]:
        """What is allowed, None where that is not said, and what is forbidden."""
        allowed = self.each(part["allowed"], f"{where}.allowed", read) if "allowed" in part else None
        return allowed, self.each(part.get("forbidden", []), f"{where}.forbidden", read)

    def licences(self, value: Any) -> Licences:
        part = self.table(value, "licences", ("allowed", "forbidden", "unstated"))
        unstated = part.get("unstated", "refuse")
        if unstated not in ("refuse", "allow"):
            self.wrong("licences.unstated", f"must be refuse or allow, found {unstated!r}")
        return Licences(*self.chosen(part, "licences", self.licence), unstated == "allow")

    def licence(self, value: Any, where: str) -> str | None:
        text = self.text(value, where)
        if text is None or _WILD & set(text):
            if text and not text.lower().startswith("licenseref-") and not _fits_some(text, known_ids()):
                self.wrong(where, f"{text!r} fits no licence of the SPDX list")
            return text
        try:
            found = parse(text)
        except UsageError as error:
            self.wrong(
                where, f"{error.message.splitlines()[0].removeprefix('cannot read the licence: ')}; {error.hint}"
            )
            return None
        if isinstance(found, Compound):
            self.wrong(where, f"{text!r} is several licences; write each by itself")
            return None
        return found

    def versions(self, part: Mapping[str, Any], where: str) -> Versions:
        return Versions(
            *self.chosen(part, where, self.selector), self.metadata(part.get("metadata", []), f"{where}.metadata")
        )

    def selector(self, value: Any, where: str) -> Selector | None:
        text = self.text(value, where)
        if text is None:
            return None
        if _DIGEST.fullmatch(text):
            return Selector(text, digest=text)
        name, at, pointer = text.partition("@")
        try:
            reference = parse_reference(f"{'x' if _WILD & set(name) else name}{at}{pointer}")
        except MergestoreError as error:
            self.wrong(where, error.message)
            return None
        if not _NAME.fullmatch(name):
            self.wrong(where, f"{text!r} is no pattern of names")
            return None
        return Selector(text, name, reference.version, reference.alias)

    def metadata(self, value: Any, where: str) -> dict[str, str]:
        if isinstance(value, list):
            value = dict.fromkeys(self.each(value, where, self.text), "*")
        if not isinstance(value, Mapping):
            self.wrong(where, f"must be a list of keys, or a table of keys and patterns, found {named(value)}")
            return {}
        for key, pattern in value.items():
            origin, _, rest = str(key).partition(".")
            if key not in ("licence", "source") and not (origin in ORIGINS and rest):
                origins = ", ".join(f"{each}.KEY" for each in ORIGINS)
                self.wrong(f"{where}.{_shown(key)}", f"unknown; keys are licence, source, {origins}")
            if not isinstance(pattern, str) or not pattern:
                self.wrong(f"{where}.{_shown(key)}", f"must be a pattern, as '*' for any; found {pattern!r}: quote it")
        return {str(key): str(pattern) for key, pattern in value.items()}

    def required(self, value: Any, where: str) -> Required | None:
        part = {"skill": value} if isinstance(value, str) else self.table(value, where, ("skill", "at_least", "base"))
        skill = self.selector(part["skill"], f"{where}.skill") if "skill" in part else None
        if "skill" not in part:
            self.wrong(where, "names no skill")
        base = self.selector(part["base"], f"{where}.base") if "base" in part else None
        at_least = self.number(part, "at_least", where)
        return Required(skill, at_least, base) if skill is not None else None

    def methods(self, value: Any) -> Methods:
        return Methods(*self.chosen(self.table(value, "methods", ("allowed", "forbidden")), "methods", self.method))

    def method(self, value: Any, where: str) -> str | None:
        text, known = self.text(value, where), {**methods_of(PAPER), **methods_of(MERGEKIT)}
        if text is not None and not _fits_some(text, known):
            near = difflib.get_close_matches(text, known, n=1)
            self.wrong(where, f"{text!r} is no method{f'; did you mean {near[0]}?' if near else ''}")
        return text

    def threshold(self, value: Any, where: str) -> Threshold | None:
        part = self.table(value, where, ("metric", "dataset", "at_least", "at_most"))
        if not part:
            return None
        texts = [self.text(part.get(key), f"{where}.{key}") for key in ("metric", "dataset")]
        at_least, at_most = (self.number(part, key, where) for key in ("at_least", "at_most"))
        if not {"at_least", "at_most"} & part.keys():
            self.wrong(where, "says neither at_least nor at_most")
        return Threshold(texts[0] or "", texts[1] or "", at_least, at_most)

    def text(self, value: Any, where: str) -> str | None:
        if isinstance(value, str) and value.strip():
            return value.strip()
        self.wrong(where, f"must be a text, found {value!r:.50}")
        return None

    def number(self, part: Mapping[str, Any], key: str, where: str) -> float | None:
        value = part.get(key)
        if key not in part:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            self.wrong(f"{where}.{key}", f"must be a number, found {value!r:.50}")
            return None
        return float(value)


def _fits_some(pattern: str, names: Mapping[str, Any]) -> bool:
    return any(fnmatchcase(name.lower(), pattern.lower()) for name in names)
