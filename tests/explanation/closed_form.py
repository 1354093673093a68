"""A small honest recommender whose every part is a closed form: what explanations and audits are
tested on.

It follows the recommender's interface (score = sum of score_components, rate, rate_std,
item_embeddings, fold_in, with_items) and learns everything it says from the data it is given.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import polars as pl

from metarec.data.dataset import Dataset
from metarec.data.schema import Catalog, Vocabulary
from metarec.recommendation.slate import Request, Slate


@dataclass
class ClosedForm:
    """Popularity + profile + item neighbors + content as parts; ratings by Bayesian ridge on item
    factors.
    """

    catalog: Catalog
    item_embeddings: np.ndarray
    tags: np.ndarray
    tag_names: list[str]
    log_popularity: np.ndarray
    neighbors: np.ndarray
    profile_tables: dict[str, dict[str, np.ndarray]]
    item_means: np.ndarray
    relevant_from: float
    value_range: tuple[float, float]
    noise: float = 0.5
    name: str = "closed form"
    version: str = "test-1"
    calls: list[int] = field(default_factory=list)

    @property
    def vocabulary(self) -> Vocabulary:
        return self.catalog.vocabulary

    @classmethod
    def fit(
        cls, data: Dataset, *, dim: int = 4, user_weights: dict[str, float] | None = None
    ) -> ClosedForm:
        vocabulary = data.items.vocabulary
        events = data.interactions.filled
        users = sorted(events["user_id"].unique().to_list())
        row = {u: r for r, u in enumerate(users)}
        weight = np.array([(user_weights or {}).get(u, 1.0) for u in users])
        values = np.full((len(users), len(vocabulary)), np.nan)
        values[[row[u] for u in events["user_id"]], vocabulary.indexes(events["item_id"])] = events[
            "value"
        ].to_numpy()
        threshold = data.interactions.relevant_from
        likes = np.where(np.isnan(values), 0.0, values >= threshold)
        count = weight @ likes
        together = (likes * weight[:, None]).T @ likes
        np.fill_diagonal(together, 0.0)
        neighbors = together / (np.sqrt(np.outer(count, count)) + 2.0)
        mean = np.nanmean(values)
        item_means = (np.nansum(values, 0) + 3 * mean) / ((~np.isnan(values)).sum(0) + 3)
        _, sizes, factors = np.linalg.svd(likes - likes.mean(0), full_matrices=False)
        names = sorted({t for c in _tag_lists(data.items.frame) for t in c})
        model = cls(
            catalog=data.items,
            item_embeddings=(factors[:dim] * sizes[:dim, None]).T / np.sqrt(len(users)),
            tags=_tag_matrix(data.items.frame, names),
            tag_names=names,
            log_popularity=np.log(count + 1.0),
            neighbors=neighbors,
            profile_tables={},
            item_means=item_means,
            relevant_from=threshold,
            value_range=data.interactions.value_range,
        )
        profiles = data.users.of_users(users)
        for column in data.users.attributes:
            labels = [str(p.get(column)) for p in profiles]
            model.profile_tables[column] = {
                label: np.log(
                    (likes[[x == label for x in labels]].sum(0) + count / count.sum() * 5 + 1e-3)
                    / (likes[[x == label for x in labels]].sum() + 5)
                )
                - np.log(count / count.sum() + 1e-3)
                for label in set(labels)
            }
        return model

    def _signs(self, requests: Sequence[Request]) -> np.ndarray:
        signs = np.zeros((len(requests), len(self.vocabulary)))
        for b, request in enumerate(requests):
            for event in request.history:
                column = self.vocabulary.indexes([event[0]])[0]
                if column >= 0:
                    signs[b, column] += (
                        1.0
                        if not np.isfinite(self.relevant_from) or event[1] >= self.relevant_from
                        else -0.5
                    )
        return signs

    def score_components(self, requests: Sequence[Request]) -> dict[str, np.ndarray]:
        self.calls.append(len(requests))
        signs = self._signs(requests)
        profile = np.zeros_like(signs)
        for b, request in enumerate(requests):
            for column, value in request.profile.items():
                profile[b] += 0.5 * self.profile_tables.get(column, {}).get(str(value), 0.0)
        return {
            "popularity": np.broadcast_to(0.3 * self.log_popularity, signs.shape).astype(
                np.float32
            ),
            "profile": profile.astype(np.float32),
            "collaborative": (2.0 * signs @ self.neighbors).astype(np.float32),
            "content": (0.5 * np.tanh(signs @ self.tags) @ self.tags.T).astype(np.float32),
        }

    def score(self, requests: Sequence[Request]) -> np.ndarray:
        return sum(self.score_components(requests).values())

    def recommend(self, requests: Sequence[Request], k: int = 10) -> list[Slate]:
        slates = []
        for request, scores in zip(requests, self.score(requests), strict=True):
            shown = scores.copy()
            shown[
                [c for c in self.vocabulary.indexes([e[0] for e in request.history]) if c >= 0]
            ] = -np.inf
            order = np.argsort(-shown, kind="stable")[:k]
            slates.append(
                Slate(
                    item_ids=self.vocabulary.names(order),
                    scores=shown[order],
                    uncertainty=np.zeros(k),
                    propensity=np.ones(k),
                    model_version=self.version,
                )
            )
        return slates

    def fold_in(self, request: Request) -> dict[str, np.ndarray]:
        columns = self.vocabulary.indexes([e[0] for e in request.history])
        features = self.item_embeddings[columns]
        residual = np.array([e[1] for e in request.history]) - self.item_means[columns]
        precision = features.T @ features / self.noise + np.eye(features.shape[1])
        covariance = np.linalg.inv(precision)
        return {
            "taste": covariance @ features.T @ residual / self.noise,
            "doubt": np.sqrt(np.diag(covariance)),
        }

    def rate(
        self, requests: Sequence[Request], item_ids: Sequence[Sequence[str]]
    ) -> list[np.ndarray]:
        rated = []
        for request, ids in zip(requests, item_ids, strict=True):
            columns = self.vocabulary.indexes(ids)
            rated.append(
                self.item_means[columns]
                + self.item_embeddings[columns] @ self.fold_in(request)["taste"]
            )
        return rated

    def rate_std(
        self, requests: Sequence[Request], item_ids: Sequence[Sequence[str]]
    ) -> list[np.ndarray]:
        spreads = []
        for request, ids in zip(requests, item_ids, strict=True):
            features = self.item_embeddings[
                self.vocabulary.indexes([e[0] for e in request.history])
            ]
            covariance = np.linalg.inv(
                features.T @ features / self.noise + np.eye(features.shape[1])
            )
            asked = self.item_embeddings[self.vocabulary.indexes(ids)]
            spreads.append(np.sqrt(np.einsum("td,de,te->t", asked, covariance, asked) + self.noise))
        return spreads

    def with_items(self, frame: pl.DataFrame) -> ClosedForm:
        """Items added from their content only: no neighbors, no popularity, mean rating; those it
        knows change their content.
        """
        known = self.catalog.frame
        changed = frame.filter(pl.col("item_id").is_in(known["item_id"].implode()))
        if changed.height:
            tags = self.tags.copy()
            tags[self.vocabulary.indexes(changed["item_id"])] = _tag_matrix(changed, self.tag_names)
            self = replace(
                self,
                catalog=Catalog(frame=known.update(changed, on="item_id", include_nulls=True)),
                tags=tags,
            )
            known = self.catalog.frame
        added = frame.filter(~pl.col("item_id").is_in(known["item_id"].implode()))
        n = added.height
        square = np.pad(self.neighbors, ((0, n), (0, n)))
        return replace(
            self,
            catalog=Catalog(
                frame=pl.concat([known, added.select(known.columns)], how="vertical_relaxed")
            ),
            item_embeddings=np.pad(self.item_embeddings, ((0, n), (0, 0))),
            tags=np.vstack([self.tags, _tag_matrix(added, self.tag_names)]),
            neighbors=square,
            log_popularity=np.pad(self.log_popularity, (0, n)),
            item_means=np.pad(self.item_means, (0, n), mode="mean"),
            profile_tables={
                c: {v: np.pad(t, (0, n)) for v, t in table.items()}
                for c, table in self.profile_tables.items()
            },
        )


def _tag_lists(items: pl.DataFrame) -> list[list[str]]:
    texts = (
        items["categories"].to_list() if "categories" in items.columns else [None] * items.height
    )
    return [[t for t in (c or "").split("|") if t] for c in texts]


def _tag_matrix(items: pl.DataFrame, names: list[str]) -> np.ndarray:
    return np.array(
        [[float(name in tags) for name in names] for tags in _tag_lists(items)]
    ).reshape(items.height, len(names))
