"""The manifest of an EMR merge's stored vector: of which skills it is, their scales, and how each tensor is stored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from storage.deltas.fields import Fields
from storage.digests import blake3_digest, canonical_json, is_digest
from storage.dtypes import DTYPES, MERGEABLE
from storage.errors import IntegrityFailure

FORMAT = 1

Form = Literal["unified", "same", "tied"]
_FORMS = ("unified", "same", "tied")
_FIELDS: dict[str, tuple[str, ...]] = {
    "unified": ("form", "dtype", "shape", "base", "values", "fine_tuned_dtype", "content", "masks"),
    "same": ("form", "dtype", "shape", "base"),
    "tied": ("form", "dtype", "shape", "base", "tied_to"),
}
_VALUES = ("exact", "fp32")


@dataclass(frozen=True)
class UnifiedTensor:
    """One tensor of the base: *unified* values and masks; *same* for all skills as in the base; *tied* to another.

    ``values``: `exact`, as the code of the fine-tuned tensor of ``fine_tuned_dtype`` that has them; or `fp32`.
    ``masks``: digest of the content of each skill's mask, in the manifest's order, None of one that leaves the tensor.
    """

    form: Form
    dtype: str
    shape: tuple[int, ...]
    base: str
    values: str | None = None
    fine_tuned_dtype: str | None = None
    content: str | None = None
    masks: tuple[str | None, ...] = ()
    tied_to: str | None = None

    @property
    def elements(self) -> int:
        """Number of elements."""
        count = 1
        for size in self.shape:
            count *= size
        return count

    @property
    def itemsize(self) -> int:
        """Bytes that one stored value is made of."""
        return DTYPES[self.fine_tuned_dtype].itemsize if self.fine_tuned_dtype else 4


@dataclass(frozen=True)
class UnifiedManifest:
    """Everything that identifies the stored vector. ``skills``: digests in canonical order, ``scales`` their λ."""

    base: str
    skills: tuple[str, ...]
    scales: tuple[float, ...]
    tensors: Mapping[str, UnifiedTensor]

    @cached_property
    def digest(self) -> str:
        """BLAKE3 of the canonical JSON."""
        return blake3_digest(canonical_json(self.to_dict()))

    def to_dict(self) -> dict[str, Any]:
        """The JSON of docs/format.md."""
        return {
            "format": FORMAT,
            "base": self.base,
            "skills": [{"skill": skill, "scale": scale} for skill, scale in zip(self.skills, self.scales, strict=True)],
            "tensors": {name: _tensor_to_dict(tensor) for name, tensor in self.tensors.items()},
        }

    @classmethod
    def from_dict(cls, document: Any, where: str) -> UnifiedManifest:
        """Read a manifest, checking every field. Raises IntegrityFailure naming the field."""
        fields = Fields(document, where)
        version = fields.integer("format", 1, 1 << 31)
        if version != FORMAT:
            raise IntegrityFailure(
                f"{where}: format {version} of a unified vector is not known to this version, which reads {FORMAT}",
                hint="upgrade mergestore",
            )
        fields.only("format", "base", "skills", "tensors")
        skills = [_skill(fields, each) for each in _list(fields, "skills")]
        digests = tuple(skill for skill, _ in skills)
        if len(digests) < 2 or list(digests) != sorted(set(digests)):
            raise fields.fail("skills", "two or more skills, in order")
        tensors = fields.mapping("tensors")
        found = {
            name: _tensor(Fields(tensors[name], f"{where}: tensor {name!r}"), len(digests)) for name in sorted(tensors)
        }
        for name, tensor in found.items():
            _check_tie(fields, name, tensor, found)
        return cls(fields.digest("base"), digests, tuple(scale for _, scale in skills), found)


def _tensor_to_dict(tensor: UnifiedTensor) -> dict[str, Any]:
    document = {key: getattr(tensor, key) for key in _FIELDS[tensor.form]}
    document["shape"] = list(tensor.shape)
    if "masks" in document:
        document["masks"] = list(tensor.masks)
    return document


def _list(fields: Fields, key: str) -> list[Any]:
    value = fields.document.get(key)
    if not isinstance(value, list):
        raise fields.fail(key, "a list")
    return value


def _skill(fields: Fields, document: Any) -> tuple[str, float]:
    inner = Fields(document, f"{fields.where}: skills")
    inner.only("skill", "scale")
    scale = inner.number("scale")
    if scale < 0:
        raise inner.fail("scale", "at least 0")
    return inner.digest("skill"), scale


def _tensor(fields: Fields, skills: int) -> UnifiedTensor:
    form = fields.choice("form", _FORMS)
    fields.only(*_FIELDS[form])
    common = (fields.choice("dtype", tuple(DTYPES)), fields.shape(), fields.digest("base"))
    if form == "same":
        return UnifiedTensor("same", *common)
    if common[0] not in MERGEABLE:
        raise fields.fail("dtype", f"one of {', '.join(sorted(MERGEABLE))}")
    if form == "tied":
        return UnifiedTensor("tied", *common, tied_to=fields.text("tied_to"))
    values = fields.choice("values", _VALUES)
    if (values == "exact") == (fields.document.get("fine_tuned_dtype") is None):
        raise fields.fail("fine_tuned_dtype", "given for values exact, null for others")
    dtype = fields.choice("fine_tuned_dtype", tuple(sorted(MERGEABLE))) if values == "exact" else None
    masks = _list(fields, "masks")
    if len(masks) != skills or not any(masks) or not all(each is None or _is_blake3(each) for each in masks):
        raise fields.fail("masks", f"{skills} digests, or null of skills that leave the tensor, not all null")
    return UnifiedTensor("unified", *common, values, dtype, fields.digest("content"), tuple(masks))


def _is_blake3(value: Any) -> bool:
    return isinstance(value, str) and is_digest(value) and value.startswith("blake3:")


def _check_tie(fields: Fields, name: str, tensor: UnifiedTensor, tensors: Mapping[str, UnifiedTensor]) -> None:
    if tensor.form != "tied":
        return
    partner = tensors.get(tensor.tied_to or "")
    common = (tensor.dtype, tensor.shape, tensor.base)
    if partner is None or partner.form != "unified" or (partner.dtype, partner.shape, partner.base) != common:
        raise IntegrityFailure(f"{fields.where}: tensor {name!r} is tied to {tensor.tied_to!r}, which does not fit")
