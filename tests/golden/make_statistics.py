"""How the golden files of statistics were made: python -m tests.golden.make_statistics FOLDER makes their like.

Format 1 of statistics is frozen with these files, which never change again.
"""

import sys
from pathlib import Path

import numpy as np

from storage.digests import blake3_digest, sha256_digest
from storage.statistics.manifest import Manifest, Payload, Use
from storage.statistics.statistics_file import StatisticsWriter

HERE = Path(__file__).parent / "statistics1"
COLUMNS, ELEMENTS = 5, 40


def matrix():
    """Symmetric, with a different number everywhere else."""
    rows = np.arange(COLUMNS, dtype=np.float64)
    return 1 / (1 + rows[:, None] + rows[None, :]) + np.diag(rows)


def information():
    """Small numbers, and zeros among them."""
    places = np.arange(ELEMENTS)
    return np.where(places % 7, 2.0 ** -(places % 13) * (1 + places), 0)


def make(folder):
    """Write gram.safetensors and fisher.safetensors."""
    folder.mkdir(parents=True, exist_ok=True)
    skill, model, data = blake3_digest(b"skill"), blake3_digest(b"model"), sha256_digest(b"data")
    uses = {"layer.k.weight": Use("layer.q.weight"), "layer.q.weight": Use("layer.q.weight", transposed=True)}
    with StatisticsWriter(folder / "spool") as writer:
        triangle = matrix()[np.tril_indices(COLUMNS)].astype(np.float32)
        content = writer.add_values("layer.q.weight", [triangle])
        payloads = {"layer.q.weight": Payload(triangle.size, content, COLUMNS, 17)}
        settings = {"architecture": "GPT2LMHeadModel", "batch_size": 8, "max_length": 512, "text_field": None}
        manifest = Manifest("gram", skill, model, data, 4, settings, payloads, uses)
        writer.finish(folder / "gram.safetensors", manifest, {"torch": "2.13.0"})
    with StatisticsWriter(folder / "spool") as writer:
        values = information().astype(np.float32)
        payloads = {"w": Payload(ELEMENTS, writer.add_values("w", [values]))}
        settings = {"labels": "sampled", "seed": 3}
        manifest = Manifest("fisher", skill, model, data, 4, settings, payloads, {"w": Use("w")}, 0.5)
        writer.finish(folder / "fisher.safetensors", manifest, {"torch": "2.13.0"})


if __name__ == "__main__":
    make(Path(sys.argv[1]))
