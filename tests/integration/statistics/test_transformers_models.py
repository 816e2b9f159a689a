"""Statistics of tiny models of transformers, against sums taken one example at a time without any of our code."""

from __future__ import annotations

import copy
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

import mergestore
from mergestore import Conflict, EnvironmentFailure, InputRefused, UsageError
from tests.integration.shell import Shell
from tests.integration.statistics import tiny_transformers as tiny
from tests.integration.statistics.test_own_forward import values
from tests.integration.statistics.tiny_transformers import TEXTS, write_jsonl

ROOT = Path(__file__).parents[3]
VISION = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2} | {
    "image_size": 8,
    "patch_size": 4,
}
PAIR = {"vocab_size": 31, "d_model": 8, "d_kv": 4, "d_ff": 8, "num_layers": 1, "num_heads": 2}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders: llama, with one and two made of it; bert, with a classifier and a masked language model; gpt2."""
    folder = tmp_path_factory.mktemp("models")
    torch.manual_seed(0)
    llama, bert, gpt2 = tiny.llama(), tiny.bert(), tiny.gpt2()
    tiny.save(llama, folder / "llama")
    tiny.save(gpt2, folder / "gpt2")
    for number, name in enumerate(("one", "two")):
        tiny.save(tiny.tuned(copy.deepcopy(llama), number), folder / name)
        tiny.save(tiny.tuned(copy.deepcopy(gpt2), number), folder / f"gpt2-{name}")
    tiny.save(bert, folder / "bert")
    tiny.save(tiny.tuned(copy.deepcopy(bert), 5), folder / "encoder")
    classifier = tiny.bert("BertForSequenceClassification", num_labels=3)
    classifier.bert.load_state_dict(bert.state_dict())
    tiny.save(tiny.tuned(classifier, 3), folder / "classifier")
    masked = tiny.bert("BertForMaskedLM")
    tiny.save(masked, folder / "masked-base")
    tiny.save(tiny.tuned(masked, 4), folder / "masked")
    return folder


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    path = tmp_path / "texts.txt"
    path.write_text("".join(f"{text}\n" for text in TEXTS))
    return path


@pytest.fixture
def fill(store: mergestore.Store, models: Path) -> Callable[..., None]:
    """Registers a base and skills, stored exactly."""

    def fill(base: str, *skills: str, encoding: str = "exact") -> None:
        store.register_base(base, models / base)
        for skill in skills:
            store.register_skill(skill, models / skill, base=base, encoding=encoding)

    return fill


def ids(text: str) -> torch.Tensor:
    found: torch.Tensor = tiny.tokenizer()(text, return_tensors="pt")["input_ids"]
    return found


def open_model(folder: Path, kind: str) -> Any:
    return getattr(transformers, kind).from_pretrained(folder, attn_implementation="eager").eval()


def grams(model: Any, texts: list[str]) -> dict[str, np.ndarray]:
    """The mean of xxᵀ over all tokens of every linear layer's input, by the name of its weight."""
    seen: dict[str, list[np.ndarray]] = {}
    kinds = (torch.nn.Linear, transformers.pytorch_utils.Conv1D)

    def look(name: str) -> Any:
        def hook(module: Any, given: Any, result: Any) -> None:
            rows = given[0].detach().double().numpy()
            seen.setdefault(f"{name}.weight", []).extend(rows.reshape(-1, rows.shape[-1]))

        return hook

    for name, module in model.named_modules():
        if isinstance(module, kinds):
            module.register_forward_hook(look(name))
    with torch.no_grad():
        for text in texts:
            model(input_ids=ids(text))
    return {name: np.mean([np.outer(row, row) for row in rows], axis=0) for name, rows in seen.items()}


def test_gram_matrices_leave_padding_out(
    store: mergestore.Store, fill: Callable[..., None], models: Path, texts: Path
) -> None:
    fill("llama", "one")
    found = store.collect_statistics("one", kind="gram", data=texts, examples=8, batch_size=3)
    expected = grams(open_model(models / "one", "LlamaForCausalLM"), TEXTS)
    tensors = store.show_statistics(found.digest)["tensors"]
    assert set(tensors) == set(expected)
    for name, matrix in expected.items():
        assert values(store, found.digest, name) == pytest.approx(matrix, rel=1e-4, abs=1e-6), name
        assert tensors[name]["rows"] == sum(ids(text).numel() for text in TEXTS)
    layer = "model.layers.0."
    one = {tensors[f"{layer}self_attn.{each}_proj.weight"]["payload"] for each in "qkv"}
    other = {tensors[f"{layer}mlp.{each}_proj.weight"]["payload"] for each in ("gate", "up")}
    assert len(one) == len(other) == 1
    assert len({use["payload"] for use in tensors.values()}) == 9  # two layers of four, and lm_head


