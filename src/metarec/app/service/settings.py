"""Settings of the running service, with their defaults and bounds."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from metarec.data.schema import BadInput
from metarec.feedback.registry import KEEP_VERSIONS
from metarec.runtime.device import DEVICES
from metarec.runtime.jobs import BACKENDS, HERE
from metarec.runtime.language import ENGLISH, UnknownLanguage, language_of

MAX_WORKERS = 1024
"""Processes that serve: more is a slip of the hand, and would take the machine."""
SCHEMA = "metarec"
ROLES = ("read", "write", "admin")
"""Each role may do what those before it may."""
DIGEST = "sha256:"
_HEX = re.compile("[0-9a-fA-F]{64}")
LEAST = {
    "port": 0,
    "workers": 1,
    "shards": 1,
    "replicas": 1,
    "max_body_bytes": 1_000,
    "burst": 1,
    "history_length": 1,
    "requests_per_second": 0,
    "explore": 0,
    "retrain_hours": 0,
    "min_key_length": 1,
    "max_connections": 8,
    "max_url_bytes": 256,
    "max_header_bytes": 1_024,
    "header_seconds": 0.1,
    "body_seconds": 0.1,
    "idle_seconds": 0.1,
    "max_cost": 1,
    "heavy_threads": 1,
    "heavy_waiting": 0,
    "heavy_seconds": 0.1,
    "future_seconds": 0,
    "keep_events_days": 0,
    "keep_slates_days": 0,
    "keep_versions": 1,
    "alert_errors": 0,
    "alert_slate_seconds": 0,
    "alert_rows_waiting": 0,
    "alert_quiet_hours": 0,
    "alert_model_days": 0,
    "alert_psi": 0,
    "alert_cold_items": 0,
    "alert_value_shift": 0,
    "inline_items": 0,
    "watch_seconds": 0.01,
    "shutdown_seconds": 0,
}
"""Setting -> its least value."""
MOST = {"port": 65_535, "workers": MAX_WORKERS, "shards": MAX_WORKERS, "replicas": MAX_WORKERS}
"""Setting -> its largest value."""


@dataclass(frozen=True, kw_only=True)
class ServiceSettings:
    """How the service runs. In the environment a field is `METAREC_` and its name in capitals, as
    in `METAREC_PORT=9000`.
    """

    model: str
    """Folder of a saved model; retrained versions are kept in it."""
    store: str = ""
    """Event store: a SQLite file or a postgresql:// url; `events.db` in the model's folder unless
    given.
    """
    schema: str = SCHEMA
    """PostgreSQL schema of the store's tables, where the url names none (`?schema=NAME`)."""
    host: str = "127.0.0.1"
    """Address to listen at; beyond this machine only with keys, or `open_to_all`."""
    port: int = 8000
    workers: int = 1
    """Processes that serve; each loads the model."""
    backend: str = "here"
    """Where the catalog is scored: `here`, in each worker, or `ray`, by shards on a Ray cluster
    (extra `ray`), where `workers` are the processes that answer HTTP.
    """
    shards: int = 1
    """Slices into which the catalog is cut, each scored by processes of its own; above 1 only on
    Ray.
    """
    replicas: int = 1
    """Processes that score each shard; above 1 only on Ray."""
    keys: Mapping[str, str] = field(default_factory=dict)
    """API key -> role (`read`, `write`, `admin`); none: everyone may do everything. In the
    environment: `key:role,key:role`. `sha256:` and the 64 hexadecimal digits of a key's SHA-256
    stand for the key, so that the settings need not hold it.
    """
    min_key_length: int = 16
    """`metarec serve` refuses keys of fewer characters, which can be guessed."""
    open_to_all: bool = False
    """Listen beyond this machine without keys."""
    cors_origins: tuple[str, ...] = ()
    """Web pages of these origins may call the service from a browser."""
    hosts: tuple[str, ...] = ()
    """Names by which the service may be called (the Host header); only this machine's own on
    loopback without keys, else any.
    """
    trusted_proxies: tuple[str, ...] = ()
    """Addresses or networks (`10.0.0.0/8`) of proxies whose X-Forwarded-For and X-Forwarded-Proto
    are believed; of anybody else they are ignored.
    """
    max_connections: int = 1_000
    """Open connections at each worker; fewer where the process may open few files. When all are
    taken, the one that has waited longest without a whole request is closed.
    """
    max_url_bytes: int = 8_192
    max_header_bytes: int = 32_768
    """Of all headers of a request together."""
    header_seconds: float = 10.0
    """How long the URL and headers of a request may take to come."""
    max_body_bytes: int = 1_000_000
    body_seconds: float = 30.0
    """How long the body of a request may take to come, and an answer to be taken."""
    idle_seconds: float = 30.0
    """How long a connection is kept open between requests."""
    max_cost: float = 20.0
    """Requests that cost more plain slates than this are refused; see `request_cost`."""
    heavy_threads: int = 1
    """Threads of each worker for costly requests: explanations, exploration, long slates."""
    heavy_waiting: int = 16
    """Costly requests that may wait for a thread at each worker; more get 503."""
    heavy_seconds: float = 10.0
    """How long a costly request may take, waiting included; then it gets 503."""
    future_seconds: float = 300.0
    """Events may lie so far in the future, for clocks differ; later ones are refused."""
    requests_per_second: float = 200.0
    """Of each client (known key, else address) at each worker, on average; 0 sets no limit."""
    burst: int = 400
    """Requests a client may send at once after a pause."""
    history_length: int = 200
    """The latest events of a user that a slate is made from."""
    log_slates: bool = True
    """Keep what was shown to whom (for users with a user id), which evaluating challengers by
    logged propensities needs.
    """
    explore: float = 0.0
    """Strength of exploration where a request does not say; 0 shows the best as known."""
    cold_share: float = 0.05
    """Share of places reserved for items with few or no events where a request does not say: of
    ten places the last one in half of the slates; 0 reserves none.
    """
    filter: str = ""
    """Filter that every slate heeds, beside the request's own, such as `in_stock = true`; see the
    guide of filters.
    """
    lang: str = ENGLISH
    """Language of reasons, notes and errors where a client asks for none with Accept-Language:
    `en` or `zh`.
    """
    mcp: bool = False
    """Answer agents by the Model Context Protocol at `/mcp`, with tools that only read."""
    device: str = "cpu"
    """Where networks and encoders are computed: cpu, cuda, mps, or auto for the first accelerator
    there is.
    """
    inline_items: int = 100_000
    """Catalogs up to this size are scored in the event loop; larger ones in a thread, so that the
    loop is not held up for longer than
    some hundredths of a second."""
    watch_seconds: float = 0.25
    """How often each worker looks for new items and a promoted model."""
    keep_events_days: float = 0.0
    """Older events are deleted; 0 keeps all."""
    keep_slates_days: float = 0.0
    """Older slates that were shown are deleted; 0 keeps all."""
    shutdown_seconds: int = 10
    """How long running requests may take to end when the service stops."""
    retrain_hours: float = 0.0
    """Retrain so often while serving, if there is reason to; 0 never (run `metarec retrain`
    yourself).
    """
    keep_versions: int = KEEP_VERSIONS
    """Retrained versions that stay after a retraining, the newest ones; the one that serves and the
    one before it stay anyway.
    """
    data: str = ""
    """The data the first model was fitted on, to retrain on old plus new; asked of the model where
    not given.
    """
    alert_errors: float = 0.01
    """Alert where a larger share of the answers of the last 10 minutes failed; 0 never, as with the
    marks below.
    """
    alert_slate_seconds: float = 0.25
    """Alert where one slate in a hundred took longer."""
    alert_rows_waiting: int = 5_000
    """Alert where more rows wait to be written."""
    alert_quiet_hours: float = 24.0
    """Alert where no event came for so long, though some came before."""
    alert_model_days: float = 30.0
    """Alert where the serving model was made longer ago."""
    alert_psi: float = 0.2
    """Alert, and advise retraining, where the population stability index of what users choose is
    higher.
    """
    alert_cold_items: float = 0.1
    """The same for the share of new events on items not trained on."""
    alert_value_shift: float = 0.3
    """The same for how far values have moved, in standard deviations."""
    log_level: str = "info"
    log_json: bool = True

    def __post_init__(self) -> None:
        self._check_least()
        self._check_choices()
        self._check_most()
        self._check_roles()
        if not self.is_local and not self.keys and not self.open_to_all:
            raise BadInput(
                f"listening at {self.host} lets anyone read and forget users; give keys "
                f"(METAREC_KEYS=secret:admin), "
                "listen at 127.0.0.1, or say open_to_all"
            )

    def _check_least(self) -> None:
        if not 0.0 <= self.cold_share <= 0.5:
            raise BadInput(f"cold_share must lie in [0, 0.5], got {self.cold_share}")
        for name, low in LEAST.items():
            value = getattr(self, name)
            if not low <= value < math.inf:  # NaN is no number either
                raise BadInput(f"{name} must be {low} or more, got {value}")

    def _check_choices(self) -> None:
        if self.device not in DEVICES:
            raise BadInput(f"device must be one of {', '.join(DEVICES)}, got {self.device!r}")
        if self.backend not in BACKENDS:
            raise BadInput(f"backend must be one of {', '.join(BACKENDS)}, got {self.backend!r}")
        if self.backend == HERE and max(self.shards, self.replicas) > 1:
            raise BadInput("shards and replicas are of Ray: give backend ray too, or neither")
        try:
            language_of(self.lang, asked_by="lang")
        except UnknownLanguage as error:
            raise BadInput(str(error)) from error

    def _check_most(self) -> None:
        for name, high in MOST.items():
            if getattr(self, name) > high:
                raise BadInput(f"{name} must be {high} or less, got {getattr(self, name)}")

    def _check_roles(self) -> None:
        for key, role in self.keys.items():
            if key.startswith(DIGEST) and not _HEX.fullmatch(key[len(DIGEST) :]):
                raise BadInput(
                    f"an API key that begins with {DIGEST} needs the 64 hexadecimal digits of a "
                    f"SHA-256 after it, got {len(key) - len(DIGEST)} characters"
                )
            if role not in ROLES:
                raise BadInput(
                    f"the role of an API key must be one of {', '.join(ROLES)}, got {role!r}"
                )

    def check_keys(self) -> None:
        """Refuse keys that can be guessed; digests say nothing of how long their keys are.

        Raises:
            BadInput: if a key is shorter than `min_key_length`.
        """
        for key, role in self.keys.items():
            if not key.startswith(DIGEST) and len(key) < self.min_key_length:
                raise BadInput(
                    f"an API key of the role {role!r} has {len(key)} characters, fewer than "
                    f"min_key_length={self.min_key_length}; make one with `python -c 'import "
                    f"secrets; print(secrets.token_urlsafe(24))'`"
                )

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach the service."""
        return self.host in ("127.0.0.1", "localhost", "::1")

    @property
    def store_url(self) -> str:
        """The event store, given or by default."""
        if not self.store:
            return str(Path(self.model) / "events.db")
        if self.schema == SCHEMA:
            return self.store
        from metarec.feedback.store.engines import with_schema

        return with_schema(self.store, self.schema)

    def in_effect(self) -> dict[str, Any]:
        """Every setting by its name, fit to be shown: of keys how many there are of each role, of
        URLs no password.
        """
        shown = asdict(self) | {
            "keys": dict(Counter(self.keys.values())),
            "store": without_password(self.store_url),
            "data": without_password(self.data),
        }
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in shown.items()
        }

    def to_json(self) -> str:
        """All fields, to hand to worker processes."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> ServiceSettings:
        """What `to_json` wrote."""
        fields: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in json.loads(text).items()
        }
        return cls(**fields)


def without_password(url: str) -> str:
    """An address as it may be shown; a path stays as it is."""
    return re.sub(
        r"([?&]password=)[^&]*", r"\1***", re.sub(r"(://[^/@:]*):[^/]*@", r"\1:***@", url)
    )
