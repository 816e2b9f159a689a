"""Model cards: the Hub's library reads all of their metadata, whatever inputs say of themselves."""

import json

import pytest
import yaml
from huggingface_hub import ModelCard

import mergestore
from tests.integration.evidence.conftest import BASE
from tests.integration.models import LLAMA_CONFIG, QUERY, factors, fine_tune, floats, save, save_adapter

HOSTILE = "quo\"te' col: on # {x} [y] <b>é日本😀</b> --- | & * ! % @ ` \\ "
"""A line that YAML and Markdown would trip over."""
CARDS = {
    "tiny": {"license": "apache-2.0", "language": "en", "pipeline_tag": "text-generation"},
    "math": {"license": "mit", "language": ["de", "en"], "datasets": ["lab/sums", "gsm8k"]},
    "code": {"license": "mit", "datasets": "lab/code", "pipeline_tag": "text-generation"},
    "wild": {
        **{"license": "mit", "language": [HOSTILE, "EN", "klingon"], "datasets": [HOSTILE, "a/b/c", "../x", "ok/yes"]},
        **{"pipeline_tag": HOSTILE, "tags": [HOSTILE], "license_link": "javascript:alert(1)"},
    },
    "other": {"license": "other", "license_name": "lab terms", "license_link": "https://lab.example/terms"},
    "head": {"license": "mit", "pipeline_tag": "text-classification"},
}


