"""Metrics that `evaluation` reports, batched over users; each states its formula, range, empty case
and tie rule.
"""

from metarec.evaluation.metrics.ranking import (
    accuracy,
    auc,
    average_precision,
    f1,
    find_hits,
    gain_ndcg,
    hit_rate,
    mrr,
    ndcg,
    precision,
    rank,
    recall,
)
from metarec.evaluation.metrics.ratings import graded_ndcg, interval_coverage, mae, rmse
from metarec.evaluation.metrics.slates import coverage, diversity, novelty

__all__ = [
    "accuracy",
    "auc",
    "average_precision",
    "coverage",
    "diversity",
    "f1",
    "find_hits",
    "gain_ndcg",
    "graded_ndcg",
    "hit_rate",
    "interval_coverage",
    "mae",
    "mrr",
    "ndcg",
    "novelty",
    "precision",
    "rank",
    "recall",
    "rmse",
]
