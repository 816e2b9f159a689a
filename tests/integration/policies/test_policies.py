"""Policies, end to end: what keeps a merge from being made, before any work, named by rule and way."""

from __future__ import annotations

import hashlib
import json
import re
import shutil

import pytest
import yaml

import mergestore
from mergestore import Conflict, UsageError
from tests.integration.models import LLAMA_CONFIG, QUERY, factors, fine_tune, llama, save, save_adapter
from tests.integration.shell import Shell

pytestmark = pytest.mark.usefixtures("surroundings")
BASE = llama(seed=1)


@pytest.fixture(scope="module")
def made(surroundings, tmp_path_factory):
    """A store with a merge of a merge: assistant is made of helper, which was materialized of math and toxic."""
    folder = tmp_path_factory.mktemp("made")
    card = {"README.md": "---\nlicense: cc-by-nc-4.0\n---\n"}
    save(folder / "tiny", BASE, {**LLAMA_CONFIG, "torch_dtype": "float32"})
    for number, name in enumerate(("math", "code", "toxic", "safety")):
        save(folder / name, fine_tune(BASE, number), LLAMA_CONFIG, files=card if name == "code" else None)
    save_adapter(folder / "lora", factors(BASE, [QUERY]))
    with mergestore.open(folder / "store", actor="ann@lab") as store:
        store.register_base("tiny", folder / "tiny", licence="Apache-2.0")
        store.register_skill("math", folder / "math", base="tiny", licence="MIT OR GPL-3.0", meta={"dataset": "gsm8k"})
        store.register_skill("code", folder / "code", base="tiny")
        store.register_skill("toxic", folder / "toxic", base="tiny", licence="MIT", meta={"dataset": "forum"})
        store.register_skill("safety", folder / "safety", base="tiny", licence="MIT", meta={"dataset": "house"})
        store.alias("safety", "prod")
        store.merge("inner", "tiny + 0.5*math + 0.2*toxic", method="dare_linear")
        store.materialize("inner", output=folder / "inner", wait=False)
        store.register_skill("helper", folder / "inner", base="tiny", encoding="exact")
        store.merge("assistant", "tiny + 0.6*helper + 0.4*code + 0.05*safety")
        store.merge("plain", "tiny + 0.6*math + 0.2*safety")
    return folder


@pytest.fixture
def shell(made, tmp_path):
    shutil.copytree(made / "store", tmp_path / "store")
    return Shell(tmp_path / "store", tmp_path)


@pytest.fixture
def store(shell):
    with mergestore.open(shell.home, actor="bob@lab") as store:
        yield store


def policy(**parts):
    return {"policy": 1, **parts}


def keep(shell, **parts):
    (shell.home / "policy.yaml").write_text(yaml.safe_dump(policy(**parts)))


def told(violations):
    return [(each["rule"], each["what"].partition(" ")[0], each["way"]) for each in violations]


