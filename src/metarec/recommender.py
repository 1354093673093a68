"""The journey in one class: fit, fold in, recommend, rate, explain, save and load.

Everything else (command line, service, page, experiments) goes through it; there is no second way.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

import metarec
from metarec.data.domains import DEFAULT_POLICY, Policy
from metarec.data.newcomers import Horizon, choose_horizon
from metarec.data.places import degrees_of, home_of, location_of
from metarec.data.policies import facts_lines, policy_facts
from metarec.data.schema import BadInput, Catalog, Dataset, Vocabulary, id_order
from metarec.features.behaviour import Behaviour, cut_histories
from metarec.features.context_columns import ContextColumns
from metarec.features.encoders.item_reader import item_reader
from metarec.features.events import EventReader
from metarec.features.histories import Histories
from metarec.features.items import ItemInputs
from metarec.features.people import UsersInWords
from metarec.features.profiles import ProfileInputs
from metarec.features.request_context import RequestContext
from metarec.features.text import check_person_template, item_text
from metarec.features.training_context import (
    TrainingContext,
    current_location,
    friend_matrix,
)
from metarec.features.users import UserBatch
from metarec.models.als import Als
from metarec.models.base import ReadsWords
from metarec.models.cold_items.reorder import PART, NewItemPlaces
from metarec.models.context import Context
from metarec.models.few_shot.learners import get_method
from metarec.models.names import current_id
from metarec.models.rating import RatingHead
from metarec.models.registry import CONTEXT, MODELS, REPEAT, context_models
from metarec.models.repeat import are_wanted
from metarec.recommendation.conformal import Conformal, newcomers_needed, normal_interval
from metarec.recommendation.ensemble import Ensemble, Steps
from metarec.recommendation.explained import Explanation
from metarec.recommendation.exploration import directions_of, posterior_spread
from metarec.recommendation.notes import context_notes, words_asked
from metarec.recommendation.onboarding import (
    Questions,
    chance_known,
    chance_known_to,
    choose_questions,
)
from metarec.recommendation.policy import PolicyCheck
from metarec.recommendation.rerank import Reranker
from metarec.recommendation.rules import Rules
from metarec.recommendation.slate import Request, Slate
from metarec.recommendation.slates import Ordered, SlateOptions, hide_items, order_slates
from metarec.recommendation.storage import from_artefact, to_artefact
from metarec.recommendation.wishes import wish_scores
from metarec.runtime.artefacts import read_artefact, reading_whole, write_artefact
from metarec.runtime.progress import Progress, silent
from metarec.runtime.rng import derive
from metarec.runtime.scratch import Scratch

PRESETS: dict[str, tuple[str, ...]] = {
    "tiny": ("profile", "item_knn", "content", "support_ridge"),
    "small": (
        "profile",
        "item_knn",
        "ease",
        "als",
        "markov",
        "content",
        "support_ridge",
        "deep_set",
        "r2d2",
    ),
}
"""The scorers of each preset: the one dial for size."""
KNOWS_NEW_ITEMS = {"small"}
"""Presets that also learn which item suits whom before anybody has met it."""
LEVEL = 0.9
"""Share of newcomers' values that intervals of predicted values are made to cover."""
WISH_WEIGHT = 1.5
"""Log-score that a wish fitted one standard deviation better is worth."""
_SCRATCH = Scratch()


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How a recommender was fitted."""

    preset: str = "small"
    """`tiny` or `small`."""
    seed: int = 0
    """Root of all randomness."""
    encoder: str = "auto"
    """Text encoder, as for `metarec.features.encoders.item_reader`; `none` leaves text out,
    `minilm+lora` is fine-tuned on the events.
    """
    learner: str | None = None
    """A meta-learner, or any other scorer such as `decoder`, that joins the parts of the preset
    under its own name; the gate learns how
    far to trust it."""
    item_template: str | None = None
    """How an item is written as text, as for `features.text.item_text`: `"{title} by {authors}"`.
    """
    person_template: str | None = None
    """How a person is written as text, as for `features.text.user_text`; read by
    `learner="user_text"`.
    """

    def __post_init__(self) -> None:
        if self.preset not in PRESETS:
            raise BadInput(f"preset must be one of {', '.join(PRESETS)}, got {self.preset!r}")
        if self.learner is not None:
            object.__setattr__(self, "learner", current_id(self.learner))
        if self.learner is not None and self.learner not in MODELS:
            get_method(self.learner)  # says which there are
        if self.person_template is not None:
            check_person_template(self.person_template)

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of the scorers."""
        parts = PRESETS[self.preset]
        return parts if self.learner is None or self.learner in parts else (*parts, self.learner)


