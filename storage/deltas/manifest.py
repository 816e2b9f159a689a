"""The manifest of a stored delta: what it was made from, and how each tensor is stored. Its digest names the skill.

The JSON is the contract of ``docs/format.md``; nothing in it depends on how zstd happened to compress.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from storage.deltas.fields import Fields
from storage.digests import blake3_digest, canonical_json
from storage.dtypes import DTYPES, MERGEABLE
from storage.encodings.coding import EXACT, KEPT_VALUES, SIGN, TRIMS, Coding
from storage.encodings.philox import FULL, MAX_SEED
from storage.errors import IntegrityFailure

FORMAT = 1
EXTENDED_FORMAT = 2
"""Of deltas with gains or added rows, for which format 1 has no word; all others keep format 1, and their digests."""

Form = Literal["kept", "lora", "same", "tied"]
_FORMS = ("kept", "lora", "same", "tied")
_ENCODINGS = ("dare", "exact", "lora", "magnitude", "sign")
_REASONS: dict[str, tuple[str, ...]] = {"same": ("allowed", "buffer"), "tied": ("tied",)}


@dataclass(frozen=True)
class LowRank:
    """How a tensor's delta is made of LoRA factors: names of their payloads, shapes and scaling.

    ``gains`` names the payload of DoRA's: what each row of base + product is multiplied by.
    """

    a: str
    b: str
    rank: int
    rows: int
    columns: int
    scaling: float
    transposed: bool
    gains: str | None = None

    @property
    def payloads(self) -> tuple[str, ...]:
        """The names of all payloads, in the order in which they are hashed."""
        return (self.a, self.b) if self.gains is None else (self.a, self.b, self.gains)


@dataclass(frozen=True)
class AddedRows:
    """Rows of the fine-tune's tensor after the last one that the base has: how many, their dtype and bytes' digest.

    ``whole``: digest of the fine-tune's whole tensor, the base's rows and these.
    """

    rows: int
    dtype: str
    digest: str
    whole: str


@dataclass(frozen=True)
class TensorDelta:
    """What a delta says of one tensor of its base.

    ``form``: *kept* values in chunk frames; *lora* factors; *same* bits as the base; *tied* to another tensor.
    ``content`` is the digest of the decoded frames, or of the factors; it also seeds masks drawn when merging.
    """

    form: Form
    dtype: str
    shape: tuple[int, ...]
    base: str
    fine_tuned: str
    fine_tuned_dtype: str
    coding: Coding | None = None
    content: str | None = None
    low_rank: LowRank | None = None
    tied_to: str | None = None
    reason: str | None = None  # why the base's own values stand in, one of _REASONS[form]
    added: AddedRows | None = None  # what stands above is of the base's rows alone

    @property
    def needs_base(self) -> bool:
        """Whether its values are told relative to the base's own: `exact` codes, and products with DoRA's gains."""
        gains = self.low_rank is not None and self.low_rank.gains is not None
        return gains or (self.coding is not None and self.coding.values == "exact")

    @property
    def elements(self) -> int:
        """Number of elements."""
        count = 1
        for size in self.shape:
            count *= size
        return count


@dataclass(frozen=True)
class HeadTensor:
    """A tensor that the base lacks, kept losslessly under its own name."""

    dtype: str
    shape: tuple[int, ...]
    digest: str


@dataclass(frozen=True)
class Manifest:
    """Everything that identifies a skill. ``prefix``: what the fine-tune's names have before the base's;
    ``dropped_prefix``: what the base's names have before the fine-tune's.
    """

    encoding: str
    base: str
    fine_tuned: str
    tensors: Mapping[str, TensorDelta]
    coding: Coding | None = None
    prefix: str = ""
    dropped_prefix: str = ""
    head: Mapping[str, HeadTensor] = field(default_factory=dict)
    config: Mapping[str, Any] | None = None

    @property
    def format(self) -> int:
        """The lowest format that has words for all of it."""
        return EXTENDED_FORMAT if any(map(_is_extended, self.tensors.values())) else FORMAT

    def added(self, name: str) -> tuple[str, AddedRows] | None:
        """The rows that were added to a tensor, and the name they are kept under: tied tensors keep theirs once."""
        tensor = self.tensors[name]
        if tensor.added is None and tensor.tied_to is not None:
            name, tensor = tensor.tied_to, self.tensors[tensor.tied_to]
        return None if tensor.added is None else (name, tensor.added)

    @cached_property
    def grown(self) -> tuple[int, int] | None:
        """Rows of the base's vocabulary, and how many were added; None where none were."""
        sizes = ((tensor.shape[0], tensor.added.rows) for tensor in self.tensors.values() if tensor.added)
        return next(sizes, None)

    @cached_property
    def digest(self) -> str:
        """The skill's digest: BLAKE3 of the canonical JSON."""
        return blake3_digest(canonical_json(self.to_dict()))

    def to_dict(self) -> dict[str, Any]:
        """The JSON of docs/format.md."""
        return {
            "format": self.format,
            "encoding": self.encoding,
            "coding": _coding_to_dict(self.coding),
            "base": self.base,
            "fine_tuned": self.fine_tuned,
            "prefix": self.prefix,
            "dropped_prefix": self.dropped_prefix,
            "tensors": {name: _tensor_to_dict(tensor) for name, tensor in self.tensors.items()},
            "head": {
                name: {"dtype": head.dtype, "shape": list(head.shape), "digest": head.digest}
                for name, head in self.head.items()
            },
            "config": self.config,
        }

    @classmethod
    def from_dict(cls, document: Any, where: str) -> Manifest:
        """Read a manifest, checking every field. Raises IntegrityFailure naming the field."""
        reader = Fields(document, where)
        version = reader.integer("format", 1, 1 << 31)
        if version not in (FORMAT, EXTENDED_FORMAT):
            raise IntegrityFailure(
                f"{where}: delta format {version} is not known to this version, which reads formats {FORMAT} and "
                f"{EXTENDED_FORMAT}",
                hint="upgrade mergestore",
            )
        tensors = reader.mapping("tensors")
        heads = reader.mapping("head")
        manifest = cls(
            encoding=reader.choice("encoding", _ENCODINGS),
            base=reader.digest("base"),
            fine_tuned=reader.digest("fine_tuned"),
            tensors={name: _tensor(Fields(tensors[name], f"{where}: tensor {name!r}")) for name in sorted(tensors)},
            coding=_coding(reader),
            prefix=reader.text("prefix"),
            dropped_prefix=reader.text("dropped_prefix"),
            head={name: _head(Fields(heads[name], f"{where}: head {name!r}")) for name in sorted(heads)},
            config=reader.config(),
        )
        _check_codings(reader, manifest)
        _check_added(reader, manifest)
        if version != manifest.format:
            raise reader.fail("format", f"{manifest.format}, that of what is said here")
        return manifest


