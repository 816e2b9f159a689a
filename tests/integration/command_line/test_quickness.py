"""What does not compute anything answers at once."""

import resource
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


def test_list_is_quick(filled):
    seconds = min(_cpu_seconds("-m", "cli", "list", "--store", str(filled.home)) for _ in range(5))
    # Half a second, or on a slow machine as much more as the database library alone takes longer there.
    yardstick = min(_cpu_seconds("-c", "import sqlalchemy.orm") for _ in range(5))
    assert seconds < max(0.5, 2.5 * yardstick)


def _cpu_seconds(*words):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
