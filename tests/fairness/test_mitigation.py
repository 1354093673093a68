"""Each mitigation does what it says, and the price table tells its gain from its cost."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from explanation.closed_form import ClosedForm
from fairness.biased_world import biased_cold_users
from fairness.conftest import Blind
from metarec.data.dataset import Dataset
from metarec.data.schema import BadInput
from metarec.fairness.disparity import Matched
from metarec.fairness.exposure import divergence, item_attention
from metarec.fairness.groups import category_matrix, group_items_by_popularity
from metarec.fairness.mitigation.prior import GroupPrior
from metarec.fairness.mitigation.reranking import Calibrated, ExposureBounded, Reranked, taste_of
from metarec.fairness.mitigation.reweighting import MAX_WEIGHT, inverse_propensity, reweigh
from metarec.fairness.mitigation.trade_off import trade_off
from metarec.fairness.mitigation.trade_off_plot import draw_trade_offs
from metarec.fairness.mitigation.upsampling import upsample
from metarec.fairness.outcomes import evaluate
from metarec.recommendation.slate import Request


def groups_of(data):
    return {row["user_id"]: row["group"] for row in data.users.frame.iter_rows(named=True)}


def test_reweighing_lets_groups_count_the_same(data):
    weights, group = reweigh(data, "group"), groups_of(data)
    total = {g: sum(w for u, w in weights.items() if group[u] == g) for g in ("many", "few")}
    assert total["many"] == pytest.approx(total["few"])
    assert np.mean(list(weights.values())) == pytest.approx(1.0)
    assert set(reweigh(data, "group", strength=0.0).values()) == {1.0}


def test_reweighing_by_activity_lets_thirds_count_the_same_in_events():
    events = [(f"u{n}", f"i{k}") for n in range(9) for k in range(n + 1)]
    weights = reweigh(
        Dataset(interactions=pl.DataFrame(events, schema=["user_id", "item_id"], orient="row")),
        "activity",
    )
    total = [
        sum(weights[f"u{n}"] * (n + 1) for n in third)
        for third in (range(3), range(3, 6), range(6, 9))
    ]
    assert total == pytest.approx([total[0]] * 3)
    assert weights["u0"] == weights["u2"] > weights["u3"] == weights["u5"] > weights["u6"]


def test_nobody_counts_more_than_the_cap(data):
    alone = reweigh(data, "zip")
    assert max(alone.values()) == pytest.approx(1.0)
    kind = (
        pl.when(pl.col("user_id") == "u0").then(pl.lit("odd")).otherwise(pl.lit("usual")).alias("k")
    )
    lonely = data.users.frame.with_columns(kind)
    weights = reweigh(Dataset(interactions=data.interactions, items=data.items, users=lonely), "k")
    assert weights["u0"] / np.mean([w for u, w in weights.items() if u != "u0"]) <= MAX_WEIGHT * 2.1


def test_inverse_propensity_favors_users_of_rare_items(data):
    weights, group = inverse_propensity(data, power=0.5), groups_of(data)
    few, many = (np.mean([w for u, w in weights.items() if group[u] == g]) for g in ("few", "many"))
    assert few > 1.3 * many
    assert set(inverse_propensity(data, power=0.0).values()) == {1.0}


def test_bad_weights_are_refused(data):
    with pytest.raises(BadInput, match=r"strength must lie in \[0, 1\], got 2"):
        reweigh(data, "group", strength=2)
    with pytest.raises(BadInput, match="power must be 0 or more, got -1"):
        inverse_propensity(data, power=-1)
    with pytest.raises(BadInput, match="no user states 'x'"):
        reweigh(data, "x")


def test_upsampling_evens_groups_and_copies_whole_users(data):
    more = upsample(data, "group", np.random.default_rng(0))
    sizes = more.users.frame["group"].value_counts()
    assert dict(sizes.iter_rows()) == {"many": 120, "few": 120}
    copy = next(u for u in more.users.frame["user_id"] if u.startswith("copy:"))
    original = copy.split(":", 2)[2]
    rows = more.interactions.frame
    assert (
        rows.filter(pl.col("user_id") == copy)["item_id"].to_list()
        == rows.filter(pl.col("user_id") == original)["item_id"].to_list()
    )
    assert len(data.interactions) == 150 * 12
    half = upsample(data, "group", np.random.default_rng(0), strength=0.5)
    assert len(half.users) == 150 + 45


def test_training_levers_move_the_few_in_a_model_that_cannot_see_groups(
    data, evaluation_set, outcomes, by_group
):
    few = by_group.mask("few")
    for model in (
        Blind.fit(data, user_weights=reweigh(data, "group")),
        Blind.fit(upsample(data, "group", np.random.default_rng(0))),
    ):
        assert (
            evaluate(model, evaluation_set, (0,)).values("ndcg@10", 0)[few].mean()
            > outcomes.values("ndcg@10", 0)[few].mean() + 0.1
        )


def test_group_prior_serves_both_and_does_not_touch_who_states_nothing(
    blind, data, evaluation_set, outcomes, by_group
):
    mitigated = GroupPrior(model=blind, by="group")
    mitigated.fit(data, biased_cold_users(seed=77), np.random.default_rng(0))
    assert mitigated.weights["few"] > 0
    after = evaluate(mitigated, evaluation_set, (0, 3))
    few = by_group.mask("few")
    assert after.values("ndcg@10", 0)[few].mean() > outcomes.values("ndcg@10", 0)[few].mean() + 0.2
    assert (
        after.values("ndcg@10", 0)[~few].mean() > outcomes.values("ndcg@10", 0)[~few].mean() - 0.02
    )
    np.testing.assert_array_equal(mitigated.score([Request()]), blind.score([Request()]))


def test_a_stronger_shrinkage_keeps_a_group_nearer_to_everyone(blind, data):
    spread = []
    for shrinkage in (1.0, 1000.0):
        mitigated = GroupPrior(model=blind, by="group", shrinkage=shrinkage)
        mitigated.fit(data, biased_cold_users(seed=77), np.random.default_rng(0))
        spread.append(np.abs(mitigated.tables["few"]).mean())
    assert spread[0] > 5 * spread[1]


@pytest.fixture
def ranked(blind):
    scores = blind.score(
        [Request(history=[("a00", 1.0), ("b00", 1.0)]), Request(history=[("b01", 1.0)]), Request()]
    )
    order = np.argsort(-scores, axis=1, kind="stable")[:, :40]
    return order, np.take_along_axis(scores, order, 1)


def test_calibration_follows_the_wanted_mix_and_weight_zero_keeps_the_order(data, ranked):
    candidates, scores = ranked
    mixes, _ = category_matrix(data.items, data.items.vocabulary)
    wanted = np.array([[1.0, 1.0], [3.0, 1.0], [0.0, 0.0]])
    keep = Calibrated(categories=mixes, wanted=wanted, weight=0.0).rerank(
        candidates, scores, 10, np.random.default_rng(0)
    )
    np.testing.assert_array_equal(keep, np.tile(np.arange(10), (3, 1)))
    even = Calibrated(categories=mixes, wanted=wanted, weight=0.9).rerank(
        candidates, scores, 10, np.random.default_rng(0)
    )
    np.testing.assert_array_equal(even[2], np.arange(10))
    for row, share in ((0, 0.5), (1, 0.75)):
        comedy = mixes[candidates[row, even[row]], 0].mean()
        assert comedy == pytest.approx(share, abs=0.11)
    before = divergence(wanted[:2], mixes[candidates[:2, :10]].sum(1))
    after = divergence(wanted[:2], mixes[np.take_along_axis(candidates, even, 1)[:2]].sum(1))
    assert after[0] < 0.1 * before[0] and after[1] <= before[1]


def test_greedy_calibration_equals_a_plain_loop(data, ranked):
    candidates, scores = ranked
    mixes, _ = category_matrix(data.items, data.items.vocabulary)
    wanted = np.array([[0.5, 0.5], [0.75, 0.25], [0.2, 0.8]])
    found = Calibrated(categories=mixes, wanted=wanted, weight=0.6).rerank(
        candidates, scores, 6, np.random.default_rng(0)
    )
    for b in range(3):
        unit = (scores[b] - scores[b].min()) / (scores[b].max() - scores[b].min())
        chosen = []
        for _ in range(6):
            worth = {}
            for place in set(range(40)) - set(chosen):
                q = mixes[candidates[b, [*chosen, place]]].mean(0)
                q = 0.99 * q + 0.01 * wanted[b]
                worth[place] = 0.4 * unit[place] - 0.6 * (wanted[b] * np.log(wanted[b] / q)).sum()
            chosen.append(max(worth, key=worth.get))
        assert found[b].tolist() == chosen


def test_exposure_stays_above_its_bound_at_every_place(data, ranked):
    candidates, scores = ranked
    rare = group_items_by_popularity(data, data.items.vocabulary).labels == "rare"
    bound = ExposureBounded(protected=rare, min_share=0.4)
    positions = bound.rerank(candidates, scores, 10, np.random.default_rng(0))
    shown = rare[np.take_along_axis(candidates, positions, 1)]
    attention = 1 / np.log2(np.arange(2, 12))
    for row, line in enumerate(shown):
        if rare[candidates[row]].sum() >= 10:
            assert ((np.cumsum(attention * line) / np.cumsum(attention)) >= 0.4 - 1e-9).all()
    assert not rare[candidates[:, 0]].all()
    np.testing.assert_array_equal(
        ExposureBounded(protected=rare, min_share=0.0).rerank(
            candidates, scores, 10, np.random.default_rng(0)
        ),
        np.tile(np.arange(10), (3, 1)),
    )


def test_rerankers_pass_padding_and_refuse_bad_weights(data):
    mixes, _ = category_matrix(data.items, data.items.vocabulary)
    candidates, scores = np.array([[3, 1, -1]]), np.array([[0.5, 0.2, -np.inf]])
    for reranker in (
        Calibrated(categories=mixes, wanted=np.ones((1, 2))),
        ExposureBounded(protected=np.ones(60, bool), min_share=0.5),
    ):
        assert reranker.rerank(candidates, scores, 3, np.random.default_rng(0)).tolist() == [
            [0, 1, -1]
        ]
    with pytest.raises(BadInput, match="weight of calibration"):
        Calibrated(categories=mixes, wanted=np.ones((1, 2)), weight=1.5)
    with pytest.raises(BadInput, match="least share of attention"):
        ExposureBounded(protected=np.ones(60, bool), min_share=-0.1)


def test_a_reranked_model_can_be_evaluated_and_shows_what_the_reranker_chose(
    blind, data, evaluation_set, outcomes
):
    rare = group_items_by_popularity(data, evaluation_set.vocabulary).labels == "rare"
    columns = blind.vocabulary.indexes(evaluation_set.vocabulary.ids)
    of_model = np.zeros(60, bool)
    of_model[columns] = rare
    model = Reranked(
        model=blind,
        reranker=lambda requests: ExposureBounded(protected=of_model, min_share=0.3),
        name="bounded",
    )
    after = evaluate(model, evaluation_set, (0, 3))
    share = [
        item_attention(o.ranked[0], len(rare))[rare].sum()
        / item_attention(o.ranked[0], len(rare)).sum()
        for o in (outcomes, after)
    ]
    assert share[0] < 0.1 and share[1] >= 0.29
    same = Reranked(
        model=blind,
        reranker=lambda requests: ExposureBounded(protected=of_model, min_share=0.0),
        name="same",
    )
    np.testing.assert_allclose(
        evaluate(same, evaluation_set, (3,)).values("ndcg@10", 3), outcomes.values("ndcg@10", 3)
    )


def test_taste_counts_liked_events_only(data):
    mixes, names = category_matrix(data.items, data.items.vocabulary)
    requests = [Request(history=[("a00", 5.0), ("b00", 1.0), ("nowhere", 5.0)]), Request()]
    np.testing.assert_array_equal(
        taste_of(requests, data.items.vocabulary, mixes, liked_from=4.0),
        [[float(n == "drama") for n in names], [0.0, 0.0]],
    )


def test_what_the_worst_must_gain_is_what_halves_the_gap_at_the_price(outcomes, by_group):
    """Checked by moving both groups: exactly the gain needed, and the loss that the price buys,
    halve the gap.
    """
    table = trade_off(
        outcomes, {"nothing": outcomes}, [by_group], np.random.default_rng(0), n_support=0
    )
    few, many = (by_group.mask(label) for label in ("few", "many"))
    loss = table.gap.size / 2 - table.needed
    moved = outcomes.values("ndcg@10", 0) + table.needed * few - loss * many
    halved = trade_off(
        outcomes,
        {"moved": replace(outcomes, per_user={"ndcg@10": np.stack([moved, moved])})},
        [by_group],
        np.random.default_rng(0),
        n_support=0,
    ).rows[0]
    assert halved.gap == pytest.approx(table.gap.size / 2)
    assert halved.trade_off == pytest.approx(0.01)
    assert (
        f"few must get better by {table.needed:.4f} or more; the most that anything gave them is "
        f"+0.0000" in table.summary()
    )


def test_an_error_that_grows_is_a_price_and_one_that_shrinks_a_gain(outcomes, by_group):
    few = by_group.mask("few")
    start = np.where(few, 1.0, 0.8) + np.random.default_rng(0).normal(0, 0.05, len(few))
    variants = (start, start - 0.15 * few, start + 0.15 * ~few)
    before, better, worse = (
        replace(outcomes, per_user={"mae": np.stack([v, v])}) for v in variants
    )
    table = trade_off(
        before,
        {"better": better, "worse": worse},
        [by_group],
        np.random.default_rng(0),
        metric="mae",
        n_support=0,
    )
    rows = {row.name: row for row in table.rows}
    assert (table.gap.worst, table.gap.best) == ("few", "many")
    assert (
        rows["better"].is_cheap
        and rows["better"].trade_off < 0
        and rows["better"].worst_gain.value == pytest.approx(0.15)
    )
    assert rows["better"].matched_change.high < 0 and rows["better"].matched == pytest.approx(
        0.05, abs=0.02
    )
    assert not rows["worse"].is_cheap and rows["worse"].halves_the_gap
    assert "better at least halves it" in table.summary()


def test_the_price_table_tells_gain_from_cost_and_leveling_down(
    blind, data, evaluation_set, outcomes, by_group
):
    class Worse(Blind):
        def score(self, requests):
            scores = super().score(requests)
            many = np.array([r.profile.get("group") == "many" for r in requests])
            scores[many] = np.random.default_rng(0).normal(size=scores.shape)[many]
            return scores

    worse = Worse(**{name: getattr(blind, name) for name in ClosedForm.__dataclass_fields__})
    fair = ClosedForm.fit(data)
    table = trade_off(
        outcomes,
        {
            "see groups": evaluate(fair, evaluation_set, (0, 3)),
            "serve the many worse": evaluate(worse, evaluation_set, (0, 3)),
            "nothing": outcomes,
        },
        [by_group],
        np.random.default_rng(0),
        n_support=0,
        notes={"nothing": "a control"},
    )
    rows = {row.name: row for row in table.rows}
    assert (
        rows["see groups"].halves_the_gap
        and rows["see groups"].is_cheap
        and rows["see groups"].worst_change.low > 0
    )
    assert (
        not rows["serve the many worse"].is_cheap
        and rows["serve the many worse"].best_change.high < 0
    )
    assert rows["nothing"].gap_change.value == 0 and not rows["nothing"].halves_the_gap
    assert rows["nothing"].gap == pytest.approx(table.gap.size)
    assert "see groups at least halves it" in table.summary()
    assert "a control" in table.to_text() and draw_trade_offs(table).startswith("<svg")
    lost = trade_off(
        outcomes, {"nothing": outcomes}, [by_group], np.random.default_rng(0), n_support=0
    )
    assert "None of what was tried halves it" in lost.summary()
    assert table.to_json()["rows"][0]["halves_the_gap"] is True
    made = replace(lost, gap=replace(lost.gap, matched=Matched(value=0.1, low=-0.1, high=0.3)))
    assert (
        "nothing shows that the model makes it" in made.summary() and "halves" not in made.summary()
    )
    unsure = replace(table, gap=replace(table.gap, p_corrected=0.5))
    assert "no clear gap to close" in unsure.summary() and "halves" not in unsure.summary()
