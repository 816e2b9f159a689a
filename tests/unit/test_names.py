import re
from pathlib import Path

import pytest

from registry.licences import spdx
from registry.records import names
from registry.records.names import (
    LONGEST_LINE,
    MAX_LENGTH,
    Reference,
    near_names,
    parse_reference,
    validate_alias,
    validate_name,
)
from registry.registering import training
from storage import paths
from storage.errors import UsageError


@pytest.mark.parametrize(
    "name", ["math", "Llama-3.1_8B", "7b", "org/math", "a", "a..b", "0", "x" * MAX_LENGTH, "a/" + "b" * 126]
)
def test_well_formed_names(name: str) -> None:
    assert validate_name(name) == name


@pytest.mark.parametrize(
    ("name", "position"),
    [
        ("ma th", 3),
        (".hidden", 1),
        ("-dash", 1),
        ("_low", 1),
        ("../../etc/passwd", 1),
        ("org/../math", 5),
        ("org/.math", 5),
        ("/math", 1),
        ("math/", 6),
        ("org//math", 5),
        ("a/b/c", 4),
        ("a\\b", 2),
        ("math@3", 5),
        ("math\n", 5),
        ("math\x00", 5),
        ("100%", 4),
        ("m\u0430th", 2),  # Cyrillic a
        ("math\u200b", 5),  # zero width space
        ("ｍath", 1),
        ("caf\u00e9", 4),
        ("3\u0663", 2),  # an Arabic digit
        (" math", 1),
    ],
)
def test_malformed_names_point_at_the_character(name: str, position: int) -> None:
    with pytest.raises(UsageError) as caught:
        validate_name(name)
    assert caught.value.details["position"] == position
    if position <= len(name):
        assert f"at position {position}" in caught.value.message
    assert "letters" in (caught.value.hint or "")


def test_a_lookalike_is_named() -> None:
    with pytest.raises(UsageError, match="CYRILLIC SMALL LETTER A"):
        validate_name("m\u0430th")


@pytest.mark.parametrize("name", ["", "x" * (MAX_LENGTH + 1), "/" * 1000])
def test_names_have_a_length(name: str) -> None:
    with pytest.raises(UsageError, match=r"empty|characters"):
        validate_name(name)


@pytest.mark.parametrize("alias", ["prod", "v1", "2024-05", "A.b_c", "1a", "latest-2"])
def test_well_formed_aliases(alias: str) -> None:
    assert validate_alias(alias) == alias


@pytest.mark.parametrize("alias", ["", "3", "0", "latest", "Latest", "a/b", "a b", ".a", "x" * 129, "пrod", "a@b"])
def test_malformed_aliases(alias: str) -> None:
    with pytest.raises(UsageError):
        validate_alias(alias)


@pytest.mark.parametrize(
    ("text", "reference"),
    [
        ("math", Reference("math")),
        ("org/math", Reference("org/math")),
        ("math@3", Reference("math", version=3)),
        ("org/math@12", Reference("org/math", version=12)),
        ("math@prod", Reference("math", alias="prod")),
        ("math@99999999999999999999", Reference("math", version=99999999999999999999)),
    ],
)
def test_references(text: str, reference: Reference) -> None:
    assert parse_reference(text) == reference
    assert str(reference) == text


@pytest.mark.parametrize(
    "text",
    ["", "@3", "math@", "math@0", "math@03", "math@-1", "math@1.5x y", "math@a@b", "math@latest", "math@３", "a b@3"],
)
def test_malformed_references(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_reference(text)
    assert caught.value.hint


def test_latest_is_explained() -> None:
    with pytest.raises(UsageError) as caught:
        parse_reference("math@latest")
    assert "the name alone" in (caught.value.hint or "")


def test_near_names_are_nearest_first_and_few() -> None:
    known = ["math", "maths", "mathematics", "code", "Math-2", "org/math"]
    assert near_names("mathh", known)[:2] == ["math", "maths"]
    assert near_names("MATH", known)[0] == "math"
    assert near_names("zzz", known) == []
    assert len(near_names("math", [f"math{n}" for n in range(20)])) == 3


def test_near_names_are_found_among_thousands() -> None:
    known = [f"team{n % 97}/skill-{n:05}" for n in range(5000)]
    assert near_names("team5/skil-04855", known)[0] == "team5/skill-04855"
    assert near_names("zzz", known) == []


def test_the_page_states_these_rules() -> None:
    """docs/concepts.md, "Names and texts": each row with the numbers and patterns of the code."""
    page = (Path(__file__).parents[2] / "docs" / "concepts.md").read_text().partition("## Names and texts")[2]
    rows = dict(re.findall(r"^\| ([^|]+) \| (.+) \|$", page, re.MULTILINE))
    pattern, most = f"`{names._PART.pattern}`", f"{MAX_LENGTH} characters"
    for row, stated in (
        ("name of a base, skill or merge", (pattern, most)),
        ("alias", (pattern, most, "`latest`")),
        ("key of `--meta` and of details", (f"`{training._KEY.pattern}`",)),
        ("value of these, reason, metric, data set, who acts", (f"1 to {LONGEST_LINE:,} characters",)),
        ("id of an MLflow run", (f"`{training._RUN.pattern}`",)),
        ("licence", (f"{spdx._LONGEST:,} characters",)),
        ("path", (f"{paths._LONGEST:,} bytes", f"each name in it {paths._LONGEST_NAME}")),
    ):
        assert all(text in rows[row] for text in stated), (row, rows[row])
    assert training._LONGEST == LONGEST_LINE


@pytest.mark.parametrize("path", ["a\0b", "a\ud800b", "a/" + "b" * 256, "a/" * 2048])
def test_what_cannot_be_a_path_is_refused(path: str) -> None:
    with pytest.raises(UsageError, match="cannot be a path here") as caught:
        paths.as_path(path)
    assert caught.value.message.isascii()
    assert len(caught.value.message) < 500


def test_other_paths_are_taken_as_they_are() -> None:
    for path in ("größe/模型", "a b\n", "b" * 255, Path("x"), "."):
        assert paths.as_path(path) == Path(path)
