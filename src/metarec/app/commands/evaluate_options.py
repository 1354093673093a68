"""Which options of `metarec evaluate` go together."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from metarec.data.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Sequence

DOMAIN_COLD = "domain-cold"


@dataclass(frozen=True, kw_only=True)
class Combination:
    """Options as they were given."""

    scenario: str
    prior: Path | None
    users: Sequence[int] | None
    gains: str
    folds: int | None
    protocol: str | None
    model: Path | None
    out: Path | None
    learner: Sequence[str] | None
    every: bool
    pictures: Path | None
    user_text: bool
    user_template: str | None
    item_template: str | None
    baseline: Sequence[str] | None
    support: Sequence[int] | None
    overfitting: bool
    kind: str | None

    def check(self) -> None:
        """Refuse what does not go together.

        Raises:
            BadInput: naming the options.
        """
        self._check_scenario()
        self._check_gains()
        self._check_folds_and_model()
        self._check_texts()
        self._check_protocol()
        self._check_overfitting()
        self._check_prior()

    @property
    def _own(self) -> bool:
        """Whether any option is given that only a fit of its own takes."""
        given = (self.folds, self.protocol, self.model, self.learner, self.every, self.pictures)
        return any((*given, self.out, self.user_text, self.item_template))

    def _check_scenario(self) -> None:
        from metarec.evaluation.scenarios import SCENARIOS

        scenario, prior = self.scenario, self.prior
        if scenario not in (*SCENARIOS, DOMAIN_COLD):
            known = ", ".join([*SCENARIOS, DOMAIN_COLD])
            raise BadInput(f"--scenario must be one of {known}, got {scenario!r}")
        if (scenario == DOMAIN_COLD) != (prior is not None) or (self.users and prior is None):
            raise BadInput(
                f"--scenario {DOMAIN_COLD} goes with --prior MODEL, a model fitted on other data, "
                "and --prior and --users with it alone"
            )

    def _check_gains(self) -> None:
        gains = self.gains
        if gains not in ("binary", "strength"):
            raise BadInput(f"--gains must be binary or strength, got {gains!r}")
        if gains != "binary" and (self.folds or self.protocol or self.model or self.prior):
            raise BadInput(
                "--gains strength fits models to evaluate them: it goes without --folds, "
                "--protocol, --model and --prior"
            )

    def _check_folds_and_model(self) -> None:
        is_other = self.scenario != "user-cold"
        if self.folds and (is_other or self.out is not None):
            raise BadInput(
                "--folds cross-validates over users: it goes with --scenario user-cold and without "
                "--out"
            )
        others = (self.folds, self.protocol is not None, self.learner, self.every, self.pictures)
        if self.model is not None and (is_other or any(others)):
            raise BadInput(
                "--model evaluates a model as it is: it goes without --folds, --protocol, "
                "--scenario, --learner, --all and --pictures"
            )

    def _check_texts(self) -> None:
        if self.user_text and (self.folds or self.protocol is not None or self.model is not None):
            raise BadInput(
                "--user-text fits a model on users to evaluate it on others: it goes without "
                "--folds, --protocol and --model"
            )
        if self.user_template is not None and not self.user_text:
            raise BadInput(
                "--user-template says how users are written, but nobody reads them; add --user-text"
            )
        if self.model is not None and self.item_template is not None:
            raise BadInput("--model evaluates a model as it is: it goes without --item-template")

    def _check_protocol(self) -> None:
        is_other = self.scenario != "user-cold"
        if self.protocol is not None and (self.folds or is_other or self.out is not None):
            raise BadInput(
                "--protocol is a scenario of its own: it goes without --scenario, --folds and --out"
            )
        if self.protocol not in (None, "leave-last-out") and self.baseline:
            raise BadInput(
                "--baseline goes with --protocol leave-last-out, not with the other ones"
            )
        if self.support and (self.folds or self.protocol or self.model):
            raise BadInput(
                "--support chooses numbers of events for a fit of its own: it goes without "
                "--folds, --protocol and --model"
            )

    def _check_overfitting(self) -> None:
        if not self.overfitting:
            return
        others = (self._own, self.prior, self.baseline, self.support)
        if any(others) or self.scenario != "user-cold":
            raise BadInput(
                "--overfitting is a comparison of its own: it goes with --preset, --encoder, "
                "--kind, --seed and --json alone"
            )
        if self.gains != "binary":
            raise BadInput("--overfitting compares by binary gains: it goes without --gains")

    def _check_prior(self) -> None:
        if self.prior is not None and (self._own or self.kind):
            raise BadInput(
                f"--scenario {DOMAIN_COLD} compares fits with and without a prior: it goes without "
                "--folds, --protocol, --model, --learner, --all, --pictures, --out, --user-text, "
                "--item-template and --kind"
            )
