"""Sound archives of bad content, all digests as they must be: refused by name, and nothing of them is left anywhere."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mergestore import IntegrityFailure, Store
from tests.integration.bundles.forged import Forged, canonical, sha256
from tests.integration.bundles.refusals import BASE, refused
from tests.integration.models import file_bytes, floats, save


def attack(name: str) -> Callable[[Callable[[Forged], None]], Callable[[Forged], None]]:
    def keep(function: Callable[[Forged], None]) -> Callable[[Forged], None]:
        ATTACKS.append((name, function))
        return function

    return keep


ATTACKS: list[tuple[str, Callable[[Forged], None]]] = []


def blob(forged: Forged, name: str, path: str) -> str:
    return str(next(file["blob"] for file in forged.entry(name)["files"] if file["path"] == path))


def model(**tensors: Any) -> bytes:
    header, data = {}, b""
    for name, tensor in tensors.items():
        header[name] = {
            "dtype": tensor.dtype,
            "shape": tensor.shape,
            "data_offsets": [len(data), len(data) + len(tensor.data)],
        }
        data += tensor.data
    return file_bytes(header, data)


@attack("its tensors: found")
def _another_weight(forged: Forged) -> None:
    forged.replace(blob(forged, "base", "model.safetensors"), model(w=BASE["w"], v=floats([1, 3])))


@attack("is nan|not finite")
def _not_finite(forged: Forged) -> None:
    forged.replace(blob(forged, "base", "model.safetensors"), model(w=BASE["w"], v=floats([1, np.nan])))


@attack("its tensors: found")
def _one_tensor_less(forged: Forged) -> None:
    forged.replace(blob(forged, "base", "model.safetensors"), model(w=BASE["w"]))


@attack("too short|safetensors")
def _no_weights(forged: Forged) -> None:
    forged.replace(blob(forged, "base", "model.safetensors"), b"{}")


@attack("two of its files")
def _weights_twice(forged: Forged) -> None:
    file = next(file for file in forged.entry("base")["files"] if file["kind"] == "weights")
    forged.entry("base")["files"].append({**file, "path": "more.safetensors"})


@attack("beside its weights")
def _another_config(forged: Forged) -> None:
    forged.replace(blob(forged, "base", "config.json"), b'{"model_type": "evil"}')


@attack("beside its weights")
def _a_file_more(forged: Forged) -> None:
    file = next(file for file in forged.entry("base")["files"] if file["path"] == "config.json")
    forged.entry("base")["files"].append({**file, "path": "tokenizer.json"})


@attack("no model is kept with")
def _a_strange_file(forged: Forged) -> None:
    file = next(file for file in forged.entry("base")["files"] if file["path"] == "config.json")
    file["path"] = "adapter_model.safetensors.index.json"


@pytest.mark.parametrize(
    "path", ["../config.json", "/config.json", "a/../../config.json", "", ".", "a//b", "a\\b", "mergestore.json"]
)
def test_paths_that_lead_elsewhere(path: str, forged: Forged, store: Store, tmp_path: Path) -> None:
    for entry in forged.manifest["versions"]:
        for file in entry["files"]:
            again = copy.deepcopy(forged)
            (same,) = (f for f in again.entry(entry["name"])["files"] if f["path"] == file["path"])
            same["path"] = path
            refused(store, again.write(tmp_path / "bad"), IntegrityFailure)


@attack("its delta: found")
def _anothers_delta(forged: Forged) -> None:
    one, two = (blob(forged, name, "delta.safetensors") for name in ("one", "two"))
    for name, other in (("one", two), ("two", one)):
        next(file for file in forged.entry(name)["files"] if file["kind"] == "delta")["blob"] = other


@attack("not a sound delta|delta file|no 'mergestore.delta'")
def _no_delta(forged: Forged) -> None:
    forged.replace(blob(forged, "one", "delta.safetensors"), model(w=BASE["w"]))


@attack("damaged frame")
def _a_damaged_frame(forged: Forged) -> None:
    old = blob(forged, "one", "delta.safetensors")
    data = bytearray(forged.blobs[old])
    data[-3] ^= 1
    forged.replace(old, bytes(data))


@attack("statistics")
def _statistics_of_text(forged: Forged) -> None:
    old = blob(forged, "one", "delta.safetensors")
    data = forged.blobs[old]
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    measured = json.loads(header["__metadata__"]["mergestore.statistics"])
    measured["total"]["norm"] = "large"
    header["__metadata__"]["mergestore.statistics"] = json.dumps(measured)
    forged.replace(old, file_bytes(header, data[8 + size :]))


@attack("damaged frame")
def _a_damaged_vector(forged: Forged) -> None:
    old = blob(forged, "both", "unified.safetensors")
    data = bytearray(forged.blobs[old])
    data[-3] ^= 1
    forged.replace(old, bytes(data))


@attack("has not the recipe of its digest")
def _another_weight_in_the_recipe(forged: Forged) -> None:
    forged.entry("sum")["recipe"]["terms"][0]["weight"] = 0.75


@attack("was not made from the inputs of its recipe")
def _another_recipe(forged: Forged) -> None:
    recipe = forged.entry("sum")["recipe"]
    recipe["terms"] = recipe["terms"][:1]
    forged.entry("sum")["digest"] = sha256(canonical(recipe))


@attack("damaged recipe")
def _no_recipe(forged: Forged) -> None:
    recipe = forged.entry("sum")["recipe"]
    recipe["terms"] = 7
    forged.entry("sum")["digest"] = sha256(canonical(recipe))


@attack("method that is not installed here")
def _an_unknown_method(forged: Forged) -> None:
    recipe = forged.entry("sum")["recipe"]
    recipe["method"] = "sorcery"
    forged.entry("sum")["digest"] = sha256(canonical(recipe))


@attack("stands before what it was made from")
def _a_cycle(forged: Forged) -> None:
    forged.entry("base")["parents"] = [{"reference": "sum@1", "role": "merge"}]


@attack("stands before what it was made from")
def _its_own_parent(forged: Forged) -> None:
    forged.entry("one")["parents"].append({"reference": "one@1", "role": "skill"})


@attack("stands before what it was made from")
def _children_first(forged: Forged) -> None:
    forged.manifest["versions"].reverse()


@attack("as its skill, which is a base")
def _a_base_as_a_skill(forged: Forged) -> None:
    forged.entry("one")["parents"].append({"reference": "base@1", "role": "skill"})


@attack("is there twice|later version")
def _a_version_twice(forged: Forged) -> None:
    forged.manifest["versions"].append(copy.deepcopy(forged.entry("sum")))


@attack("what is needed is not")
def _needs_what_nobody_needs(forged: Forged) -> None:
    need = {"reference": "other@1", "kind": "base", "digest": forged.entry("base")["digest"], "files": None}
    forged.manifest["needs"] = [need]


@attack("its blobs are not those")
def _a_blob_for_nothing(forged: Forged) -> None:
    forged.blobs["blake3:" + "0" * 64] = b""
    forged.manifest["blobs"]["blake3:" + "0" * 64] = {"size": 0, "sha256": sha256(b"")}


@attack("hashes to")
def _a_blob_of_another_name(forged: Forged) -> None:
    old = blob(forged, "one", "delta.safetensors")
    forged.blobs[old] = forged.blobs[old] + b" "
    forged.manifest["blobs"][old] = {"size": len(forged.blobs[old]), "sha256": sha256(forged.blobs[old])}


@attack("invalid name")
def _a_name_that_is_none(forged: Forged) -> None:
    forged.entry("sum")["name"] = "../sum"


@attack("of one store only")
def _says_from_where_it_was_imported(forged: Forged) -> None:
    forged.entry("sum")["attributes"]["imported"] = {"bundle": "sha256:" + "0" * 64}


@attack("hf:")
def _a_path_as_its_source(forged: Forged) -> None:
    forged.entry("base")["source"] = "/etc"


@attack("did not come out of it")
def _a_statement_about_something_else(forged: Forged) -> None:
    statement = {"predicate_type": "x", "subject_digest": forged.entry("base")["digest"], "document": "{}"}
    forged.entry("sum")["attestations"] = [statement]


@pytest.mark.parametrize("details", [{"task": ["x"]}, {"task": {}}, {"task": 7}, {"@measured": "x"}, {"": "x"}])
def test_details_of_a_score_are_texts(details: Any, forged: Forged, store: Store, tmp_path: Path) -> None:
    score = {"metric": "accuracy", "value": 0.5, "dataset": "sums", "details": details}
    forged.entry("one")["evaluations"] = [{**score, "made": forged.entry("one")["made"]}]
    assert "details must be" in refused(store, forged.write(tmp_path / "bad")).message


def test_the_bytes_of_a_head_are_compared(store: Store, tmp_path: Path, opened: Callable[..., Store]) -> None:
    """They are stored as they are, in no frame that has a checksum."""
    head, source = floats([[3, 5], [7, 9]]), opened(tmp_path / "source")
    source.register_base("base", save(tmp_path / "base", BASE))
    source.register_skill("one", save(tmp_path / "one", {**BASE, "score": head}), base="base")
    source.export("one", tmp_path / "one.bundle", lineage=True)
    forged = Forged.read(tmp_path / "one.bundle")
    old = blob(forged, "one", "delta.safetensors")
    data = bytearray(forged.blobs[old])
    data[data.index(head.data)] ^= 1
    forged.replace(old, bytes(data))
    assert "head tensor 'score' hashes to" in refused(store, forged.write(tmp_path / "bad")).message


@pytest.mark.parametrize("function", ATTACKS, ids=lambda pair: pair[1].__name__)
def test_sound_archives_of_bad_content(
    function: tuple[str, Callable[[Forged], None]], forged: Forged, store: Store, tmp_path: Path
) -> None:
    expected, change = function
    change(forged)
    error = refused(store, forged.write(tmp_path / "bad"))
    assert re.search(expected, error.message), error.message