CASES = {
    "nothing asked": ({}, []),
    "a licence that is not allowed": (
        {"licences": {"allowed": ["Apache-2.0", "MIT"]}},
        [("licences.allowed", "code@1", "assistant@1 → skill code@1")],
    ),
    "a licence that is forbidden": (
        {"licences": {"forbidden": ["CC-BY-NC-*", "GPL-*"]}},
        [("licences.forbidden", "code@1", "assistant@1 → skill code@1")],
    ),
    "a choice of which nothing may be chosen": (
        {"licences": {"allowed": ["Apache-2.0", "CC-BY-*"], "forbidden": ["GPL-3.0"]}},
        [
            ("licences.allowed", "math@1", "assistant@1 → helper@1 → inner@1 → skill math@1"),
            ("licences.allowed", "toxic@1", "assistant@1 → helper@1 → inner@1 → skill toxic@1"),
            ("licences.allowed", "safety@1", "assistant@1 → skill safety@1"),
            ("licences.allowed", "helper@1", "assistant@1 → skill helper@1"),
        ],
    ),
    "a skill by its name, deep below": (
        {"skills": {"forbidden": ["toxic"]}},
        [("skills.forbidden", "toxic@1", "assistant@1 → helper@1 → inner@1 → skill toxic@1")],
    ),
    "a skill by pattern and alias": (
        {"skills": {"forbidden": ["tox*@1", "*@prod", "toxic@2", "c?de@dev"]}},
        [
            ("skills.forbidden", "toxic@1", "assistant@1 → helper@1 → inner@1 → skill toxic@1"),
            ("skills.forbidden", "safety@1", "assistant@1 → skill safety@1"),
        ],
    ),
    "skills that are allowed": (
        {"skills": {"allowed": ["math", "toxic", "helper", "s*"]}},
        [("skills.allowed", "code@1", "assistant@1 → skill code@1")],
    ),
    "bases": (
        {"bases": {"allowed": ["llama*"], "forbidden": ["tiny@1"]}},
        [(f"bases.{word}", "tiny@1", "assistant@1 → base tiny@1") for word in ("allowed", "forbidden")],
    ),
    "metadata": (
        {"skills": {"metadata": {"meta.dataset": "[!f]*", "licence": "MIT*"}}, "bases": {"metadata": ["source"]}},
        [
            ("skills.metadata", "code@1", "assistant@1 → skill code@1"),
            ("skills.metadata", "the", "assistant@1 → skill code@1"),
            ("skills.metadata", "the", "assistant@1 → helper@1 → inner@1 → skill math@1"),
            ("skills.metadata", "the", "assistant@1 → helper@1 → inner@1 → skill toxic@1"),
            ("skills.metadata", "helper@1", "assistant@1 → skill helper@1"),
            ("skills.metadata", "the", "assistant@1 → skill helper@1"),
        ],
    ),
    "methods, also of what is inside": (
        {"methods": {"forbidden": ["dare_*"]}},
        [("methods.forbidden", "dare_linear", "assistant@1 → helper@1 → merge inner@1")],
    ),
    "a method that is not allowed": (
        {"methods": {"allowed": ["dare_*"]}},
        [("methods.allowed", "task_arithmetic", "merge assistant@1")],
    ),
    "a required skill that is there": ({"skills": {"required": ["safety@prod", "toxic", "math"]}}, []),
    "a required skill that is not": (
        {"skills": {"required": ["shield", {"skill": "safety", "at_least": 0.05, "base": "tiny"}]}},
        [("skills.required", "shield", None)],
    ),
    "a weight that is too low": (
        {"skills": {"required": [{"skill": "safety", "at_least": 0.1}, {"skill": "math", "at_least": 0.1}]}},
        [
            ("skills.required", "the", "assistant@1 → skill safety@1"),
            ("skills.required", "math@1", "assistant@1 → helper@1 → inner@1 → skill math@1"),
        ],
    ),
    "of another base": ({"skills": {"required": [{"skill": "shield", "base": "llama"}]}}, []),
    "a score": (
        {"evaluations": [{"metric": "recall", "dataset": "gsm8k", "at_least": 0.8}]},
        [("evaluations", "recall", None)],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_every_rule_names_what_it_keeps_out_and_its_way(store, case):
    parts, expected = CASES[case]
    checked = store.check("assistant", quick=True, policy=policy(**parts))
    assert checked.exit_code == (4 if expected else 0)
    if not expected:
        assert store.materialize("assistant", policy=policy(**parts), wait=False).output_digest
        return
    with pytest.raises(Conflict) as refused:
        store.materialize("assistant", policy=policy(**parts), wait=False)
    assert sorted(map(str, told(refused.value.details["violations"]))) == sorted(map(str, expected))
    _, *lines = refused.value.message.splitlines()
    assert [f"  {problem['message']}" for problem in checked.problems] == lines
    assert all(line.startswith("  the given policy, ") for line in lines)
    assert checked.violations == refused.value.details["violations"]
    for each in checked.violations:
        assert (" → ".join(each["path"]) or None) == (each["way"] and re.sub("(base|skill|merge) ", "", each["way"]))
        assert each["subject"] in (*each["path"][-1:], "shield", "recall on gsm8k")


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        (
            {"licences": {"allowed": ["Apache-2.0", "MIT"]}},
            {"subject": "code@1", "found": "CC-BY-NC-4.0", "allowed": ["Apache-2.0", "MIT"], "forbidden": []},
        ),
        (
            {"licences": {"forbidden": ["CC-BY-NC-*"]}},
            {"subject": "code@1", "found": "CC-BY-NC-4.0", "allowed": None, "forbidden": ["CC-BY-NC-*"]},
        ),
        (
            {"skills": {"allowed": ["math", "toxic", "helper", "s*"]}},
            {"subject": "code@1", "found": "code@1", "allowed": ["math", "toxic", "helper", "s*"], "forbidden": None},
        ),
        (
            {"skills": {"forbidden": ["c?de@dev", "code"]}},
            {"subject": "code@1", "found": "code@1", "allowed": None, "forbidden": ["code"]},
        ),
        (
            {"bases": {"metadata": {"source": "hf:*"}}},
            {"subject": "tiny@1", "allowed": ["source: hf:*"], "forbidden": None},
        ),
        (
            {"methods": {"forbidden": ["dare_*"]}},
            {"subject": "inner@1", "found": "dare_linear", "allowed": None, "forbidden": ["dare_*"]},
        ),
        (
            {"skills": {"required": [{"skill": "safety", "at_least": 0.1}]}},
            {"subject": "safety@1", "found": 0.05, "allowed": {"at_least": 0.1}, "forbidden": None},
        ),
        (
            {"evaluations": [{"metric": "recall", "dataset": "gsm8k", "at_least": 0.8}]},
            {"subject": "recall on gsm8k", "found": None, "allowed": {"at_least": 0.8, "at_most": None}},
        ),
    ],
)
def test_a_program_is_told_what_was_found_and_what_is_allowed(shell, tmp_path, parts, expected):
    keep(shell, **parts)
    document = shell.json("check", "assistant", "--quick", code=4)
    (violation,) = document["violations"]
    assert {name: violation[name] for name in expected} == expected
    assert violation["policy"] == "policy.yaml"
    assert len(document["problems"]) == 1
    assert shell.json("materialize", "assistant", code=4)["error"]["violations"] == [violation]
    (shell.home / "policy.yaml").unlink()
    assert shell.json("check", "assistant", "--quick")["violations"] == []