def _is_extended(tensor: TensorDelta) -> bool:
    return tensor.added is not None or (tensor.low_rank is not None and tensor.low_rank.gains is not None)


def _coding_to_dict(coding: Coding | None) -> dict[str, Any] | None:
    if coding is None:
        return None
    if coding.selects_magnitude:
        return {"values": coding.values, "density": coding.density, "trim": coding.trim}
    return {"values": coding.values, "keep_threshold": coding.threshold, "seed": coding.seed}


def _tensor_to_dict(tensor: TensorDelta) -> dict[str, Any]:
    document: dict[str, Any] = {
        "form": tensor.form,
        "dtype": tensor.dtype,
        "shape": list(tensor.shape),
        "base": tensor.base,
        "fine_tuned": tensor.fine_tuned,
        "fine_tuned_dtype": tensor.fine_tuned_dtype,
    }
    if tensor.coding is not None:
        document["coding"] = _coding_to_dict(tensor.coding)
    if tensor.low_rank is not None:
        facts = vars(tensor.low_rank).items()
        document["low_rank"] = {key: value for key, value in facts if value is not None}
    if tensor.added is not None:
        document["added"] = dict(vars(tensor.added))
    for key in ("content", "tied_to", "reason"):
        if getattr(tensor, key) is not None:
            document[key] = getattr(tensor, key)
    return document


def _coding(reader: Fields) -> Coding | None:
    if reader.document.get("coding") is None:
        return None
    inner = Fields(reader.document["coding"], f"{reader.where}: coding")
    if "density" in inner.document:
        inner.only("values", "density", "trim")
        return Coding(
            inner.choice("values", KEPT_VALUES),  # type: ignore[arg-type]
            density=inner.share("density"),
            trim=inner.choice("trim", TRIMS),  # type: ignore[arg-type]
        )
    inner.only("values", "keep_threshold", "seed")
    if inner.choice("values", (*KEPT_VALUES, "sign")) == "sign":
        return Coding("sign", inner.integer("keep_threshold", FULL, FULL), inner.integer("seed", 0, 0))
    return Coding(
        inner.text("values"),  # type: ignore[arg-type]
        inner.integer("keep_threshold", 1, FULL),
        inner.integer("seed", 0, MAX_SEED),
    )


