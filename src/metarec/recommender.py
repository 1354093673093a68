"""`Recommender`: the whole journey in one class; each method calls a stage of `recommendation`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import metarec
from metarec.data.cold_users import Horizon
from metarec.data.dataset import Dataset
from metarec.data.domains import Policy
from metarec.features.behavior import Behavior
from metarec.models.config import Models
from metarec.recommendation import onboarding, pipeline, predicted_ratings, storage
from metarec.recommendation.card import model_card
from metarec.recommendation.ensemble.prior import Prior
from metarec.recommendation.explained import Explanation
from metarec.recommendation.fitted import FittedModel
from metarec.recommendation.fitting import fit, growing
from metarec.recommendation.fitting.steps import Run
from metarec.recommendation.ordering.rerank import Reranker
from metarec.recommendation.ordering.rules import NO_RULES, Rules
from metarec.recommendation.ranking import SlateOptions
from metarec.recommendation.settings import Settings
from metarec.recommendation.slate import ItemIds, Request, Slate, observed
from metarec.recommendation.stages import score
from metarec.runtime.old_names import FormerNames
from metarec.runtime.progress import Progress, silent


@dataclass(frozen=True, kw_only=True, repr=False)
class Recommender(FormerNames, FittedModel):
    """Recommends well to users and items with few events or none, many requests at once."""

    name = "metarec"

    @classmethod
    def fit(
        cls,
        data: Dataset,
        preset: str = "small",
        seed: int = 0,
        *,
        encoder: str = "auto",
        learner: str | None = None,
        item_template: str | None = None,
        user_template: str | None = None,
        person_template: str | None = None,
        policy: Policy | str | None = None,
        horizon: Horizon | None = None,
        user_weights: Mapping[str, float] | None = None,
        models: Models | None = None,
        checkpoint: str | Path | None = None,
        workers: int = 1,
        backend: str = "here",
        prior: Recommender | None = None,
        progress: Progress = silent,
    ) -> Recommender:
        """Fit a recommender; `BadInput` for too few data, or a wrong weight or name.

        Args:
            data: events, items and users; cleaned first as `metarec fit` does, unless they are.
            preset, seed, encoder, learner, item_template, user_template, models: as in `Settings`
                (`models` over those of the data's file); same data and settings, same model.
            person_template: earlier name of `user_template`.
            policy: or a domain's name; that of the data by default, else seen items are hidden
                unless users repeat them.
            horizon: support sizes to learn for; chosen from the data by default.
            user_weights: by user id, above 0, scaled to mean 1; unnamed users have weight 1.
            checkpoint: folder for finished steps, from which a killed fit resumes.
            workers, backend: processes for the steps, `here` or on `ray`; the model is the same.
            prior: a model of other data to start from, if it helps held-out users (see `notes`).
            progress: called with the progress of each stage.
        """
        settings = Settings(
            preset=preset,
            seed=seed,
            encoder=encoder,
            learner=learner,
            item_template=item_template,
            user_template=person_template if user_template is None else user_template,
            models={} if models is None else models,  # type: ignore[arg-type]
        )
        run = Run(checkpoint=checkpoint, workers=workers, backend=backend, progress=progress)
        start = None if prior is None else Recommender.as_prior(prior)
        return cls.of(fit.fit(data, settings, run, policy, horizon, user_weights, start))

    def fit_like(
        self,
        data: Dataset,
        *,
        seed: int | None = None,
        horizon: Horizon | None = None,
        user_weights: Mapping[str, float] | None = None,
        progress: Progress = silent,
    ) -> Recommender:
        """Fit this model's settings on other data, under its policy where `data` have none."""
        return self.of(fit.fit_like(self, data, seed, horizon, user_weights, progress))

    def as_prior(self) -> Prior:
        """Return what transfers to other data: the gate, and a map from item texts to taste."""
        return fit.prior_of(self)

    def behavior(self) -> Behavior:
        """Return the behavior that its scorers were fitted on, to fit another scorer on."""
        return fit.behavior_of(self)

    def score(self, requests: Sequence[Request]) -> np.ndarray:
        """Return [B, N] float32 log-scores of the whole catalog, seen items included."""
        return score.log_scores(self, requests, self.users(requests)[0])

    def score_components(self, requests: Sequence[Request]) -> dict[str, np.ndarray]:
        """Return the components of `score` by name, each [B, N]."""
        return score.score_components(self, requests)

    def rate(self, requests: Sequence[Request], item_ids: ItemIds) -> list[np.ndarray]:
        """Return predicted values; the mean for an unknown item, `BadInput` without ratings."""
        return [values for values, _ in predicted_ratings.predict_ratings(self, requests, item_ids)]

    def rate_std(self, requests: Sequence[Request], item_ids: ItemIds) -> list[np.ndarray]:
        """Return calibrated standard deviations of predicted values, for 90% normal intervals."""
        return [spread for _, spread in predicted_ratings.predict_ratings(self, requests, item_ids)]

    def recommend(
        self,
        requests: Sequence[Request],
        k: int = 10,
        *,
        filter: str | None = None,  # noqa: A002  # the name that users expect
        rules: Rules | None = None,
        diversity: float = 0.0,
        explore: float = 0.0,
        cold_share: float = 0.0,
        reranker: Reranker | None = None,
        rng: np.random.Generator | None = None,
    ) -> list[Slate]:
        """Return the best `k` items for each user that the policy allows; `BadInput` for wrong
        options.

        Args:
            k: length of each slate; shorter where fewer items may be shown.
            filter: over the catalog's columns, such as `year > 1990 and genres = "Drama"`.
            rules: pins, bans and quotas.
            diversity: in [0, 1]; 0 ranks by score alone.
            explore: strength of Thompson sampling, which shows more cold items; 0 turns it off.
            cold_share: share of positions for cold items (0.05: half a position of ten), at random.
            reranker: reorders the best items for another objective.
            rng: breaks ties and explores; seeded by the model's seed by default.
        """
        options = SlateOptions(
            k=k,
            filter=filter,
            rules=NO_RULES if rules is None else rules,
            diversity=diversity,
            explore=explore,
            cold_share=cold_share,
            reranker=reranker,
        )
        return pipeline.recommend(self, requests, options, rng)

    def questions(
        self, requests: Sequence[Request], k: int = 5, *, exclude: ItemIds | None = None
    ) -> onboarding.Questions:
        """Return the items, of those that the policy allows, to ask each user about first."""
        return onboarding.choose_for(self, requests, k, () if exclude is None else exclude)

    def explain(self, request: Request, item_id: str) -> Explanation:
        """Explain an item's score: its components, influence of each event, nearest liked items."""
        return metarec.explain(self, request, item_id)  # defined in a layer above this one

    def observe(self, request: Request, events: Sequence[tuple[Any, ...]]) -> Request:
        """Return the same user after further events; recommending to the result is adaptation."""
        return observed(request, events)

    def with_items(self, frame: Any) -> Recommender:
        """Return the model with items added or changed: rows of `item_id` and catalog columns."""
        return growing.with_items(self, frame)

    def save(self, folder: str | Path) -> None:
        """Write the model atomically as plain data (safetensors, JSON, Parquet)."""
        storage.save(self, folder)

    @classmethod
    def load(cls, folder: str | Path) -> Recommender:
        """Read a model that `save` wrote, or raise `FileNotFoundError` or `BrokenArtifact`."""
        return cls.of(storage.load(folder))

    def card(self) -> str:
        """Return the model card as Markdown."""
        return model_card(self)
