"""Model card."""

from __future__ import annotations

from metarec.data.policy_facts import facts_lines, policy_facts
from metarec.models.config import config_line
from metarec.recommendation.configs import BESIDE, RATING
from metarec.recommendation.fitted import FittedModel


def model_card(model: FittedModel) -> str:
    """Return the model card as Markdown: training data, settings, scorers and policy."""
    events, inputs = model.training.interactions, model.item_inputs
    low, high = model.value_range
    values = f"ratings of {low:g} to {high:g}" if model.has_values else "none (implicit feedback)"
    beside = {name: one for name, one in model.settings.models.items() if name in BESIDE}
    if model.ratings is not None:
        beside[RATING] = model.ratings.config
    sizes = ", ".join(map(str, model.horizon.support_sizes))
    return "\n".join(
        [
            f"# metarec model {model.version}",
            "",
            f"Trained on *{model.training.name}*: {len(events):,} events of "
            f"{model.trained_on['user_id'].n_unique():,} users "
            f"on {model.trained_on['item_id'].n_unique():,} of {len(model.catalog):,} items.",
            "",
            f"- preset `{model.settings.preset}`, seed {model.settings.seed}, text read by "
            f"`{inputs.encoder.name}` ({inputs.reason})",
            f"- score components: popularity, {', '.join(model.ensemble.scorers)}",
            *(
                f"  - {config_line(name, scorer.config)}; "
                f"reads {', '.join(sorted(scorer.reads)) or 'nothing of a request'}"
                for name, scorer in model.ensemble.scorers.items()
            ),
            *(f"- {config_line(name, config)}" for name, config in beside.items()),
            *(f"- {line}" for line in model.notes),
            f"- learned for new users with {sizes} events",
            f"- values: {values}",
            "",
            "## Policy",
            "",
            *(f"- {line}" for line in facts_lines(policy_facts(model.training, model.policy))),
            "",
        ]
    )
