"""Policy files: what they may say, and that nothing else is let stand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mergestore import UsageError
from registry.policies.policy import Licences, Methods, Required, Selector, Threshold
from registry.policies.reading import read_policy, read_policy_file
from registry.policies.rules import Case, violations
from storage.digests import sha256_digest

WHOLE = """\
policy: 1
licences:
  allowed: [apache-2.0, "BSD-*", llama3.1, GPL-2.0-only with Classpath-exception-2.0]
  forbidden: [CC-BY-NC-*]
  unstated: allow
bases:
  allowed: [llama, "meta/*"]
  metadata: {source: "hf:*"}
skills:
  forbidden: [toxic, "math@2", "trial/*", "code@dev", "blake3:0a1b2c3d"]
  metadata: [licence, meta.dataset]
  required: [safety, {skill: safety@prod, at_least: 0.1, base: llama}]
methods: {forbidden: ["*_ties", passthrough]}
evaluations:
  - {metric: recall, dataset: gsm8k, at_least: 0.8}
  - {metric: loss, dataset: d, at_most: 2}
"""


def test_a_whole_file_is_read(tmp_path: Path) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text(WHOLE)
    policy = read_policy_file(file, "policy.yaml")
    assert policy.told() == {"policy": "policy.yaml", "digest": sha256_digest(WHOLE.encode())}
    allowed = ("Apache-2.0", "BSD-*", "LicenseRef-llama3.1", "GPL-2.0-only WITH Classpath-exception-2.0")
    assert policy.licences == Licences(allowed, ("CC-BY-NC-*",), True)
    assert [each.text for each in policy.bases.allowed or ()] == ["llama", "meta/*"]
    assert policy.bases.metadata == {"source": "hf:*"}
    assert policy.skills.allowed is None
    assert policy.skills.forbidden[1:] == (
        Selector("math@2", "math", version=2),
        Selector("trial/*", "trial/*"),
        Selector("code@dev", "code", alias="dev"),
        Selector("blake3:0a1b2c3d", digest="blake3:0a1b2c3d"),
    )
    assert policy.skills.metadata == {"licence": "*", "meta.dataset": "*"}
    base = Selector("llama", "llama")
    assert policy.required[1] == Required(Selector("safety@prod", "safety", alias="prod"), 0.1, base)
    assert policy.methods == Methods(None, ("*_ties", "passthrough"))
    assert policy.evaluations == (Threshold("recall", "gsm8k", 0.8), Threshold("loss", "d", at_most=2.0))


def test_json_and_mappings_say_the_same(tmp_path: Path) -> None:
    document = {"policy": 1, "skills": {"forbidden": ["toxic"]}}
    file = tmp_path / "policy.json"
    file.write_text(json.dumps(document))
    assert read_policy_file(file, "p").skills == read_policy(document, "p").skills
    assert read_policy(document, "p").digest == read_policy(json.loads(json.dumps(document)), "p").digest
    assert violations(read_policy({"policy": 1}, "p"), Case(())) == [], "a policy that asks nothing"


WRONG: list[tuple[Any, str]] = [
    (None, "must be a table"),
    ([], "must be a table"),
    ({}, "policy: must be 1"),
    ({"policy": 2}, "policy: must be 1"),
    ({"policy": True}, "policy: must be 1"),
    ({"policy": 1, "licenses": {}}, "licenses: unknown; did you mean licences?"),
    ({"policy": 1, "a\x1b\nb": {}}, "'a\\x1b\\nb': unknown; known are"),
    ({"policy": 1, "x" * 100: {}}, f"'{'x' * 59}: unknown; known are"),
    ({"policy": 1, "licences": None}, "licences: must be a table"),
    ({"policy": 1, "licences": {"allowed": None}}, "licences.allowed: must be a list"),
    ({"policy": 1, "licences": {"allowed": "MIT"}}, "licences.allowed: must be a list"),
    ({"policy": 1, "licences": {"forbidden": ["MIT", "Apache2"]}}, "licences.forbidden[1]: 'Apache2' is no licence"),
    ({"policy": 1, "licences": {"forbidden": ["MTI-*"]}}, "licences.forbidden[0]: 'MTI-*' fits no licence"),
    ({"policy": 1, "licences": {"allowed": ["MIT OR ISC"]}}, "licences.allowed[0]: 'MIT OR ISC' is several"),
    ({"policy": 1, "licences": {"unstated": "maybe"}}, "licences.unstated: must be refuse or allow"),
    ({"policy": 1, "skills": {"forbidden": [3]}}, "skills.forbidden[0]: must be a text"),
    ({"policy": 1, "skills": {"forbidden": ["to xic"]}}, "skills.forbidden[0]: invalid name"),
    ({"policy": 1, "skills": {"forbidden": ["to x*"]}}, "skills.forbidden[0]: 'to x*' is no pattern"),
    ({"policy": 1, "skills": {"forbidden": ["math@0"]}}, "skills.forbidden[0]: "),
    ({"policy": 1, "skills": {"forbidden": ["blake3:0A"]}}, "skills.forbidden[0]: "),
    ({"policy": 1, "skills": {"metadata": ["dataset"]}}, "skills.metadata.dataset: unknown; keys are licence"),
    (
        {"policy": 1, "skills": {"metadata": {"meta.reviewed": True}}},
        "skills.metadata.meta.reviewed: must be a pattern",
    ),
    ({"policy": 1, "skills": {"required": [{}]}}, "skills.required[0]: names no skill"),
    ({"policy": 1, "skills": {"required": [{"skill": "a", "at_least": "x"}]}}, "skills.required[0].at_least: must be"),
    ({"policy": 1, "bases": {"required": ["a"]}}, "bases.required: unknown"),
    ({"policy": 1, "methods": {"forbidden": ["tie"]}}, "methods.forbidden[0]: 'tie' is no method; did you mean ties?"),
    ({"policy": 1, "evaluations": [{"metric": "a", "dataset": "b"}]}, "evaluations[0]: says neither"),
    ({"policy": 1, "evaluations": [{"dataset": "b", "at_most": 1}]}, "evaluations[0].metric: must be a text"),
    ({"policy": 1, "evaluations": [{"metric": "a", "dataset": "b", "at_least": float("nan")}]}, "must be a number"),
    ({"policy": 1, "evaluations": ["recall"]}, "evaluations[0]: must be a table"),
]


@pytest.mark.parametrize(("document", "said"), WRONG)
def test_what_is_not_understood_is_refused(document: object, said: str) -> None:
    with pytest.raises(UsageError) as refused:
        read_policy(document, "house rules")
    assert any(error.startswith(said) or said in error for error in refused.value.details["errors"])  # type: ignore[attr-defined]
    assert refused.value.message.startswith("house rules has ")


def test_all_errors_are_told_at_once() -> None:
    document = {"policy": 0, "licences": {"alowed": []}, "methods": {"forbidden": ["tie"]}, "more": 1}
    with pytest.raises(UsageError) as refused:
        read_policy(document, "p")
    places = [error.partition(":")[0] for error in refused.value.details["errors"]]  # type: ignore[attr-defined]
    assert places == ["more", "policy", "licences.alowed", "methods.forbidden[0]"]
    assert all(place in refused.value.message for place in places)


@pytest.mark.parametrize(
    "text",
    [
        "policy: 1\npolicy: 1\n", "policy: [1", "\x00", "? [a]\n: 1\n", "!!python/object:os.system {}",
        "policy: 1\nx: 2024-13-45\n", b"\xff\xfe".decode("latin-1"),
    ],
)  # fmt: skip
def test_files_that_are_none_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "policy.yaml").write_bytes(text.encode("latin-1"))
    with pytest.raises(UsageError, match=r"policy\.yaml"):
        read_policy_file(tmp_path / "policy.yaml", "policy.yaml")


def test_files_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    for place in (tmp_path, tmp_path / "none"):
        with pytest.raises(UsageError, match="cannot read the policy"):
            read_policy_file(place, "policy.yaml")
