"""What MLflow is told, as plain values: names it accepts, lengths it accepts, a graph a person can read."""

from registry.provenance.lineage_page import lineage_markdown
from registry.provenance.mlflow_record import describe, registered_name, shorten

DIGEST = "blake3:" + "ab" * 32


def payload(**changes):
    base = {"name": "llama-3.1", "version": 1, "digest": DIGEST, "licence": "llama3"}
    skill = {"name": "team/math", "version": 2, "digest": DIGEST, "weight": -0.25, "encoding": "lora"}
    return {
        "materialization_id": "id",
        "recipe_digest": "sha256:" + "cd" * 32,
        "output_digest": DIGEST,
        "expression": "llama-3.1 - 0.25*team/math",
        "merge": None,
        "recipe": {"b": 1, "a": [1.0]},
        "manifest": {},
        "lineage": {"nodes": [], "edges": []},
        "base": base,
        "skills": [{**skill, "drop_rate": None, "seed": None, "licence": None}],
        "method": "task_arithmetic",
        "parameters": {},
        "dtype": "BF16",
        "device": "cuda",
        "engine": "torch",
        "versions": {"torch": None},
        "metrics": {"seconds": 1, "density": None},
        "model_card": "",
        "started_at": "1970-01-01T00:00:01Z",
        "finished_at": "1970-01-01T00:00:02.5+00:00",
        **changes,
    }


def test_what_is_unknown_is_left_out():
    record = describe(payload())
    assert {name: value for name, value in record.params.items() if name.startswith(("skill.", "version."))} == {
        "skill.team/math.v2.weight": "-0.25",
        "skill.team/math.v2.encoding": "lora",
        "skill.team/math.v2.digest": DIGEST,
    }
    assert record.metrics == {"seconds": 1.0}
    assert (record.started, record.finished) == (1000, 2500)
    assert record.tags["mergestore.licences"] == "llama3"
    assert "mergestore.path" not in record.tags
    assert record.registered is None
    assert record.output.name == "merge-" + "cd" * 6


def test_names_are_spelled_as_mlflow_accepts_them():
    record = describe(payload(merge={"name": "team/chat.v2", "version": 4}))
    assert [model.name for model in record.inputs] == ["llama-3_1-v1", "team~math-v2"]
    assert [model.tags["mergestore.name"] for model in record.inputs] == ["llama-3.1", "team/math"]
    assert record.output.name == "team~chat_v2-v4"
    assert record.registered.name == "team~chat.v2"
    assert registered_name("a/b") != registered_name("a-b")


def test_a_run_s_note_is_short_and_narrow():
    """A digest in it would push all else off the page."""
    record = describe(payload())
    assert "- -0.25 × skill `team/math@2`, licence unknown" in record.tags["mlflow.note.content"]
    assert DIGEST not in record.tags["mlflow.note.content"]


def test_the_source_of_a_version_names_store_and_recipe():
    merge, store = {"name": "chat", "version": 1}, "0123456789abcdef" * 2
    record = describe(payload(merge=merge, store=store))
    assert record.registered.source == f"mergestore://{store}/sha256:{'cd' * 32}"
    assert record.registered.tags["mergestore.store"] == record.tags["mergestore.store"] == store
    assert describe(payload(merge=merge)).registered.source is None, "left in the outbox by older versions"


def test_the_recipe_file_is_what_the_digest_was_taken_of():
    assert describe(payload()).files["recipe.json"] == '{"a":[1],"b":1}'


def test_long_text_is_cut_and_says_where_the_rest_is():
    assert shorten("abcdef", 6) == "abcdef"
    assert shorten("abcdefg", 6) == "abcde…"
    merge = {"name": "chat", "version": 1}
    record = describe(payload(expression="x" * 9000, model_card="y" * 9000, merge=merge))
    assert len(record.params["expression"]) == 500
    assert len(record.registered.description) < 5000
    assert len(describe(payload(expression="x" * 9000)).run_name) == 100
    assert {len(record.tags[name]) for name in ("mergestore.expression", "mlflow.note.content")} == {5000}
    assert record.files["README.md"] == "y" * 9000
    assert "x" * 9000 in record.files["parameters.json"]


def test_a_lineage_page():
    page = lineage_markdown(
        {
            "nodes": [
                {"id": 7, "kind": "base", "name": "llama", "version": 1, "digest": DIGEST, "licence": "a|b"},
                {"id": "s", "kind": "skill", "name": "math", "version": 2, "digest": DIGEST, "licence": None},
                {"id": "m", "kind": "materialization", "name": None, "version": None, "digest": DIGEST},
            ],
            "edges": [{"child": "s", "parent": 7, "role": "base"}, {"child": "m", "parent": "s", "role": 'a "b" #1'}],
        }
    )
    assert page == (
        "# Lineage\n\n```mermaid\nflowchart LR\n"
        '  n0[("base: llama@1<br/>blake3:abababababab<br/>a|b")]\n'
        '  n1(["skill: math@2<br/>blake3:abababababab<br/>licence not stated"])\n'
        '  n2["materialization: blake3:abababababab"]\n'
        '  n0 -->|"base"| n1\n'
        '  n1 -->|"a #quot;b#quot; #35;1"| n2\n'
        "```\n\n"
        "| kind | name | version | licence | digest |\n|---|---|---|---|---|\n"
        f"| base | llama | 1 | a\\|b | {DIGEST} |\n"
        f"| skill | math | 2 |  | {DIGEST} |\n"
        f"| materialization |  |  |  | {DIGEST} |\n"
    )