def likelihoods(model: Any, texts: list[str]) -> dict[str, np.ndarray]:
    """The mean over texts of the squared gradient of the log-likelihood of each text's own tokens."""
    sums: dict[str, np.ndarray] = {}
    for text in texts:
        tokens = ids(text)
        model.zero_grad()
        chances = model(input_ids=tokens).logits[0, :-1].log_softmax(-1)
        chances[range(tokens.shape[1] - 1), tokens[0, 1:]].sum().backward()
        for name, parameter in model.named_parameters():
            sums[name] = sums.get(name, 0) + parameter.grad.double().numpy() ** 2 / len(texts)
    return sums


def test_fisher_of_a_language_model(
    store: mergestore.Store, fill: Callable[..., None], models: Path, texts: Path
) -> None:
    fill("llama", "one")
    found = store.collect_statistics("one", kind="fisher", data=texts, examples=8, labels="data")
    expected = likelihoods(open_model(models / "one", "LlamaForCausalLM"), TEXTS)
    assert set(store.show_statistics(found.digest)["tensors"]) == set(expected)
    for name, square in expected.items():
        assert values(store, found.digest, name) == pytest.approx(square.reshape(-1), rel=1e-3, abs=1e-9), name
    norm = np.sqrt(np.mean(np.concatenate([square.reshape(-1) for square in expected.values()]) ** 2))
    assert store.show_statistics(found.digest)["norm"] == pytest.approx(norm, rel=1e-4)
    drawn = [
        store.collect_statistics("one", kind="fisher", data=texts, examples=8, **more).digest
        for more in ({}, {"seed": 1})
    ]
    assert len({found.digest, *drawn}) == 3


def test_only_a_completion_is_scored(
    store: mergestore.Store, fill: Callable[..., None], models: Path, tmp_path: Path
) -> None:
    fill("llama", "one")
    data = write_jsonl(tmp_path / "pairs.jsonl", [{"prompt": "a b c", "completion": "d e"}])
    found = store.collect_statistics("one", kind="fisher", data=data, examples=1, labels="data")
    model = open_model(models / "one", "LlamaForCausalLM")
    prompt, completion = ids("a b c")[0], ids("d e")[0, 1:-1]
    tokens = torch.cat([prompt, completion])[None]
    chances = model(input_ids=tokens).logits[0].log_softmax(-1)
    (chances[len(prompt) - 1, completion[0]] + chances[len(prompt), completion[1]]).backward()
    expected = model.lm_head.weight.grad.double().numpy() ** 2
    assert values(store, found.digest, "lm_head.weight") == pytest.approx(expected.reshape(-1), rel=1e-3, abs=1e-9)


def test_ids_texts_and_named_fields_mean_the_same(
    store: mergestore.Store, fill: Callable[..., None], tmp_path: Path
) -> None:
    fill("llama", "one")
    lines = [[{"text": text} for text in TEXTS], [{"body": text, "text": "z"} for text in TEXTS]]
    lines.append([{"input_ids": ids(text)[0].tolist()} for text in TEXTS])
    found = []
    for number, rows in enumerate(lines):
        data = write_jsonl(tmp_path / f"{number}.jsonl", rows)
        field = "body" if number == 1 else None
        collected = store.collect_statistics("one", kind="gram", data=data, examples=8, text_field=field)
        found.append(values(store, collected.digest, "model.layers.1.mlp.up_proj.weight"))
    assert np.array_equal(found[0], found[1])
    assert np.array_equal(found[0], found[2])


