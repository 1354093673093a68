"""Small random tasks for the tests of meta-learning."""

from __future__ import annotations

import numpy as np
import torch

from metarec.features.histories import Histories
from metarec.models.few_shot.inputs import ItemFeatures
from metarec.models.few_shot.tasks import Query, Support, TaskBatch

ITEMS, WIDTH, PROFILE = 15, 6, 3


def some_items(seed: int = 0, dtype: torch.dtype = torch.float64) -> ItemFeatures:
    draw = torch.Generator().manual_seed(seed)
    columns = torch.randn(ITEMS, WIDTH, generator=draw, dtype=dtype)
    return ItemFeatures.of(
        columns,
        torch.randn(ITEMS, generator=draw, dtype=dtype),
        rng=np.random.default_rng(seed),
        anchors=9,
    )


def some_support(
    counts: list[int], width: int = 4, seed: int = 1, dtype: torch.dtype = torch.float64
) -> Support:
    """Tasks with these numbers of events; no item twice in a task."""
    draw = torch.Generator().manual_seed(seed)
    items = torch.stack([torch.randperm(ITEMS, generator=draw)[:width] for _ in counts])
    is_real = torch.arange(width) < torch.tensor(counts)[:, None]
    values = torch.rand(len(counts), width, generator=draw, dtype=dtype) * 2 - 1
    return Support(
        items=items * is_real,
        values=values * is_real,
        is_real=is_real,
        profile=torch.randint(0, 2, (len(counts), PROFILE), generator=draw).to(dtype),
    )


def some_batch(counts: list[int], seed: int = 1, dtype: torch.dtype = torch.float64) -> TaskBatch:
    asked = some_support([3] * len(counts), seed=seed + 50, dtype=dtype)
    return TaskBatch(
        support=some_support(counts, seed=seed, dtype=dtype),
        query=Query(items=asked.items, values=asked.values, is_real=asked.is_real),
    )


def histories_of(lists: list[list[tuple[int, float]]]) -> Histories:
    return Histories(
        offsets=np.cumsum([0, *map(len, lists)]).astype(np.int64),
        items=np.array([item for row in lists for item, _ in row], np.int64),
        values=np.array([value for row in lists for _, value in row], np.float32),
    )
