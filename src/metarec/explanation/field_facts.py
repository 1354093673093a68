"""Facts about one item and one user in the words of the domain: that it leads to their goal, that
its sugar is below what their HbA1c rules out, that it follows what they completed.

These are facts of the tables, not measured effects: reasons say what changed the score, facts how
the item and the user are related. They come from the policy and from the domain's sentences.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from metarec.data.domains import NO_DOMAIN, DomainPack, Exclusion, Policy, SentenceTemplate, domain
from metarec.data.policies import bare, column_of
from metarec.data.policy_rules import Comparison, PolicyRule, read_rule
from metarec.data.policy_values import number_of, tags_of
from metarec.explanation.words import DID
from metarec.features.events import parts_of
from metarec.recommendation.policy.fulfillment import fulfilled_items, listed_items

if TYPE_CHECKING:
    from metarec.explanation.relative_score import Explained
    from metarec.recommendation.slate import Request

MAX_NEXT = 3
"""Maximum number of later items of a path that a sentence names."""
UNITS = {"mg", "g", "kg", "t", "km", "min", "eur", "usd", "ml", "kcal"}
"""Units of numbers that may end a column's name."""
BEYOND = {
    ">": "above {}",
    ">=": "of {} and more",
    "<": "below {}",
    "<=": "of {} and less",
    "=": "of {}",
    "!=": "other than {}",
}
"""Comparison of a rule -> how its limit is said."""
WITHIN = {
    ">": "not above",
    ">=": "below",
    "<": "not below",
    "<=": "above",
    "=": "not",
    "!=": "equal to",
}
"""Comparison of a rule with a user's attribute -> how the item, which does not satisfy it, is
described.
"""


def field_facts(model: Explained, request: Request, item: int) -> list[str]:
    """Return sentences about the item at this index and the user of the request; empty for a model
    without a policy.
    """
    policy = getattr(model, "policy", None)
    if policy is None:
        return []
    return list(dict.fromkeys(_Told(model, request, item, policy).sentences()))


def labels_of(model: Explained) -> Mapping[str, str]:
    """Return display names of columns and attributes in the model's domain."""
    policy = getattr(model, "policy", None)
    return NO_DOMAIN.labels if policy is None else _pack(policy).labels


def policy_columns(model: Explained) -> frozenset[str]:
    """Return the columns and attributes that the policy's exclusions read: they are reported as
    facts, not as reasons to like an item.
    """
    policy = getattr(model, "policy", None)
    if policy is None:
        return frozenset()
    columns = model.catalog.frame.columns
    read = [column_of(e.item_column, columns, policy) for e in policy.exclusions]
    return frozenset([*filter(None, read), *(e.profile_attribute for e in policy.exclusions)])


def _pack(policy: Policy) -> DomainPack:
    return NO_DOMAIN if policy.domain is None else domain(policy.domain)