def test_the_store_s_own_policy_always_holds_and_a_refused_command_changes_nothing(shell, tmp_path):
    keep(shell, skills={"forbidden": ["toxic"]})
    for words in (
        ("materialize", "assistant", "--no-wait"),
        ("materialize", "assistant", "-o", tmp_path / "out", "--no-wait"),
        ("materialize", "tiny + helper + math", "--no-wait"),
        ("materialize", "inner", "--as", "lora", "--rank", "2", "--no-wait"),
    ):
        refused = shell.refused(4, *words)
        assert "policy.yaml, skills.forbidden: toxic@1 is forbidden" in refused["message"]
        assert refused["violations"][0]["rule"] == "skills.forbidden"
    assert "tiny + helper + math" in shell.refused(4, "materialize", "tiny + helper + math")["message"]
    shell.text("materialize", "plain", "--no-wait")
    (shell.home / "policy.yaml").unlink()
    shell.text("materialize", "assistant", "--no-wait")
    keep(shell, skills={"forbidden": ["toxic"]})
    assert "toxic@1" in shell.refused(4, "materialize", "assistant", "--no-wait")["message"], "what is cached, too"


def test_another_policy_holds_beside_it_and_both_are_asked(shell, tmp_path):
    keep(shell, skills={"forbidden": ["toxic"]})
    other = tmp_path / "release.json"
    other.write_text(json.dumps(policy(skills={"required": ["shield"]})))
    refused = shell.refused(4, "materialize", "assistant", "--policy", other)
    assert [each["policy"] for each in refused["violations"]] == ["policy.yaml", "release.json"]
    checked = shell.json("check", "assistant", "--policy", other, "--quick", code=4)
    assert [problem["message"].partition(",")[0] for problem in checked["problems"]] == ["policy.yaml", "release.json"]
    assert [each["policy"] for each in checked["policies"]] == ["policy.yaml", "release.json"]
    assert "shield is not in it" in shell(*("check", "plain", "--policy", other, "--quick"))[1]


def test_what_was_asked_is_recorded_with_the_result(shell, tmp_path):
    keep(shell, skills={"forbidden": ["toxic"]})
    other = tmp_path / "release.yaml"
    other.write_text("policy: 1\n")
    shell.text("materialize", "plain", "-o", tmp_path / "out", "--no-wait", "--policy", other)
    expected = [
        {"policy": file.name, "digest": "sha256:" + hashlib.sha256(file.read_bytes()).hexdigest()}
        for file in (shell.home / "policy.yaml", other)
    ]
    audited = shell.json("audit", "plain")
    assert [made["policies"] for made in audited["materializations"]] == [expected]
    (event,) = (event for event in audited["events"] if event["action"] == "materialization.record")
    assert event["details"]["policies"] == expected
    assert f"policy.yaml {expected[0]['digest'][:19]}" in shell.text("audit", "plain")
    assert f"release.yaml {expected[1]['digest'][:19]}" in shell.text("check", "plain", "--quick", "--policy", other)
    assert shell.json("verify")["ok"]
    (shell.home / "policy.yaml").unlink()
    shell.text("materialize", "plain", "-o", tmp_path / "again", "--no-wait")
    assert [made["policies"] for made in shell.json("audit", "plain")["materializations"]] == [[], expected]


