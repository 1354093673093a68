"""A feed of items: one JSON object per line, as shops export them."""

from __future__ import annotations

from typing import Any

import orjson
from pydantic import TypeAdapter, ValidationError

from metarec.app.service.http.addresses import key_twice
from metarec.app.service.schemas import MAX_FEED, Attributes, Id
from metarec.data.schema import BadInput

_ID: TypeAdapter[str] = TypeAdapter(Id)
_ATTRIBUTES: TypeAdapter[dict[str, Any]] = TypeAdapter(Attributes)


def read_feed(body: bytes) -> list[tuple[str, dict[str, Any]]]:
    """Read the items of a feed. A line has `item_id`, and its attributes beside it or under
    `attributes`.

    Raises:
        BadInput: if a line cannot be read, or there are none or too many; it names the line.
    """
    lines = [(n, line) for n, line in enumerate(body.split(b"\n"), start=1) if line.strip()]
    if not lines:
        raise BadInput("the feed is empty; send a JSON object a line, each with an item_id")
    if len(lines) > MAX_FEED:
        raise BadInput(f"a feed may have {MAX_FEED:,} lines, got {len(lines):,}; send it in parts")
    return [_item(number, line) for number, line in lines]


def _item(number: int, line: bytes) -> tuple[str, dict[str, Any]]:
    try:
        row = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise BadInput(f"line {number} is no JSON ({error}); nothing was stored") from error
    if (key := key_twice(line)) is not None:
        raise BadInput(f"line {number} states the key {key[:80]!r} twice; nothing was stored")
    if not isinstance(row, dict) or "item_id" not in row:
        raise BadInput(f"line {number} has no item_id; nothing was stored")
    item_id = row.pop("item_id")
    nested = row.pop("attributes", {})
    try:
        attributes = {**row, **nested} if isinstance(nested, dict) else nested
        return _ID.validate_python(item_id), _ATTRIBUTES.validate_python(attributes)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"][:1])) or "item_id"
        raise BadInput(f"line {number}, {where}: {first['msg']}; nothing was stored") from error
