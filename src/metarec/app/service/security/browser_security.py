"""Protection from requests that a foreign page makes a browser send, and headers of answers for
browsers.

A service without keys answers all clients, so a foreign page in the operator's browser could
promote a model or forget a user. A browser states the origin of each such request, and asks for
permission before it sends JSON.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from urllib.parse import urlsplit

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods of requests that change nothing."""
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
    """Return whether a path belongs to the HTTP interface rather than to the files of the page."""
    return path.startswith("/v1/") or path in ("/v1", "/mcp", "/metrics", "/healthz", "/readyz")


def answer_headers(path: str) -> tuple[tuple[bytes, bytes], ...]:
    """Return the headers of each answer for browsers: it is never shown in a frame, and data are
    never cached.
    """
    return (*_ALWAYS, *(_DATA if is_data(path) else _PAGE))


def cross_site_problem(
    method: str, headers: Mapping[bytes, bytes], allowed_origins: Set[str]
) -> str | None:
    """Return why a request that changes something may come from a foreign page; None if it does
    not.

    Args:
        method: method of the request.
        headers: its headers.
        allowed_origins: further origins whose pages may call the service.
    """
    if method in SAFE_METHODS:
        return None
    origin = headers.get(b"origin")
    site = headers.get(b"sec-fetch-site", b"none")
    allowed = origin is not None and origin.decode("latin-1") in allowed_origins
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
    """Return whether a browser sends such a request for any page without asking for permission. A
    request with a body passes here, as reading it as JSON refuses other types.
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