def test_a_classifier_s_fisher_goes_through_all_classes(
    store: mergestore.Store, fill: Callable[..., None], models: Path, texts: Path
) -> None:
    """The base is an encoder; the head is the skill's own, and no statistics are kept of it."""
    fill("bert", "classifier")
    found = store.collect_statistics("classifier", kind="fisher", data=texts, examples=8)
    assert found.settings["labels"] == "expected"
    model = open_model(models / "classifier", "BertForSequenceClassification")
    expected: dict[str, Any] = {}
    for text in TEXTS:
        chances = model(input_ids=ids(text)).logits[0].log_softmax(-1)
        for each in range(3):
            model.zero_grad()
            chances[each].backward(retain_graph=True)
            weight = chances[each].exp().item() / len(TEXTS)
            for name, parameter in model.bert.named_parameters():
                expected[name] = expected.get(name, 0) + weight * parameter.grad.double().numpy() ** 2
    tensors = store.show_statistics(found.digest)["tensors"]
    assert set(tensors) == set(expected)
    for name, square in expected.items():
        assert values(store, found.digest, name) == pytest.approx(square.reshape(-1), rel=1e-3, abs=1e-9), name
    gram = store.collect_statistics("classifier", kind="gram", data=texts, examples=8)
    of = values(store, gram.digest, "pooler.dense.weight")  # which sees one token of each text
    assert of == pytest.approx(grams(model, TEXTS)["bert.pooler.dense.weight"], rel=1e-4, abs=1e-6)
    assert store.show_statistics(gram.digest)["tensors"]["pooler.dense.weight"]["rows"] == 8


def test_an_encoder_alone_has_no_likelihood(store: mergestore.Store, fill: Callable[..., None], texts: Path) -> None:
    fill("bert", "encoder")
    with pytest.raises(InputRefused, match="BertModel gives no probabilities") as caught:
        store.collect_statistics("encoder", kind="fisher", data=texts, examples=8)
    assert "ForSequenceClassification" in (caught.value.hint or "")
    assert store.collect_statistics("encoder", kind="gram", data=texts, examples=8).tensors == 13


def test_a_masked_language_model_is_asked_for_what_is_masked(
    store: mergestore.Store, fill: Callable[..., None], texts: Path
) -> None:
    fill("masked-base", "masked")
    found = [
        store.collect_statistics("masked", kind="fisher", data=texts, examples=8, labels=labels, seed=seed)
        for labels, seed in (("data", 0), ("data", 1), ("sampled", 0))
    ]
    assert len({each.digest for each in found}) == 3
    with pytest.raises(UsageError, match="one label an example"):
        store.collect_statistics("masked", kind="fisher", data=texts, examples=8, labels="expected")


def test_regmean_of_a_model_whose_weights_are_transposed(
    store: mergestore.Store, fill: Callable[..., None], models: Path, tmp_path: Path
) -> None:
    """GPT-2's Conv1D holds (inputs, outputs). Its embedding is its output layer too, and is averaged."""
    fill("gpt2", "gpt2-one", "gpt2-two")
    halves = {"gpt2-one": TEXTS[:4], "gpt2-two": TEXTS[4:]}
    expected = {}
    for name, own in halves.items():
        data = tmp_path / f"{name}.txt"
        data.write_text("\n".join(own))
        found = store.collect_statistics(name, kind="gram", data=data, examples=4)
        expected[name] = grams(open_model(models / name, "GPT2LMHeadModel"), own)
        tensors = store.show_statistics(found.digest)["tensors"]
        assert len(tensors) == 4
        assert all(of["transposed"] for of in tensors.values())
    merged = store.load("gpt2 + 0.5*gpt2-one + 0.5*gpt2-two", method="regmean", parameters={"alpha": 0.9})
    weights = {name: dict(open_model(models / name, "GPT2LMHeadModel").named_parameters()) for name in halves}
    for name, result in merged.items():
        own = [weights[skill][name].detach().double().numpy() for skill in halves]
        mean = (own[0] + own[1]) / 2
        if name in expected["gpt2-one"] and "wte" not in name:
            shrunk = [0.9 * gram[name] + 0.1 * np.diag(np.diag(gram[name])) for gram in expected.values()]
            mean = np.linalg.solve(shrunk[0] + shrunk[1], shrunk[0] @ own[0] + shrunk[1] @ own[1])
        assert result.double().numpy() == pytest.approx(mean, rel=1e-4, abs=1e-4), name


def test_passes_and_threads_change_nothing(store: mergestore.Store, fill: Callable[..., None], texts: Path) -> None:
    fill("llama", "one")
    for kind in ("gram", "fisher"):
        whole = store.collect_statistics("one", kind=kind, data=texts, examples=8)  # type: ignore[arg-type]
        blob = store.home.blobs.path(store.show_statistics(whole.digest)["blob_digest"])
        before = blob.read_bytes()
        blob.unlink()  # so that it is collected again
        parts = store.collect_statistics("one", kind=kind, data=texts, examples=8, memory=2000)  # type: ignore[arg-type]
        assert parts.digest == whole.digest
        assert blob.read_bytes() == before
    assert not store.home.collecting.exists()


