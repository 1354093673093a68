"""What was learned on other data as a start: used where it helps held-out users, and said."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from metarec.app import cli
from metarec.data.dataset import Dataset
from metarec.data.read import read
from metarec.data.schema import BadInput
from metarec.recommendation.ensemble.prior import Prior, PriorComparison
from metarec.recommendation.fitting.fit import fit
from metarec.recommendation.fitting.steps import Run
from metarec.recommendation.settings import Settings
from metarec.recommendation.slate import Request
from metarec.recommender import Recommender

DOMAINS = Path(__file__).parent.parent.parent / "examples" / "domains"


@pytest.fixture(scope="module")
def source() -> Recommender:
    return Recommender.fit(read(DOMAINS / "education"), preset="tiny", encoder="tfidf")


@pytest.fixture(scope="module")
def target() -> Dataset:
    return read(DOMAINS / "e-commerce")


@pytest.fixture(scope="module")
def model(source: Recommender, target: Dataset) -> Recommender:
    return Recommender.fit(target, preset="tiny", encoder="none", prior=source)


def test_a_sentence_says_what_became_of_it(model: Recommender) -> None:
    sentence = model.transfer[0]
    assert sentence.startswith("the prior from education example is ")
    assert "NDCG@10 of " in sentence
    assert sentence in model.notes
    assert ("is used" in sentence) is (model.prior is not None)
    assert any("only its gate is taken" in note for note in model.transfer[1:])


def test_it_is_kept_with_the_model(model: Recommender, tmp_path: Path) -> None:
    model.save(tmp_path / "model")
    loaded = Recommender.load(tmp_path / "model")
    assert loaded.transfer == model.transfer
    asked = [Request(history=["P101"])]
    assert np.array_equal(loaded.score(asked), model.score(asked))
    assert (loaded.prior is None) is (model.prior is None)


def test_a_prior_survives_its_parts(source: Recommender) -> None:
    prior = source.as_prior()
    again = Prior.from_parts(prior.facts(), prior.arrays())
    assert again.gate.names == prior.gate.names
    assert np.array_equal(again.gate.weight, prior.gate.weight)


def test_one_that_hurts_is_not_used(source: Recommender, target: Dataset) -> None:
    prior = source.as_prior()
    gate = replace(
        prior.gate,
        popularity_weight=-8.0 * np.ones_like(prior.gate.popularity_weight),
        weight=np.full_like(prior.gate.weight, 1e-3),
    )
    settings = Settings(preset="tiny", encoder="none")
    model = fit(target, settings, Run(), prior=replace(prior, gate=gate))
    plain = Recommender.fit(target, preset="tiny", encoder="none")
    assert model.prior is None
    assert "is not used, since it does not clearly help here" in model.transfer[0]
    asked = [Request(), Request(history=["P101"])]
    scores = model.ensemble.score(model.users(asked)[0])
    assert np.allclose(scores, plain.ensemble.score(plain.users(asked)[0]))


def test_the_trial_compares_the_same_users() -> None:
    better = PriorComparison(with_prior=np.array([0.4, 0.5]), without=np.array([0.3, 0.4]))
    assert better.helps
    assert "of 2 held-out users 0.450 with it, 0.350 without (+0.100" in better.sentence("books")
    assert not PriorComparison(with_prior=better.without, without=better.with_prior).helps


def test_a_prior_of_another_format_or_without_overlap_is_one_line(
    source: Recommender, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "model.json").write_text("{}")
    for prior in ("other", "nowhere"):
        with pytest.raises(SystemExit) as end:
            cli.main(["fit", str(DOMAINS / "travel"), "--out", str(tmp_path / "m"), "--prior",
                      str(tmp_path / prior)])  # fmt: skip
        assert end.value.code == 2
        assert len(capsys.readouterr().err.strip().splitlines()) == 1
    prior = source.as_prior()
    strange = replace(prior, gate=replace(prior.gate, names=tuple("abcd")))
    with pytest.raises(BadInput, match="nothing in common with this fit"):
        strange.check_shares(["profile", "als"])


def test_the_first_weeks_of_a_domain(
    source: Recommender, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source.save(tmp_path / "source")
    words = ["evaluate", str(DOMAINS / "e-commerce"), "--scenario", "domain-cold", "--preset",
             "tiny", "--encoder", "none", "--users", "20", "--baseline", "Popular"]  # fmt: skip
    with pytest.raises(SystemExit) as end:
        cli.main([*words, "--prior", str(tmp_path / "source"), "--json"])
    assert not end.value.code
    (week,) = json.loads(capsys.readouterr().out)["weeks"]
    assert set(week["ndcg@10"]) == {"with prior", "without", "Popular"}
    assert len(week["differences"]) == len(week["support_sizes"])
    assert week["prior"][0].startswith("the prior from education example is ")
    for more, said in (([], "goes with --prior MODEL"), (["--prior", str(tmp_path / "source"),
                       "--users", "900"], "numbers from 2 to")):  # fmt: skip
        with pytest.raises(SystemExit) as end:
            cli.main([*words, *more])
        assert end.value.code == 2
        assert said in capsys.readouterr().err
