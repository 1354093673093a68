"""Hyper-parameters by name: of models, and of the parts fitted beside them."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, TypeAlias, TypeVar

from metarec.data.errors import BadInput
from metarec.models import registry
from metarec.models.cold_items.config import ColdItemsConfig
from metarec.models.cold_items.reorder import COLD_ITEMS
from metarec.models.config import ModelConfig, configured
from metarec.models.names import current_id
from metarec.models.rating.kernel import RatingConfig
from metarec.models.trend import TrendConfig
from metarec.recommendation.ensemble.gate_config import GateConfig, GivenConfig
from metarec.recommendation.ensemble.item_statistics import ItemStatisticsConfig
from metarec.recommendation.ensemble.refusals import RefusalsConfig

C = TypeVar("C", bound=ModelConfig)
Configs: TypeAlias = "Mapping[str, ModelConfig]"
"""Given hyper-parameters, by name."""
GATE, GIVEN, REFUSALS, ITEM_STATISTICS = "gate", "given", "refusals", "item_statistics"
RATING, TREND = "rating", "trend"
BESIDE: dict[str, ModelConfig] = {
    GATE: GateConfig(),
    GIVEN: GivenConfig(),
    REFUSALS: RefusalsConfig(),
    ITEM_STATISTICS: ItemStatisticsConfig(),
    RATING: RatingConfig(),
    TREND: TrendConfig(),
    COLD_ITEMS: ColdItemsConfig(),
}
"""Default configs of the parts that are fitted beside the models where the data can teach them;
they are set by name, like models.
"""


def config_of(name: str, given: ModelConfig | Mapping[str, Any] | None = None) -> ModelConfig:
    """Return the config of a model or of a part fitted beside the models: the defaults, overridden
    by `given`.

    Raises:
        BadInput: if there is no such model or setting.
    """
    if name not in BESIDE:
        near = [] if registry.is_model(name) else get_close_matches(name, BESIDE, 1)
        if near:
            raise BadInput(f"there is no model {name!r} (did you mean {near[0]!r}?)")
        return registry.config_of(name, given)
    return BESIDE[name] if given is None else configured(name, BESIDE[name], given)


def configs_of(given: Mapping[str, ModelConfig | Mapping[str, Any]]) -> dict[str, ModelConfig]:
    """Return the configs of models by their current ids; given ids may be old ones.

    Raises:
        BadInput: if there is no such model or setting.
    """
    named = {current_id(name): settings for name, settings in given.items()}
    return {name: config_of(name, settings) for name, settings in named.items()}


def config_in(configs: Configs, kind: type[C]) -> C:
    """Return the config of class `kind` among the given ones, or its defaults."""
    return next((one for one in configs.values() if isinstance(one, kind)), kind())
