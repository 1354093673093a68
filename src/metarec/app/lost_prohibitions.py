"""Comparison of model versions by policy: prohibitions that a version lacks."""

from __future__ import annotations

from collections.abc import Iterable

from metarec.data.domains import Policy
from metarec.data.errors import BadInput
from metarec.data.policies import prohibitions
from metarec.feedback.registry import Registry
from metarec.runtime.artifacts import BrokenArtifact, read_config


def lost_prohibitions(
    registry: Registry, versions: Iterable[str], than: str | None = None
) -> list[str]:
    """Return a sentence on each of `versions` whose policy lacks a prohibition of the version
    `than` (by default the current one).
    """
    than = than or registry.current()
    now = _prohibitions(registry, than)
    missing = {
        version: [line for line in now if line not in _prohibitions(registry, version)]
        for version in dict.fromkeys(versions)
    }
    return [
        f"the policy of model {version} lacks what that of {than} says: {'; '.join(lines)}"
        for version, lines in missing.items()
        if lines
    ]


def _prohibitions(registry: Registry, version: str) -> list[str]:
    try:
        config = read_config(registry.place_of(version))
    except (FileNotFoundError, BrokenArtifact, BadInput):  # removed or broken: it shows nothing
        return []
    return prohibitions(Policy.of_json(config["policy"]))