def _check_codings(reader: Fields, manifest: Manifest) -> None:
    """Every coding is one of the encoding's: no reader then meets values that the encoding does not have."""
    if (manifest.coding is None) != (manifest.encoding == "lora"):
        raise reader.fail("coding", "null with encoding lora, and with no other")
    for coding in (manifest.coding, *(tensor.coding for tensor in manifest.tensors.values())):
        if coding is not None and not _fits(coding, manifest.encoding):
            raise reader.fail("encoding", f"that of the codings, which have {_coding_to_dict(coding)}")


def _fits(coding: Coding, encoding: str) -> bool:
    if encoding == "magnitude":
        return coding.selects_magnitude
    if encoding == "dare":
        return not coding.selects_magnitude and coding.values != "sign"
    return coding == (SIGN if encoding == "sign" else EXACT)


def _tensor(reader: Fields) -> TensorDelta:
    form = reader.choice("form", _FORMS)
    tensor = TensorDelta(
        form=form,  # type: ignore[arg-type]
        dtype=reader.choice("dtype", tuple(DTYPES)),
        shape=reader.shape(),
        base=reader.digest("base"),
        fine_tuned=reader.digest("fine_tuned"),
        fine_tuned_dtype=reader.choice("fine_tuned_dtype", tuple(DTYPES)),
        coding=_coding(reader),
        content=reader.digest("content") if form in ("kept", "lora") else None,
        low_rank=_low_rank(reader) if form == "lora" else None,
        tied_to=reader.text("tied_to") if form == "tied" else None,
        reason=_reason(reader, form),
        added=_added(reader) if "added" in reader.document else None,
    )
    if (form == "kept") != (tensor.coding is not None):
        raise reader.fail("coding", "given for kept values, and for nothing else")
    if form in ("kept", "lora") and not {tensor.dtype, tensor.fine_tuned_dtype} <= MERGEABLE:
        raise reader.fail("dtype", f"one of {', '.join(sorted(MERGEABLE))}")
    if tensor.low_rank and tensor.low_rank.rows * tensor.low_rank.columns != tensor.elements:
        raise reader.fail("low_rank", f"a product of {tensor.elements} elements")
    return tensor


def _reason(reader: Fields, form: str) -> str | None:
    if reader.document.get("reason") is None:
        return None
    choices = _REASONS.get(form, ())
    if not choices:
        raise reader.fail("reason", f"left out of form {form}")
    return reader.choice("reason", choices)


def _low_rank(reader: Fields) -> LowRank:
    inner = Fields(reader.document.get("low_rank"), f"{reader.where}: low_rank")
    return LowRank(
        a=inner.text("a"),
        b=inner.text("b"),
        rank=inner.integer("rank", 1, 1 << 20),
        rows=inner.integer("rows", 1, 1 << 40),
        columns=inner.integer("columns", 1, 1 << 40),
        scaling=inner.number("scaling"),
        transposed=inner.boolean("transposed"),
        gains=inner.text("gains") if "gains" in inner.document else None,
    )


def _added(reader: Fields) -> AddedRows:
    inner = Fields(reader.document["added"], f"{reader.where}: added")
    inner.only("rows", "dtype", "digest", "whole")
    return AddedRows(
        rows=inner.integer("rows", 1, 1 << 32),
        dtype=inner.choice("dtype", tuple(sorted(MERGEABLE))),
        digest=inner.digest("digest"),
        whole=inner.digest("whole"),
    )


def _check_added(reader: Fields, manifest: Manifest) -> None:
    """A vocabulary grows as a whole: all of its tensors by as many rows, none of them without rows."""
    grown = [tensor for tensor in manifest.tensors.values() if tensor.added]
    shapes = {(*tensor.shape[:1], tensor.added.rows) for tensor in grown if tensor.added}
    if len(shapes) > 1 or any(not tensor.shape or tensor.dtype not in MERGEABLE for tensor in grown):
        raise reader.fail("tensors", "ones to which as many rows were added")


def _head(reader: Fields) -> HeadTensor:
    return HeadTensor(reader.choice("dtype", tuple(DTYPES)), reader.shape(), reader.digest("digest"))
