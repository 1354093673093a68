"""Run the parts of deploy/compose.yaml as processes, in the order of the guide.

    python benchmarks/attack/deployment.py [--json FILE]

These are PostgreSQL, the service, an import, retraining, a backup, a loss of all data, and a
restore. Settings are from the environment alone, as in the compose file. A user is forgotten
between the backup of the models and that of the store, and must be missing from the restored
models. Loopback only.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import urllib.error
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from bounds import Check, arguments, conclude
from service import KEY, call

from feedback.cluster import Cluster, binaries, private_cluster
from journeys.kills_amid import MARK, held_bytes, held_users
from journeys.running import free_port
from worlds import told_model

QUIET: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
LEAVES = f"u3{MARK}"
"""User who is forgotten after the models were saved."""


class Deployment:
    """Settings in the environment, and processes that run with them."""

    def __init__(self, model: Path, store: str) -> None:
        self.port = free_port()
        self.environment = {
            **os.environ,
            "OMP_NUM_THREADS": "1",
            "METAREC_MODEL": str(model),
            "METAREC_STORE": store,
            "METAREC_KEYS": f"{KEY}:admin",
            "METAREC_PORT": str(self.port),
        }

    def command(self, *words: str) -> dict[str, Any]:
        """Return the output of a command."""
        done = subprocess.run(
            [sys.executable, "-m", "metarec.app.cli", *words, "--json"],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise SystemExit(f"metarec {' '.join(words)}: {done.stderr[-800:]}")
        return json.loads(done.stdout)

    @contextmanager
    def serving(self) -> Iterator[None]:
        """Start two workers, as the compose file does."""
        words = [sys.executable, "-m", "metarec.app.cli", "serve", "--workers", "2"]
        process = subprocess.Popen(words, env=self.environment, **QUIET)
        try:
            self.wait(process)
            yield
        finally:
            process.terminate()
            process.wait(40)

    def wait(self, process: subprocess.Popen[bytes], seconds: float = 240.0) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until and process.poll() is None:
            with suppress(OSError):
                self.ask("GET", "/readyz")
                return
            time.sleep(0.3)
        raise SystemExit("the service did not become ready")

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        return call(self.port, method, path, body)

    def is_known(self, user: str) -> bool:
        try:
            return bool(self.ask("GET", f"/v1/users/{user}")["events"])
        except urllib.error.HTTPError:
            return False


def program(cluster: Cluster, name: str, *words: str) -> None:
    """Run a program of PostgreSQL on the server."""
    folder = binaries()
    assert folder
    where = ["-h", str(cluster.folder), "-U", "metarec"]
    subprocess.run([folder / name, *where, *words], check=True)


def backed_up(deployed: Deployment, cluster: Cluster, model: Path, folder: Path) -> None:
    """Back up the models, then the store; a user is forgotten between."""
    with tarfile.open(folder / "models.tgz", "w:gz") as archive:
        archive.add(model, "model")
    deployed.ask("DELETE", f"/v1/users/{LEAVES}")
    dump = ["--schema=metarec", "--format=custom", "-f", str(folder / "store.dump"), "metarec"]
    program(cluster, "pg_dump", *dump)


def restored(cluster: Cluster, model: Path, folder: Path) -> str:
    """Restore the store, then the models, and return the URL of the store."""
    shutil.rmtree(model)
    url = cluster.new_database("restored")
    program(cluster, "pg_restore", "-d", "restored", str(folder / "store.dump"))
    with tarfile.open(folder / "models.tgz") as archive:
        archive.extractall(folder, filter="data")
    return url


def journey(folder: Path, cluster: Cluster) -> dict[str, bool]:
    """Return what was measured on the way."""
    model = told_model(300, folder / "model", mark=MARK)
    deployed = Deployment(model, cluster.new_database("metarec"))
    seen: dict[str, bool] = {}
    with deployed.serving():
        first = deployed.ask("GET", "/v1/status")["model_version"]
        seen["import brings the users of the model"] = deployed.command("import")["events"] > 1_000
        events = [{"user_id": f"new{n % 60}", "item_id": f"i{n % 90}"} for n in range(900)]
        deployed.ask("POST", "/v1/events", {"events": events})
        seen["a user of the model is known"] = deployed.is_known(LEAVES)
        second = deployed.command("retrain", "--force")["challenger"]
        until = time.monotonic() + 30
        while deployed.ask("GET", "/v1/status")["model_version"] != second:
            if time.monotonic() > until:
                break
            time.sleep(0.2)
        now = deployed.ask("GET", "/v1/status")["model_version"]
        seen["the retrained model serves without a restart"] = now == second != first
        backed_up(deployed, cluster, model, folder)
    url = restored(cluster, model, folder)
    seen["the backup held them"] = LEAVES in held_users(model)
    again = Deployment(model, url)
    seen["store check finds nothing"] = not again.command("store", "check", url)["problems"]
    with again.serving():
        version = again.ask("GET", "/v1/status")["model_version"]
        seen["the model before the disaster serves"] = version == second
        seen["users are known"] = again.is_known("new7")
        seen["who was forgotten stays so"] = not again.is_known(LEAVES)
        until = time.monotonic() + 30
        while time.monotonic() < until and LEAVES in held_users(model):
            time.sleep(0.3)
        held = held_bytes([LEAVES], model) | (held_users(model) & {LEAVES})
        seen["and leaves the restored models"] = not held
    return seen


def main() -> None:
    options = arguments(__doc__).parse_args()
    with tempfile.TemporaryDirectory() as temporary, private_cluster() as cluster:
        seen = journey(Path(temporary), cluster)
    checks = [
        Check(what=what, measured=is_so, bound="yes", holds=is_so) for what, is_so in seen.items()
    ]
    conclude(checks, seen, options.json)


if __name__ == "__main__":
    main()
