"""Bills of materials: valid by CycloneDX's own schema, complete, and the same for the same state."""

import json
import shutil
import uuid

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

import mergestore
from tests.integration.evidence.conftest import BASE
from tests.integration.models import LLAMA_CONFIG, QUERY, factors, fine_tune, save, save_adapter
from tests.integration.shell import Shell

VALIDATOR = JsonStrictValidator(SchemaVersion.V1_6)
HOSTILE = "quotes \"' colons: #comment\nnewline\t\x00 \x85\u2028 <b>é日本😀</b> ${x}"


def valid(bill):
    """The document as any reader has it, which the schema must take."""
    text = json.dumps(bill)
    assert VALIDATOR.validate_str(text) is None
    return json.loads(text)


@pytest.fixture(scope="module")
def world(surroundings, tmp_path_factory):
    """(store, folder): merges of merges, an adapter, EMR, a stack of hostile texts, scores, recalls."""
    folder = tmp_path_factory.mktemp("bom")
    card = {
        "license": "llama3.1",
        "datasets": ["lab/sums", HOSTILE],
        "tags": [HOSTILE],
        "pipeline_tag": "text-generation",
    }
    save(folder / "tiny", BASE, LLAMA_CONFIG)
    for number, name in enumerate(("math", "code", "chat")):
        save(folder / name, fine_tune(BASE, number + 1), LLAMA_CONFIG)
    (folder / "math" / "README.md").write_text("---\n" + json.dumps(card) + "\n---\n")
    (folder / "math" / "trainer_state.json").write_text(json.dumps({"trial_name": "\ud800" + HOSTILE, "epoch": 1.5}))
    save_adapter(folder / "lora", factors(BASE, [QUERY]))
    with mergestore.open(folder / "store", actor="ann@lab") as store:
        locate = store.locate
        store.locate = lambda source: (  # type: ignore[method-assign]
            (folder / "tiny", "hf:lab/tiny@" + "0a" * 20) if str(source) == "hf:lab/tiny" else locate(source)
        )
        store.register_base("lab/tiny", "hf:lab/tiny", licence="Apache-2.0")
        store.register_skill("math", folder / "math", base="lab/tiny", meta={"dataset": "gsm8k", "commit": "0a1b"})
        store.register_skill("code", folder / "code", base="lab/tiny", encoding="exact", licence="MIT OR GPL-2.0-only")
        store.register_skill("chat", folder / "chat", base="lab/tiny", encoding="exact")
        store.register_skill("lora", folder / "lora", base="lab/tiny", licence="MIT")
        store.merge("inner", "lab/tiny + 0.6*math + 0.4*code", method="ties")
        store.materialize("inner", output=folder / "inner", wait=False)
        store.register_skill("both", folder / "inner", base="lab/tiny", encoding="exact", licence="MIT")
        store.merge("outer", "lab/tiny + 0.5*both + 0.25*chat - 0.1*lora")
        store.materialize("outer", output=folder / "outer", shard_size=6000, wait=False)
        store.merge("idle", "lab/tiny + 0.5*code")
        store.merge("tasks", "lab/tiny + code + chat", method="emr")
        store.materialize("tasks", task="code", output=folder / "task", wait=False)
        store.materialize_adapter("lab/tiny + lora", rank=2, output=folder / "adapter", wait=False)
        store.materialize("lab/tiny + {self_attn: 0.3, *: 0.5}*code", output=folder / "unnamed", wait=False)
        store.add_evaluation("outer", metric="accuracy", value=0.5, dataset="lab/sums", details={"task": "qa"})
        store.yank("chat@1", "".join(each for each in HOSTILE if each.isprintable()))
        yield store, folder


NAMES = ["lab/tiny", "math", "code", "chat@1", "lora", "both", "inner", "outer", "idle", "tasks"]
FOLDERS = ["inner", "outer", "task", "adapter", "unnamed"]


@pytest.mark.parametrize("name", NAMES)
def test_every_version_has_a_valid_bill_that_is_its_lineage(world, name):
    store, _ = world
    bill = valid(store.bom(name))
    found = store.audit(name)
    refs = {each["bom-ref"] for each in bill["components"]} | {bill["metadata"]["component"]["bom-ref"]}
    assert refs == {node["id"] for node in found.lineage["nodes"]}
    edges = {(each["ref"], parent) for each in bill["dependencies"] for parent in each["dependsOn"]}
    assert edges == {(edge["child"], edge["parent"]) for edge in found.lineage["edges"]}
    for each in bill["components"]:
        own = {property_["name"]: property_["value"] for property_ in each["properties"]}
        assert own["mergestore:digest"] == store.show(each["bom-ref"])["digest"]
        assert len(own) == len(each["properties"])
    assert bill == valid(store.bom(name))
    assert uuid.UUID(bill["serialNumber"].removeprefix("urn:uuid:")).version == 5
    for here in ("ann@lab", str(world[1])):
        assert here not in json.dumps(bill)