KILLED = """
import os, signal, sys
import mergestore
import torch
torch.set_num_threads(1)  # as in the tests

class Killing:
    left = int(sys.argv[4])
    def start(self, label, total): self.counts = label.startswith("collect")
    def finish(self): pass
    def advance(self, amount):
        self.left -= self.counts
        if self.counts and not self.left:
            os.kill(os.getpid(), signal.SIGKILL)

with mergestore.open(sys.argv[1], tracking_uri="http://127.0.0.1:9") as store:
    store.collect_statistics("one", kind=sys.argv[2], data=sys.argv[3], examples=8, save_every=1, progress=Killing(),
                             memory=int(sys.argv[5]), **({"batch_size": 1} if sys.argv[2] == "gram" else {}))
"""


@pytest.mark.parametrize(
    ("kind", "memory", "after"), [pytest.param("gram", 2500, 11, marks=pytest.mark.slow), ("fisher", 8_000_000_000, 5)]
)
def test_a_killed_collection_goes_on_and_gives_the_same_bytes(
    store: mergestore.Store, fill: Callable[..., None], texts: Path, kind: Any, memory: int, after: int
) -> None:
    fill("llama", "one")
    command = [sys.executable, "-c", KILLED, store.home.root, kind, texts, after, memory]
    killed = subprocess.run([*map(str, command)], cwd=ROOT, capture_output=True, text=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert store.statistics() == []
    assert store.verify().ok
    assert list(store.home.collecting.glob("*/pass-*.safetensors"))
    asked: dict[str, Any] = {"kind": kind, "data": texts, "examples": 8, "save_every": 1, "memory": memory}
    asked |= {"batch_size": 1} if kind == "gram" else {}
    seen = Counting()
    resumed = store.collect_statistics("one", **asked, progress=seen)
    assert not store.home.collecting.exists()
    assert list((store.home.root / "tmp").iterdir()) == []
    blob = store.home.blobs.path(store.show_statistics(resumed.digest)["blob_digest"])
    bytes_ = blob.read_bytes()
    blob.unlink()
    whole = store.collect_statistics("one", **asked)
    assert (whole.digest, blob.read_bytes()) == (resumed.digest, bytes_)
    assert resumed.notes == []


class Interrupting:
    """Ctrl-C after three examples."""

    def start(self, label: str, total: int) -> None:
        self.left = 3 if label.startswith("collect") else 1 << 60

    def advance(self, amount: int) -> None:
        self.left -= 1
        if not self.left:
            raise KeyboardInterrupt

    def finish(self) -> None:
        pass


class Counting:
    def start(self, label: str, total: int) -> None:
        self.total, self.done = total, 0

    def advance(self, amount: int) -> None:
        self.done += amount

    def finish(self) -> None:
        assert self.done == self.total


def test_damaged_sums_are_computed_again(store: mergestore.Store, fill: Callable[..., None], texts: Path) -> None:
    fill("llama", "one")
    asked: dict[str, Any] = {"kind": "gram", "data": texts, "examples": 8, "save_every": 1, "batch_size": 1}
    with pytest.raises(KeyboardInterrupt):
        store.collect_statistics("one", **asked, progress=Interrupting())
    (saved,) = store.home.collecting.glob("*/pass-*.safetensors")
    content = bytearray(saved.read_bytes())
    content[-5] ^= 64
    saved.write_bytes(content)
    found = store.collect_statistics("one", **asked)
    assert any("was computed again" in note for note in found.notes)
    assert store.verify().ok


def test_the_checkpoint_must_be_what_the_skill_was_made_from(
    store: mergestore.Store, fill: Callable[..., None], models: Path, texts: Path
) -> None:
    fill("llama", "one")
    rebuilt = store.collect_statistics("one", kind="gram", data=texts, examples=8)
    given = store.collect_statistics("one", kind="gram", data=texts, examples=8, checkpoint=models / "one")
    assert (given.digest, given.created) == (rebuilt.digest, False)  # `exact` rebuilds it to the bit
    with pytest.raises(Conflict, match=r"two is not what one@1 was made from: 21 tensors differ"):
        store.collect_statistics("one", kind="gram", data=texts, examples=8, checkpoint=models / "two")


def test_a_skill_that_dropped_values_is_run_as_it_is_rebuilt_or_from_its_checkpoint(
    store: mergestore.Store, fill: Callable[..., None], models: Path, texts: Path
) -> None:
    fill("llama", "one", encoding="dare")
    rebuilt = store.collect_statistics("one", kind="gram", data=texts, examples=8)
    assert any("stored as dare" in note and "--checkpoint" in note for note in rebuilt.notes)
    given = store.collect_statistics("one", kind="gram", data=texts, examples=8, checkpoint=models / "one")
    assert given.notes == []
    assert given.model_digest != rebuilt.model_digest


@pytest.mark.filterwarnings("ignore::FutureWarning")  # peft asks transformers for what it will not have any more
def test_an_adapter_is_rebuilt(
    store: mergestore.Store, fill: Callable[..., None], models: Path, texts: Path, tmp_path: Path
) -> None:
    import peft

    fill("llama", "one")
    settings = peft.LoraConfig(r=2, target_modules=["q_proj", "down_proj"], init_lora_weights=False)
    model = peft.get_peft_model(open_model(models / "llama", "LlamaForCausalLM"), settings)
    model.save_pretrained(tmp_path / "adapter")
    store.register_skill("adapter", tmp_path / "adapter", base="llama")
    for name in ("one", "adapter"):
        store.collect_statistics(name, kind="gram", data=texts, examples=8)
    digest = store.statistics("adapter")[0]["digest"]
    expected = grams(model.merge_and_unload(), TEXTS)
    name = "model.layers.1.mlp.down_proj.weight"
    assert values(store, digest, name) == pytest.approx(expected[name], rel=1e-3, abs=1e-5)
    merged = store.load("llama + 0.5*one + 0.5*adapter", method="regmean")
    assert all(tensor.isfinite().all() for tensor in merged.values())
    with pytest.raises(UsageError, match="is an adapter"):
        store.collect_statistics("adapter", kind="gram", data=texts, examples=8, checkpoint=tmp_path / "adapter")


def test_what_transformers_does_not_know_is_refused(
    store: mergestore.Store, models: Path, texts: Path, tmp_path: Path
) -> None:
    for name, config in (("odd", '{"architectures": ["OddModel"]}'), ("bare", None)):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "model.safetensors").write_bytes((models / "llama" / "model.safetensors").read_bytes())
        if config:
            (folder / "config.json").write_text(config)
        store.register_base(name, folder)
        store.register_skill(f"{name}-skill", models / "one", base=name, encoding="exact")
        with pytest.raises(InputRefused, match=r"OddModel is not a model|no config\.json"):
            store.collect_statistics(f"{name}-skill", kind="gram", data=texts, examples=1)
    assert list((store.home.root / "tmp").iterdir()) == []


