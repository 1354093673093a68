"""Training events as index arrays over the whole catalog, and the `Behavior` made from them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from metarec.data.cold_users import Horizon
from metarec.data.dataset import Dataset, check_accepts, nothing_accepted
from metarec.data.errors import BadInput
from metarec.data.schema import Catalog
from metarec.features.behavior import Behavior, cut_histories
from metarec.features.events import EventReader, Events
from metarec.features.histories import Histories
from metarec.features.profiles import ProfileInputs
from metarec.features.text import item_text
from metarec.features.training_context import TrainingContext
from metarec.features.users_in_words import UsersInWords


@dataclass(frozen=True, kw_only=True)
class Past:
    """Training events as index arrays over the whole catalog."""

    data: Dataset
    catalog: Catalog
    events: Events
    """All events in order, accepted, refused and undone."""
    whole: Histories
    """Items that each user accepted."""
    refused: Histories
    """Items that each user refused."""
    user_ids: list[str]
    """[U] ids of the users."""

    @classmethod
    def of(cls, data: Dataset, catalog: Catalog) -> Past:
        """Read the events of `data` with the item indexes of `catalog`.

        Raises:
            BadInput: if no event is an acceptance that still holds.
        """
        check_accepts(data)
        events, user_ids = EventReader.of(data.interactions).of_interactions(
            data.interactions, catalog.vocabulary
        )
        histories, refused = events.joined()
        if not len(histories.items):  # every acceptance was undone
            raise BadInput(nothing_accepted(data))
        return cls(
            data=data,
            catalog=catalog,
            events=events,
            whole=histories,
            refused=refused,
            user_ids=user_ids,
        )

    def behavior(
        self,
        horizon: Horizon,
        content: np.ndarray,
        profile_inputs: ProfileInputs,
        words: UsersInWords,
        *,
        item_template: str | None,
        text: np.ndarray,
        weights: np.ndarray | None = None,
    ) -> Behavior:
        """Return the behavior that the scorers are fitted on."""
        data, stated = self.data, self.data.users.of_users(self.user_ids)
        has_clock = data.interactions.has_time
        return Behavior(
            **cut_histories(self.events, self.whole, horizon, has_clock=has_clock),
            refused=self.refused,
            profiles=profile_inputs.transform(stated),
            content=content,
            relevant_from=data.interactions.relevant_from,
            horizon=horizon,
            weights=weights,
            attributes=stated,
            words=replace(words, keeps=True),
            text=text,
            context=TrainingContext.of(
                data, self.catalog, self.user_ids, item_text(self.catalog, item_template)
            ),
        )
