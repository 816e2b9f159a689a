"""Statistics files of every released format are read for ever."""

import hashlib
from pathlib import Path

import numpy as np
import pytest

from storage.statistics.statistics_file import StatisticsFile
from tests.golden import make_statistics

GOLDEN = Path(__file__).parents[1] / "golden" / "statistics1"
FROZEN = {
    "gram": (
        "b83a33d690749a8f7a31efa5f246e62e2e5caeb1e088a549c91ef3f802ab0b11",
        "blake3:cc1c7a8d509db2197a99efc502327ee8dffa966b4ceff74c6bec914a4757cc20",
    ),
    "fisher": (
        "ad7d4c7b1af373265f07c6ce9ea4232fd2d16d68a8f679a8a8083121b791dd39",
        "blake3:1d5a26e86748fe2c6e20e778e1c3753b1d54598a295d11968e425e6d8dcd4ad5",
    ),
}
"""By kind, SHA-256 of the file, and the statistics digest. A change of bytes is a new format, with its own folder."""


@pytest.mark.parametrize("kind", FROZEN)
def test_a_golden_file_is_the_one_that_format_1_was_frozen_with(kind):
    path = GOLDEN / f"{kind}.safetensors"
    sha256, digest = FROZEN[kind]
    assert hashlib.sha256(path.read_bytes()).hexdigest() == sha256
    with StatisticsFile.open(path) as file:
        assert file.manifest.digest == digest
        for payload in file.manifest.payloads:
            file.check_content(payload)


def test_the_values_are_those_that_were_written():
    with StatisticsFile.open(GOLDEN / "gram.safetensors") as file:
        for name in ("layer.q.weight", "layer.k.weight"):
            assert np.array_equal(file.matrix(name), make_statistics.matrix().astype(np.float32))
    with StatisticsFile.open(GOLDEN / "fisher.safetensors") as file:
        assert np.array_equal(file.values("w", 3, 30), make_statistics.information().astype(np.float32)[3:33])


def test_the_same_content_still_has_the_same_digest(tmp_path):
    """What zstd makes of it may differ."""
    make_statistics.make(tmp_path)
    for kind, (_, digest) in FROZEN.items():
        with StatisticsFile.open(tmp_path / f"{kind}.safetensors") as file:
            assert file.manifest.digest == digest