def test_a_policy_that_cannot_be_read_lets_nothing_through(shell, tmp_path):
    (shell.home / "policy.yaml").write_text("policy: 1\nskills: {forbiden: [toxic]}\n")
    said = "skills.forbiden: unknown; did you mean forbidden?"
    for words in (("materialize", "plain"), ("materialize", "plain", "-o", tmp_path / "out")):
        assert said in shell.refused(2, *words)["message"]
    assert said in shell.json("check", "plain", "--quick", code=2)["problems"][0]["message"]
    with mergestore.open(shell.home) as store, pytest.raises(UsageError, match="forbiden"):
        store.load("plain")
    doctor = {check["name"]: check for check in shell.json("doctor", code=7)["checks"]}
    assert (doctor["policy"]["level"], said in doctor["policy"]["detail"]) == ("error", True)
    verified = shell.json("verify", code=2)
    assert [said in problem["what"] for problem in verified["problems"]] == [True]
    notes = shell.json("merge", "another", "tiny + 0.1*math")["notes"]
    assert "nothing can be materialized: policy.yaml has an error, and is no policy; `mergestore doctor` tells" in notes
    shell.json("audit", "plain")
    (shell.home / "policy.yaml").unlink()
    (shell.home / "policy.yaml").symlink_to(tmp_path / "gone")
    assert "cannot read the policy" in shell.refused(2, "materialize", "plain")["message"]


def test_a_file_of_nearly_the_name_is_told(shell):
    (shell.home / "policy.yml").write_text("policy: 1\n")
    checks = [check for check in shell.json("doctor")["checks"] if check["name"] == "policy"]
    assert [(check["level"], check["detail"]) for check in checks] == [
        ("ok", "there is none"),
        ("warning", "policy.yml is not read"),
    ]


def test_naming_a_merge_is_not_refused_and_says_what_will_be(shell):
    keep(shell, skills={"forbidden": ["toxic"]}, evaluations=[{"metric": "recall", "dataset": "d", "at_least": 1}])
    notes = shell.json("merge", "again", "tiny + helper")["notes"]
    assert notes[-2:] == [
        "it will not be materialized: policy.yaml, skills.forbidden: toxic@1 is forbidden: "
        "again@1 → helper@1 → inner@1 → skill toxic@1",
        "it will not be materialized: policy.yaml, evaluations: recall on d is not on record",
    ]


def test_scores_have_to_be_on_record_and_the_newest_counts(shell, tmp_path):
    keep(shell, evaluations=[{"metric": "recall", "dataset": "gsm8k", "at_least": 0.8}])
    asked = ("materialize", "plain", "-o", tmp_path / "out", "--no-wait")
    assert "recall on gsm8k is not on record" in shell.refused(4, *asked)["message"]
    with mergestore.open(shell.home) as store:
        assert store.load("plain"), "a candidate can be loaded, to be evaluated"

    def score(value, dataset="gsm8k", target="plain"):
        shell.text("evaluations", "add", target, "--metric", "recall", "--value", value, "--dataset", dataset)

    score(0.9, "other")
    score(0.9, target="assistant")
    assert "not on record" in shell.refused(4, *asked)["message"]
    score(0.9)
    score(0.7)
    assert "recall on gsm8k is 0.7, below 0.8 (evaluation 4)" in shell.refused(4, *asked)["message"]
    score(0.8)
    shell.text(*asked)
    shell.text("materialize", "tiny + 0.2*safety + 0.6*math", "--no-wait")  # the same recipe
    shell.refused(4, "materialize", "tiny + 0.2*safety + 0.5*math")
    shell.text("materialize", "plain", "--as", "lora", "--rank", "2", "--no-wait")  # of the merge that was scored
    keep(shell, evaluations=[{"metric": "recall", "dataset": "gsm8k", "at_most": 0.5}])
    assert "above 0.5" in shell.refused(4, *asked, "--force")["message"]


def test_a_task_of_a_merge_is_as_the_merge_scored_unless_it_was_scored_itself(shell, made):
    for name in ("math", "safety"):
        shell.text("register", "skill", f"{name}-exact", made / name, "--base", "tiny", "--encoding", "exact")
    shell.text("merge", "each", "tiny + math-exact + safety-exact", "--method", "emr")
    task = ("materialize", "each", "--task", "math-exact", "--no-wait")
    output = shell.json(*task)["output_digest"]
    keep(shell, evaluations=[{"metric": "recall", "dataset": "gsm8k", "at_least": 0.8}])
    score = ("--metric", "recall", "--dataset", "gsm8k", "--value")
    shell.refused(4, *task)
    shell.text("evaluations", "add", "each", *score, 0.9)
    shell.text(*task)
    assert shell.json("evaluations", "add", output, *score, 0.1)["of"] != "each@1"
    assert "is 0.1, below 0.8" in shell.refused(4, *task)["message"]
    shell.text("materialize", "each", "--task", "safety-exact", "--no-wait")


