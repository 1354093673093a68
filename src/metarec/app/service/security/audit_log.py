"""The audit log: who was refused, and who changed what an operator answers for.

One record for each refusal for want of a key or role (401, 403), promotion, forgetting, change of
an item, and start or end of an experiment or arm, by itself too, through the logger
`metarec.audit`, whatever the log level. It names a key by the beginning of its digest, never a
user.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

log = logging.getLogger("metarec.audit")
_WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_CHANGES = (
    ("/v1/models", "promotion"),
    ("/v1/items", "item change"),
    ("/v1/experiments", "experiment"),
)
_USERS = "/v1/users"
_PERSONAL = frozenset({"user_id"})
_TAKEN = frozenset(vars(logging.makeLogRecord({})))
"""Names that a log record has a use of its own for, such as `name`."""


def what_happened(method: str, path: str, status: int) -> str | None:
    """What an answered request is to the audit log; None if nothing."""
    if status in (401, 403):
        return "refused"
    if method not in _WRITES:
        return None
    if method == "DELETE" and path.startswith(_USERS):
        return "forgetting"
    return next((what for start, what in _CHANGES if path.startswith(start)), None)


def note(
    what: str,
    *,
    request: str,
    method: str,
    route: str,
    status: int,
    client: str,
    holder: bytes | None,
    role: str | None,
    params: Mapping[str, Any],
) -> None:
    """Write one record.

    Args:
        what: from `what_happened`.
        request: id of the request.
        method: of the request.
        route: the address's template.
        status: of the answer.
        client: address of whoever asked.
        holder: digest of the known key that was sent.
        role: of that key.
        params: what the address named.
    """
    log.setLevel(logging.INFO)  # an operator who wants only errors still wants to know who did what
    log.info(
        what,
        extra={
            "request": request,
            "method": method,
            "route": route,
            "status": status,
            "client": client,
            "key": holder.hex()[:8] if holder else None,
            "role": role,
            **{
                f"{name}_" if name in _TAKEN else name: value
                for name, value in params.items()
                if name not in _PERSONAL
            },
        },
    )


def note_by_itself(what: str, **facts: Any) -> None:
    """Write one record of what the service did without being asked, such as stopping an arm."""
    log.setLevel(logging.INFO)
    log.info(what, extra={"by_itself": True, **facts})
