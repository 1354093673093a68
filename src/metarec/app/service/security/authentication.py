"""API keys and roles: read, write (and read), admin (and everything)."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any

from fastapi import HTTPException, Security
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer
from fastapi.security.utils import get_authorization_scheme_param

from metarec.app.service.settings import DIGEST, ROLES

KEY_NEEDED = "an API key is needed; send it as `Authorization: Bearer KEY`"
KEY_UNKNOWN = "this API key is not known"
_bearer = HTTPBearer(
    auto_error=False, scheme_name="bearer", description="Authorization: Bearer KEY"
)
_header = APIKeyHeader(name="X-API-Key", auto_error=False, scheme_name="header")


class ApiKeys:
    """The keys of a service, as digests, so that neither a memory dump nor the time of a comparison
    reveals them.
    """

    def __init__(self, role_of_key: Mapping[str, str]) -> None:
        self._rank = {_kept(key): ROLES.index(role) for key, role in role_of_key.items()}

    def __bool__(self) -> bool:
        return bool(self._rank)

    def holder(self, authorization: str | None, header: str | None) -> bytes | None:
        """Return the digest of the known key of a request, read as the routes read it; None where
        there is none.

        Args:
            authorization: the header of this name.
            header: the header `X-API-Key`.
        """
        scheme, bearer = get_authorization_scheme_param(authorization)
        key = bearer if bearer and scheme.lower() == "bearer" else header
        digest = _digest(key) if key else None
        return digest if digest in self._rank else None

    def role(self, holder: bytes) -> str:
        """Return the role of a known key."""
        return ROLES[self._rank[holder]]

    def needs(self, role: str) -> list[Any]:
        """Return the dependencies of a route that needs a key of `role` or higher; empty where the
        service has no keys.
        """
        return [Security(self._check(role))] if self else []

    def _check(self, role: str) -> Callable[..., Awaitable[None]]:
        least = ROLES.index(role)

        async def check(
            bearer: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)],
            header: Annotated[str | None, Security(_header)],
        ) -> None:
            key = bearer.credentials if bearer else header
            if not key:
                raise HTTPException(401, KEY_NEEDED, {"WWW-Authenticate": "Bearer"})
            rank = self._rank.get(_digest(key))
            if rank is None:
                raise HTTPException(401, KEY_UNKNOWN, {"WWW-Authenticate": "Bearer"})
            if rank < least:
                raise HTTPException(
                    403, f"this needs the role {role!r}, the key has {ROLES[rank]!r}"
                )

        return check


def _kept(key: str) -> bytes:
    """Return the digest of a key of the settings, which may be a digest itself."""
    return bytes.fromhex(key[len(DIGEST) :]) if key.startswith(DIGEST) else _digest(key)


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()
