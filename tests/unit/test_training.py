"""What trainers and people say of a model's training, read from files that may hold anything."""

import json
import os
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from registry.registering.training import LARGEST_FILE, check_meta, read_training
from storage.digests import canonical_json
from storage.errors import UsageError

CARD = """---
license: mit
datasets: [gsm8k, "openai/humaneval"]
base_model: org/base
tags: [a, 1, {deep: no}]
model-index: [{name: x}]
---
# Card
"""
STATE = {
    "epoch": 2.0,
    "global_step": 120,
    "best_metric": float("nan"),
    "log_history": [{"loss": 1.0}],
    "trial_name": None,
}


def test_what_is_known_is_kept_by_where_it_comes_from(tmp_path):
    (tmp_path / "README.md").write_text(CARD)
    (tmp_path / "trainer_state.json").write_text(json.dumps(STATE))
    (tmp_path / "all_results.json").write_text(json.dumps({"eval_loss": 0.5, "odd": {"a": 1}, "huge": 1 << 60}))
    (tmp_path / "training_args.bin").write_bytes(b"cos\nsystem\n")
    facts, notes = read_training(tmp_path, {"commit": "abc"})
    assert facts == {
        "meta": {"commit": "abc"},
        "card": {
            "base_model": "org/base",
            "datasets": ["gsm8k", "openai/humaneval"],
            "license": "mit",
            "tags": ["a", 1],
        },
        "trainer": {"epoch": 2.0, "global_step": 120},
        "results": {"eval_loss": 0.5},
    }
    assert notes == []
    canonical_json(facts)
    assert read_training(tmp_path / "none", {}) == ({}, [])


@pytest.mark.parametrize(
    ("name", "content", "trouble"),
    [
        ("trainer_state.json", b"{", "trainer_state.json was not read"),
        ("trainer_state.json", b"\xff\xfe", "trainer_state.json was not read"),
        ("README.md", b"---\na: [\n---\n", "its front matter, line"),
        ("eval_results.json", b"[" * 100_000, "eval_results.json was not read"),
    ],
)
def test_what_cannot_be_read_is_noted(tmp_path, name, content, trouble):
    (tmp_path / name).write_bytes(content)
    facts, notes = read_training(tmp_path, {})
    assert facts == {}
    assert len(notes) == 1
    assert trouble in notes[0]


def test_a_card_that_would_grow_without_end_is_noted(tmp_path):
    laughs = "".join(f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n" for before, name in pairwise("abcdefghij"))
    (tmp_path / "README.md").write_text(f"---\na: &a [x, x]\n{laughs}tags: *j\n---\n")
    facts, notes = read_training(tmp_path, {})
    assert facts == {}
    assert "means more than 500,000 values" in notes[0]


def test_what_is_no_file_is_passed_over(tmp_path):
    os.mkfifo(tmp_path / "README.md")
    assert read_training(tmp_path, {}) == ({}, [])


def test_a_huge_file_is_left_alone(tmp_path):
    with (tmp_path / "trainer_state.json").open("wb") as file:
        file.truncate(LARGEST_FILE + 1)
    assert "expected at most 16,777,216" in read_training(tmp_path, {})[1][0]


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), lambda inner: st.lists(inner)))
def test_anything_in_a_trainers_file_is_left_out_or_can_be_recorded(tmp_path_factory, value):
    folder = tmp_path_factory.mktemp("x")
    (folder / "trainer_state.json").write_text(json.dumps({"epoch": value}))
    facts, _ = read_training(folder, {})
    canonical_json(facts)


@pytest.mark.parametrize("meta", [{"": "a"}, {"a b": "c"}, {"a": ""}, {"a": "x" * 1001}, {"a": "b\nc"}, {"-a": "b"}])
def test_what_is_no_metadata_is_refused(meta):
    with pytest.raises(UsageError, match="metadata"):
        check_meta(meta)
    assert check_meta({"run-id": "1", "data/set": "gsm8k"}) == {"data/set": "gsm8k", "run-id": "1"}


def test_the_front_matter_ends_at_a_line_of_its_own(tmp_path):
    (tmp_path / "README.md").write_text('\n--- \ndatasets: ["a --- b"]\ntags: [c---d]\n---\nlicense: mit\n\n---\n')
    assert read_training(tmp_path, {})[0] == {"card": {"datasets": ["a --- b"], "tags": ["c---d"]}}
    for text in ("license: mit\n", "---license: mit\n---\n", "# Card\n---\nlicense: mit\n---\n", "---\nlicense: mit\n"):
        (tmp_path / "README.md").write_text(text)
        assert read_training(tmp_path, {})[0] == {}
