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
"""Largest number of workers, shards or replicas; a larger one is a typing error and would exhaust
the machine.
"""
SCHEMA = "metarec"
ROLES = ("read", "write", "admin")
"""Roles of keys; each may do what those before it may."""
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
"""Setting -> its smallest value."""
MOST = {"port": 65_535, "workers": MAX_WORKERS, "shards": MAX_WORKERS, "replicas": MAX_WORKERS}
"""Setting -> its largest value."""


@dataclass(frozen=True, kw_only=True)
class ServiceSettings:
    """Settings of the service. In the environment a field is `METAREC_` and its name in capitals,
    as in `METAREC_PORT=9000`.
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
    (extra `ray`), where `workers` is the number of processes that answer HTTP.
    """
    shards: int = 1
    """Number of slices of the catalog, each scored by its own processes; above 1 only on Ray."""
    replicas: int = 1
    """Processes that score each shard; above 1 only on Ray."""
    keys: Mapping[str, str] = field(default_factory=dict)
    """API key -> role (`read`, `write`, `admin`); without keys, every client may do everything. In
    the environment: `key:role,key:role`. `sha256:` and the 64 hexadecimal digits of a key's SHA-256
    stand for the key, so that the settings need not hold it.
    """
    min_key_length: int = 16
    """`metarec serve` refuses keys of fewer characters, because they can be guessed."""
    open_to_all: bool = False
    """Listen beyond this machine without keys."""
    cors_origins: tuple[str, ...] = ()
    """Origins of the web pages that may call the service from a browser."""
    hosts: tuple[str, ...] = ()
    """Host names by which the service may be called (the Host header). If empty: the names of this
    machine on loopback without keys, else any name.
    """
    trusted_proxies: tuple[str, ...] = ()
    """Addresses or networks (`10.0.0.0/8`) of proxies whose X-Forwarded-For and X-Forwarded-Proto
    are believed; from other clients they are ignored.
    """
    max_connections: int = 1_000
    """Open connections at each worker; fewer where the process may open only few files. When all
    are taken, the connection that has waited longest without a complete request is closed.
    """
    max_url_bytes: int = 8_192
    max_header_bytes: int = 32_768
    """Size of all headers of a request together."""
    header_seconds: float = 10.0
    """Seconds in which the URL and the headers of a request must arrive."""
    max_body_bytes: int = 1_000_000
    body_seconds: float = 30.0
    """Seconds in which the body of a request must arrive, and in which the client must read an
    answer.
    """
    idle_seconds: float = 30.0
    """Seconds for which a connection is kept open between requests."""
    max_cost: float = 20.0
    """Requests that cost more than this are refused, in units of one plain slate; see
    `request_cost`.
    """
    heavy_threads: int = 1
    """Threads of each worker for costly requests: explanations, exploration, long slates."""
    heavy_waiting: int = 16
    """Costly requests that may wait for a thread at each worker; further ones get 503."""
    heavy_seconds: float = 10.0
    """Seconds that a costly request may take, waiting included; after them it gets 503."""
    future_seconds: float = 300.0
    """Seconds by which an event may lie in the future, because clocks differ; later ones are
    refused.
    """
    requests_per_second: float = 200.0
    """Average rate allowed to each client (known key, else address) at each worker; 0 sets no
    limit.
    """
    burst: int = 400
    """Requests that a client may send at once after a pause."""
    history_length: int = 200
    """Number of a user's latest events that a slate is made from."""
    log_slates: bool = True
    """Store the slates shown to users with a user id; the comparison of challengers by logged
    propensities needs them.
    """
    explore: float = 0.0
    """Strength of exploration where a request does not give one; 0 shows the items with the best
    scores.
    """
    cold_share: float = 0.05
    """Share of places reserved for items with few or no events where a request does not give one.
    Of ten places, 0.05 reserves the last one in half of the slates; 0 reserves none.
    """
    filter: str = ""
    """Filter of every slate, in addition to the request's own, such as `in_stock = true`; see the
    guide to filters.
    """
    lang: str = ENGLISH
    """Language of reasons, notes and errors where a client asks for none with Accept-Language:
    `en` or `zh`.
    """
    mcp: bool = False
    """Answer agents by the Model Context Protocol at `/mcp`, with read-only tools."""
    device: str = "cpu"
    """Where networks and encoders are computed: cpu, cuda, mps, or auto for the first accelerator
    available.
    """
    inline_items: int = 100_000
    """Catalogs up to this size are scored in the event loop. Larger ones are scored in a thread,
    because they would block the loop for more than some hundredths of a second.
    """
    watch_seconds: float = 0.25
    """Seconds between two checks of each worker for new items and a promoted model."""
    keep_events_days: float = 0.0
    """Age in days from which events are deleted; 0 keeps all."""
    keep_slates_days: float = 0.0
    """Age in days from which stored slates that no kept event answers are deleted; 0 keeps all."""
    shutdown_seconds: int = 10
    """Seconds that running requests have to finish when the service stops."""
    retrain_hours: float = 0.0
    """Hours between two retrainings while serving, each only where there is a reason; 0 never
    retrains (run `metarec retrain` yourself).
    """
    keep_versions: int = KEEP_VERSIONS
    """Number of retrained versions kept after a retraining, the newest ones; the served version and
    the one before it are always kept.
    """
    data: str = ""
    """The data the first model was fitted on, for retraining on old and new events; taken from the
    model where not given.
    """
    alert_errors: float = 0.01
    """Alert where a larger share of the answers of the last 10 minutes failed; 0 never alerts, as
    with the thresholds below.
    """
    alert_slate_seconds: float = 0.25
    """Alert where more than one slate in a hundred of the last 10 minutes took this time or longer,
    as far as the buckets of the metric tell.
    """
    alert_rows_waiting: int = 5_000
    """Alert where more rows wait to be written."""
    alert_quiet_hours: float = 24.0
    """Alert where no event came for so many hours, though some came before."""
    alert_model_days: float = 30.0
    """Alert where the served model is older, in days."""
    alert_psi: float = 0.2
    """Alert, and advise retraining, where the population stability index of the users' choices is
    higher.
    """
    alert_cold_items: float = 0.1
    """The same for the share of new events on items outside the training data."""
    alert_value_shift: float = 0.3
    """The same for the shift of the values, in standard deviations."""
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
            if not low <= value < math.inf:  # refuses NaN too
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
        """Refuse keys that can be guessed; the length of a key given as a digest is unknown.

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
        """Path or URL of the event store, given or by default."""
        if not self.store:
            return str(Path(self.model) / "events.db")
        if self.schema == SCHEMA:
            return self.store
        from metarec.feedback.store.engines import with_schema

        return with_schema(self.store, self.schema)

    def in_effect(self) -> dict[str, Any]:
        """Return every setting by its name, for display: of the keys only the number of each role,
        of URLs no password.
        """
        values = asdict(self) | {
            "keys": dict(Counter(self.keys.values())),
            "store": without_password(self.store_url),
            "data": without_password(self.data),
        }
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in values.items()
        }

    def to_json(self) -> str:
        """Write all fields as JSON, to hand them to worker processes."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> ServiceSettings:
        """Read the settings that `to_json` wrote."""
        fields: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in json.loads(text).items()
        }
        return cls(**fields)


def without_password(url: str) -> str:
    """Return a URL without its password, for display; a path stays as it is."""
    return re.sub(
        r"([?&]password=)[^&]*", r"\1***", re.sub(r"(://[^/@:]*):[^/]*@", r"\1:***@", url)
    )
