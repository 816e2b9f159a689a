"""Rows that are added to a result, held to a plain reference: any skills, tokens, weights, dtypes and padding."""

import json
import tempfile
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from merging.recipes.vocabulary import Token, Vocabulary, read_vocabulary
from storage.deltas.delta import DeltaFile
from storage.digests import canonical_json
from tests.unit import format1_decoder as decoder
from tests.unit.test_added_rows import BIAS, EMBED, FLAT, HEAD, build, floats, merged, models, saved

ROWS = 5


@st.composite
def cases(draw):
    """(added rows of each skill, dtype of each, weights, tokens as lists of (skill, row), multiple, output dtype)."""
    added = draw(st.lists(st.integers(1, 3), min_size=1, max_size=3))
    dtypes = [draw(st.sampled_from(["F32", "F16", "BF16"])) for _ in added]
    weights = [draw(st.floats(0.01, 3)) for _ in added]
    row = st.integers(0, len(added) - 1).flatmap(lambda k: st.tuples(st.just(k), st.integers(0, added[k] - 1)))
    token = st.lists(row, min_size=1, max_size=3, unique_by=lambda each: each[0])
    tokens = draw(st.lists(token, max_size=4))
    multiple = draw(st.sampled_from([None, 2, 4, 7]))
    return added, dtypes, weights, tokens, multiple, draw(st.sampled_from([None, "F16", "BF16", "F32"]))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(cases())
def test_every_row_is_what_the_rule_says(case):
    added, dtypes, weights, tokens, multiple, dtype = case
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        base, _ = models(rows=ROWS, tied=False)
        tuned = {
            f"tuned{k}": models(rows=ROWS, added=count, label=f"{k} ", tied=False, dtype=dtypes[k])[1]
            for k, count in enumerate(added)
        }
        opened = saved(folder, base, **tuned)
        deltas = [stack.enter_context(DeltaFile.open(build(opened, folder, each))) for each in tuned]
        digests = [delta.manifest.digest for delta in deltas]
        vocabulary = Vocabulary(
            "union",
            multiple,
            tuple(
                Token(f"t{place}", ROWS + place, FLAT, tuple(sorted((digests[k], row) for k, row in rows)))
                for place, rows in enumerate(tokens)
            ),
        )
        assert read_vocabulary(json.loads(canonical_json(vocabulary.to_dict()))) == vocabulary
        found = merged(opened, deltas, weights, vocabulary, dtype=dtype)
        plain = merged(opened, deltas, weights, None, dtype=dtype)
        for tensor in (EMBED, HEAD, BIAS):
            rows = [floats(model[tensor])[ROWS:] for model in tuned.values()]
            total = ROWS + len(tokens)
            assert len(found[tensor]) == (-(-total // multiple) * multiple if multiple else total)
            assert np.array_equal(found[tensor][:ROWS], plain[tensor])
            assert not found[tensor][total:].any()
            for place, parts in enumerate(tokens):
                expected = average([(weights[k], rows[k][row]) for k, row in parts])
                spacing = {None: 1e-6, "F32": 1e-6, "F16": 1e-3, "BF16": 8e-3}[dtype]
                np.testing.assert_allclose(found[tensor][ROWS + place], expected, rtol=spacing, atol=spacing)
                if len(parts) == 1:
                    ours = decoder.narrow(np.atleast_1d(rows[parts[0][0]][parts[0][1]]), dtype or "F32")
                    assert np.array_equal(
                        np.atleast_1d(found[tensor][ROWS + place]), decoder.widen(ours, dtype or "F32")
                    )


def average(parts):
    """Σ wx/Σ w, exactly, then in float64."""
    weights = sum(Fraction(weight) for weight, _ in parts)
    rows = [[Fraction(weight) / weights * Fraction(float(x)) for x in np.atleast_1d(row)] for weight, row in parts]
    values = np.array([float(sum(column)) for column in zip(*rows, strict=True)])
    return values.reshape(np.shape(parts[0][1]))
