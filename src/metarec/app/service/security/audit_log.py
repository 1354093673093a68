"""The audit log: refusals, and changes for which the operator is responsible.

It has one record for each refusal for lack of a key or role (401, 403), promotion, forgetting,
change of an item, and start or end of an experiment or arm, automatic ones included. The logger is
`metarec.audit`, and the log level does not matter. A record names a key by the start of its digest,
and never a user.
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
"""Names that a log record uses itself, such as `name`."""


def what_happened(method: str, path: str, status: int) -> str | None:
    """Return the event that an answered request is in the audit log; None if none."""
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
        method: its method.
        route: template of its address.
        status: status of the answer.
        client: address of the client.
        holder: digest of the known key that was sent.
        role: role of that key.
        params: parameters of the address; user ids are left out.
    """
    log.setLevel(logging.INFO)  # also where the other logs have errors only
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
    """Write one record of an automatic change, such as a stopped arm."""
    log.setLevel(logging.INFO)
    log.info(what, extra={"by_itself": True, **facts})
