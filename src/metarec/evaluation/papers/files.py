"""Files of published protocols: read as their authors wrote them, or refused by name."""

from __future__ import annotations

import json
from pathlib import Path

from metarec.data.schema import BadInput


def json_of(file: Path) -> dict[str, list[str]]:
    """Read a JSON object of lists; all values become text.

    Raises:
        BadInput: if the file holds something else.
    """
    try:
        return {str(user): list(map(str, row)) for user, row in json.loads(text_of(file)).items()}
    except (ValueError, AttributeError) as error:
        raise BadInput(f"{file} is not the file of that name: {error}") from error


def text_of(file: Path) -> str:
    """Read a file as text.

    Raises:
        BadInput: if it cannot be read.
    """
    if file.is_dir():
        raise BadInput(f"{file} is a folder; name the file in it")
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{file} cannot be read: {error}") from error
