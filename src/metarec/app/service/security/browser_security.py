"""What a browser may be made to send by a page of somebody else, and what it is told in answers.

A service without keys answers whoever reaches it, so a foreign page in the operator's own browser
could promote a model or forget a user. A browser says with each such request where it comes from,
and asks before it sends JSON.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from urllib.parse import urlsplit

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
"""Requests that change nothing."""
_ALWAYS = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
)
_PAGE = (
    (b"cache-control", b"no-cache"),
    (
        b"content-security-policy",
        b"default-src 'self'; img-src 'self' data: http: https:; "
        b"style-src 'self' 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; "
        b"form-action 'none'",
    ),
)
_DATA = ((b"cache-control", b"no-store"), (b"content-security-policy", b"frame-ancestors 'none'"))


def is_data(path: str) -> bool:
    """Whether an address is of the interface, not of the page's own files."""
    return path.startswith("/v1/") or path in ("/v1", "/mcp", "/metrics", "/healthz", "/readyz")


def answer_headers(path: str) -> tuple[tuple[bytes, bytes], ...]:
    """What each answer says to browsers: never in a frame, and data in no cache."""
    return (*_ALWAYS, *(_DATA if is_data(path) else _PAGE))


def forged(method: str, headers: Mapping[bytes, bytes], own: Set[str]) -> str | None:
    """Why a request that changes something may have been sent by a foreign page; None if it was
    not.

    Args:
        method: of the request.
        headers: its headers.
        own: origins of pages that may call the service, beside its own.
    """
    if method in SAFE_METHODS:
        return None
    origin = headers.get(b"origin")
    site = headers.get(b"sec-fetch-site", b"none")
    allowed = origin is not None and origin.decode("latin-1") in own
    if origin is not None and not allowed and not _same(origin, headers.get(b"host", b"")):
        return (
            f"pages of {origin[:100].decode('latin-1')!r} may not change anything here; name it in "
            f"the setting `cors_origins`, or give the service keys"
        )
    if site not in (b"none", b"same-origin") and not allowed:
        return "a page of another site may not change anything here"
    if method == "POST" and _is_simple(headers):
        return (
            "a POST must say `content-type: application/json`, or send `x-requested-with`, with or "
            "without a body; a page of another site cannot"
        )
    return None


def _is_simple(headers: Mapping[bytes, bytes]) -> bool:
    """Whether a browser would send these for any page, without asking here first. What has a body
    is refused where that is read as JSON, in words about that.
    """
    if b"x-requested-with" in headers or not _says_empty(headers):
        return False
    return not _is_json(headers.get(b"content-type", b""))


def _says_empty(headers: Mapping[bytes, bytes]) -> bool:
    stated = headers.get(b"content-length", b"0").strip(b"0 ")
    return not stated and b"transfer-encoding" not in headers


def _same(origin: bytes, host: bytes) -> bool:
    return urlsplit(origin.decode("latin-1")).netloc.lower() == host.decode("latin-1").lower()


def _is_json(content_type: bytes) -> bool:
    kind = content_type.split(b";")[0].strip().lower()
    return kind == b"application/json" or (
        kind.startswith(b"application/") and kind.endswith((b"+json", b"ndjson"))
    )
