"""Fingerprints and JSON files of a model's folder."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from metarec.data.schema import BadInput
from metarec.features.encoders.locate import Located


def fingerprint(located: Located) -> str:
    """Return a hash of the files that the vectors depend on: small files in full, each weights file
    by size and 16 samples.
    """
    digest = hashlib.blake2b(digest_size=16)
    for path in sorted(located.folder.iterdir()):
        if path.suffix in (".json", ".txt", ".model") and path.name != "README.md":
            digest.update(path.name.encode() + path.read_bytes())
        elif path.suffix in (".safetensors", ".bin", ".gguf"):
            size = path.stat().st_size
            digest.update(f"{path.name} {size}".encode())
            with path.open("rb") as file:
                for place in range(16):
                    file.seek(size * place // 16)
                    digest.update(file.read(65_536))
    return digest.hexdigest()


def read_json(path: Path) -> dict[str, Any]:
    """Return the content of a model's JSON file; empty where there is none.

    Raises:
        BadInput: if it is damaged.
    """
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise BadInput(f"'{path}' is not JSON ({error}); the model's files are damaged") from error
    return content if isinstance(content, dict) else {}
