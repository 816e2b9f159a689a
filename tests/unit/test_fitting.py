"""A delta is applied to its own base only, and its manifest is the frozen format's, no more and no less."""

import dataclasses
import json
from pathlib import Path

import pytest

from merging.plans.planning import check_base
from storage.checkpoints.safetensors_file import SafetensorsWriter, read_header
from storage.deltas.delta import MANIFEST_KEY, DeltaFile
from storage.digests import canonical_json
from storage.errors import InputRefused, IntegrityFailure
from tests.golden import make

GOLDEN = Path(__file__).parents[1] / "golden" / "format1"


def rewritten(tmp_path, change):
    """The golden `sign` skill with another manifest text."""
    (tmp_path / "changed.safetensors").unlink(missing_ok=True)
    entries, metadata = read_header(GOLDEN / "sign.safetensors")
    raw, path = (GOLDEN / "sign.safetensors").read_bytes(), tmp_path / "changed.safetensors"
    specs = [(name, entry.dtype, entry.shape) for name, entry in entries.items()]
    with SafetensorsWriter(path, specs, {**metadata, MANIFEST_KEY: change(metadata[MANIFEST_KEY])}) as writer:
        for name, _, _ in writer.layout:
            writer.write(name, raw[entries[name].offset : entries[name].offset + entries[name].nbytes])
    return path


@pytest.mark.parametrize(
    "change",
    [
        lambda text: canonical_json({**json.loads(text), "later": 1}).decode(),
        lambda text: json.dumps(json.loads(text), indent=1),
    ],
    ids=["a field of a later format", "not canonical"],
)
def test_a_manifest_with_anything_else_is_refused(tmp_path, change):
    with DeltaFile.open(rewritten(tmp_path, lambda text: text)):
        pass
    with pytest.raises(IntegrityFailure, match=r"fields that format 1 does not have") as caught:
        DeltaFile.open(rewritten(tmp_path, change))
    assert caught.value.hint


@pytest.mark.parametrize("other", [{"shape": (1,)}, {"dtype": "F64"}])
def test_the_same_bytes_under_another_dtype_or_shape_are_another_base(other):
    base = make.open_base(GOLDEN / "models" / "base")
    with DeltaFile.open(GOLDEN / "sign.safetensors") as delta:
        check_base(delta, base.digests, base.source.entries)
        name = min(base.source.entries)
        entries = {**base.source.entries, name: dataclasses.replace(base.source.entries[name], **other)}
        with pytest.raises(InputRefused, match="another base"):
            check_base(delta, base.digests, entries)
    base.source.close()