@pytest.mark.parametrize(
    ("kind", "config", "words"),
    [
        ("ViTModel", transformers.ViTConfig(**VISION), "ViTModel does not read text"),
        ("T5ForConditionalGeneration", transformers.T5Config(**PAIR), "an encoder and a decoder"),
    ],
)
def test_models_that_do_not_just_read_text_are_refused(
    store: mergestore.Store, texts: Path, tmp_path: Path, kind: str, config: Any, words: str
) -> None:
    model = getattr(transformers, kind)(config)
    tiny.save(model, tmp_path / "base")
    tiny.save(tiny.tuned(model, 1), tmp_path / "tuned")
    store.register_base("base", tmp_path / "base")
    store.register_skill("skill", tmp_path / "tuned", base="base", encoding="exact")
    with pytest.raises(InputRefused, match=words) as caught:
        store.collect_statistics("skill", kind="gram", data=texts, examples=1)
    assert "forward" in (caught.value.hint or "")


def test_weights_that_transformers_arranges_otherwise_are_told(
    store: mergestore.Store, texts: Path, tmp_path: Path
) -> None:
    """Mixtral's experts are single tensors on disk and one in memory."""
    small = {name: value for name, value in tiny.SMALL.items() if "hidden_d" not in name and "positions" not in name}
    config = transformers.MixtralConfig(**small, num_key_value_heads=1, num_local_experts=2)
    tiny.save(transformers.MixtralForCausalLM(config), tmp_path / "base")
    tiny.save(transformers.MixtralForCausalLM(config), tmp_path / "tuned")
    store.register_base("base", tmp_path / "base")
    store.register_skill("skill", tmp_path / "tuned", base="base", encoding="exact")
    found = store.collect_statistics("skill", kind="gram", data=texts, examples=8)
    (note,) = found.notes
    assert "no weights by the names of" in note
    assert "experts" in note