@dataclass(frozen=True, kw_only=True)
class Recommender:
    """Recommends well to people and items it has just met; every method takes a list and works on
    all of it at once.
    """

    settings: Settings
    catalog: Catalog
    """Items in vocabulary order: every column of the scores."""
    training: Dataset
    """What it was fitted on (retraining starts from it)."""
    horizon: Horizon
    policy: Policy
    item_inputs: ItemInputs
    profile_inputs: ProfileInputs
    content: np.ndarray
    """[N, C] float32 content columns of the catalog."""
    text: np.ndarray
    """[N, E] float16 text embeddings of the catalog; wishes are matched with them."""
    ensemble: Ensemble
    new_items: NewItemPlaces | None
    """What orders the items that nobody has met; None where the preset has none or too few items
    could teach it.
    """
    ratings: RatingHead | None
    """Predicts values; None where values are no ratings."""
    version: str
    """Digest of data and settings."""
    intervals: Conformal | None = None
    """How far predicted spreads are stretched, found on held-out training newcomers; None where
    they were too few.
    """

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
        person_template: str | None = None,
        policy: Policy | None = None,
        horizon: Horizon | None = None,
        user_weights: Mapping[str, float] | None = None,
        checkpoint: str | Path | None = None,
        progress: Progress = silent,
    ) -> Recommender:
        """Learn from everyone's past.

        Args:
            data: events, items and users; clean them first (`metarec.data.cleaning`).
            preset: size of the model.
            seed: the same data and seed give the same model.
            encoder: text encoder, or `auto`, or `none`.
            learner: a meta-learner by name, such as `anil` or `deep_kernel`, a Transformer over
                events (`decoder`, `encoder`, `encoder_decoder`), or `user_text` (people
                written in words, read by the text encoder), that becomes a further part of the
                score.
            item_template: how an item is written as text, such as `"{title} by {authors}"`; names
                columns of the items.
            person_template: how a person is, such as `"{profile}. Likes {liked}, not {disliked}"`.
            policy: what slates must heed; that of the data by default, and where they have none
                seen items are not shown again.
            horizon: support sizes to learn for; chosen from the data by default.
            user_weights: how much each person counts in training, above 0, by user id; scaled to
                mean 1, and whoever is not named counts as their mean. None: all the same.
            checkpoint: folder of finished steps; a fit that was killed goes on from it, and it is
                removed at the end.
            progress: told how far each stage is.

        Raises:
            BadInput: if there are fewer than two users or items with events, a weight is not above
                0, or a name is unknown.
        """
        settings = Settings(
            preset=preset,
            seed=seed,
            encoder=encoder,
            learner=learner,
            item_template=item_template,
            person_template=person_template,
        )
        _check_size(data)
        named = policy or data.policy
        data = replace(data, policy=named or DEFAULT_POLICY)
        catalog = _whole_catalog(data)
        events, user_ids = EventReader.of(data.interactions).of_interactions(
            data.interactions, catalog.vocabulary
        )
        whole, refused = events.joined()
        seen = np.unique(events.items)
        liked = whole.where(whole.values >= data.interactions.relevant_from).matrix(len(catalog))
        reader = item_reader(
            item_text(catalog, item_template),
            encoder,
            liked,
            rows=seen,
            seed=seed,
            progress=progress,
        )
        item_inputs, content, text = ItemInputs.fit(
            catalog,
            reader=reader,
            template=item_template,
            fit_on=seen,
            seed=seed,
            progress=progress,
        )
        profile_inputs = ProfileInputs.fit(data.users, user_ids)
        told = data.users.of_users(user_ids)
        words = _words(catalog, item_inputs, data.interactions.relevant_from, settings)
        horizon = horizon or choose_horizon(whole.lengths)
        behaviour = Behaviour(
            **cut_histories(events, whole, horizon, has_clock=data.interactions.has_time),
            refused=refused,
            profiles=profile_inputs.transform(told),
            content=content,
            relevant_from=data.interactions.relevant_from,
            horizon=horizon,
            weights=_weights_of(user_ids, user_weights),
            told=told,
            words=replace(words, keeps=True),
            context=TrainingContext.of(data, catalog, user_ids, item_text(catalog, item_template)),
        )
        version = _digest(data, settings, behaviour.weights)
        names = (*settings.parts, REPEAT) if are_wanted(behaviour) else settings.parts
        if named is None:  # then the data say whether what was taken may come again
            data = replace(data, policy=replace(DEFAULT_POLICY, repeats_allowed=REPEAT in names))
        names = (*names, *context_models(behaviour))
        ensemble = Ensemble.fit(
            behaviour, names, seed, progress, Steps.of(checkpoint, version)
        ).with_words(words)
        text = text.astype(np.float16)
        new_items = (
            NewItemPlaces.fit(behaviour, text, derive(seed, "new items"), progress)
            if preset in KNOWS_NEW_ITEMS
            else None
        )
        ratings, intervals = (
            _rating_head(behaviour, seed) if data.interactions.has_values else (None, None)
        )
        return cls(
            settings=settings,
            catalog=catalog,
            training=data,
            horizon=behaviour.horizon,
            policy=data.policy or DEFAULT_POLICY,
            item_inputs=item_inputs,
            profile_inputs=profile_inputs,
            content=content,
            text=text,
            ensemble=ensemble,
            new_items=new_items,
            ratings=ratings,
            version=version,
            intervals=intervals,
        )

    def fit_like(
        self,
        data: Dataset,
        *,
        seed: int | None = None,
        horizon: Horizon | None = None,
        user_weights: Mapping[str, float] | None = None,
    ) -> Recommender:
        """Another model with this one's settings, fitted on other data; arguments as for `fit`,
        this one's seed by default, and its policy where the data have none.
        """
        ours = self.settings
        return Recommender.fit(
            data,
            ours.preset,
            ours.seed if seed is None else seed,
            encoder=ours.encoder,
            learner=ours.learner,
            item_template=ours.item_template,
            person_template=ours.person_template,
            policy=data.policy or self.policy,
            horizon=horizon,
            user_weights=user_weights,
        )

    # What is known of it

    @property
    def vocabulary(self) -> Vocabulary:
        """Item id <-> column of the scores."""
        return self.catalog.vocabulary

    @property
    def preset(self) -> str:
        """Size of the model."""
        return self.settings.preset

    @property
    def has_values(self) -> bool:
        """Whether events carry ratings, so that `rate` answers."""
        return self.training.interactions.has_values

    @property
    def notes(self) -> list[str]:
        """What parts of the model say of how they learned, such as whom they left out."""
        scorers, trend = self.ensemble.scorers.values(), self.ensemble.trend
        said = [str(scorer.note) for scorer in scorers if hasattr(scorer, "note")]
        return said if trend is None else [*said, trend.note]

    @property
    def reads_people(self) -> bool:
        """Whether a part reads people as text, so that whatever they state may count."""
        return any(isinstance(scorer, ReadsWords) for scorer in self.ensemble.scorers.values())

    @property
    def value_range(self) -> tuple[float, float]:
        """Smallest and largest value trained on."""
        return self.training.interactions.value_range

    @property
    def relevant_from(self) -> float:
        """The value from which an event counts as liked."""
        return self.training.interactions.relevant_from

    @property
    def item_embeddings(self) -> np.ndarray:
        """[N, D] float32: where behaviour puts each item (from content, where nobody has met it
        yet).
        """
        factors = self.ensemble.scorers.get("als")
        return factors.items if isinstance(factors, Als) else self.content

    @property
    def trained_on(self) -> pl.DataFrame:
        """The training events."""
        return self.training.interactions.filled

    @property
    def trained_until(self) -> float | None:
        """Time of the newest training event, seconds; None where there is no clock."""
        newest = self.trained_on["timestamp"].max() if self.training.interactions.has_time else None
        # Polars types max() as any literal
        return None if newest is None else float(newest)  # type: ignore[arg-type]

    def behaviour(self) -> Behaviour:
        """What its scorers learned from, everyone counting the same: for fitting another scorer
        beside them.
        """
        events, user_ids = self.reader.of_interactions(self.training.interactions, self.vocabulary)
        whole, refused = events.joined()
        has_clock = self.training.interactions.has_time
        told = self.training.users.of_users(user_ids)
        words = _words(self.catalog, self.item_inputs, self.relevant_from, self.settings)
        return Behaviour(
            **cut_histories(events, whole, self.horizon, has_clock=has_clock),
            refused=refused,
            profiles=self.profile_inputs.transform(told),
            content=self.content,
            relevant_from=self.relevant_from,
            horizon=self.horizon,
            told=told,
            words=replace(words, keeps=True),
            context=TrainingContext.of(
                self.training,
                self.catalog,
                user_ids,
                item_text(self.catalog, self.settings.item_template),
            ),
        )

    def training_data(self) -> Dataset:
        """What it was fitted on."""
        return self.training

    @cached_property
    def policy_check(self) -> PolicyCheck:
        """The policy over the catalog; whatever shows items goes through it."""
        return PolicyCheck(
            self.policy,
            self.catalog.frame,
            users=self.training.users.frame,
            kinds=self.training.interactions.kinds,
        )

    def policy_notes(self, request: Request, shown: Sequence[int]) -> list[str]:
        """What the policy could not check for one user and the items (indexes) they are shown, and
        which attributes are not known.
        """
        odd = self.policy_check.odd_attributes(request.profile, reads_any=self.reads_people)
        notice = [self.policy.notice] if self.policy.notice else []
        return [*odd, *self.policy_check.notes(request, shown), *notice]

    # Scores

    def score(self, requests: Sequence[Request]) -> np.ndarray:
        """[B, N] float32 log-scores of the whole catalog, seen items included."""
        return self._scores(requests, self.users(requests)[0])

    def score_parts(self, requests: Sequence[Request]) -> dict[str, np.ndarray]:
        """Addends of `score` by name, each [B, N]: `popularity`, one for each scorer, `cold_items`
        where the catalog has items that nobody has met, and `wish` where one is uttered.
        """
        users, _ = self.users(requests)
        parts = self.ensemble.parts(users)
        if self.new_items is not None and self.new_items.is_needed:
            parts[PART] = self.new_items.part(np.sum(list(parts.values()), axis=0), users.support)
        words = [words_asked(request, self.ensemble.scorers) for request in requests]
        if any(words):
            parts["wish"] = WISH_WEIGHT * np.stack([self._wish(said) for said in words])
        return parts

    def fold_in(self, request: Request) -> dict[str, np.ndarray]:
        """What adaptation knows of one person: trust and weight of each part, and their factors
        where the model has some.
        """
        support = self.users([request])[0].support
        params = self.ensemble.gate.at(support.lengths)
        factors = self.ensemble.scorers.get("als")
        return (
            {**params, "factors": factors.fold_in(support)} if isinstance(factors, Als) else params
        )

    def rate(
        self, requests: Sequence[Request], item_ids: Sequence[Sequence[str]]
    ) -> list[np.ndarray]:
        """Predicted values on the data's scale, one array for each request; an unknown item gets
        the mean.

        Raises:
            BadInput: if the training values are no ratings.
        """
        return [values for values, _ in self._rated(requests, item_ids)]

    def rate_spread(
        self, requests: Sequence[Request], item_ids: Sequence[Sequence[str]]
    ) -> list[np.ndarray]:
        """Predictive standard deviations on the data's scale, one array for each request; their 90%
        normal intervals are calibrated.
        """
        return [spread for _, spread in self._rated(requests, item_ids)]

    # Slates

    def recommend(
        self,
        requests: Sequence[Request],
        k: int = 10,
        *,
        filter: str | None = None,  # noqa: A002  # the word its users know
        rules: Rules | None = None,
        diversity: float = 0.0,
        explore: float = 0.0,
        reranker: Reranker | None = None,
        rng: np.random.Generator | None = None,
    ) -> list[Slate]:
        """The best `k` items for each person that they have not seen.

        Args:
            requests: who asks.
            k: length of each slate; shorter where fewer items may be shown.
            filter: an expression over the catalog's columns, such as `year > 1990 and genres =
                "Drama"`.
            rules: pins, bans and quotas.
            diversity: in [0, 1]; 0 ranks by score alone.
            explore: strength of Thompson sampling; 0 explores nothing and every propensity is 1.
                Items that nobody has met are the least sure, so they are what it shows more of.
            reranker: reorders the best items for another aim.
            rng: breaks ties and explores; seeded by the model's seed by default.

        Raises:
            BadInput: if `k` is below 1 or a filter or rule names what the catalog lacks.
        """
        options = SlateOptions(
            k=k,
            filter=filter,
            rules=rules or Rules(),
            diversity=diversity,
            explore=explore,
            reranker=reranker,
            exclude_seen=False,
        )  # the policy says whether seen items may come again
        if not requests:
            return []
        users, unknown = self.users(requests)
        support, refused = users.support, users.refused
        scores = self._scores(
            requests, users, out=_SCRATCH.array("scores", (len(requests), len(self.catalog)))
        )
        hide_items(scores, requests, self.catalog, options)
        self.policy_check.hide(scores, requests, (support.owners, support.items))
        scores[refused.owners, refused.items] = -np.inf
        spread = self._spread(support) if explore else None
        ordered = order_slates(
            scores,
            self.catalog,
            options,
            rng or derive(self.settings.seed, "slates"),
            spread=spread,
            embeddings=self.item_embeddings if diversity else None,
        )
        return self._slates(requests, support, unknown, ordered, scores)

    def questions(
        self,
        requests: Sequence[Request],
        k: int = 5,
        *,
        exclude: Sequence[Sequence[str]] | None = None,
    ) -> Questions:
        """Which items to ask each person about first: expected variance reduction times the chance
        that they know the item; none that the policy forbids.
        """
        knows = chance_known(
            np.bincount(
                self.vocabulary.indexes(self.trained_on["item_id"]), minlength=len(self.catalog)
            ),
            self.trained_on["user_id"].n_unique(),
        )
        users, _ = self.users(requests)
        support = users.support
        may_ask = self.policy_check.allowed(requests)
        for known in (support, users.refused):
            may_ask[known.owners, known.items] = False
        for row, ids in enumerate(exclude or []):
            columns = self.vocabulary.indexes(ids)
            may_ask[row, columns[columns >= 0]] = False
        vectors = self.item_embeddings.astype(np.float64)
        # Only items that a fair share of people know are worth asking; the rest would slow the
        # search for nothing.
        common = np.argsort(-knows, kind="stable")[:500]
        scale = 1.0 / max(float((vectors[common] ** 2).sum(1).mean()), 1e-9)
        covariance = np.stack(
            [
                self._covariance(vectors, items, scale)
                for items in np.split(support.items, support.offsets[1:-1])
            ]
        )
        most = min(
            k, int(may_ask[:, common].sum(1).min())
        )  # who knows all but two items can be asked about two
        scores = self.score([Request(), *requests])
        known_to = chance_known_to(knows, scores[0], scores[1:])[:, common]
        found = choose_questions(
            vectors[common], covariance, 1.0, known_to, most, may_ask=may_ask[:, common]
        )
        return Questions(items=common[found.items], worth=found.worth)

    def explain(self, request: Request, item_id: str) -> Explanation:
        """Why this item: parts of the score, influence of each event, nearest liked items, in
        words.
        """
        # The stage that explains stands above this one; the package's root knows its home.
        return metarec.explain(self, request, item_id)

    # Change

    def observe(self, request: Request, events: Sequence[tuple[Any, ...]]) -> Request:
        """The same person after further events: recommending to the result is adaptation; the model
        itself does not change.
        """
        return replace(request, history=[*request.history, *events])

    def with_items(self, frame: Any) -> Recommender:
        """The same model with items added, or their content changed, recommendable at once from
        that content.

        Args:
            frame: rows with `item_id` and any columns of the catalog.

        Raises:
            BadInput: if there is no column `item_id`.
        """
        given = Catalog.of(frame).frame
        columns = [c for c in given.columns if c in self.catalog.frame.columns]
        given = given.select(columns).cast(
            {c: self.catalog.frame.schema[c] for c in columns}, strict=False
        )
        table = self.catalog.frame.update(given, on="item_id", how="left")
        fresh = given.join(table, on="item_id", how="anti")
        catalog = Catalog(frame=pl.concat([table, fresh], how="diagonal"))
        touched = catalog.vocabulary.indexes(given["item_id"])
        content, text = self.item_inputs.transform(Catalog(frame=catalog.frame[touched]))
        more = ((0, len(fresh)), (0, 0))
        grown_content, grown_text = np.pad(self.content, more), np.pad(self.text, more)
        grown_content[touched], grown_text[touched] = content, text.astype(np.float16)
        ensemble = self.ensemble.with_content(grown_content).with_words(
            _words(catalog, self.item_inputs, self.relevant_from, self.settings)
        )
        ensemble = ensemble.with_places(
            degrees_of(catalog.frame), item_text(catalog, self.settings.item_template)
        )
        return replace(
            self,
            catalog=catalog,
            content=grown_content,
            text=grown_text,
            ensemble=ensemble,
            new_items=None
            if self.new_items is None
            else self.new_items.with_content(grown_content, grown_text),
            ratings=None if self.ratings is None else self.ratings.with_content(grown_content),
        )

    # Files

    def save(self, folder: str | Path) -> None:
        """Write the model as plain data (safetensors, JSON, Parquet), whole or not at all."""
        write_artefact(
            folder,
            to_artefact(
                settings=asdict(self.settings),
                version=self.version,
                catalog=self.catalog,
                training=self.training,
                horizon=self.horizon,
                policy=self.policy,
                item_inputs=self.item_inputs,
                profile_inputs=self.profile_inputs,
                content=self.content,
                text=self.text,
                ensemble=self.ensemble,
                new_items=self.new_items,
                ratings=self.ratings,
                intervals=self.intervals,
                card=self.card(),
            ),
        )

    @classmethod
    def load(cls, folder: str | Path) -> Recommender:
        """Read a model that `save` wrote; its slates are identical.

        Raises:
            FileNotFoundError: if there is no such folder.
            BrokenArtefact: if it is not whole.
        """
        artefact = read_artefact(folder)
        with reading_whole(folder):
            return cls._of_parts(from_artefact(artefact))

    @classmethod
    def _of_parts(cls, parts: dict[str, Any]) -> Recommender:
        settings = Settings(**parts["settings"])
        words = _words(
            parts["catalog"],
            parts["item_inputs"],
            parts["training"].interactions.relevant_from,
            settings,
        )
        return cls(
            **{**parts, "settings": settings, "ensemble": parts["ensemble"].with_words(words)}
        )

    def card(self) -> str:
        """The model card, Markdown."""
        events = self.training.interactions
        low, high = self.value_range
        values = (
            f"ratings of {low:g} to {high:g}" if self.has_values else "none (implicit feedback)"
        )
        return "\n".join(
            [
                f"# metarec model {self.version}",
                "",
                f"Trained on *{self.training.name}*: {len(events):,} events of "
                f"{self.trained_on['user_id'].n_unique():,} people "
                f"on {self.trained_on['item_id'].n_unique():,} of {len(self.catalog):,} items.",
                "",
                f"- preset `{self.settings.preset}`, seed {self.settings.seed}, text read by "
                f"`{self.item_inputs.encoder.name}` "
                f"({self.item_inputs.reason})",
                f"- parts: popularity, {', '.join(self.ensemble.scorers)}",
                *(f"- {line}" for line in self.notes),
                f"- learned for newcomers with {', '.join(map(str, self.horizon.shots))} events",
                f"- values: {values}",
                "",
                "## Policy",
                "",
                *(f"- {line}" for line in facts_lines(policy_facts(self.training, self.policy))),
                "",
            ]
        )

    # Within

    def users(self, requests: Sequence[Request]) -> tuple[UserBatch, np.ndarray]:
        """What is known of the users who ask, and for each how many events named unknown items."""
        events, unknown = self.reader.of_requests(
            [request.history for request in requests], self.vocabulary
        )
        support, refused = events.joined(newest_last=True)
        told = [request.profile for request in requests]
        return UserBatch(
            support=support,
            refused=refused,
            profiles=self.profile_inputs.transform(told),
            attributes=told,
            context=self._context_of(requests, support),
        ), unknown

    def _context_of(self, requests: Sequence[Request], support: Histories) -> RequestContext:
        """Friends, place, circumstances and searches of requests."""
        named = [[str(friend) for friend in request.friends] for request in requests]
        friends = self._user_vocabulary.indexes(friend for own in named for friend in own)
        owners = np.repeat(np.arange(len(requests)), [len(own) for own in named])
        here = np.array([location_of(request.location) for request in requests]).reshape(-1, 2)
        home = home_of([request.profile for request in requests])
        known = current_location(home, self._places, support)
        return RequestContext(
            friends=friend_matrix(
                owners,
                friends,
                np.ones(len(friends), np.float32),
                (len(requests), len(self._user_vocabulary)),
            ),
            location=np.where(np.isnan(here), known, here),
            circumstances=self._context_columns.of_requests([r.context for r in requests]),
            searches=[list(request.searches) for request in requests],
            at=np.array([np.nan if r.at is None else float(r.at) for r in requests], np.float64),
        )

    def _context_notes(self, request: Request) -> list[str]:
        model = self.ensemble.scorers.get(CONTEXT)
        read = model.read_columns if isinstance(model, Context) else []
        unread = {name: value for name, value in request.context.items() if name not in read}
        unknown = [friend for friend in request.friends if str(friend) not in self._user_vocabulary]
        return context_notes(
            request,
            self.ensemble.scorers,
            unread,
            len(unknown),
            reads_text=bool(self.text.shape[1]),
        )

    @cached_property
    def _user_vocabulary(self) -> Vocabulary:
        ids = self.training.interactions.frame["user_id"].unique(maintain_order=True)
        return Vocabulary(ids.to_list())

    @cached_property
    def _places(self) -> np.ndarray:
        return degrees_of(self.catalog.frame)

    @cached_property
    def _context_columns(self) -> ContextColumns:
        return ContextColumns.fit(self.training.interactions)

    @cached_property
    def reader(self) -> EventReader:
        """What acts and values mean, in requests as in training."""
        return EventReader.of(self.training.interactions)

    def _scores(
        self, requests: Sequence[Request], users: UserBatch, out: np.ndarray | None = None
    ) -> np.ndarray:
        scores, support = self.ensemble.score(users, out), users.support
        if self.new_items is not None:
            self.new_items.deal(scores, support)
        for row, request in enumerate(requests):
            words = words_asked(request, self.ensemble.scorers)
            if words:
                scores[row] += WISH_WEIGHT * self._wish(words)
        return scores

    def _spread(self, support: Histories) -> np.ndarray:
        """[B, N] how far scores may be wrong: about a person's leanings, and about how popular an
        item becomes that nobody has met.
        """
        trust = self.ensemble.gate.at(support.lengths)["trust"]
        leanings = posterior_spread(self._item_directions, support)
        return np.asarray(np.hypot(leanings, trust[:, None] * self._popularity_doubt), np.float32)

    @cached_property
    def _popularity_doubt(self) -> np.ndarray:
        is_met = np.zeros(len(self.catalog), bool)
        is_met[self.vocabulary.indexes(self.trained_on["item_id"].unique())] = True
        return self.ensemble.popularity_doubt(self.content, is_met)

    @cached_property
    def _item_directions(self) -> np.ndarray:
        return directions_of(self.item_embeddings)

    def _wish(self, wish: str | None) -> np.ndarray:
        if not wish or not self.text.shape[1]:
            return np.zeros(len(self.catalog), np.float32)
        return wish_scores(wish, self.text.astype(np.float32), self.item_inputs.encoder.encode)

    def _rated(
        self, requests: Sequence[Request], item_ids: Sequence[Sequence[str]]
    ) -> list[tuple[np.ndarray, np.ndarray]]:
        if self.ratings is None:
            raise BadInput(
                "this model was trained on events without ratings, so it ranks but does not rate"
            )
        support = self.users(requests)[0].support
        index = [self.vocabulary.indexes(map(str, ids)) for ids in item_ids]
        values, spread = self._rated_at(self.ratings, support, Histories.of_indexes(index))
        cuts = np.cumsum([len(row) for row in index])[:-1]
        return list(zip(np.split(values, cuts), np.split(spread, cuts), strict=True))

    def _rated_at(
        self, ratings: RatingHead, support: Histories, asked: Histories
    ) -> tuple[np.ndarray, np.ndarray]:
        """Predicted values and standard deviations [E] of items by their indexes; -1 is an unknown
        item.
        """
        unknown = asked.items < 0
        values, spread = ratings.predict(support, replace(asked, items=np.maximum(asked.items, 0)))
        values[unknown], spread[unknown] = ratings.mean, ratings.noise[0]
        return values, spread if self.intervals is None else spread * self.intervals.factor(
            support.lengths
        )[asked.owners]

    def _covariance(self, vectors: np.ndarray, items: np.ndarray, scale: float) -> np.ndarray:
        seen = vectors[items]
        return np.asarray(np.linalg.inv(np.eye(vectors.shape[1]) / scale + seen.T @ seen))

    def _slates(
        self,
        requests: Sequence[Request],
        support: Histories,
        unknown: np.ndarray,
        ordered: Ordered,
        scores: np.ndarray,
    ) -> list[Slate]:
        there = (
            ordered.items >= 0
        )  # the places that are filled; from here on they stand in one line, person by person
        ends = np.cumsum(there.sum(1))
        shown = Histories(
            offsets=np.concatenate([[0], ends]),
            items=ordered.items[there],
            values=np.ones(int(ends[-1]), np.float32),
        )
        columns = {
            "scores": scores[shown.owners, shown.items],
            "propensity": ordered.propensity[there],
        }
        if self.ratings is None:
            columns["uncertainty"] = posterior_spread(
                self._item_directions, support, np.maximum(ordered.items, 0)
            )[there]
        else:
            predicted, spread = self._rated_at(self.ratings, support, shown)
            columns |= {
                "uncertainty": spread,
                "predicted": predicted,
                "interval": np.stack(
                    normal_interval(predicted, spread, LEVEL, self.value_range), axis=1
                ),
            }
        names, slates, start = self.vocabulary.names(shown.items.tolist()), [], 0
        for row, end in enumerate(ends.tolist()):
            notes = [*ordered.notes]
            notes += (
                [f"{unknown[row]} events named items that are not in the catalog and were ignored"]
                if unknown[row]
                else []
            )
            notes += (
                ["this catalog has no text, so the wish was ignored"]
                if requests[row].wish and not self.text.shape[1]
                else []
            )
            notes += self._context_notes(requests[row])
            notes += self.policy_notes(requests[row], shown.items[start:end].tolist())
            slates.append(
                Slate(
                    item_ids=names[start:end],
                    model_version=self.version,
                    notes=notes,
                    **{name: column[start:end] for name, column in columns.items()},
                )
            )
            start = end
        return slates