def test_the_same_content_under_another_name_is_the_same(shell, made):
    words = ("--base", "tiny", "--licence", "MIT")
    shell.text("register", "skill", "harmless", made / "toxic", *words)
    keep(shell, skills={"forbidden": ["toxic"]})
    assert "harmless@1 is forbidden as toxic" in shell.refused(4, "materialize", "tiny + harmless")["message"]
    digest = shell.json("show", "safety")["digest"]
    keep(shell, skills={"forbidden": [digest[:20]]})
    assert f"safety@1 is forbidden as {digest[:20]}" in shell.refused(4, "materialize", "plain")["message"]


def test_a_weight_of_nothing_is_no_skill_in_it(shell):
    keep(shell, skills={"required": ["safety"]})
    for weight in ("0*", "-"):
        expression = "tiny + math - 0.2*safety" if weight == "-" else "tiny + math + 0*safety"
        assert "should be more than 0" in shell.refused(4, "materialize", expression)["message"]
    shell.text("materialize", "tiny + math + [0.1, 0.3]*safety", "--no-wait")
    assert "is 0," in shell.refused(4, "materialize", "tiny + math + [0, 0.3]*safety")["message"]


def test_what_is_resident_is_compared_too_and_follows_the_file(shell):
    torch = pytest.importorskip("torch")
    with mergestore.open(shell.home) as store, store.resident("tiny", ["math", "toxic", "safety"]) as resident:
        assert all(isinstance(tensor, torch.Tensor) for tensor in resident.load("tiny + math + toxic").values())
        keep(shell, skills={"forbidden": ["toxic"]}, evaluations=[{"metric": "m", "dataset": "d", "at_least": 1}])
        with pytest.raises(Conflict, match="toxic@1 is forbidden"):
            resident.load("tiny + math + toxic")
        with pytest.raises(Conflict, match="toxic@1 is forbidden"):
            store.load("tiny + toxic")
        resident.load("tiny + math")
        (shell.home / "policy.yaml").write_text("policy: 2\n")
        with pytest.raises(UsageError):
            resident.load("tiny + math")
        (shell.home / "policy.yaml").unlink()
        resident.load("tiny + math + toxic")


def test_looking_is_never_refused(shell, tmp_path):
    shell.text("materialize", "inner", "-o", tmp_path / "out", "--no-wait")
    keep(shell, skills={"forbidden": ["*"]})
    for words in (("audit", "inner"), ("diff", "inner", "plain"), ("verify", "inner"), ("audit", "inner", "--rebuild")):
        shell.json(*words)


def test_a_merge_that_cannot_be_resolved_is_compared_as_far_as_it_goes(shell):
    keep(shell, skills={"forbidden": ["toxic"], "required": ["shield"]}, licences={"allowed": ["MIT", "Apache-2.0"]})
    checked = shell.json("check", "tiny + helper + code + nobody", "--quick", code=3)
    messages = [problem["message"].splitlines()[0] for problem in checked["problems"]]
    assert messages[0] == "there is no skill 'nobody'"
    assert messages[1:] == [
        "policy.yaml, licences.allowed: code@1 comes under CC-BY-NC-4.0, which is not allowed: skill code@1",
        "policy.yaml, skills.forbidden: toxic@1 is forbidden: helper@1 → inner@1 → skill toxic@1",
    ]


def test_licences_are_checked_when_they_are_stated(shell, made):
    words = ("register", "skill", "new", made / "math", "--base", "tiny", "--licence")
    refused = shell.refused(2, *words, "MIT AND (Apache2 OR ISC)")
    assert (refused["position"], "did you mean Apache-2.0" in refused["hint"]) == (9, True)
    answer = shell.json(*words, "isc or mit")
    assert answer["licence"] == "ISC OR MIT"
    assert not any("registered before" in note for note in shell.json(*words, "MIT or ISC")["notes"])
    assert "registered before, with licence ISC OR MIT: that does not change" in shell.json(*words, "MIT")["notes"]
    rows = shell.json("find", "skills", "--licence", "mit or isc")["rows"]
    assert [row["name"] for row in rows] == ["new"]
    assert shell.json("show", "helper")["licence"] == "Apache-2.0 AND (GPL-3.0-only OR MIT) AND MIT"
