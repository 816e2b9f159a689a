"""``mergestore check``: what a person reads, what a script reads, and the exit code."""

import pytest

from tests.integration.command_line.models import SHAPES

KEYS = {
    "ok", "exit_code", "expression", "method", "recipe_digest", "problems", "warnings", "inputs", "needs", "licences",
    "policies", "violations", "resources", "interference", "plot",
}  # fmt: skip


def test_a_person_reads_all_of_it(filled):
    told = filled.text("check", "assistant")
    for line in (
        "can be materialized: tiny + 0.6*math + 0.4*code",
        "  task_arithmetic, recipe sha256:",
        " math@1      skill   0.6      tiny@1    dare, p = 0.5 ",
        "  Apache-2.0: assistant@1 → base tiny@1",
        "  not stated: assistant@1 → skill math@1",
        "  memory  about ",
        " in the cache, where ",
        "          merge: base ",
        "estimated from what was kept: math@1; signs count where both were kept",
        " of the norms cancel in the sum; of unrelated skills ",
        " whole model ",
    ):
        assert line in told.replace("math@1, code@1", "code@1, math@1"), line
    assert "problem" not in told


def test_a_script_reads_one_document(filled):
    answer = filled.json("check", "assistant")
    assert set(answer) == KEYS
    assert answer["ok"] is True
    assert set(answer["resources"]) == {
        "place", "kind", "cached", "needed_bytes", "peak_bytes", "free_bytes", "memory_bytes", "process_bytes",
        "stages", "threads", "passes", "read_bytes",
    }  # fmt: skip
    found = answer["interference"]
    assert set(found) == {"skills", "estimated", "whole", "groups"}
    assert set(found["whole"]) == {"name", "elements", "norms", "pairs", "cancelled", "unrelated"}
    assert set(found["whole"]["pairs"][0]) == {"one", "other", "cosine", "error", "agreement", "overlap"}
    assert found["whole"]["elements"] == sum(int.__mul__(*(*shape, 1)[:2]) for shape in SHAPES.values())


def test_problems_are_numbered_and_the_exit_code_is_the_firsts(filled):
    words = ("check", "tiny + math + maths", "--method", "sce", "--param", "selct=1")
    code, told, complaint = filled(*words)
    assert (code, complaint) == (3, "")
    assert told.startswith("cannot be materialized: tiny + math + maths\n  sce\n3 problems:\n")
    assert "  1. there is no skill 'maths'\n" in told
    assert "     did you mean math?\n" in told
    assert "what is missing would be provided by:\n  mergestore register skill math " in told
    answer = filled.json(*words, code=3)
    assert (answer["ok"], answer["exit_code"]) == (False, 3)
    assert [problem["kind"] for problem in answer["problems"]] == ["not_found", "usage", "usage"]


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (2, ["tiny + + math"]),
        (2, ["tiny + math", "--dtype", "F17"]),
        (3, ["nobody"]),
        (3, ["tiny + math", "--head", "nobody"]),
        (4, ["assistant", "-o", "."]),
    ],
)
def test_what_cannot_be_made_has_its_exit_code(filled, tmp_path, code, words):
    words = [tmp_path if word == "." else word for word in words]
    assert filled.json("check", *words, "--quick", code=code)["exit_code"] == code


def test_a_target_is_asked_for(filled):
    filled.refused(2, "check", "assistant", "--recipe", "recipe.yml")
    filled.refused(2, "check", "assistant", "--quick", "--plot", "x.png")
    filled.refused(2, "check", "assistant", "--plot", "x.txt")


def test_the_picture_is_named(filled, tmp_path):
    pytest.importorskip("matplotlib")
    place = tmp_path / "skills.png"
    assert f"picture: {place}\n" in filled.text("check", "assistant", "--plot", place)
    assert place.read_bytes().startswith(b"\x89PNG")


def test_a_skill_alone_and_many_skills_have_their_tables(filled, models):
    alone = filled.text("check", "tiny + math")
    assert "norms by layer" in alone
    assert "cosine" not in alone
    for number in range(2):
        filled.text("register", "skill", f"more{number}", models / "math", "--base", "tiny", "--seed", number + 5)
    many = filled.text("check", "tiny + math + code + more0 + more1")
    assert "lowest cosine" in many
    assert "between" in many


def test_a_check_changes_nothing(filled):
    before = filled.state()
    filled.text("check", "assistant")
    filled("check", "tiny + nobody")
    assert filled.state() == before
