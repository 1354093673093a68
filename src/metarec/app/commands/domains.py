"""`metarec domains`: lists the domain packs, or describes one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from metarec.app.commands.options import Json, show, table

if TYPE_CHECKING:
    from metarec.data.domains import DomainPack


def domains(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="A domain; all of them unless given.")
    ] = None,
    as_json: Json = False,
) -> None:
    """List the domains, or say what one of them means: column names, kinds of events, policy,
    metric, notice, and an example to run.
    """
    from metarec.data.domains import domain
    from metarec.data.domains import domains as names

    if name is None:
        packs = [domain(one) for one in names()]
        rows = [[pack.name, pack.metric, pack.about] for pack in packs]
        text = table(["domain", "metric", "what it is about"], rows)
        show(
            {"domains": [_facts(pack) for pack in packs]},
            f"{text}\nmore of one: metarec domains NAME",
            as_json=as_json,
        )
        return
    pack = domain(name)
    show(_facts(pack), _words(pack), as_json=as_json)


def _facts(pack: DomainPack) -> dict[str, Any]:
    """Return a pack as plain values, with its kinds of events in full."""
    from dataclasses import asdict

    from metarec.data.domains import pack_kinds
    from metarec.data.policies import policy_lines

    return {
        "name": pack.name,
        "about": pack.about,
        "columns": {column: list(names) for column, names in pack.synonyms.items()},
        "kinds": {name: asdict(pack_kinds(pack).of(name)) for name in pack.kinds},
        "policy": asdict(pack.policy) | {"words": policy_lines(pack.policy)[1:]},
        "metric": {"name": pack.metric_name, "why": pack.metric_why},
        "notice": pack.policy.notice,
        "labels": dict(pack.labels),
        "says": [asdict(one) for one in pack.says],
        "example": None if pack.example is None else asdict(pack.example),
    }


def _words(pack: DomainPack) -> str:
    facts = _facts(pack)
    columns = [[column, ", ".join(names)] for column, names in facts["columns"].items()]
    kinds = [
        [name, kind["sign"], f"{kind['strength']:g}", "target" if kind["target"] else ""]
        for name, kind in facts["kinds"].items()
    ]
    policy = [line for line in facts["policy"]["words"] if not line.startswith("said with every")]
    lines = [
        f"domain {pack.name}: {pack.about}",
        "",
        table(["column", "also understood as"], columns),
        "",
        table(["kind", "sign", "strength", ""], kinds),
        "kinds not named here count as everywhere; a target is what recommendations are for",
        "",
        "policy:",
        *(f"  {line}" for line in policy),
        f"notice: {pack.policy.notice or 'none'}",
        f"metric: {pack.metric}. {pack.metric_why}",
    ]
    if pack.says:
        lines += ["explanations may say:", *(f"  {one.text}" for one in pack.says)]
    if pack.example is not None:
        lines += [
            f"example, in a clone of the repository: {pack.example.folder}. {pack.example.shows}",
            *(f"  {line}" for line in pack.example.commands),
        ]
    return "\n".join(lines)