def _rating_head(behaviour: Behaviour, seed: int) -> tuple[RatingHead, Conformal | None]:
    """The head, and how far its spreads must be stretched; None where too few people could be held
    out to say.
    """
    head, errors = RatingHead.fit_checked(behaviour, derive(seed, "ratings"))
    return head, Conformal.of_errors(errors, LEVEL) if errors.people >= newcomers_needed(
        LEVEL
    ) else None


def _check_size(data: Dataset) -> None:
    frame = data.interactions.frame
    for column, what in (("user_id", "users"), ("item_id", "items")):
        if frame[column].n_unique() < 2:
            raise BadInput(
                f"{frame[column].n_unique()} {what} with events are too few to learn from (2 at "
                f"least); give more events"
            )


def _words(
    catalog: Catalog, inputs: ItemInputs, liked_from: float, settings: Settings
) -> UsersInWords:
    """How this model's people are written as text: read by what reads its items."""
    return UsersInWords(
        encoder=inputs.encoder,
        titles=catalog.titles(),
        liked_from=liked_from,
        template=settings.person_template,
    )


def _whole_catalog(data: Dataset) -> Catalog:
    """The catalog with every item that events name, in a fixed order: items of the catalog first as
    given, then the others.
    """
    unlisted = (
        data.interactions.frame.select("item_id")
        .unique()
        .join(data.items.frame, on="item_id", how="anti")
        .sort(id_order("item_id"))
    )
    return Catalog(frame=pl.concat([data.items.frame, unlisted], how="diagonal"))


