"""`metarec evaluate`: learning curve of new users, for our recommender, the meta-learners asked for
and all baselines.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from metarec.app.commands.evaluate_options import Options
from metarec.app.commands.evaluations import (
    by_protocol,
    cross_validated,
    domain_cold,
    overfitting_of,
    with_target_kind,
)
from metarec.app.commands.options import (
    check_pictures,
    choose_device,
    command_language,
    command_of,
    note,
    show,
    shown_anyway,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from metarec.data.cleaning.report import DataReport
    from metarec.data.cold_users import Horizon
    from metarec.data.dataset import Dataset
    from metarec.evaluation.evaluate import Evaluation, Gains
    from metarec.evaluation.interface import Evaluated
    from metarec.evaluation.scenarios import Scenario
    from metarec.runtime.progress import Progress


@dataclass(frozen=True)
class Answer:
    """Result as JSON and as text."""

    result: dict[str, Any]
    text: str
    evaluation: Evaluation | None = None
    """The evaluation, of which a report can be written; None for folds and protocols."""

    @classmethod
    def of(cls, evaluation: Evaluation) -> Answer:
        """Return the result of a learning curve."""
        from metarec.evaluation.report import to_text

        return cls(
            evaluation.to_json(), to_text(evaluation, language=command_language()), evaluation
        )


@dataclass(frozen=True, kw_only=True)
class Evaluate(Options):
    """Evaluate recommenders on users unseen in training: quality against the number of events, and
    whether the large model is worth it.
    """

    def run(self) -> None:
        """Evaluate as the options say, and print the result."""
        choose_device(self.device)
        from metarec.runtime.folders import check_target

        self.check()
        check_pictures(self.pictures, self.picture_encoder)
        horizon = self.horizon()
        if self.out is not None:
            is_page = self.out.suffix.lower() in (".html", ".htm")
            check_target(self.out, is_folder=not is_page)
        if self.prior is not None:
            domain_cold(self, self.prior, horizon)
        elif self.overfitting:
            overfitting_of(self)
        else:
            table, report = self._read()
            self._say(self._evaluated(table, horizon), report)

    def _read(self) -> tuple[Dataset, DataReport]:
        """Read the data, and the report of the cleaning."""
        from metarec.data.cleaning import read_clean
        from metarec.features.pictures import with_pictures

        table, report = read_clean(self.data)
        table = table if self.kind is None else with_target_kind(table, self.kind)
        note(f"{report.events_read:,} events read, {report.removed:,} removed by cleaning")
        if self.pictures is not None:
            table, missed = with_pictures(table, self.pictures, encoder=self.picture_encoder)
            note("; ".join(["pictures read", *missed]))
        return table, report

    def _evaluated(self, table: Dataset, horizon: Horizon | None) -> Answer:
        from metarec.runtime.progress import on_terminal

        with on_terminal(show=not self.as_json) as progress:
            models = self._models(progress)
            if self.model is not None:
                return Answer.of(self._saved(table, self.model, progress))
            if self.protocol is not None:
                return Answer(*by_protocol(table, self, self.protocol, models(), progress))
            if self.folds:
                return Answer(*cross_validated(table, self, models, progress))
            return self._fitted(table, models(), horizon, progress)

    def _models(self, progress: Progress) -> Callable[[], list[Evaluated]]:
        """Return a function that makes unfitted recommenders: ours first, then the meta-learners
        asked for.
        """
        from metarec.evaluation.adapters import learners_for
        from metarec.evaluation.own_recommender import OwnRecommender

        def make() -> list[Evaluated]:
            names = None if self.every else self.learner
            learners = (
                learners_for(names, encoder=self.encoder, progress=progress)
                if self.every or self.learner
                else []
            )
            ours = OwnRecommender(
                preset=self.preset,
                encoder=self.encoder,
                item_template=self.item_template,
                user_template=self.user_template,
                progress=progress,
            )
            return [ours, *learners]

        make()  # refuses a misspelled name before anything is fitted
        return make

    def _saved(self, data: Dataset, model: Path, progress: Progress) -> Evaluation:
        """Evaluate a saved model beside baselines fitted on its training data."""
        from metarec.evaluation.evaluate import MAX_EVALUATED, evaluate
        from metarec.evaluation.own_recommender import SavedRecommender
        from metarec.evaluation.scenarios import prepare_unseen
        from metarec.recommender import Recommender

        loaded = Recommender.load(model)
        setting = prepare_unseen(data, loaded.training, seed=self.seed, max_users=MAX_EVALUATED)
        return evaluate(
            data,
            models=[SavedRecommender(model=loaded)],
            baselines=self.baseline,
            setting=setting,
            seed=self.seed,
            progress=progress,
        )

    def _fitted(
        self, data: Dataset, models: list[Any], horizon: Horizon | None, progress: Progress
    ) -> Answer:
        """Fit models on some users and evaluate them on others; with `--user-text`, ours also with
        users as text.
        """
        from metarec.evaluation.evaluate import evaluate
        from metarec.evaluation.users_as_text import compare_text_routes, with_user_text

        ours, *learners = models
        written = with_user_text(ours) if self.user_text else []
        evaluation = evaluate(
            data,
            models=[ours, *written, *learners],
            baselines=self.baseline,
            scenario=cast("Scenario", self.scenario),  # domain-cold is done
            horizon=horizon,
            seed=self.seed,
            gains=cast("Gains", self.gains),
            progress=progress,
        )
        answer = Answer.of(evaluation)
        if not written:
            return answer
        helped = compare_text_routes(evaluation, written)
        return replace(
            answer,
            result=answer.result | {"user_text": helped},
            text=f"{answer.text}\n{helped['sentence']}\n",
        )

    def _say(self, answer: Answer, report: DataReport) -> None:
        """Print the result, write the report where asked for, and keep it with a saved model."""
        from metarec.app.reports import LEARNING_CURVE, keep_report
        from metarec.evaluation.report import write_report

        result, text, evaluation = answer.result, answer.text, answer.evaluation
        if self.out is not None and evaluation is not None:
            with shown_anyway(result, text, as_json=self.as_json):
                place = write_report(
                    self.out, evaluation, data_report=report, language=command_language()
                )
            result, text = result | {"report": str(place)}, f"{text}\n{place}"
        show(result, text, as_json=self.as_json)
        if self.model is not None and evaluation is not None:
            keep_report(self.model, LEARNING_CURVE, evaluation.to_json(), by="metarec evaluate")


evaluate = command_of(Evaluate)
