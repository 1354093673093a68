"""Compare what an attack measured with its bounds; print passed or failed, and write JSON."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

# Attacks use the tests' own servers and clusters, which are found from here on.
sys.path.insert(0, str(Path(__file__).parent.parent.parent / "tests"))


@dataclass(frozen=True, kw_only=True)
class Check:
    """A measurement and its bound."""

    what: str
    measured: Any
    bound: str
    """The bound in words."""
    holds: bool


def at_most(what: str, measured: float, most: float) -> Check:
    """Return a check that a number is at most `most`."""
    return Check(what=what, measured=measured, bound=f"at most {most:g}", holds=measured <= most)


def none_of(what: str, found: Sequence[Any], tried: int) -> Check:
    """Return a check that nothing was found in so many tries."""
    told = {"tried": tried, "found": list(found)[:10], "n_found": len(found)}
    return Check(what=what, measured=told, bound="none", holds=not found and tried > 0)


def arguments(description: str | None) -> argparse.ArgumentParser:
    """Return a parser with the options of every attack."""
    parser = argparse.ArgumentParser(description=(description or "").split("\n")[0])
    parser.add_argument("--json", type=Path, help="Write what was found to this file.")
    return parser


def conclude(checks: Sequence[Check], found: Any, out: Path | None) -> None:
    """Print each check, and exit with code 1 if one fails."""
    for check in checks:
        said = json.dumps(check.measured) if isinstance(check.measured, dict) else check.measured
        print(f"{'passed' if check.holds else 'FAILED'}: {check.what}: {said} ({check.bound})")
    if out is not None:
        whole = {"checks": [asdict(check) for check in checks], "found": found}
        out.write_text(json.dumps(whole, indent=2, default=str) + "\n")
    if not all(check.holds for check in checks):
        raise SystemExit(1)