def test_one_process_at_a_time(store: mergestore.Store, fill: Callable[..., None], texts: Path) -> None:
    fill("llama", "one")
    asked: dict[str, Any] = {"kind": "fisher", "data": texts, "examples": 8}

    class Twice:
        """Collects the same in the middle of it."""

        met = 0

        def start(self, label: str, total: int) -> None:
            self.inside = label.startswith("collect")

        def advance(self, amount: int) -> None:
            if self.inside and not self.met:
                self.met += 1
                with pytest.raises(Conflict, match="another process is collecting the same fisher of one@1"):
                    store.collect_statistics("one", **asked)

        def finish(self) -> None:
            pass

    watching = Twice()
    assert store.collect_statistics("one", **asked, progress=watching).created
    assert watching.met == 1
    assert not store.home.collecting.exists()


def test_a_device_that_is_not_there(store: mergestore.Store, fill: Callable[..., None], texts: Path) -> None:
    fill("llama", "one")
    for device in ("cuda:99", "abacus"):
        with pytest.raises(EnvironmentFailure, match=device):
            store.collect_statistics("one", kind="gram", data=texts, examples=1, device=device)


def test_without_the_libraries_it_says_what_to_install(
    store: mergestore.Store, fill: Callable[..., None], texts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill("llama", "one")
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(EnvironmentFailure, match="transformers") as caught:
        store.collect_statistics("one", kind="gram", data=texts, examples=1)
    assert caught.value.hint == "install them with: pip install 'mergestore[stats]'"


def test_the_command_line_from_data_to_a_merged_model(
    surroundings: None, models: Path, texts: Path, tmp_path: Path
) -> None:
    shell = Shell(tmp_path / "home")
    shell.text("init")
    shell.text("register", "base", "llama", models / "llama")
    for name in ("one", "two"):
        shell.text("register", "skill", name, models / name, "--base", "llama", "--encoding", "exact")
    expression = "llama + 0.5*one + 0.5*two"
    refused = shell.refused(3, "merge", "mix", expression, "--method", "regmean")
    assert "one@1" in refused["message"]
    assert shell.text("stats", "list").startswith("no statistics yet")
    for name in ("one", "two"):
        for kind in ("gram", "fisher"):
            found = shell.json("stats", "collect", name, "--kind", kind, "--data", texts, "--examples", 5)
            assert found["created"]
            assert shell.text("stats", "collect", name, "--kind", kind, "--data", texts, "--examples", 5).startswith(
                f"collected before: {kind} of {name}@1"
            )
            assert found["digest"] in shell.text("stats", "show", found["digest"][:20])
    assert len(shell.json("stats", "list")["statistics"]) == 4
    assert {each["kind"] for each in shell.json("stats", "list", "two")["statistics"]} == {"gram", "fisher"}
    assert "gram of 5 examples" in shell.text("audit", "one")
    for method in ("regmean", "fisher"):
        merge = shell.json("merge", method, expression, "--method", method)
        assert set(merge["recipe"]["statistics"]) == {term["skill"] for term in merge["recipe"]["terms"]}
        used = merge["recipe"]["statistics"][shell.json("show", "one")["digest"]]
        kept, other = ("gram", "fisher") if method == "regmean" else ("fisher", "gram")
        line = next(line for line in shell.text("audit", method).splitlines() if "skill one@1" in line)
        assert f"{kept} of 5 examples, {used[:19]}" in line
        assert f"{other} of" not in line
        folder = tmp_path / method
        shell.text("materialize", method, "-o", folder, "--no-wait")
        merged = open_model(folder, "LlamaForCausalLM")
        assert merged(input_ids=ids("a b c")).logits.isfinite().all()
    assert "checked" in shell.text("verify")
    for code, words in (
        (5, ("--data", tmp_path / "absent.txt")),
        (2, ("--data", models / "llama" / "config.json")),
        (2, ("--data", texts, "--max-length", 33)),
        (4, ("--data", texts, "--checkpoint", models / "two")),
    ):
        shell.refused(code, "stats", "collect", "one", "--kind", "gram", "--examples", 1, *words)
