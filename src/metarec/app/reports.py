"""Reports kept with a model, `MODEL/reports/NAME.json`: results of commands for the operator's
page.
"""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

from metarec.data.schema import BadInput
from metarec.runtime.artifacts import REPORTS
from metarec.runtime.folders import write_text
from metarec.runtime.old_names import IN_REPORTS, with_current_names

LEARNING_CURVE, AUDIT, DATA = "learning-curve", "audit", "data"
"""Names of reports: an evaluation, an audit, the result of cleaning. A newer report of the same
name replaces the older.
"""
_PERSONAL = ("new_users", "examples")
NAMED_FROM = 5
"""Number of users from which a report kept with a model names a group or a kind of events: what
fewer have or do may tell who they are.
"""


def keep_report(model: str | Path, name: str, content: dict[str, Any], *, by: str) -> Path:
    """Write a report beside a model, completely or not at all. Numbers that are not finite become
    null; examples of users, and groups and kinds of fewer than `NAMED_FROM` users, are left out.

    Args:
        model: folder of the model.
        name: one of the names above.
        content: the report as its own `to_json` returns it.
        by: the command that made it, for the reader.
    """
    place = Path(model) / REPORTS / f"{name}.json"
    place.parent.mkdir(exist_ok=True)
    plain = _without_users(
        json.loads(
            json.dumps(content, default=_plain, ensure_ascii=False), parse_constant=lambda _: None
        )
    )
    plain = _without_few_kinds(_without_few(plain))
    write_text(
        place,
        json.dumps(
            {**plain, "kept": {"by": by, "timestamp": time.time()}}, indent=1, ensure_ascii=False
        )
        + "\n",
    )
    return place


def report_names(model: Path) -> list[str]:
    """Return the names of the reports kept with a model."""
    return sorted(
        path.stem for path in (model / REPORTS).glob("*.json") if not path.name.startswith(".")
    )


def read_report(model: Path, name: str) -> Any:
    """Return one report.

    Raises:
        BadInput: if there is none of this name.
    """
    if name not in report_names(model):
        raise BadInput(
            f"no report {name!r}; there are: {', '.join(report_names(model)) or 'none yet'}"
        )
    text = (model / REPORTS / f"{name}.json").read_text(encoding="utf-8")
    return with_current_names(json.loads(text), IN_REPORTS)


def _without_users(content: Any) -> Any:
    """Remove the fields with data of single users: a forgotten user must not remain in a report."""
    if isinstance(content, dict):
        return {
            name: _without_users(value) for name, value in content.items() if name not in _PERSONAL
        }
    return [_without_users(value) for value in content] if isinstance(content, list) else content


def _without_few(audit: dict[str, Any]) -> dict[str, Any]:
    """Remove the groups of few users from an audit, and their names from its warnings; other
    reports have none.
    """
    rows = audit.get("groups")
    if not isinstance(rows, list):
        return audit
    warnings = audit.get("warnings", [])
    for by, label, users in {(row["by"], str(row["group"]), row["users"]) for row in rows}:
        if users >= NAMED_FROM:
            continue
        named = re.compile(rf"(?<=[:,] ){re.escape(label)} \({users}\)(?=[,;])")
        warnings = [
            named.sub(f"one of {users}", warning) if warning.startswith(f"by {by}, ") else warning
            for warning in warnings
        ]
    kept = [row for row in rows if row["users"] >= NAMED_FROM]
    return {**audit, "groups": kept, "warnings": warnings}


def _without_few_kinds(data: dict[str, Any]) -> dict[str, Any]:
    """Remove the kinds of few users from a report on data, and the sentences that name them; other
    reports have none.
    """
    facts = data.get("facts")
    if not isinstance(facts, dict) or "kind_use" not in facts:
        return data
    few = {use["kind"]: use["rows"] for use in facts["kind_use"] if use["users"] < NAMED_FROM}
    if not few:
        return data
    kept = {
        "kinds": {kind: rows for kind, rows in facts["kinds"].items() if kind not in few},
        "kind_use": [use for use in facts["kind_use"] if use["kind"] not in few],
    }
    counted = {f"{kind} {rows:,}" for kind, rows in few.items()}
    in_words = [
        {
            **line,
            "sentence": ", ".join(
                part for part in line["sentence"].split(", ") if part not in counted
            ),
        }
        for line in data["in_words"]
    ]
    named = re.compile("|".join(rf"(?<!\w){re.escape(kind)}(?!\w)" for kind in few))
    return {
        **data,
        "facts": {**facts, **kept},
        "in_words": in_words,
        "findings": [
            one for one in data["findings"] if not named.search(json.dumps(one, ensure_ascii=False))
        ],
        "advice": [line for line in data["advice"] if not named.search(line)],
    }


def _plain(value: Any) -> Any:
    return value.tolist() if hasattr(value, "tolist") else str(value)
