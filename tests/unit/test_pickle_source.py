"""Pickled checkpoints: read as safetensors are, never run, and refused when they are anything but tensors."""

import os
import pickle
import subprocess
import sys
import zipfile

import pytest
import torch
from safetensors.torch import save_file

from storage.checkpoints.checkpoint import open_checkpoint
from storage.errors import EnvironmentFailure, InputRefused
from tests.unit.saved_checkpoints import TENSORS, check, shards


@pytest.mark.parametrize("zipped", [True, False])
def test_single_pickle(tmp_path, zipped):
    tied = torch.randn(3, 4)
    tensors = TENSORS | {
        "tied.a": tied,
        "tied.b": tied,
        "slice": tied[1:],
        "transposed": tied.t(),
        "expanded": torch.tensor([[1.0], [2.0]]).expand(2, 3),
        "parameter": torch.nn.Parameter(torch.ones(2)),
        "complex": torch.tensor([1 + 2j]).conj(),
        "negated": torch.tensor([1 + 2j]).conj().imag,
    }
    torch.save(tensors, tmp_path / "pytorch_model.bin", _use_new_zipfile_serialization=zipped)
    checkpoint = open_checkpoint(tmp_path)
    assert checkpoint.format == "pickle"
    check(checkpoint, {name: tensor.detach().resolve_conj().resolve_neg() for name, tensor in tensors.items()})


def test_sharded_pickle(tmp_path):
    shards(tmp_path, "bin")
    checkpoint = open_checkpoint(tmp_path)
    assert (checkpoint.format, len(checkpoint.files)) == ("pickle", 2)
    check(checkpoint)


class Evil:
    def __reduce__(self):
        return os.mkdir, ("pwned",)


@pytest.mark.parametrize("zipped", [True, False])
def test_pickle_with_code_is_refused_and_not_run(tmp_path, zipped, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"a": Evil()}, tmp_path / "pytorch_model.bin", _use_new_zipfile_serialization=zipped)
    with pytest.raises(InputRefused, match="holds code or objects other than tensors") as caught:
        open_checkpoint(tmp_path)
    assert "convert it to safetensors" in caught.value.hint
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize(
    "content",
    [b"", b"garbage" * 50, pickle.dumps({"a": 1}), b"PK\x03\x04junk", b"\x80\x02}q\x00.", pickle.dumps(Evil(), 4)],
)
def test_damaged_pickles(tmp_path, content, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pytorch_model.bin").write_bytes(content)
    with pytest.raises(InputRefused, match=r"pytorch_model\.bin"):
        open_checkpoint(tmp_path)
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize("numbers", [(1, 1), (0, 1)])
def test_pickle_lying_about_sizes(tmp_path, numbers):
    torch.save({"a": torch.zeros(1000)}, tmp_path / "honest.bin")
    with zipfile.ZipFile(tmp_path / "honest.bin") as honest, zipfile.ZipFile(tmp_path / "lying.bin", "w") as lying:
        for info in honest.infolist():
            data = honest.read(info)
            if info.filename.endswith("data.pkl"):
                parts = data.split(b"M\xe8\x03")
                huge = [b"J\0\0\0\x40" if lie else b"M\xe8\x03" for lie in numbers]
                data = parts[0] + huge[0] + parts[1] + huge[1] + parts[2]
            lying.writestr(info.filename, data)
    with pytest.raises(InputRefused, match=r"lying\.bin"):
        open_checkpoint(tmp_path / "lying.bin")


def test_compressed_pickle_is_refused(tmp_path):
    torch.save({"a": torch.zeros(1000)}, tmp_path / "plain.bin")
    with (
        zipfile.ZipFile(tmp_path / "plain.bin") as plain,
        zipfile.ZipFile(tmp_path / "bomb.bin", "w", zipfile.ZIP_DEFLATED) as bomb,
    ):
        for info in plain.infolist():
            bomb.writestr(info.filename, plain.read(info))
    with pytest.raises(InputRefused, match="is compressed"):
        open_checkpoint(tmp_path / "bomb.bin")


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ([torch.ones(1)], "expected a dictionary of tensors, found list"),
        ({"state_dict": {"a": torch.ones(1)}}, "'state_dict': expected a tensor, found dict"),
        ({"epoch": 3}, "'epoch': expected a tensor, found int"),
        ({3: torch.ones(1)}, "a key of type int"),
        ({"s": torch.eye(2).to_sparse()}, "'s': sparse"),
        ({"c": torch.zeros(1, dtype=torch.complex128)}, "'c': unknown dtype torch.complex128"),
        ({"big": torch.zeros(1).expand(1 << 20, 1 << 10)}, "'big': larger than the file"),
    ],
)
def test_pickles_of_other_things(tmp_path, document, words):
    torch.save(document, tmp_path / "x.bin")
    with pytest.raises(InputRefused) as caught:
        open_checkpoint(tmp_path / "x.bin")
    assert words in caught.value.message


def test_pickle_shards_may_not_share_a_name(tmp_path):
    def index(weight_map):
        return {"weight_map": weight_map}

    shards(tmp_path, "bin", index=index)
    torch.save({"embed.weight": torch.ones(1)}, tmp_path / "pytorch_model-00002-of-00002.bin")
    with pytest.raises(InputRefused, match=r"'embed\.weight' is in both"):
        open_checkpoint(tmp_path)


def test_torch_missing_or_unsafe(tmp_path, monkeypatch):
    torch.save(TENSORS, tmp_path / "pytorch_model.bin")
    monkeypatch.setattr(torch, "__version__", "2.5.1+cpu")
    with pytest.raises(EnvironmentFailure, match="CVE-2025-32434"):
        open_checkpoint(tmp_path)
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(EnvironmentFailure, match="torch, which is not installed") as caught:
        open_checkpoint(tmp_path)
    assert "mergestore[torch]" in caught.value.hint


def test_safetensors_need_no_torch(tmp_path):
    save_file(TENSORS, tmp_path / "model.safetensors")
    program = (
        "import sys, pathlib; from storage.checkpoints.checkpoint import open_checkpoint\n"
        "from storage.checkpoints.adapter import open_adapter; from storage.deltas.align_adapter import align_adapter\n"
        f"open_checkpoint(pathlib.Path({str(tmp_path)!r}))\n"
        "sys.exit(any(name in sys.modules for name in ('torch', 'numba', 'safetensors', 'mlflow')))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
