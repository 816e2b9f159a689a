"""Extracting an adapter holds one tensor at a time, however many a model has."""

import dataclasses
import tracemalloc

import numpy as np
import pytest

from merging.adapters.extraction import ExtractionSink
from merging.adapters.layers import find_layers
from merging.adapters.settings import Extraction
from storage.checkpoints.spool import Spool
from storage.errors import InputRefused
from tests.unit.test_adapter_layers import linear, plan


class Base:
    """Tensors of zeros."""

    def __init__(self, entries):
        self.entries = entries

    def read_into(self, name, start, out):
        out[:] = bytes(len(out))


def extracted(folder, layers, side=150, rank=2):
    """What becomes of so many layers, each a product of known rank; and the most memory that it took."""
    described = plan(
        {name: shape for i in range(layers) for name, shape in linear(f"layer.{i:02}", side, side).items()}
    )
    described.base = Base(described.base.entries)
    sorting = find_layers(described, None, saves=True)
    random = np.random.default_rng(0)
    folder.mkdir()
    with Spool(folder / "spool") as spool:
        sink = ExtractionSink(described, sorting, Extraction(rank=rank), spool, "cpu")
        (lane,) = sink.lanes(described.outputs)
        tracemalloc.start()
        for output in lane:
            delta = random.standard_normal((side, rank)) @ random.standard_normal((rank, side))
            data = memoryview(np.ascontiguousarray(delta, np.float32)).cast("B")
            for start in range(0, len(data), 65536):
                sink.follow(output, data[start : start + 65536])
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        found = sink.finish()
        writer = spool.write(folder / "adapter.safetensors", {})
    return found, most, writer


def test_memory_does_not_grow_with_the_number_of_layers(tmp_path):
    few, little, _ = extracted(tmp_path / "few", 2)
    many, much, writer = extracted(tmp_path / "many", 10)
    assert (len(few.layers), len(many.layers)) == (2, 10)
    assert much < 1.1 * little
    assert many.residual < 1e-12 * many.energy
    assert writer.size > 10 * 2 * 2 * 150 * 4
    assert not (tmp_path / "many" / "spool").exists()


def test_a_saved_tensor_that_does_not_fit_the_base_is_refused(tmp_path):
    described = plan({"norm.weight": (4,), **linear("dense", 3, 3)})
    entries = {name: dataclasses.replace(entry, dtype="F16") for name, entry in described.base.entries.items()}
    described.base = Base(entries)
    sorting = find_layers(described, None, saves=True)
    with Spool(tmp_path / "spool") as spool:
        sink = ExtractionSink(described, sorting, Extraction(rank=1), spool, "cpu")
        (norm,) = (output for output in described.outputs if output.name == "norm.weight")
        sink.lanes([norm])
        values = memoryview(np.array([1, 2, 70000, 3], np.float32)).cast("B")
        with pytest.raises(InputRefused, match=r"'norm\.weight' has values of the result that do not fit F16"):
            sink.follow(norm, values)
