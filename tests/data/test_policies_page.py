"""The guide's list of what packs look for is made from the packs themselves; `make golden` renews
it.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from metarec.data.domains import DomainPack, domain, domains
from metarec.data.policies import KEYS

PAGE = Path(__file__).parent.parent.parent / "docs" / "guide" / "policies.md"
PACKS = re.compile(r"(<!-- packs: .* -->\n).*(<!-- /packs -->)", re.DOTALL)
WHAT = {
    "user_id": "who acts",
    "item_id": "on what",
    "timestamp": "when",
    "value": "rating",
    "kind": "what the act was",
    "title": "an item's title",
    "text": "an item's text",
    "categories": "an item's tags",
}


def code(names: object) -> str:
    return ", ".join(f"`{name}`" for name in names)  # type: ignore[attr-defined]


def section(pack: DomainPack) -> str:
    rows = [
        f"| {WHAT[canonical]} (`{canonical}`) | {code(names)} |"
        for canonical, names in pack.synonyms.items()
    ]
    policy = pack.policy
    forbids = [
        f"| items: `{e.item_column}` | users: `{e.profile_attribute}` | {e.why} | "
        f"{'not shown' if e.unknown == 'hide' else 'noted'} |"
        for e in policy.exclusions
    ]
    if policy.prerequisite_column:
        forbids.append(
            f"| items: `{policy.prerequisite_column}` | what the user has taken | "
            "must come first | not shown |"
        )
    table = [
        "",
        "| column | of | why not shown | where not stated |",
        "|---|---|---|---|",
        *forbids,
    ]
    again = "may be" if policy.repeats_allowed else "are not"
    return "\n".join(
        [
            f"### {pack.name}",
            "",
            pack.about,
            "",
            "| column | names understood |",
            "|---|---|",
            *rows,
            *(table if forbids else []),
            *(["", f"Not shown: {code(policy.rules)}."] if policy.rules else []),
            "",
            f"Seen items {again} shown again. Kinds: {code(pack.kinds)}. Evaluate by {pack.metric}."
            + (f' Said with every slate: "{policy.notice}"' if policy.notice else ""),
            "",
        ]
    )


def test_the_page_lists_what_the_packs_look_for() -> None:
    made = "\n".join(section(domain(name)) for name in domains())
    text = PAGE.read_text(encoding="utf-8")
    assert PACKS.search(text)
    renewed = PACKS.sub(lambda found: f"{found[1]}\n{made}{found[2]}", text)
    if os.environ.get("METAREC_RENEW_GOLDEN"):
        PAGE.write_text(renewed, encoding="utf-8")
    assert renewed == PAGE.read_text(encoding="utf-8"), "run `make golden` and read the difference"


def test_the_page_names_everything_a_policy_may_say() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for key in KEYS:
        assert key in text
