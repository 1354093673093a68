"""Arms and guardrails of an experiment, as options state them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from metarec.app.commands.stated_values import number_of, pairs_of, whole_number_of

if TYPE_CHECKING:
    from metarec.feedback.experiments.experiment import Arm, Guardrails


def arm_of(text: str) -> Arm:
    """Return the arm that an option describes.

    Raises:
        BadInput: if it sets what no arm does, or a value is empty or cannot be read.
    """
    from metarec.data.schema import BadInput
    from metarec.feedback.experiments.experiment import Arm, ArmSettings

    text, has_filter, only = text.partition(",filter=")
    form = "NAME=SHARE,SETTING=VALUE,..."
    first, *others = text.split(",")
    ((name, share),) = pairs_of([first], "--arm", form)
    options = {key.strip(): value.strip() for key, value in pairs_of(others, "--arm", form)}
    name = name.strip()
    if has_filter and not only.strip():
        raise BadInput(f"--arm {name}: filter is empty; give a value, or leave it out")
    version = options.pop("model", "")
    settable = ("diversity", "explore", "cold_share")
    if unknown := [key for key in options if key not in settable]:
        raise BadInput(
            f"--arm {name}: an arm sets model, {', '.join(settable)} and filter, not {unknown[0]!r}"
        )
    numbers = {key: number_of(value, f"--arm {name}: {key}") for key, value in options.items()}
    settings = ArmSettings(**numbers, filter=only if has_filter else None)
    part = number_of(share, f"--arm {name}: share")
    return Arm(name=name, share=part, model=version, settings=settings)


def guardrails_of(texts: Iterable[str] | None) -> Guardrails:
    """Return the guardrails that the options describe.

    Raises:
        BadInput: if there is no such guardrail, or a value cannot be read.
    """
    from metarec.data.schema import BadInput
    from metarec.feedback.experiments.experiment import Guardrails

    limits = pairs_of(texts, "--guardrail", "NAME=NUMBER")
    rails: dict[str, float] = {}
    for name, value in ((name.strip(), value) for name, value in limits):
        number = whole_number_of if name == "min_slates" else number_of
        rails[name] = number(value, f"--guardrail {name}")
    try:
        # Unknown names raise the TypeError below
        return Guardrails(**rails)  # type: ignore[arg-type]
    except TypeError as error:
        raise BadInput(f"no guardrail {', '.join(rails)}; see --help") from error
