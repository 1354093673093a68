"""Base of all routes: methods of a class that has the service, each marked with its address."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

from fastapi import APIRouter
from fastapi.routing import APIRoute
from starlette.routing import BaseRoute

from metarec.app.service.http.addresses import StrictRoute
from metarec.app.service.parts import Service

Handler = TypeVar("Handler", bound=Callable[..., Any])
ADDRESSES = "addresses"
"""Attribute of a method that `route` marked: its addresses."""


@dataclass(frozen=True, kw_only=True)
class Address:
    """Address of a method, and the arguments of its route for FastAPI."""

    method: str
    path: str
    role: str | None
    options: dict[str, Any]


def route(
    method: str, path: str, role: str | None = None, **options: Any
) -> Callable[[Handler], Handler]:
    """Mark a method with an address at which it answers; its docstring is the summary in OpenAPI.

    Args:
        method: method of HTTP.
        path: the address, with `{name}` for a parameter.
        role: smallest role of a key that may call it; None needs no key.
        options: arguments of the route for FastAPI, such as its answers.
    """

    def marked(handler: Handler) -> Handler:
        address = Address(method=method, path=path, role=role, options=options)
        vars(handler).setdefault(ADDRESSES, []).append(address)
        return handler

    return marked


class Routes:
    """The routes of one subject."""

    tags: ClassVar[tuple[str, ...]] = ("users",)
    """Headings of the documentation that list the routes."""
    route_class: ClassVar[type[APIRoute]] = StrictRoute

    def __init__(self, service: Service) -> None:
        self.service, self.store, self.live = service, service.store, service.live

    def all(self) -> list[BaseRoute]:
        """Return the routes in the order of their methods."""
        router = APIRouter(tags=list(self.tags), route_class=self.route_class)
        for name, written in vars(type(self)).items():
            for address in getattr(written, ADDRESSES, ()):
                self._add(router, address, getattr(self, name))
        return router.routes

    def _add(self, router: APIRouter, address: Address, handler: Callable[..., Any]) -> None:
        router.add_api_route(
            address.path,
            handler,
            methods=[address.method],
            dependencies=self.service.keys.needs(address.role) if address.role else [],
            summary=" ".join((inspect.getdoc(handler) or "").split()).removesuffix("."),
            description="\f",  # hides the docstring, which the summary has already
            **address.options,
        )
