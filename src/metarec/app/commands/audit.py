"""`metarec audit`: for which users a model works, whether its explanations are true, and what
mitigations of bias cost.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from metarec.app.commands.audited import attributes_of, fit_like, users_to_evaluate
from metarec.app.commands.options import (
    Device,
    Json,
    Model,
    Seed,
    Source,
    as_json_text,
    choose_device,
    command_language,
    command_of,
    show,
    shown_anyway,
)
from metarec.app.commands.options import note as tell
from metarec.runtime.language import translated_page

if TYPE_CHECKING:
    from metarec.evaluation.measure import EvaluationSet
    from metarec.fairness.audit import Audit
    from metarec.recommender import Recommender

MAX_EXPLAINED = 60
"""Number of users whose explanations are measured; each costs some hundred scores of the
catalog.
"""
MAX_EVENTS = 10
"""Largest number of their events."""


@dataclass(frozen=True, kw_only=True)
class AuditedUsers:
    """The users a model was evaluated on, and the audit."""

    model: Recommender
    evaluation_set: EvaluationSet
    support_sizes: tuple[int, ...]
    cautions: list[str]
    """Caveats on the users, in sentences."""
    audit: Audit
    first: str
    """The first attribute by which users are compared."""


@dataclass(kw_only=True)
class AuditOutput:
    """Results: as JSON, as texts, and as further sections of the page."""

    result: dict[str, Any]
    texts: list[str]
    sections: dict[str, str] = field(default_factory=dict)
    """Heading -> HTML."""

    def add(self, name: str, one: Any, heading: str = "", html: str = "") -> None:
        """Add a result that has `to_json` and `to_text`."""
        self.result[name] = one.to_json()
        self.texts.append(one.to_text())
        if heading:
            self.sections[heading] = html


@dataclass(frozen=True, kw_only=True)
class AuditModel:
    """Say for whom a model works: quality by group as events arrive, what items are shown, and
    which gaps are more than chance.

    The result is kept with the model and shown on the operator's page.
    """

    model: Model
    data: Source
    by: Annotated[
        list[str] | None,
        typer.Option(
            help="Profile attribute to compare users by, or activity; may be repeated. "
            "All attributes with groups large enough, and activity, unless given."
        ),
    ] = None
    items_by: Annotated[
        list[str] | None,
        typer.Option(
            help="Column of the items (a provider, a brand), or popularity; may be repeated."
        ),
    ] = None
    metric: Annotated[str, typer.Option(help="What gaps are looked for in.")] = "ndcg@10"
    out: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Also write audit.html and audit.json there."),
    ] = None
    explanations: Annotated[
        bool,
        typer.Option(
            "--explanations",
            help="Also measure whether explanations tell the truth; "
            "fits once more, from another seed.",
        ),
    ] = False
    components: Annotated[
        bool,
        typer.Option(
            "--components",
            help="Also say what each score component is worth; with --out, a model card.",
        ),
    ] = False
    features: Annotated[
        bool,
        typer.Option(
            "--features",
            help="Also say which columns the model rests on: what is lost when one is shuffled.",
        ),
    ] = False
    mitigate: Annotated[
        bool,
        typer.Option(
            "--mitigate",
            help="Also try mitigations of the widest clear gap on the same users, with their "
            "cost; fits several times.",
        ),
    ] = False
    as_is: Annotated[
        bool,
        typer.Option(
            "--as-is",
            help="Evaluate the model on users it learned from, if there are no others, "
            "instead of fitting one like it without a fifth of them.",
        ),
    ] = False
    seed: Seed = 0
    device: Device = None
    as_json: Json = False

    def run(self) -> None:
        """Audit the model, print the results, and keep them with the model."""
        choose_device(self.device)
        from metarec.app.reports import AUDIT, keep_report
        from metarec.data.errors import BadInput
        from metarec.runtime.folders import check_target

        if self.out is not None:
            check_target(self.out, is_folder=True)
        for option, names in (("--by", self.by or ()), ("--items-by", self.items_by or ())):
            if twice := [name for name in names if names.count(name) > 1]:
                raise BadInput(f"{option} names {twice[0]!r} twice; once is enough")
        audited = self._look()
        output = AuditOutput(result=audited.audit.to_json(), texts=[audited.audit.to_text()])
        self._add_cold_items(audited, output)
        if self.explanations:
            self._add_explanations(audited, output)
        ablation = self._add_components(audited, output) if self.components else None
        if self.features:
            self._add_features(audited, output)
        trade_offs = self._add_trade_offs(audited, output) if self.mitigate else None
        if self.out is not None:
            with shown_anyway(output.result, "\n\n".join(output.texts), as_json=self.as_json):
                self._write(self.out, audited, output, ablation, trade_offs)
        show(output.result, "\n\n".join(output.texts), as_json=self.as_json)
        keep_report(self.model, AUDIT, output.result, by="metarec audit")

    def _look(self) -> AuditedUsers:
        from metarec.data.cleaning import read_clean
        from metarec.fairness.audit import audit as look
        from metarec.fairness.audit import check_asked
        from metarec.recommender import Recommender
        from metarec.runtime.progress import on_terminal

        loaded, (table, _) = Recommender.load(self.model), read_clean(self.data)  # as `fit` cleans
        check_asked(table, self.by or (), self.items_by or (), self.metric)
        with on_terminal(show=not self.as_json) as progress:
            evaluated, evaluation_set, support_sizes, cautions = users_to_evaluate(
                loaded, table, self.seed, self.as_is, progress
            )
        names = self.by or attributes_of(evaluation_set)
        measured = look(
            evaluated,
            evaluation_set,
            by=names,
            support_sizes=support_sizes,
            metric=self.metric,
            items_by=self.items_by or ("popularity",),
            seed=self.seed,
        )
        return AuditedUsers(
            model=evaluated,
            evaluation_set=evaluation_set,
            support_sizes=support_sizes,
            cautions=cautions,
            audit=measured.with_warnings(cautions),
            first=names[0],
        )

    def _add_cold_items(self, audited: AuditedUsers, output: AuditOutput) -> None:
        from metarec.fairness.cold_exposure import cold_exposure

        reserved = cold_exposure(
            audited.model, audited.evaluation_set, audited.support_sizes, seed=self.seed
        )
        if reserved is not None:
            heading = "What a share for cold items shows and costs"
            output.add("cold_items", reserved, heading, f"<p>{reserved.to_text()}</p>")

    def _add_explanations(self, audited: AuditedUsers, output: AuditOutput) -> None:
        faithful = _faithful(audited.model, audited.evaluation_set, self.seed)
        heading = "Whether explanations tell the truth"
        output.add("explanations", faithful, heading, _faithful_html(faithful))

    def _add_components(self, audited: AuditedUsers, output: AuditOutput) -> Any:
        from metarec.explanation.decomposition import ablate
        from metarec.runtime.rng import derive

        rng = derive(self.seed, "ablation")
        ablation = ablate(
            audited.model, audited.evaluation_set, support_sizes=audited.support_sizes, rng=rng
        )
        output.add("components", ablation)
        return ablation

    def _add_features(self, audited: AuditedUsers, output: AuditOutput) -> None:
        from metarec.fairness.features import audit_features

        rested = audit_features(
            audited.model, audited.evaluation_set, audited.support_sizes, seed=self.seed
        )
        heading = "Which columns the model rests on"
        output.add("features", rested, heading, f"<pre>{escape(rested.to_text())}</pre>")

    def _add_trade_offs(self, audited: AuditedUsers, output: AuditOutput) -> Any:
        """Add what mitigations of the widest clear gap gain and cost."""
        compared = _compared_mitigations(audited, self.seed)
        output.result |= compared.to_json()
        output.texts.append(compared.to_text())
        if compared.gan is not None:
            output.sections["Synthetic users"] = f"<pre>{escape(compared.gan.to_text())}</pre>"
        return compared

    def _write(
        self, out: Path, audited: AuditedUsers, output: AuditOutput, ablation: Any, compared: Any
    ) -> None:
        """Write the page, the numbers and, with `--components`, the model card."""
        from metarec.fairness.audit_report import to_html

        out.mkdir(parents=True, exist_ok=True)
        if ablation is not None:
            output.sections["What each score component is worth"] = _ablation_html(ablation)
            card = _card(audited.model, ablation, audited.cautions)
            (out / "card.md").write_text(card, encoding="utf-8")
        trade_off_table = None if compared is None else compared.table
        page = to_html(audited.audit, trade_offs=trade_off_table, further=output.sections)
        (out / "audit.html").write_text(translated_page(page, command_language()), encoding="utf-8")
        _write_json(out / "audit.json", output.result)
        output.texts.append(str(out / "audit.html"))


audit = command_of(AuditModel)


def _faithful(model: Recommender, evaluation_set: EvaluationSet, seed: int) -> Any:
    from metarec.evaluation.interface import requests_at
    from metarec.explanation.faithfulness import measure_faithfulness
    from metarec.runtime.rng import derive

    tell("fitting once more from another seed, to see how stable explanations are")
    other = fit_like(model, seed=model.settings.seed + 1)(model.training, None)
    users = requests_at(evaluation_set.cold_users[:MAX_EXPLAINED], MAX_EVENTS)
    return measure_faithfulness(model, users, rng=derive(seed, "faithfulness"), reseeded=[other])


def _faithful_html(faithful: Any) -> str:
    from metarec.explanation.plots import draw_faithfulness
    from metarec.runtime.report_page import figure

    return f"{figure(draw_faithfulness(faithful))}<pre>{escape(faithful.to_text())}</pre>"


def _ablation_html(ablation: Any) -> str:
    from metarec.explanation.plots import draw_ablation
    from metarec.runtime.report_page import figure

    return f"{figure(draw_ablation(ablation))}<pre>{escape(ablation.to_text())}</pre>"


def _card(model: Recommender, ablation: Any, cautions: list[str]) -> str:
    from dataclasses import asdict

    from metarec.explanation.decomposition import model_card

    return model_card(
        model,
        ablation,
        data_name=model.training.name,
        settings=asdict(model.settings),
        caveats=cautions,
    )


def _compared_mitigations(audited: AuditedUsers, seed: int) -> Any:
    """Compare mitigations of the audit's widest clear gap, on the same users; by the first
    attribute where no gap is clear.
    """
    from dataclasses import replace

    from metarec.data.cold_users import split_cold_users
    from metarec.fairness.mitigation.compare import compare_mitigations
    from metarec.runtime.rng import derive

    measured = audited.audit
    gap = measured.largest_fair_gap or measured.largest_clear_gap
    if gap is None:
        typer.echo(f"no gap is clear: mitigations are tried by {audited.first}", err=True)
    apart = split_cold_users(audited.evaluation_set.train, rng=derive(seed, "mend"), test=0.0)
    return compare_mitigations(
        fit_like(audited.model),
        replace(apart, test=list(audited.evaluation_set.cold_users)),
        audited.first if gap is None else gap.by,
        support_sizes=measured.support_sizes,
        metric=measured.metric,
        pair=None if gap is None else frozenset({gap.best, gap.worst}),
        seed=seed,
        progress=_show_progress,
    )


def _show_progress(stage: str, done: float, note: str = "") -> None:
    if note:
        tell(f"{stage} {done:4.0%} {note}")


def _write_json(path: Path, result: dict[str, Any]) -> None:
    path.write_text(as_json_text(result), encoding="utf-8")
