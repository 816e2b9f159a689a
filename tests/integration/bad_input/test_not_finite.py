"""NaN and infinity, wherever they come from: neither let in nor let out."""

from pathlib import Path

import numpy as np
import pytest

from tests.integration.bad_input.refusal import ATTENTION, BASE, BERT, skill
from tests.integration.models import (
    BERT_CONFIG,
    LLAMA_CONFIG,
    QUERY,
    Tensor,
    factors,
    fine_tune,
    floats,
    read_model,
    save,
    save_adapter,
)
from tests.integration.shell import Shell

pytestmark = pytest.mark.usefixtures("surroundings")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", ["F32", "F16", "BF16"])
def test_a_value_that_is_not_finite_in_a_base_or_fine_tune(shell, tmp_path, dtype, value):
    values = fine_tune(BASE, 1)[QUERY].values.copy()
    values[3, 5] = value
    where = f"{tmp_path / 'x'}: tensor '{QUERY}': element {3 * 16 + 5} is {value}"
    save(tmp_path / "x", {**BASE, QUERY: floats(values, dtype)}, LLAMA_CONFIG, files={"tokenizer.json": "new"})
    for found in (skill(shell, tmp_path / "x"), shell.refused(5, "register", "base", "bad", tmp_path / "x")):
        assert where in found["message"]
        assert "diverged" in found["hint"]
    referenced = shell.refused(5, "register", "base", "bad", tmp_path / "x", "--reference")
    assert where in referenced["message"]


def test_a_value_that_is_not_finite_in_a_dtype_that_is_only_carried(shell, tmp_path):
    wide = np.array([1.0, np.nan])
    bad = {
        "F64": wide.tobytes(),
        "C64": wide.astype(np.complex64).tobytes(),
        "F8_E4M3": b"\x10\x7f",
        "F8_E5M2": b"\x10\xfc",
    }
    for dtype, data in bad.items():
        folder = save(tmp_path / dtype, {**BASE, "scale": Tensor(dtype, (2,), data)})
        found = shell.refused(5, "register", "base", "bad", folder)
        assert "tensor 'scale': element 1 is not a finite number" in found["message"]


def test_a_value_that_is_not_finite_in_a_pickled_base(shell, tmp_path):
    import torch

    folder = tmp_path / "x"
    folder.mkdir()
    torch.save({"w": torch.tensor([0.0, float("nan")])}, folder / "pytorch_model.bin")
    found = shell.refused(5, "register", "base", "bad", folder)
    assert "tensor 'w': element 1 is nan" in found["message"]


def test_a_value_that_is_not_finite_in_a_head(shell, tmp_path):
    broken = {"classifier.weight": floats([[np.nan, 1.0]])}
    found = skill(shell, save(tmp_path / "x", fine_tune(BERT, 1) | broken, BERT_CONFIG), base="bert")
    assert "tensor 'classifier.weight': element 0 is nan" in found["message"]


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_value_that_is_not_finite_in_an_adapter(shell, tmp_path, value):
    tensors = factors(BASE, ATTENTION)
    name = "base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight"
    values = tensors[name].values.copy()
    values[1, 0] = value
    found = skill(shell, save_adapter(tmp_path / "x", {**tensors, name: floats(values)}))
    assert f"tensor '{name}': element 2 is {value}" in found["message"]


def test_an_adapter_whose_product_overflows(shell, tmp_path):
    tensors = {name: floats(tensor.values * 1e21) for name, tensor in factors(BASE, [QUERY]).items()}
    found = skill(shell, save_adapter(tmp_path / "x", tensors))
    assert repr(QUERY) in found["message"]
    assert found["hint"]


def test_a_delta_that_overflows(shell, tmp_path):
    base = save(tmp_path / "b", {"w": floats([-3e38, 1.0])})
    fresh = Shell(tmp_path / "store", tmp_path)
    fresh.json("init")
    fresh.json("register", "base", "steep", base)
    found = skill(fresh, save(tmp_path / "x", {"w": floats([3e38, 1.0])}), base="steep")
    assert "tensor 'w' differs from its base by inf" in found["message"]


def test_a_result_that_overflows_half_precision(shell, tmp_path):
    for output in ((), ("-o", tmp_path / "new" / "out")):
        found = shell.refused(5, "materialize", "half + 2*loud", "--no-wait", *output)
        assert "tensor 'w': element 0 of the result is inf" in found["message"]
        assert "--dtype F32" in found["hint"]
    wide = shell.json("materialize", "half + 2*loud", "--no-wait", "--dtype", "F32", "-o", tmp_path / "wide")
    assert read_model(Path(wide["path"]))["w"].values[0, 0] == 68000


def test_a_result_that_overflows_the_dtype_asked_for(shell, alone, tmp_path):
    save(tmp_path / "b", {"w": floats([70000.0, 1.0]), "same": floats([1e6])})
    save(tmp_path / "x", {"w": floats([7.0, 1.0]), "same": floats([1e6])})
    alone.json("register", "base", "wide", tmp_path / "b")
    alone.json("register", "skill", "quiet", tmp_path / "x", "--base", "wide", "--encoding", "exact")
    found = alone.refused(5, "materialize", "wide + quiet", "--dtype", "F16", "--no-wait")
    assert "tensor 'same': element 0 of the result is inf" in found["message"]
    found = shell.refused(5, "materialize", "tiny + 1e30*code", "--param", "lambda=1e30", "--no-wait")
    assert "of the result is" in found["message"]
