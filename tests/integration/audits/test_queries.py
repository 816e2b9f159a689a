"""What a platform team asks of a store, on SQLite and PostgreSQL."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from mergestore import NotFound, UsageError
from registry.audits.filters import Filters
from registry.audits.queries import find
from registry.records import catalog, contents, lineage, readiness, recipes
from registry.records.columns import now
from registry.records.contents import BlobRow, DeltaRow, FileRow
from registry.records.database import reading, writing
from registry.records.names import parse_reference
from registry.records.tables import Evaluation, ModelVersion
from storage.digests import canonical_json
from tests.integration.registry_samples import ME, digest, made, make, skill


@pytest.fixture
def filled(engine: Engine) -> Engine:
    with writing(engine) as session:
        base = make(session, "llama", "base")
        math, code = skill(session, base, "math"), skill(session, base, "code")
        merges = (("m", [math, code], {"seed": 7}), ("n", [math], {"seed": 70}), ("o", [code], {}))
        for name, inputs, parameters in merges:
            canonical = canonical_json({"name": name, "parameters": {**parameters, "z": 1}}).decode()
            rows = [recipes.InputRow(base.id, "base"), *(recipes.InputRow(each.id, "skill", 0.5) for each in inputs)]
            method = "ties" if name == "m" else "linear"
            recipe = recipes.record_recipe(session, canonical=canonical, method=method, inputs=rows, actor=ME)
            merge = catalog.create_model_version(
                session, name=name, kind="merge", digest=recipe.digest, actor=f"{name}@lab"
            )
            lineage.add_lineage(session, merge, [(each, "skill") for each in inputs], actor=ME)
            if name != "o":
                more = {"merge_version_id": merge.id, "output_digest": digest(name)}
                more["versions"] = {"mergestore": "0.1.0" if name == "m" else "0.2.0"}
                recipes.record_materialization(session, made(recipe, f"made-{name}", **more))
        session.add(Evaluation(version_id=merge.id, metric="recall", value=0.5, dataset="d", created_by=ME))
        said = {"training": {"meta": {"dataset": "gsm8k", "a.b/c": 'x"y'}}}
        tagged = make(session, "tagged", "skill", licence="MIT", attributes=said)
        contents.record_blobs(session, [BlobRow(digest("tagged"), 5, "delta")])
        contents.add_files(session, tagged, [FileRow("delta.safetensors", "delta", 5, digest("tagged"))], actor=ME)
        row = DeltaRow(base.id, "exact", digest("tagged"), 5, None, None, None, {}, {})
        contents.add_delta(session, tagged, row, actor=ME)
    return engine


def names(engine: Engine, kind: str, **filters: object) -> set[str]:
    with reading(engine) as session:
        found = find(session, kind, Filters(**filters), limit=50, page=1)  # type: ignore[arg-type]
    assert found.total == len(found.rows)
    return {row.get("name") or row["materialization_id"] for row in found.rows}


def test_merges_are_found(filled: Engine) -> None:
    for filters, expected in (
        ({}, "mno"),
        ({"contains": "math"}, "mn"),
        ({"contains": "code@1"}, "mo"),
        ({"contains": "llama"}, "mno"),
        ({"base": "llama"}, "mno"),
        ({"method": "ties"}, "m"),
        ({"seed": 7}, "mno"),  # the skills of the samples were dropped with it
        ({"seed": 70}, "n"),
        ({"seed": 0}, ""),
        ({"never": "materialized"}, "o"),
        ({"never": "evaluated"}, "mn"),
        ({"software": "0.1.0"}, "m"),
        ({"by": "n@lab"}, "n"),
        ({"contains": "math", "method": "linear"}, "n"),
        ({"state": "yanked"}, ""),
    ):
        assert names(filled, "merges", **filters) == set(expected), filters


def test_bases_are_found(engine: Engine) -> None:
    said = {"training": {"meta": {"dataset": "web"}}}
    with writing(engine) as session:
        for name, more in {"llama": {"attributes": said}, "qwen": {"licence": "Apache-2.0"}, "mine": {}}.items():
            made_of = make(session, name, "base", **more)  # type: ignore[arg-type]
        lineage.add_lineage(session, made_of, [(catalog.resolve(session, "llama"), "base")], actor=ME)
        readiness.yank(session, catalog.resolve(session, "qwen"), "wrong", actor=ME)
    for filters, expected in (
        ({}, {"llama", "qwen", "mine"}),
        ({"meta": {"dataset": "web"}}, {"llama"}),
        ({"licence": "apache-2.0"}, {"qwen"}),
        ({"state": "yanked"}, {"qwen"}),
        ({"contains": "llama"}, {"mine"}),
        ({"by": ME}, {"llama", "qwen", "mine"}),
        ({"until": "2020-01-01"}, set()),
    ):
        assert names(engine, "bases", **filters) == expected, filters


def test_skills_are_found(filled: Engine) -> None:
    assert names(filled, "skills", base="llama") == {"math", "code", "tagged"}
    assert names(filled, "skills", licence="mit") == {"tagged"}
    assert names(filled, "skills", meta={"dataset": "gsm8k", "a.b/c": 'x"y'}) == {"tagged"}
    assert names(filled, "skills", meta={"dataset": "gsm8k", "commit": "1"}) == set()
    assert names(filled, "skills", seed=7, encoding="dare") == {"math", "code"}
    assert names(filled, "skills", seed=8) == set()
    assert names(filled, "skills", contains="llama") == {"math", "code"}


def test_materializations_and_events_are_found(filled: Engine) -> None:
    assert names(filled, "materializations", contains="math") == {"made-m", "made-n"}
    assert names(filled, "materializations", contains="code") == {"made-m"}
    assert names(filled, "materializations", software="0.2.0", method="linear") == {"made-n"}
    with reading(filled) as session:
        found = find(session, "events", Filters(action="version.create", subject="n@1"), limit=5, page=1)
        assert [row["actor"] for row in found.rows] == ["n@lab"]
        every = find(session, "events", Filters(), limit=3, page=1)
        second = find(session, "events", Filters(), limit=3, page=2)
    assert every.total > 6
    assert every.pages == -(-every.total // 3)
    sequences = [row["sequence"] for row in (*every.rows, *second.rows)]
    assert sequences == list(range(every.total, every.total - 6, -1))


def test_seeds_are_found_through_what_was_merged_before(filled: Engine) -> None:
    with writing(filled) as session:
        inner, math = (catalog.resolve(session, parse_reference(name)) for name in ("n", "math"))
        base = catalog.resolve(session, parse_reference("llama"))
        again = make(session, "again", "base")
        lineage.add_lineage(session, again, [(inner, "merge")], actor=ME)
        _merge(session, "deeper", again, {})
        # An expression without a name, computed before what came out was registered, and after that.
        for seed, output in ((71, "early"), (72, "late")):
            canonical = canonical_json({"name": output, "parameters": {"seed": seed}}).decode()
            rows = [recipes.InputRow(base.id, "base"), recipes.InputRow(math.id, "skill", 0.5)]
            recipe = recipes.record_recipe(session, canonical=canonical, method="ties", inputs=rows, actor=ME)
            what = made(recipe, output, output_digest=digest(output))
            if output == "late":
                _merge(session, "from-late", make(session, "late", "base"), {})
                what.created_at = now() + timedelta(seconds=1)
            recipes.record_materialization(session, what)
        _merge(session, "from-early", make(session, "early", "base"), {})
        told = make(session, "told", "skill", attributes={"fine_tuned": digest("early")})
        _merge(session, "from-told", told, {})
    assert names(filled, "merges", seed=70) == {"n", "deeper"}
    assert names(filled, "merges", seed=7) == {"m", "n", "o", "deeper"}
    assert names(filled, "merges", seed=71) == {"from-early", "from-told"}
    assert names(filled, "merges", seed=72) == set()


def _merge(session: Session, name: str, made_of: ModelVersion, parameters: dict[str, int]) -> None:
    canonical = canonical_json({"name": name, "parameters": parameters}).decode()
    rows = [recipes.InputRow(made_of.id, made_of.kind)]
    recipe = recipes.record_recipe(session, canonical=canonical, method="linear", inputs=rows, actor=ME)
    merge = catalog.create_model_version(session, name=name, kind="merge", digest=recipe.digest, actor=ME)
    lineage.add_lineage(session, merge, [(made_of, made_of.kind)], actor=ME)


def test_dates_part_what_was_from_what_comes(filled: Engine) -> None:
    soon, before = now() + timedelta(minutes=1), now() - timedelta(hours=1)
    assert names(filled, "merges", since=before.isoformat(), until=soon.isoformat()) == set("mno")
    assert names(filled, "merges", since=soon.isoformat()) == set()
    assert names(filled, "merges", until="2020-01-01") == set()


@pytest.mark.parametrize(
    ("kind", "filters", "message"),
    [
        ("base", {}, "'base' is nothing"),
        ("bases", {"seed": 1}, "--seed says nothing of bases"),
        ("materializations", {"licence": "MIT"}, "--licence says nothing of materializations"),
        ("skills", {"since": ""}, "--since is empty"),
        ("skills", {"by": " "}, "--by is empty"),
        ("skills", {"state": "rdy"}, "--state 'rdy' is none"),
        ("skills", {"encoding": "dre"}, "--encoding 'dre' is none"),
        ("skills", {"seed": -1}, "--seed -1 is none"),
        ("skills", {"seed": 2**63}, "--seed 9223372036854775808 is none"),
        ("skills", {"licence": "MIT AND"}, "a licence is missing here"),
        ("skills", {"until": "9999-12-31T23:59:59-10:00"}, "is no date"),
        ("skills", {"method": "ties"}, "--method says nothing of skills"),
        ("events", {"seed": 0}, "--seed says nothing of events"),
        ("merges", {"never": "seen"}, "--never 'seen' is none"),
        ("merges", {"since": "yesterday"}, "is no date"),
    ],
)
def test_what_cannot_be_asked_is_refused(filled: Engine, kind: str, filters: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        names(filled, kind, **filters)


def test_pages_and_names_that_are_not_there_are_refused(filled: Engine) -> None:
    with reading(filled) as session:
        for limit, page, message in (
            *((0, 1, "a page of 0 rows is none"), (1001, 1, "a page of 1001 rows is none")),
            *((5, 0, "there is no page 0"), (5, -1, "there is no page -1"), (5, 2**63, "there is no page")),
        ):
            with pytest.raises(UsageError, match=message):
                find(session, "merges", Filters(), limit=limit, page=page)
        assert find(session, "merges", Filters(), limit=1000, page=10**15).rows == []
        for kind, filters, message, hint in (
            ("merges", {"contains": "mth"}, "there is no model 'mth'", "did you mean math?"),
            ("merges", {"contains": "math@7"}, "math has no version 7", "it has only version 1"),
            ("merges", {"contains": "math@prod"}, "math has no alias 'prod'", "it has no aliases"),
            ("skills", {"base": "lama"}, "there is no base model 'lama'", "did you mean llama?"),
            ("merges", {"base": "math"}, "there is no base model 'math': it is a skill", None),
            ("merges", {"method": "tis"}, "there is no method 'tis'", "ties"),
            ("materializations", {"method": "xyz"}, "there is no method 'xyz'", "`mergestore methods` lists them"),
        ):
            with pytest.raises(NotFound, match=message) as caught:
                find(session, kind, Filters(**filters), limit=5, page=1)  # type: ignore[arg-type]
            assert (hint or "") in (caught.value.hint or "")


def test_a_method_that_nothing_was_made_by_is_one(filled: Engine) -> None:
    assert names(filled, "merges", method="slerp") == set()
    assert names(filled, "merges", method="karcher", contains="math") == set()


LICENCES = {
    "plain": "MIT",
    "old": "mit",  # as it was spelled before there were expressions
    "both": "Apache-2.0 AND MIT",
    "either": "(Apache-2.0 OR MIT) AND CC-BY-4.0",
    "excepted": "GPL-2.0-only WITH Classpath-exception-2.0",
    "house": "LicenseRef-House",
    "silent": None,
}


@pytest.fixture
def licensed(engine: Engine) -> Engine:
    """A base and a skill of each licence, and a merge of each skill; one of two of them; one of that one."""
    with writing(engine) as session:
        base = make(session, "llama", "base", licence="Llama-2")
        found = {}
        for name, licence in LICENCES.items():
            make(session, f"base-{name}", "base", licence=licence)
            found[name] = make_skill(session, base, name, licence)
        whole = {f"m-{name}": [each] for name, each in found.items()}
        whole["m-two"] = [found["house"], found["excepted"]]
        for name, inputs in whole.items():
            found[name] = merge_of(session, base, name, inputs)
        found["m-three"] = merge_of(session, base, "m-three", [found["m-two"], found["plain"]])
    return engine


def make_skill(session: Session, base: ModelVersion, name: str, licence: str | None) -> ModelVersion:
    version = make(session, name, "skill", licence=licence)
    contents.record_blobs(session, [BlobRow(digest(name), 5, "delta")])
    row = DeltaRow(base.id, "exact", digest(name), 5, None, None, None, {}, {})
    contents.add_delta(session, version, row, actor=ME)
    lineage.add_lineage(session, version, [(base, "base")], actor=ME)
    return version


def merge_of(session: Session, base: ModelVersion, name: str, inputs: list[ModelVersion]) -> ModelVersion:
    canonical = canonical_json({"name": name}).decode()
    recipe = recipes.record_recipe(session, canonical=canonical, method="linear", inputs=[], actor=ME)
    merge = catalog.create_model_version(session, name=name, kind="merge", digest=recipe.digest, actor=ME)
    lineage.add_lineage(session, merge, [(base, "base"), *((each, each.kind) for each in inputs)], actor=ME)
    return merge


@pytest.mark.parametrize(
    ("asked", "stating", "merges"),
    [
        ("MIT", "plain old both either", "m-plain m-old m-both m-either m-three"),
        ("mit", "plain old both either", "m-plain m-old m-both m-either m-three"),
        ("Apache-2.0", "both either", "m-both m-either"),
        ("MIT AND Apache-2.0", "both", "m-both m-either"),  # of a merge all holds together
        ("Apache-2.0 OR MIT", "either", "m-either"),
        ("CC-BY-4.0 AND (MIT OR Apache-2.0)", "either", "m-either"),
        ("GPL-2.0-only", "excepted", "m-excepted m-two m-three"),
        ("GPL-2.0-only WITH Classpath-exception-2.0", "excepted", "m-excepted m-two m-three"),
        ("GPL-2.0-only AND LicenseRef-house", "", "m-two m-three"),
        ("LicenseRef-house AND MIT", "", "m-three"),
        ("NOASSERTION", "silent", "m-silent"),
        ("BSD-3-Clause", "", ""),
        ("my-own-terms", "", ""),
    ],
)
def test_a_licence_is_found_within_what_is_stated(licensed: Engine, asked: str, stating: str, merges: str) -> None:
    assert names(licensed, "skills", licence=asked) == set(stating.split())
    assert names(licensed, "bases", licence=asked) == {f"base-{name}" for name in stating.split()}
    assert names(licensed, "merges", licence=asked) == set(merges.split())


def test_filters_of_lineage_go_together(licensed: Engine) -> None:
    every = {"m-three", "m-two", *(f"m-{name}" for name in LICENCES)}
    assert names(licensed, "merges", licence="Llama-2") == every
    assert names(licensed, "merges", licence="MIT", contains="house") == {"m-three"}
    assert names(licensed, "skills", licence="MIT", base="llama", contains="llama") == {
        "plain",
        "old",
        "both",
        "either",
    }
