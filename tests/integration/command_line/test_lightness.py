"""What does not compute anything loads nothing that computes."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_list_loads_nothing_heavy(filled):
    listed = "import sys, cli; code = cli.main(sys.argv[1:]); print(*sys.modules, file=sys.stderr); sys.exit(code)"
    command = [sys.executable, "-c", listed, "list", "--store", str(filled.home), "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in done.stderr.split()}
    assert not {"torch", "mlflow", "numba", "alembic", "transformers", "numpy"} & loaded
