"""Ids in another Unicode form. `é` as one letter (NFC) or as two (NFD) looks the same and is
another id: files, commands and the service keep such ids apart, and say where the other form is
known.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from unicodedata import normalize


def other_forms(text: str) -> set[str]:
    """Return the text in its other Unicode forms; none where all forms are the same."""
    if text.isascii():
        return set()
    return {normalize("NFC", text), normalize("NFD", text)} - {text}


def form_notes(item_ids: Iterable[str], known: Any) -> list[str]:
    """Return a sentence on the first item that is known in another Unicode form only.

    Args:
        known: a vocabulary, or another collection of ids.
    """
    for item_id in item_ids:
        if not item_id.isascii() and item_id not in known:
            for other in other_forms(item_id):
                if other in known:
                    return [
                        f"item {item_id!r} is known in another Unicode form alone; send "
                        f"{ascii(other)}, not {ascii(item_id)}"
                    ]
    return []