@pytest.mark.parametrize("name", FOLDERS)
def test_a_folder_has_a_valid_bill_where_a_store_knows_it_and_where_none_is(world, tmp_path, name):
    store, folder = world
    known = valid(store.bom(folder / name))
    alone = valid(Shell(tmp_path / "nowhere").json("audit", folder / name, "--bom"))
    for bill in (known, alone):
        root = bill["metadata"]["component"]
        manifest = json.loads((folder / name / "mergestore.json").read_text())
        assert root["hashes"] == [{"alg": "BLAKE3", "content": manifest["output_digest"].removeprefix("blake3:")}]
        files = {each["name"]: each["hashes"][0] for each in root["components"]}
        assert files == {
            name: {"alg": "SHA-256", "content": file["sha256"].removeprefix("sha256:")}
            for name, file in manifest["files"].items()
        }
        assert {each["bom-ref"] for each in bill["components"]} == {each["bom-ref"] for each in known["components"]}
    assert "timestamp" not in alone["metadata"]
    told = {each["bom-ref"]: own_properties(each) for each in alone["components"]}
    for each in known["components"]:
        recorded, own = own_properties(each), told[each["bom-ref"]]
        since = {"mergestore:reason"}  # chat was withdrawn after the folders were published
        places = {"mergestore:stored_bytes", "mergestore:training:trainer:trial_name"}
        assert recorded.keys() - own.keys() <= places | since
        assert {name: recorded[name] for name in own} | {"mergestore:state": "ready"} == own
    tiny = next(each for each in alone["components"] if each["name"] == "lab/tiny")
    assert tiny["purl"] == "pkg:huggingface/lab/tiny@" + "0a" * 20


def own_properties(component):
    """The properties of a component by name."""
    return {pair["name"]: pair["value"] for pair in component["properties"]}


def test_what_is_known_of_the_whole_stands_in_its_component(world):
    store, _ = world
    bill = valid(store.bom("outer"))
    root = bill["metadata"]["component"]
    card = root["modelCard"]
    assert card["modelParameters"]["modelArchitecture"] == "LlamaForCausalLM"
    assert card["modelParameters"]["task"] == "text-generation"
    assert {each["name"] for each in card["modelParameters"]["datasets"]} == {"lab/sums", "gsm8k"}
    assert card["quantitativeAnalysis"]["performanceMetrics"] == [
        {"type": "accuracy", "value": "0.5", "slice": "lab/sums"}
    ]
    assert card["considerations"]["technicalLimitations"][0].startswith("chat@1 is yanked: quotes")
    assert {each["name"] for each in root["pedigree"]["ancestors"]} == {"both", "chat", "lab/tiny", "lora"}
    assert "licenses" not in root  # chat states none
    own = {each["name"]: each["value"] for each in root["properties"]}
    assert own["mergestore:licence_not_stated"] == "chat@1"
    assert own["mergestore:expression"] == "lab/tiny + 0.5*both + 0.25*chat - 0.1*lora"
    parts = {each["bom-ref"]: each for each in bill["components"]}
    assert parts["code@1"]["licenses"][0]["expression"] == "GPL-2.0-only OR MIT"
    assert parts["math@1"]["licenses"][0]["expression"] == "LicenseRef-llama3.1"
    weights = {each["name"]: each["value"] for each in parts["lora@1"]["properties"]}
    assert weights["mergestore:weight"] == "-0.1"
    assert "mergestore:method" not in {each["name"] for each in parts["math@1"]["properties"]}
    merged = {each["name"]: each["value"] for each in parts["inner@1"]["properties"]}
    assert merged["mergestore:method"] == "ties"
    assert json.loads(merged["mergestore:recipe"]) == store.show("inner")["recipe"]
    assert json.loads(merged["mergestore:parameters"]) == store.show("inner")["recipe"]["parameters"]
    of_math = {each["name"]: each["value"] for each in parts["math@1"]["properties"]}
    assert of_math["mergestore:weight:inner@1"] == "0.6"
    inner = valid(store.bom("inner"))["metadata"]["component"]
    assert inner["licenses"][0]["expression"] == "Apache-2.0 AND (GPL-2.0-only OR MIT) AND LicenseRef-llama3.1"


def test_another_state_has_another_serial_number(world):
    store, _ = world
    before = store.bom("idle")
    store.add_evaluation("idle", metric="accuracy", value=0.25, dataset="lab/sums")
    after = valid(store.bom("idle"))
    assert before["serialNumber"] != after["serialNumber"]


def test_the_face_stands_alone(world):
    shell = Shell(world[1] / "store")
    assert valid(json.loads(shell.text("audit", "outer", "--bom"))) == valid(world[0].bom("outer"))
    for other in ("--tree", "--dot", "--mermaid", "--rebuild"):
        shell.refused(2, "audit", "outer", "--bom", other)
    shell.refused(2, "audit", "outer", "--bom", "--tensor", "*")
    shell.refused(3, "audit", "nobody", "--bom")


def test_no_bill_is_made_of_a_manifest_that_was_changed(world, tmp_path):
    shutil.copytree(world[1] / "outer", tmp_path / "copy")
    document = json.loads((tmp_path / "copy" / "mergestore.json").read_text())
    document["skills"][0]["licence"] = "MIT"
    (tmp_path / "copy" / "mergestore.json").write_text(json.dumps(document))
    Shell(world[1] / "store").refused(6, "audit", tmp_path / "copy", "--bom")
    assert Shell(tmp_path / "nowhere").json("audit", tmp_path / "copy", "--bom", code=6)["error"]["kind"] == "integrity"


def test_a_config_that_cannot_be_read_is_left_out(world, tmp_path):
    shutil.copytree(world[1] / "outer", tmp_path / "copy")
    for content in (b"[]", b"{", b"\xff", b'{"architectures": [1], "model_type": {"a": 1}}', b'{"architectures": []}'):
        (tmp_path / "copy" / "config.json").write_bytes(content)
        card = valid(world[0].bom(tmp_path / "copy"))["metadata"]["component"]["modelCard"]
        assert not {"architectureFamily", "modelArchitecture"} & card["modelParameters"].keys()
