"""Settings of a fit: size of the model, encoder, hyper-parameters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from numbers import Integral
from typing import Any

from metarec.data.arguments import check_type, shown
from metarec.data.schema import BadInput
from metarec.features.text import check_user_template
from metarec.models.config import ModelConfig
from metarec.models.names import current_id
from metarec.models.registry import JOIN_BY_DATA, USER_TEXT, check_learner, is_model
from metarec.models.user_text import NO_ENCODER, no_reader_error
from metarec.recommendation.configs import BESIDE, configs_of
from metarec.runtime.old_names import FormerNames

PRESETS: dict[str, tuple[str, ...]] = {
    "tiny": ("profile", "item_knn", "markov", "content", "support_ridge"),
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
"""Scorers of each preset; the preset is the one dial for the size of a model."""
LEARNS_COLD_ITEMS = {"small"}
"""Presets that also fit a dedicated model which reranks cold items."""


@dataclass(frozen=True, kw_only=True)
class Settings(FormerNames):
    """Settings of a fit, saved with the model."""

    preset: str = "small"
    """`tiny` or `small`."""
    seed: int = 0
    """Root of all randomness."""
    encoder: str = "auto"
    """Text encoder, as for `metarec.features.encoders.item_reader`; `none` leaves text out,
    `minilm+lora` is fine-tuned on the events.
    """
    learner: str | None = None
    """A meta-learner, or another scorer such as `decoder`, that is added to the scorers of the
    preset under its own name; the gate learns its weight.
    """
    item_template: str | None = None
    """Template of an item's text, as for `features.text.item_text`: `"{title} by {authors}"`."""
    user_template: str | None = None
    """Template of a user's text, as for `features.text.user_text`; read by
    `learner="user_text"`.
    """
    models: Mapping[str, ModelConfig] = field(default_factory=dict)
    """Hyper-parameters of models by their ids, as configs or as mappings of some of their fields:
    `{"ease": EaseConfig(regularization=50)}`; parts fitted beside the models (`gate`, `rating`,
    `trend`, ...) are set here too. A model outside the preset that is named here takes part.
    """

    def __post_init__(self) -> None:
        preset: Any = self.preset
        if not isinstance(preset, str) or preset not in PRESETS:
            raise BadInput(f"preset must be one of {', '.join(PRESETS)}, got {shown(preset)}")
        seed: Any = self.seed
        if isinstance(seed, bool) or not isinstance(seed, Integral):
            raise BadInput(f"seed must be a whole number, got {shown(seed)}")
        check_type("encoder", self.encoder, str, "the name of a text encoder, such as 'auto'")
        for name in ("learner", "item_template", "user_template"):
            check_type(name, getattr(self, name), str | None, "a text")
        check_type("models", self.models, Mapping, "settings by the ids of models")
        object.__setattr__(self, "models", configs_of(self.models))
        if self.learner is not None:
            object.__setattr__(self, "learner", current_id(self.learner))
        if self.learner is not None and not is_model(self.learner):
            check_learner(self.learner)  # raises, listing the known learners
        if self.user_template is not None:
            check_user_template(self.user_template)
        if self.encoder == NO_ENCODER and USER_TEXT in self.scorers:
            raise no_reader_error(self.encoder)

    def over(self, models: Mapping[str, ModelConfig | Mapping[str, Any]]) -> Settings:
        """Return these settings, with the hyper-parameters of the data's file where these settings
        have none.

        Raises:
            BadInput: if there is no such model or setting.
        """
        return replace(self, models={**configs_of(models), **self.models})

    @property
    def scorers(self) -> tuple[str, ...]:
        """Names of the scorers."""
        named = [self.learner] if self.learner is not None else []
        named += [name for name in self.models if name not in (*JOIN_BY_DATA, *BESIDE)]
        return tuple(dict.fromkeys([*PRESETS[self.preset], *named]))
