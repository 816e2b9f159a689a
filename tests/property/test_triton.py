"""The Triton kernels, in a process of their own: interpreted everywhere, compiled where there is a CUDA device."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[2]
LAWS = ["triton_laws.py", "triton_resident_laws.py"]
NO_CUDA = not torch.cuda.is_available()

pytestmark = pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="Triton is not made for this system")


def run(laws, **environment):
    """Run the tests of one file, which must be some and must all pass."""
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", f"tests/property/{laws}"]
    done = subprocess.run(command, cwd=ROOT, env=os.environ | environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    summary = done.stdout.strip().splitlines()[-1]
    assert " passed" in summary
    assert "skipped" not in summary


@pytest.mark.slow
@pytest.mark.parametrize("laws", LAWS)
def test_the_laws_hold_in_the_interpreter(laws):
    run(laws, TRITON_INTERPRET="1", CUDA_VISIBLE_DEVICES="")


@pytest.mark.gpu
@pytest.mark.skipif(NO_CUDA, reason="needs a CUDA device")
@pytest.mark.parametrize("laws", LAWS)
def test_the_laws_hold_on_the_device(laws, tmp_path):
    run(laws, TRITON_INTERPRET="0", TRITON_CACHE_DIR=str(tmp_path))
