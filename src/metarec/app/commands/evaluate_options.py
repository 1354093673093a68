"""Options of `metarec evaluate`, and checks of their combinations."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from metarec.app.commands.options import (
    Device,
    Encoder,
    ItemTemplate,
    Json,
    PictureEncoder,
    Pictures,
    Preset,
    Prior,
    Seed,
    Source,
    UserTemplate,
)
from metarec.data.errors import BadInput

if TYPE_CHECKING:
    from metarec.data.cold_users import Horizon

DOMAIN_COLD = "domain-cold"


@dataclass(frozen=True, kw_only=True)
class Options:
    """What is evaluated, on which data, and how."""

    data: Source
    learner: Annotated[
        list[str] | None,
        typer.Option(
            help="A meta-learner, or an encoder of behavior such as gru4rec, to compare with ours; "
            "may be repeated."
        ),
    ] = None
    every: Annotated[
        bool,
        typer.Option(
            "--all", help="Evaluate every meta-learner and behavior encoder; this takes a while."
        ),
    ] = False
    baseline: Annotated[
        list[str] | None,
        typer.Option(
            help="A baseline to compare with; may be repeated. All that suit the data unless given."
        ),
    ] = None
    scenario: Annotated[
        str,
        typer.Option(
            help="Who or what is new: user-cold, item-cold, both-cold, warm, time (users first "
            "seen after a moment), or domain-cold (few users of its own, with --prior)."
        ),
    ] = "user-cold"
    protocol: Annotated[
        str | None,
        typer.Option(
            help="Evaluate by a paper's own protocol instead: melu or tanp (chance and the item "
            "mean stand beside), or leave-last-out (known users, full ranking)."
        ),
    ] = None
    kind: Annotated[
        str | None,
        typer.Option(
            metavar="KIND",
            help="Evaluate by events of this kind alone, such as purchase; the kinds marked as "
            "targets unless given.",
        ),
    ] = None
    gains: Annotated[
        str,
        typer.Option(
            help="What an item counts that was liked: binary (all the same) or strength (of the "
            "act on it, where targets differ in strength)."
        ),
    ] = "binary"
    prior: Prior = None
    users: Annotated[
        list[int] | None,
        typer.Option(
            help="With --scenario domain-cold: so many users of DATA to fit on; may be repeated; "
            "20, 50 and 200 unless given."
        ),
    ] = None
    support: Annotated[
        list[int] | None,
        typer.Option(
            help="A number of known events to evaluate at; may be repeated. Chosen from the data "
            "unless given.",
        ),
    ] = None
    folds: Annotated[
        int, typer.Option(help="Cross-validate over so many folds of users; 0 holds out one part.")
    ] = 0
    user_text: Annotated[
        bool,
        typer.Option(
            help="Also evaluate users written as text, read by the same "
            "encoder: alone, and together with ours.",
        ),
    ] = False
    overfitting: Annotated[
        bool,
        typer.Option(
            "--overfitting",
            help="Instead compare users trained on with new ones, fitted on 10, 30 and 100% of the "
            "users, beside a plain Transformer.",
        ),
    ] = False
    preset: Preset = "small"
    encoder: Encoder = "auto"
    item_template: ItemTemplate = None
    user_template: UserTemplate = None
    pictures: Pictures = None
    picture_encoder: PictureEncoder = "auto"
    model: Annotated[
        Path | None,
        typer.Option(
            metavar="MODEL",
            help="Evaluate this model, on users of DATA unseen in its training, instead "
            "of fitting one; the result is kept with it for the operator's page.",
        ),
    ] = None
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="REPORT",
            help="Also write a report with plots: a .html file, "
            "or a folder for the page and the numbers.",
        ),
    ] = None
    seed: Seed = 0
    device: Device = None
    as_json: Json = False

    def check(self) -> None:
        """Refuse options that exclude each other.

        Raises:
            BadInput: naming the options.
            FileExistsError: if a file lies where a folder is to be, which would be seen at the end.
        """
        if self.out is not None and self.out.suffix.lower() not in (".html", ".htm"):
            if self.out.exists() and not self.out.is_dir():
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(self.out))
        self._check_scenario()
        self._check_gains()
        self._check_folds_and_model()
        self._check_texts()
        self._check_protocol()
        self._check_overfitting()
        self._check_prior()

    def horizon(self) -> Horizon | None:
        """Return the support sizes that were asked for; None leaves the choice to the data.

        Raises:
            BadInput: if a number is negative, or none is above 0.
        """
        from metarec.data.cold_users import Horizon

        if not self.support:
            return None
        support_sizes = tuple(sorted(set(self.support)))
        if support_sizes[0] < 0 or support_sizes[-1] < 1:
            raise BadInput(
                "--support takes numbers of events, 0 or more and one above 0, got "
                + ", ".join(map(str, support_sizes))
            )
        largest = support_sizes[-1]
        return Horizon(
            support_sizes=support_sizes, pool=largest, min_events=largest + max(2, largest // 2)
        )

    @property
    def _own(self) -> bool:
        """Whether an option is given that only a fit of its own uses."""
        own_options = (
            self.folds,
            self.protocol,
            self.model,
            self.learner,
            self.every,
            self.pictures,
        )
        return any((*own_options, self.out, self.user_text, self.item_template))

    def _check_scenario(self) -> None:
        from metarec.evaluation.scenarios import SCENARIOS

        scenario, prior = self.scenario, self.prior
        if scenario not in (*SCENARIOS, DOMAIN_COLD):
            choices = ", ".join([*SCENARIOS, DOMAIN_COLD])
            raise BadInput(f"--scenario must be one of {choices}, got {scenario!r}")
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
                "--user-template says how users are written, but no model reads them; add "
                "--user-text"
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
