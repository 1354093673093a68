"""Options that describe a user, and the request they make."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from metarec.app.commands.options import (
    Bought,
    Context,
    Did,
    Dislike,
    Friend,
    Like,
    Model,
    Near,
    Profile,
    Search,
    Viewed,
    Wish,
)
from metarec.app.commands.stated_values import number_of, pairs_of

if TYPE_CHECKING:
    from metarec.recommendation.slate import Request
    from metarec.recommender import Recommender


@dataclass(frozen=True, kw_only=True)
class AboutUser:
    """Options of the model, the user and their events."""

    model: Model
    like: Like = None
    dislike: Dislike = None
    bought: Bought = None
    viewed: Viewed = None
    did: Did = None
    profile: Profile = None
    wish: Wish = None
    friend: Friend = None
    near: Near = None
    context: Context = None
    search: Search = None

    @property
    def is_said(self) -> bool:
        """Whether any option describes the user."""
        acts = (self.like, self.dislike, self.bought, self.viewed, self.did, self.search)
        return any((*acts, self.profile, self.wish, self.friend, self.near, self.context))

    def request(self, model: Recommender) -> Request:
        """Return the request of this user to a model.

        Raises:
            BadInput: if an item is not in the catalog, a value cannot be read, an attribute looks
                like a misspelled one of the policy, or the model knows no such context column.
        """
        from metarec.data.places import location_of
        from metarec.recommendation.notes import refuse_unknown_context
        from metarec.recommendation.slate import Request

        history = self._history(model)
        stated = {name: _read(value) for name, value in pairs_of(self.profile, "--profile")}
        model.policy_check.refuse_misspelled(stated)
        context = {name: _read(value) for name, value in pairs_of(self.context, "--context")}
        refuse_unknown_context(model.context_columns, context, model.policy_check.heeds(context))
        return Request(
            history=history,
            wish=self.wish,
            profile=stated,
            friends=self.friend or (),
            location=None if self.near is None else location_of(self.near.split(",")),
            context=context,
            searches=self.search or (),
        )

    def _history(self, model: Recommender) -> list[tuple[str, float | None, str]]:
        by_kind = (
            ("like", self.like),
            ("purchase", self.bought),
            ("view", self.viewed),
            ("dislike", self.dislike),
        )
        history = [_event(text, kind, model) for kind, texts in by_kind for text in texts or ()]
        history += [
            _event(text, _kind(kind, model), model)
            for kind, text in pairs_of(self.did, "--did", "KIND=ID")
        ]
        known_items(model, [item_id for item_id, *_ in history])
        return history


def known_items(model: Recommender, item_ids: Sequence[str]) -> Sequence[str]:
    """Return the ids unchanged, after a check: an unknown one is misspelled, and a ban of it would
    have no effect.

    Raises:
        BadInput: naming the first that is not in the catalog.
    """
    from metarec.explanation.relative_score import unknown_item

    for item_id in item_ids:
        if item_id not in model.vocabulary:
            raise unknown_item(model, item_id)
    return item_ids


def known_tags(model: Recommender, quota: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the quotas unchanged, after a check: one of a tag that no item has would have no
    effect.

    Raises:
        BadInput: naming the first such tag and the most similar known one.
    """
    from metarec.data.policies import nearest
    from metarec.data.policy_values import tags_of
    from metarec.data.schema import BadInput
    from metarec.recommendation.ordering.rules import category_matrix

    names, frame = [name for name, _ in quota], model.catalog.frame
    has_tag = category_matrix(frame, names) if names else None
    for place, name in enumerate(names):
        if has_tag is not None and not has_tag[:, place].any():
            all_tags = {
                tag for cell in frame["categories"].to_list() for tag in tags_of(cell) or ()
            }
            near = nearest(name, all_tags)
            hint = f"; did you mean {near!r}?" if near else ""
            raise BadInput(f"--quota: no item has the tag {name!r}{hint}")
    return quota


def titles_of(model: Recommender, item_ids: list[str]) -> list[str]:
    """Return the title of each item."""
    titles = model.catalog.titles()
    return [titles[row] for row in model.vocabulary.indexes(item_ids)]


def _event(text: str, kind: str, model: Recommender) -> tuple[str, float | None, str]:
    """Read `ID`, or `ID=VALUE` for a stated rating or amount. An id that contains a `=` itself is
    recognized by the catalog.
    """
    item_id, sign, stated = text.rpartition("=")
    if sign and text not in model.vocabulary:
        return item_id, number_of(stated, f"--{kind}"), "rating" if kind == "like" else kind
    if kind == "like" and model.has_values:
        return text, model.value_range[1], "rating"
    return text, None, kind


def _kind(name: str, model: Recommender) -> str:
    """Return the name of a kind, after a check that the model's table of kinds has it.

    Raises:
        BadInput: naming the most similar kind, if there is none of this name.
    """
    from metarec.data.schema import BadInput

    kinds = model.training.interactions.kinds
    if not kinds.known(name):
        near = kinds.nearest(name)
        hint = f"; did you mean {near!r}?" if near else ""
        raise BadInput(f"--did: kind {name!r} is not known{hint}")
    return name


def _read(text: str) -> Any:
    """Convert a text to a number where it is one."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