class _Told:
    """One item and one user, with lookups for the sentences."""

    def __init__(self, model: Explained, request: Request, item: int, policy: Policy) -> None:
        self.policy, self.pack, self.request = policy, _pack(policy), request
        self.catalog, self.titles = model.catalog.frame, model.catalog.titles()
        self.row = self.catalog.row(item, named=True)
        self.vocabulary = model.vocabulary
        self.kinds = model.policy_check.kinds if hasattr(model, "policy_check") else None
        stated = {**request.context, **request.profile}
        self.by_name = {bare(name): value for name, value in stated.items()}

    def sentences(self) -> Iterator[str]:
        yield from self._path()
        for saying in self.pack.says:
            yield from self._sentences_of(saying)
        for text in self.policy.rules:
            yield from self._rule(read_rule(text))
        yield from self._exclusions()

    # Lookups

    def cell(self, name: str) -> Any:
        """Return the item's value in the column that the policy or the domain pack names."""
        column = column_of(name, self.catalog.columns, self.policy)
        return None if column is None else self.row[column]

    def stated(self, name: str) -> Any:
        """Return the user's value of an attribute."""
        return self.by_name.get(bare(name))

    def stated_text(self, exclusion: Exclusion) -> str:
        """Return a single attribute value as the user wrote it."""
        value = self.stated(exclusion.profile_attribute)
        return str(value[0] if isinstance(value, list | tuple) and value else value)

    def label(self, name: str) -> str:
        """Return the display name of a column or attribute, without the unit at its end."""
        if name in self.pack.labels:
            return str(self.pack.labels[name])
        words = name.split("_")
        return " ".join(words[:-1] if len(words) > 1 and words[-1].lower() in UNITS else words)

    def amount(self, name: str, value: Any) -> str:
        """Return a value with the unit at the end of its column's name, unless it has one
        itself.
        """
        unit = name.rsplit("_", 1)[-1]
        shown_unit = unit if unit.lower() in UNITS and name not in self.pack.labels else ""
        text = f"{value:g}" if isinstance(value, int | float) and value != int(value) else ""
        text = text or (str(int(value)) if isinstance(value, float) else str(value))
        return f"{text} {shown_unit}" if shown_unit and not text.endswith(shown_unit) else text

    # Sentences

    def _sentences_of(self, saying: SentenceTemplate) -> Iterator[str]:
        cell, stated = self.cell(saying.item), self.stated(saying.user)
        if cell is None or stated is None:
            return
        shared = [tag for tag in tags_of(cell) or () if tag in (tags_of(stated) or ())]
        item, user = number_of(cell), number_of(stated)
        holds = {
            "shares": bool(shared),
            "equals": item == user,
            "at_most": item <= user,
            "at_least": item >= user,
        }[saying.relation]
        if holds:
            yield saying.text.format(
                shared=" and ".join(shared),
                item=self.amount("", cell),
                user=self.amount("", stated),
            )

    def _rule(self, rule: PolicyRule) -> Iterator[str]:
        """Yield how the item compares with the limit that a rule sets for this user."""
        profile = {name: self.stated(name) for name in rule.attributes_read}
        parts = rule.for_user(profile)
        if parts is None:
            return
        whys = [f"your {self.label(p.name)} is {self.stated(p.name)}" for p in rule.when]
        for part, at in zip(rule.items, parts, strict=True):
            cell = self.cell(part.name)
            if cell is None or part.holds([cell])[1][0] and part.of_user is None:
                yield f"its {self.label(part.name)} is not stated, so it was not checked"
            elif not at.holds([cell])[0][0]:
                yield self._kept(part, cell, whys)

    def _kept(self, part: Comparison, cell: Any, whys: list[str]) -> str:
        name, here = self.label(part.name), self.amount(part.name, cell)
        if part.of_user is not None:
            yours = self.amount(part.of_user, self.stated(part.of_user))
            yours_in_words = f"your {self.label(part.of_user)}, {yours}"
            return f"its {name}, {here}, is {WITHIN[part.sign]} {yours_in_words}"
        limit = BEYOND[part.sign].format(self.amount(part.name, part.value))
        return f"{' and '.join(whys)}, which rules out {name} {limit}; here it is {here}"

    def _exclusions(self) -> Iterator[str]:
        """Yield exclusions of the user that the item is free of."""
        for exclusion in self.policy.exclusions:
            stated = tags_of(self.stated(exclusion.profile_attribute))
            if column_of(exclusion.item_column, self.catalog.columns, self.policy) is None:
                continue
            tags = tags_of(self.cell(exclusion.item_column))
            if stated and tags is not None and not {*stated} & {*tags}:
                attribute, column = map(
                    self.label, (exclusion.profile_attribute, exclusion.item_column)
                )
                text = ", ".join(stated) if len(stated) > 1 else self.stated_text(exclusion)
                yield (f"{attribute} {text}: not among its {column} ({', '.join(tags) or 'none'})")

    def _path(self) -> Iterator[str]:
        """Yield the completed prerequisites of the item, and the items that it is a prerequisite
        of.
        """
        column = self.policy.prerequisite_column
        if column is None or self.kinds is None:
            return
        name = column_of(column, self.catalog.columns, self.policy)
        if name is None:
            return
        done = {*fulfilled_items(self.request.history, self.kinds, self.policy.fulfilled_by)}
        verbs = {str(e[0]): parts_of(e)[2] for e in self.request.history}
        needed = [one for one in listed_items(self.row[name]) if one in done]
        if needed:
            did = DID.get(verbs.get(needed[0]) or "", "took")
            yield f"it is the next step after {self._titles(needed)}, which you {did}"
        opens = [
            str(item)
            for item, cell in zip(self.catalog["item_id"], self.catalog[name], strict=True)
            if self.row["item_id"] in listed_items(cell)
        ]
        if opens:
            more = f" and {len(opens) - MAX_NEXT} more" if len(opens) > MAX_NEXT else ""
            yield f"it opens {self._titles(opens[:MAX_NEXT])}{more}"

    def _titles(self, ids: list[str]) -> str:
        return ", ".join(
            self.titles[row] if row >= 0 else one
            for one, row in zip(ids, self.vocabulary.indexes(ids).tolist(), strict=True)
        )
