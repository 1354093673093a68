"""From data to table, sentence and page, on a world whose answers are known."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import polars as pl
import pytest

from evaluation.worlds import SHORT_WORLD, Oracle
from metarec.data.cleaning.report import report_on
from metarec.data.cleaning_config import CleaningConfig
from metarec.data.dataset import Dataset
from metarec.data.schema import BadInput
from metarec.evaluation.evaluate import evaluate
from metarec.evaluation.examples import ShownEvent, ShownUser, show_cold_users
from metarec.evaluation.report import to_html, to_text, write_report
from metarec.evaluation.report.plots import draw_curve
from metarec.evaluation.report.text import head
from world import tiny_world


@pytest.fixture(scope="module")
def big_world():
    return tiny_world(users_per_taste=60, ratings=True)


@pytest.fixture(scope="module")
def told():
    return []


@pytest.fixture(scope="module")
def evaluation(big_world, told):
    bars = ["Random", "Popular", "ItemKNN", "ItemMean+UserOffset"]
    return evaluate(
        big_world.data,
        models=[Oracle(big_world, "Ours <b>")],
        baselines=bars,
        horizon=SHORT_WORLD,
        progress=lambda stage, done, note="": told.append((stage, done, note)),
    )


def test_everything_is_evaluated_on_the_same_users(evaluation, told):
    assert evaluation.models == ["Ours <b>"]
    assert evaluation.curve.models == [
        "Ours <b>",
        "Random",
        "Popular",
        "ItemKNN",
        "ItemMean+UserOffset",
    ]
    assert evaluation.facts["test_users"] == len(evaluation.curve.user_ids) == 24
    assert evaluation.facts["chosen_by"] == 12
    assert evaluation.facts["training_users"] == 120 - 24 - 12
    assert "diversity@10" in evaluation.curve.metrics
    assert [t for t in told if t[0] == "fitting"][-1][1] == 1.0
    assert all(c.fit_seconds >= 0 and c.ms_per_cold_user > 0 for c in evaluation.costs.values())
    assert evaluation.costs["ItemKNN"].settings["neighbors"] in {200, 50, "all"}


def test_the_comparison_is_against_baselines_alone(evaluation):
    comparison = evaluation.comparison()
    assert {s.best for s in comparison.differences} <= set(evaluation.baselines)
    assert evaluation.comparison("mae") is None  # the first model predicts no values


def test_text_holds_the_numbers_and_the_sentence(evaluation):
    text = to_text(evaluation, width=160)
    line = next(row for row in text.splitlines() if row.strip().startswith("ItemKNN"))
    assert f"{evaluation.curve.mean('ItemKNN', 'ndcg@10')[1]:.3f}".removeprefix("0") in line
    assert evaluation.comparison().sentence.split(":")[0] in text
    assert "before any event:" in text
    assert "MAE by known items of each user" in text


def test_the_head_counts_users_left_out_and_says_what_known_users_are(evaluation):
    said = replace(evaluation, facts=evaluation.facts | {"left_out": 7})
    assert "\n7 more held out, who like no item that could be asked about" in head(said)
    assert "more held out" not in head(evaluation) and "items ranked" in head(evaluation)
    new, known = to_html(evaluation), to_html(replace(said, scenario="warm"))
    assert "New users of" in new and "Nobody evaluated here was known" in new
    assert "Known users of" in known and "Nobody evaluated here was known" not in known
    assert "training sees nothing of test users" not in known
    assert "the whole history of each user is known, up to 3 items" in known


def test_json_is_whole(evaluation):
    again = json.loads(json.dumps(evaluation.to_json(), default=str))
    assert again["comparisons"]["ndcg@10"]["sentence"] == evaluation.comparison().sentence
    assert len(again["new_users"]) == 3
    assert again["curves"]["all"]["support_sizes"] == [0, 1, 3]
    assert again["costs"]["ItemKNN"]["settings"]


def test_new_users_are_shown_with_titles_and_true_hits(evaluation, big_world):
    titles = set(big_world.data.items.titles())
    for user in evaluation.shown:
        assert [s.events for s in user.slates] == [0, 1, 3]
        assert len(user.did) == 3
        for slate in user.slates:
            assert set(slate.titles) <= titles
            assert len(slate.titles) == len(slate.hits) == 5
            assert not set(slate.titles) & {e.title for e in user.did}
    after_three = [hit for user in evaluation.shown for hit in user.slates[-1].hits]
    assert (
        np.mean(after_three) > 0.6
    )  # the oracle knows the taste; only the withheld item and dislikes can miss


def test_an_act_that_refuses_or_is_no_target_is_not_shown_as_liked():
    kinds = ["view", "purchase", "hide"]
    rows = [(f"u{u}", f"i{i}", kinds[(u + i) % 3], 1e9 + i) for u in range(40) for i in range(9)]
    columns = ["user_id", "item_id", "kind", "timestamp"]
    data = Dataset(interactions=pl.DataFrame(rows, schema=columns, orient="row"))
    found = evaluate(data, baselines=["Popular"], horizon=SHORT_WORLD)
    assert found.shown and all(len(user.did) == 3 for user in found.shown)
    for user in found.shown:  # of three acts in a row one is a purchase, which is the target
        assert [event.is_liked for event in user.did].count(True) == 1
        assert {event.kind for event in user.did} == set(kinds)
    first = found.shown[0].did
    in_words = ", ".join(f"{event.title} ({event.kind})" for event in first)
    assert found.shown[0].did_in_words(3) == in_words
    assert in_words in to_text(found, width=1000) and in_words in to_html(found)


def test_acts_on_one_item_in_a_row_are_told_together():
    acts = ["view", "return", None]
    did = [
        ShownEvent(title=title, value=value, kind=kind, is_liked=False)
        for title, value, kind in zip(["Tent"] * 2 + ["Lamp"], [None, None, 4.0], acts, strict=True)
    ]
    user = ShownUser(profile={}, did=did, slates=[], liked_later=0)
    assert user.did_in_words(3) == "Tent (view, return), Lamp (4)"
    assert user.did_in_words(1) == "Tent (view)"


def test_json_on_disk_holds_numbers_and_null_alone(evaluation, tmp_path):
    """A user without ratings has no error, and tuning may choose a number of numpy."""
    name = "ItemMean+UserOffset"
    values = evaluation.curve.per_user[name]
    gap = {**values, "mae": np.where(np.arange(24) == 3, np.nan, values["mae"])}
    curve = replace(evaluation.curve, per_user={name: gap})
    chosen = replace(evaluation.costs[name], settings={"neighbors": np.int64(50)})
    said = replace(evaluation, models=[], baselines=[name], curves={"all": curve})
    write_report(tmp_path / "folder", replace(said, costs={name: chosen}))

    def refuse(constant):
        raise AssertionError(constant)

    written = (tmp_path / "folder" / "evaluation.json").read_text()
    again = json.loads(written, parse_constant=refuse)
    assert again["curves"]["all"]["per_user"][name]["mae"][0][3] is None
    assert again["costs"][name]["settings"] == {"neighbors": 50}


def test_an_attribute_unlike_for_all_is_not_shown(evaluation, big_world):
    from dataclasses import replace

    from metarec.data.dataset import Dataset
    from metarec.evaluation.scenarios import prepare

    users = big_world.data.users.frame
    named = Dataset(
        interactions=big_world.data.interactions,
        items=big_world.data.items,
        name="named",
        users=users.with_columns(users["user_id"].alias("full_name")),
    )
    setting = prepare(named, "user-cold", horizon=SHORT_WORLD)
    evaluation_set = setting.evaluation_sets["all"]
    assert "full_name" in evaluation_set.cold_users[0].profile
    shown = show_cold_users(
        Oracle(big_world), replace(evaluation_set), (0, 1, 3), np.random.default_rng(0)
    )
    assert all(set(user.profile) == {"home", "age"} for user in shown)


class Reader(HTMLParser):
    def __init__(self):
        super().__init__()
        self.open, self.tags, self.words, self.links = [], [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.links += [
            value
            for name, value in attrs
            if name in {"src", "href"} and value and not value.startswith("#")
        ]
        if tag not in {"meta", "br", "link"} and "svg" not in self.open:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag in self.open:
            assert self.open.pop() == tag, f"{tag} closes what is not open"

    def handle_data(self, data):
        self.words.append(data)


def test_the_page_needs_nothing_else_and_escapes_names(evaluation):
    page = to_html(evaluation)
    reader = Reader()
    reader.feed(page)
    assert not reader.open
    assert not [link for link in reader.links if link.startswith(("http", "//"))]
    assert "script" not in reader.tags
    assert (
        reader.tags.count("svg") == 2 * 5
    )  # for wide screens and for phones: NDCG, recall, MAE, differences, character
    assert "<b>Is Ours &lt;b&gt; worth it here" in page
    assert "Ours <b>" in "".join(reader.words)
    assert evaluation.comparison().sentence in "".join(reader.words)
    assert "prefers-color-scheme: dark" in page


def test_the_page_is_the_same_for_the_same_evaluation(evaluation):
    assert to_html(evaluation) == to_html(evaluation)


def test_a_report_is_a_file_or_a_folder(evaluation, big_world, tmp_path):
    report = report_on(big_world.data, [], CleaningConfig())
    page = write_report(tmp_path / "a" / "out.html", evaluation, data_report=report)
    assert page.name == "out.html"
    assert f"{report.events_read:,} events read" in page.read_text(encoding="utf-8")
    inside = write_report(tmp_path / "folder", evaluation)
    assert inside == tmp_path / "folder" / "report.html"
    assert json.loads((tmp_path / "folder" / "evaluation.json").read_text())["data"] == "tiny world"


def test_baselines_alone_are_a_report_too(big_world):
    found = evaluate(
        big_world.data, baselines=["Popular", "ItemKNN"], horizon=SHORT_WORLD, max_users=10
    )
    assert found.comparison() is None
    assert found.shown_by == "ItemKNN"
    assert found.facts["test_users"] == 10
    assert "worth it" not in to_text(found).lower()
    assert "Popular" in to_html(found)


def test_cold_items_have_their_own_table(big_world):
    found = evaluate(
        big_world.data,
        baselines=["Popular", "ContentRidge"],
        scenario="both-cold",
        horizon=SHORT_WORLD,
    )
    assert set(found.curves) == {"all", "cold"}
    assert found.curve is found.curves["cold"]
    assert (
        found.curve.mean("ContentRidge", "auc")[-1] > found.curve.mean("Popular", "auc")[-1] + 0.3
    )


def test_acts_without_values_have_no_errors():
    found = evaluate(
        tiny_world(users_per_taste=40).data, baselines=["Popular", "ItemKNN"], horizon=SHORT_WORLD
    )
    assert "mae" not in found.curve.metrics
    assert "MAE" not in to_text(found)
    assert all(e.value is None for user in found.shown for e in user.did)
    assert to_html(found)


def test_mistakes_are_told(big_world):
    with pytest.raises(BadInput, match="there is nothing to evaluate"):
        evaluate(big_world.data, baselines=[])
    with pytest.raises(BadInput, match="there is no baseline 'X'"):
        evaluate(big_world.data, baselines=["X"])


def test_metarec_itself_can_be_evaluated(big_world):
    from metarec.evaluation.own_recommender import OwnRecommender

    found = evaluate(
        big_world.data,
        models=[OwnRecommender(preset="tiny", encoder="tfidf", horizon=SHORT_WORLD)],
        baselines=["Popular"],
        horizon=SHORT_WORLD,
    )
    assert found.curve.mean("metarec", "ndcg@10")[-1] > found.curve.mean("Popular", "ndcg@10")[-1]
    assert found.curve.has("metarec", "mae")
    assert found.curve.has("metarec", "covered@90")
    assert found.costs["metarec"].settings["preset"] == "tiny"
    assert "\ntexts read for metarec by TF-IDF (chosen by name)\n" in to_text(found)


def test_a_recommender_has_one_color_in_all_pictures(evaluation):
    """Where the order of recommenders differs between metrics, their colors do not."""
    curve = evaluation.curve
    turned = {
        model: values if model == "Ours <b>" else {**values, "recall@20": 1 - values["recall@20"]}
        for model, values in curve.per_user.items()
        if "recall@20" in values
    }
    whole = replace(curve, per_user={**curve.per_user, **turned})
    changed = replace(evaluation, curves={"all": whole})
    ndcg, recall = (_colors(draw_curve(changed, metric)) for metric in ("ndcg@10", "recall@20"))
    assert len(ndcg) >= 3 and recall == ndcg


@pytest.mark.parametrize("narrow", [False, True])
def test_names_at_the_ends_of_lines_stand_apart(evaluation, narrow):
    """Six recommenders that end alike at the top."""
    curve = evaluation.curve
    alike = curve.per_user["Ours <b>"]
    per_user = {**curve.per_user, **{f"Alike {n}": alike for n in range(6)}}
    costs = {**evaluation.costs, **{f"Alike {n}": evaluation.costs["Ours <b>"] for n in range(6)}}
    many = replace(evaluation, curves={"all": replace(curve, per_user=per_user)}, costs=costs)
    svg = draw_curve(many, "ndcg@10", narrow=narrow)
    named = re.findall(r"translate\([\d.]+ ([\d.]+)\)[^>]*>(?:Alike|Ours)", svg)
    named = named or re.findall(r'y="([\d.]+)"[^>]*>(?:Alike|Ours)', svg)
    heights = sorted(float(height) for height in named)
    assert len(heights) >= 7
    assert min(b - a for a, b in zip(heights, heights[1:], strict=False)) > 8.5
    width = float(re.search(r'width="([\d.]+)pt"', svg)[1])
    assert width <= (72 * 4.4 if narrow else 72 * 9.2)


def test_a_page_has_each_plot_for_wide_screens_and_for_phones(evaluation):
    page = to_html(evaluation)
    assert page.count('<div class="wide"><svg') == page.count('<div class="on-phone"><svg') > 2


def _colors(svg):
    """Name at the end of a line -> its color."""
    found = re.findall(r"fill: (#\w+)\"[^>]*>([^<]+)</text>", svg)
    return {name: color for color, name in found}
