"""Processes that deliver provenance until they are done or killed."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PREAMBLE = """
import json, sys
from registry.provenance.mlflow import deliver, warm
from storage.errors import EnvironmentFailure
outbox = json.load(open(sys.argv[1]))
"""

CLIENT = """
warm(sys.argv[2])
print("warm", flush=True)
sys.stdin.readline()
for payload in outbox:
    try:
        deliver(payload, sys.argv[2], timeout=10)
    except EnvironmentFailure as error:
        print(error, file=sys.stderr)
"""


def spawn(script, *arguments):
    """A Python process of its own, its three streams in our hands."""
    return subprocess.Popen(
        [sys.executable, "-c", PREAMBLE + script, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "MLFLOW_DISABLE_TELEMETRY": "true"},
    )
