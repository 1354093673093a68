"""A private PostgreSQL cluster in a folder of its own, reached through a socket there."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest


def binaries() -> Path | None:
    """Where PostgreSQL's programs lie on this machine, if they do."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb")) or [
        Path(p) for p in [shutil.which("initdb")] if p
    ]
    return found[-1].parent if found else None


@dataclass
class Cluster:
    """A running server."""

    folder: Path
    process: subprocess.Popen[bytes]
    user: str | None

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://metarec@/{database}?host={self.folder}"

    def new_database(self, name: str) -> str:
        """An empty database; gives its url."""
        with self.connected() as connection:
            connection.execute(f'CREATE DATABASE "{name}"')
        return self.url(name)

    def connected(self) -> Any:
        """An administrator's connection."""
        import psycopg

        return psycopg.connect(
            host=str(self.folder), user="metarec", dbname="postgres", autocommit=True
        )

    def start(self) -> None:
        programs = binaries()
        assert programs
        self.process = subprocess.Popen(
            [
                programs / "postgres",
                "-D",
                self.folder / "data",
                "-k",
                self.folder,
                "-c",
                "listen_addresses=",
                "-c",
                "max_connections=60",
                "-c",
                "shared_buffers=32MB",
                "-c",
                "synchronous_commit=on",
            ],
            user=self.user,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            cwd=self.folder,
        )
        for _ in range(200):
            ready = subprocess.run(
                [programs / "pg_isready", "-h", self.folder], stdout=subprocess.DEVNULL, check=False
            )
            if ready.returncode == 0:
                return
            time.sleep(0.1)
        raise RuntimeError("PostgreSQL did not start in 20 seconds")

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """SIGINT asks for a fast shutdown, SIGQUIT for an immediate one (as in a crash)."""
        self.process.send_signal(how)
        self.process.wait(30)


@contextmanager
def private_cluster() -> Iterator[Cluster]:
    """Start a cluster, or skip the test where PostgreSQL is not installed."""
    programs = binaries()
    if programs is None:
        pytest.skip("PostgreSQL is not installed")
    user = "nobody" if os.geteuid() == 0 else None  # the server refuses to run as root
    folder = Path(
        tempfile.mkdtemp(prefix="mr-pg-")
    )  # a socket's path must be short, pytest's folders are long
    if user:
        shutil.chown(folder, user)
    try:
        subprocess.run(
            [
                programs / "initdb",
                "-D",
                folder / "data",
                "-U",
                "metarec",
                "--auth=trust",
                "--no-sync",
                "-E",
                "UTF8",
                "--locale=C",
            ],
            user=user,
            check=True,
            stdout=subprocess.DEVNULL,
            cwd=folder,
        )
        cluster = Cluster(folder=folder, process=None, user=user)  # type: ignore[arg-type]
        cluster.start()
        try:
            yield cluster
        finally:
            if cluster.process.poll() is None:
                cluster.stop(signal.SIGQUIT)  # nothing in it is worth a flush
    finally:
        shutil.rmtree(folder, ignore_errors=True)