@pytest.fixture(scope="module")
def models(surroundings, tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    save(folder / "tiny", BASE, LLAMA_CONFIG)
    for number, name in enumerate(("math", "code", "wild", "other", "head")):
        tensors = fine_tune(BASE, number + 1)
        if name == "head":
            tensors["score.weight"] = floats([[0.5] * 16, [0.25] * 16])
        save(folder / name, tensors, LLAMA_CONFIG)
    for name, card in CARDS.items():
        (folder / name / "README.md").write_text("---\n" + json.dumps(card) + "\n---\n", encoding="utf-8")
    save(folder / "plain", BASE, LLAMA_CONFIG, files={"LICENSE": "do what you like"})
    save_adapter(folder / "lora", factors(BASE, [QUERY]))
    return folder


@pytest.fixture
def store(models, tmp_path):
    with mergestore.open(tmp_path / "store", actor="ann@lab") as store:
        store.register_base("tiny", models / "tiny")
        for name in ("math", "code", "wild", "other", "head"):
            store.register_skill(name, models / name, base="tiny", encoding="exact")
        store.register_skill("lora", models / "lora", base="tiny", licence="MIT")
        yield store


def card_of(folder):
    """The card as text, read as YAML and by the Hub's library, which must agree."""
    text = (folder / "README.md").read_text(encoding="utf-8")
    matter = yaml.safe_load(text.split("\n---\n", 1)[0].removeprefix("---\n"))
    read = ModelCard.load(folder / "README.md", ignore_metadata_errors=False)
    told = read.data.to_dict()
    assert {key: value for key, value in matter.items() if key != "model-index"} == {
        key: value for key, value in told.items() if key != "model-index"
    }
    assert read.text.lstrip().startswith("# ")
    return matter, read.data, text


def test_everything_is_taken_over_by_its_rule(store, tmp_path):
    store.merge("both", "tiny + 0.6*math + 0.4*code")
    store.materialize("both", output=tmp_path / "out", wait=False)
    assert card_of(tmp_path / "out")[0] == {
        "library_name": "transformers",
        "pipeline_tag": "text-generation",
        "language": ["de", "en"],
        "datasets": ["gsm8k", "lab/code", "lab/sums"],
        "tags": ["merge", "mergestore", "task_arithmetic"],
        "license": "other",
        "license_name": "Apache-2.0 AND MIT",
    }


def test_what_stands_deeper_in_the_lineage_is_taken_over_too(store, tmp_path):
    store.merge("inner", "tiny + math")
    store.materialize("inner", output=tmp_path / "inner", wait=False)
    store.register_skill("again", tmp_path / "inner", base="tiny", encoding="exact", licence="MIT")
    store.materialize("tiny + 0.5*again", output=tmp_path / "out", wait=False)
    assert card_of(tmp_path / "out")[0]["datasets"] == ["gsm8k", "lab/sums"]


def test_hostile_words_of_inputs_are_left_out_or_read_back_as_they_are(store, tmp_path):
    store.merge("wild-one", "tiny + wild")
    store.add_evaluation(
        "wild-one", metric=HOSTILE.strip(), value=0.5, dataset=HOSTILE.strip(), details={"task": HOSTILE}
    )
    store.materialize("wild-one", output=tmp_path / "out", wait=False)
    matter, data, text = card_of(tmp_path / "out")
    assert (matter["language"], matter["datasets"], matter["pipeline_tag"]) == (["en"], ["ok/yes"], "text-generation")
    assert matter["tags"] == ["merge", "mergestore", "task_arithmetic"]
    assert "javascript" not in text
    (result,) = data.eval_results
    assert (result.metric_type, result.metric_value, result.dataset_name) == (HOSTILE.strip(), 0.5, HOSTILE.strip())
    assert result.task_type == HOSTILE
    assert matter["metrics"] == [HOSTILE.strip()]


def test_a_licence_that_the_hub_has_no_name_for_has_its_name_and_address(store, models, tmp_path):
    store.register_base("terms", models / "plain", licence="LicenseRef-lab-terms")
    store.register_skill("own", models / "other", base="terms", encoding="exact", licence="LicenseRef-lab-terms")
    store.materialize("terms + own", output=tmp_path / "out", wait=False)
    matter, _, _ = card_of(tmp_path / "out")
    assert matter["license"] == "other"
    assert matter["license_name"] == "LicenseRef-lab-terms"
    assert matter["license_link"] == "https://lab.example/terms"
    store.register_skill("silent", models / "math", base="terms", encoding="exact", licence="LicenseRef-lab-terms")
    store.materialize("terms + silent", output=tmp_path / "file", wait=False)
    assert card_of(tmp_path / "file")[0]["license_link"] == "LICENSE"


def test_the_head_says_what_it_is_for(store, tmp_path):
    store.materialize("tiny + 0.5*head + 0.5*math", output=tmp_path / "out", wait=False)
    assert card_of(tmp_path / "out")[0]["pipeline_tag"] == "text-classification"
    store.materialize("tiny + 0.5*head + 0.5*math", head="none", output=tmp_path / "none", wait=False)
    assert "pipeline_tag" not in card_of(tmp_path / "none")[0]


def test_an_adapter_has_the_adapter_s_words(store, tmp_path):
    store.materialize_adapter("tiny + lora", rank=2, output=tmp_path / "out", wait=False)
    matter, _, _ = card_of(tmp_path / "out")
    assert matter["library_name"] == "peft"
    assert matter["tags"][0] == "lora"


def test_models_are_named_as_the_hub_names_them_and_no_other_is(models, tmp_path):
    """What is only called so here is no repository, even if there is one of that name."""
    with mergestore.open(tmp_path / "store") as store:
        store.locate = lambda source: (  # type: ignore[method-assign]
            (models / str(source).rpartition("/")[2], f"{source}@" + "0a" * 20)
        )
        store.register_base("mine", "hf:lab/tiny", licence="MIT")
        store.register_skill("sums", "hf:lab/math", base="mine", encoding="exact")
        del store.locate
        store.register_skill("lab/code", models / "code", base="mine", encoding="exact")
        store.materialize("mine + 0.6*sums + 0.4*lab/code", output=tmp_path / "out", wait=False)
        store.materialize_adapter("mine + lab/code", rank=2, output=tmp_path / "adapter", wait=False)
    matter, data, _ = card_of(tmp_path / "out")
    assert matter["base_model"] == data.base_model == ["lab/tiny", "lab/math"]
    assert matter["base_model_relation"] == "merge"
    matter, _, _ = card_of(tmp_path / "adapter")
    assert (matter["base_model"], matter["base_model_relation"]) == (["lab/tiny"], "adapter")


def test_the_same_inputs_give_the_same_card_and_the_manifest_does_not_depend_on_it(store, tmp_path):
    store.merge("both", "tiny + 0.6*math + 0.4*code")
    for name in ("one", "two"):
        store.materialize("both", output=tmp_path / name, cache=False, wait=False)
    store.add_evaluation("both", metric="accuracy", value=0.75, dataset="lab/sums")
    store.materialize("both", output=tmp_path / "scored", wait=False)
    cards = {name: (tmp_path / name / "README.md").read_bytes() for name in ("one", "two", "scored")}
    assert cards["one"] == cards["two"] != cards["scored"]
    manifests = {(tmp_path / name / "mergestore.json").read_bytes() for name in cards}
    assert len(manifests) == 1
    assert card_of(tmp_path / "scored")[0]["metrics"] == ["accuracy"]