def _weights_of(user_ids: Sequence[str], weights: Mapping[str, float] | None) -> np.ndarray | None:
    """[U] float64 of mean 1."""
    if weights is None:
        return None
    wrong = next(
        ((user, weight) for user, weight in weights.items() if not 0.0 < weight < np.inf), None
    )
    if wrong is not None:
        raise BadInput(
            f"the weight of a person must be above 0 and finite, got {wrong[1]} for {wrong[0]!r}; "
            "to leave somebody out, take them out of the data"
        )
    given = np.array([weights.get(user, np.nan) for user in user_ids], np.float64)
    if np.isnan(given).all():
        raise BadInput("user_weights names nobody of the data; its keys are user ids")
    given = np.where(np.isnan(given), np.nanmean(given), given)
    return np.asarray(given / given.mean())


def _digest(data: Dataset, settings: Settings, weights: np.ndarray | None) -> str:
    """Twelve hexadecimal digits that change with the data, their policy, the settings or the
    weights of people.
    """
    rows = (
        data.interactions.frame.select("user_id", "item_id", "timestamp", "value")
        .hash_rows(seed=0)
        .sum()
    )
    told = [] if weights is None else [hashlib.sha256(weights.tobytes()).hexdigest()]
    if data.policy not in (None, DEFAULT_POLICY):
        told.append(repr(data.policy))
    facts = json.dumps(
        [
            asdict(settings),
            data.interactions.kinds.to_dict(),
            len(data.interactions),
            len(data.items),
            rows,
            *told,
        ],
        sort_keys=True,
    )
    return hashlib.sha256(facts.encode()).hexdigest()[:12]
