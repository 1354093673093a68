"""A client of the HTTP service, for programs without a model; it needs only Python's standard
library.

    from metarec.client import Client

    service = Client("http://127.0.0.1:8000", key="...")
    service.send([{"user_id": "u1", "item_id": "tent-1", "kind": "purchase"}])
    [item["item_id"] for item in service.recommend("u1", k=5)["items"]]
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import quote
from urllib.request import Request, urlopen

BUSY = (429, 503)
"""Statuses of answers after which a call is tried again."""
LONGEST_WAIT = 30.0
"""Longest wait between two tries in seconds, whatever `Retry-After` says."""


class ServiceError(Exception):
    """The service refused a call, or could not be reached."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        """HTTP status; 0 where there was no answer."""


@dataclass(frozen=True)
class Client:
    """Calls of one service. Answers are JSON as Python values; the service's page `/docs` describes
    the routes.
    """

    address: str
    """Address of the service, such as `http://127.0.0.1:8000`."""
    key: str | None = None
    """API key, where the service needs one."""
    timeout: float = 10.0
    """Longest time of one try in seconds."""
    tries: int = 3
    """Number of tries of a call while the service is busy or unavailable."""
    language: str | None = None
    """Language of reasons, notes and errors: `en` or `zh`; None for the service's own."""

    def recommend(self, user_id: str | None = None, *, k: int = 10, **more: Any) -> dict[str, Any]:
        """Return a slate of `k` items.

        Args:
            user_id: the user whose stored events count; None for a user described by `more`.
            k: length of the slate, 1 to 200.
            more: further fields of the request, such as `history`, `profile`, `wish`, `filter`.
        """
        known = {} if user_id is None else {"user_id": user_id}
        return self._object("POST", "/v1/recommendations", {**known, "k": k, **more})

    def send(self, events: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
        """Store events; they are on disk when this returns. An event without `event_id` gets one
        here, so that a call tried again stores it once.
        """
        named = [{"event_id": uuid.uuid4().hex, **event} for event in events]
        return self._object("POST", "/v1/events", {"events": named})

    def explain(
        self, item_id: str, user_id: str | None = None, *, history: Iterable[Any] = ()
    ) -> dict[str, Any]:
        """Explain the rank of an item for a user."""
        known = {} if user_id is None else {"user_id": user_id}
        body = {**known, "history": list(history), "item_id": item_id}
        return self._object("POST", "/v1/explanations", body)

    def similar(self, item_id: str, *, k: int = 10) -> dict[str, Any]:
        """Return items similar to another."""
        return self._object("GET", f"/v1/items/{_part(item_id)}/similar?k={k}")

    def put_item(self, item_id: str, attributes: Mapping[str, Any]) -> dict[str, Any]:
        """Add or change an item; it can be recommended at once by its attributes."""
        return self._object("PUT", f"/v1/items/{_part(item_id)}", {"attributes": dict(attributes)})

    def user(self, user_id: str) -> dict[str, Any]:
        """Return everything stored of a user."""
        return self._object("GET", f"/v1/users/{_part(user_id)}")

    def forget(self, user_id: str) -> dict[str, Any]:
        """Delete everything stored of a user; return the receipt."""
        return self._object("DELETE", f"/v1/users/{_part(user_id)}")

    def request(self, method: str, path: str, body: Any = None) -> Any:
        """Make any other call of the service.

        Raises:
            ServiceError: if the call is refused, or there is no answer within `tries`.
        """
        for left in reversed(range(self.tries)):
            try:
                return self._send(method, path, body)
            except HTTPError as error:
                if error.code not in BUSY or not left:
                    raise ServiceError(error.code, _sentence(error)) from None
                time.sleep(_wait(error, self.tries - left))
            except (URLError, TimeoutError, ConnectionError) as error:
                if not left:
                    message = f"{self.address} does not answer: {getattr(error, 'reason', error)}"
                    raise ServiceError(0, message) from None
                time.sleep(0.1 * (self.tries - left))
        raise ServiceError(0, f"tries must be 1 or more, got {self.tries}")

    def _object(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        answer: dict[str, Any] = self.request(method, path, body)
        return answer

    def _send(self, method: str, path: str, body: Any) -> Any:
        sent = None if body is None else json.dumps(body).encode()
        call = Request(self.address.rstrip("/") + path, sent, method=method)
        if sent is not None:
            call.add_header("content-type", "application/json")
        if self.key:
            call.add_header("x-api-key", self.key)
        if self.language:
            call.add_header("accept-language", self.language)
        with urlopen(call, timeout=self.timeout) as answer:
            return json.load(answer)


def _part(text: str) -> str:
    return quote(text, safe="")


def _sentence(error: HTTPError) -> str:
    try:
        return str(json.loads(error.read())["error"])
    except (ValueError, KeyError, TypeError):
        return f"the service answered {error.code}"


def _wait(error: HTTPError, n_tries: int) -> float:
    try:
        return min(float(error.headers.get("Retry-After", "")), LONGEST_WAIT)
    except ValueError:
        return 0.1 * n_tries
