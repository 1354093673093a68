"""The GAN makes up users of the right group and length; the checks catch copies, leaks, sameness
and nonsense.
"""

import numpy as np
import polars as pl
import pytest
import torch

from fairness.biased_world import biased_data
from metarec.data.dataset import Dataset
from metarec.data.schema import BadInput, Profiles
from metarec.fairness.mitigation.augment import augment_with_gan, interaction_vectors
from metarec.fairness.mitigation.gan import GanConfig, generate_users, train_gan
from metarec.fairness.mitigation.gan_checks import check, membership_advantage, nearest_distance

SMALL = GanConfig(steps=250, width=64, batch=48, noise=16)


def users(n, seed, items=60, tastes=2):
    """Each user meets about ten items, mostly of one half of the catalog."""
    rng = np.random.default_rng(seed)
    weight = np.tile(1.0 / (np.arange(items // tastes) + 3.0), tastes)
    vectors = np.zeros((n, items), bool)
    for row in range(n):
        mine = weight * np.where(np.arange(items) // (items // tastes) == row % tastes, 1.0, 0.05)
        vectors[row, rng.choice(items, 10, replace=False, p=mine / mine.sum())] = True
    return vectors, np.arange(n) % tastes


@pytest.fixture(scope="module")
def generator():
    vectors, labels = users(200, 0)
    return train_gan(vectors, labels, SMALL, torch.Generator().manual_seed(0))


def test_made_up_users_have_their_length_and_the_taste_of_their_group(generator):
    labels, lengths = np.repeat([0, 1], 100), np.tile([5, 12], 100)
    made = generate_users(generator, labels, lengths, 2, torch.Generator().manual_seed(1))
    np.testing.assert_array_equal(made.sum(1), lengths)
    first_half = made[:, :30].sum(1) / lengths
    assert first_half[labels == 0].mean() > 0.75 and first_half[labels == 1].mean() < 0.25


def test_users_the_gan_makes_up_pass_its_own_checks(generator):
    real, unseen = users(200, 0)[0], users(100, 1)[0]
    made = generate_users(
        generator, np.arange(200) % 2, np.full(200, 10), 2, torch.Generator().manual_seed(2)
    )
    report = check(real, unseen, made, np.random.default_rng(0))
    assert report.is_safe, report.to_text()
    assert report.is_like_real, report.to_text()


def test_the_same_seed_makes_up_the_same_users():
    vectors, labels = users(40, 0)
    made = [
        generate_users(
            train_gan(
                vectors,
                labels,
                GanConfig(steps=5, width=8, batch=16),
                torch.Generator().manual_seed(3),
            ),
            labels,
            np.full(40, 10),
            2,
            torch.Generator().manual_seed(4),
        )
        for _ in range(2)
    ]
    np.testing.assert_array_equal(*made)


def test_training_leaves_the_global_random_state_alone():
    vectors, labels = users(40, 0)
    torch.manual_seed(7)
    before = torch.get_rng_state()
    train_gan(vectors, labels, GanConfig(steps=2, width=8), torch.Generator().manual_seed(3))
    assert torch.equal(torch.get_rng_state(), before)


def test_copies_are_caught():
    real, unseen = users(200, 0)[0], users(100, 1)[0]
    report = check(real, unseen, real[:100], np.random.default_rng(0))
    assert report.exact_copies == 100 and report.copies == 1.0 and not report.is_safe
    assert report.membership_low > 0.2


def test_near_copies_are_caught_too():
    real, unseen = users(200, 0)[0], users(100, 1)[0]
    near = real.copy()
    near[np.arange(200), near.argmax(1)] = False
    report = check(real, unseen, near, np.random.default_rng(0))
    assert report.exact_copies == 0 and report.copies > 0.9 and not report.is_safe


def test_fresh_users_of_the_same_kind_pass():
    report = check(users(200, 0)[0], users(100, 1)[0], users(150, 2)[0], np.random.default_rng(0))
    assert report.is_safe and report.is_like_real
    assert 0.35 < report.classifier_auc < 0.65


def test_the_same_user_again_and_again_is_not_like_real():
    real, unseen = users(200, 0)[0], users(100, 1)[0]
    report = check(real, unseen, np.tile(users(1, 5)[0], (100, 1)), np.random.default_rng(0))
    assert report.variety == 0.0 and not report.is_like_real


def test_random_items_are_not_like_real():
    rng = np.random.default_rng(0)
    noise = np.argsort(rng.random((100, 60)), axis=1) < 10
    report = check(users(200, 0)[0], users(100, 1)[0], noise, rng)
    assert not report.is_like_real and report.classifier_auc > 0.8
    assert "NOT LIKE" in report.to_text() and report.to_json()["is_like_real"] is False


def test_membership_advantage_of_nothing_is_chance():
    rng = np.random.default_rng(0)
    found = [membership_advantage(rng.random(200), rng.random(100), rng)[0] for _ in range(30)]
    assert abs(np.mean(found)) < 0.05


def test_nearest_distance_is_jaccard():
    a = np.array([[1, 1, 0, 0]], bool)
    b = np.array([[1, 0, 1, 0], [0, 0, 1, 1]], bool)
    assert nearest_distance(a, b)[0] == pytest.approx(1 - 1 / 3)


def test_augmented_data_is_a_dataset_with_even_groups_and_no_copied_profile():
    data = biased_data(many=90, few=40, ratings=True)
    seen = Profiles.of(
        data.users.frame.with_columns(last_seen=pl.lit(1_700_000_000))
    )  # a moment in time: not learned from
    data = Dataset(interactions=data.interactions, items=data.items, users=seen)
    found = augment_with_gan(
        data, "group", np.random.default_rng(0), config=GanConfig(steps=60, width=32)
    )
    assert found.synthetic == {"few": 50}
    assert dict(found.data.users.frame["group"].value_counts().iter_rows()) == {
        "many": 90,
        "few": 90,
    }
    assert found.data.interactions.frame.columns == data.interactions.frame.columns
    new = found.data.interactions.frame.filter(pl.col("user_id").str.starts_with("made up:"))
    assert new["user_id"].n_unique() == 50 and new.group_by("user_id").len()[
        "len"
    ].unique().to_list() == [12]
    assert new["value"].is_between(3, 5).all() and new.null_count().sum_horizontal().item() == 0
    profiles = found.data.users.frame.filter(pl.col("user_id").str.starts_with("made up:"))
    assert profiles["zip"].null_count() == 50 and profiles["age"].null_count() == 0
    assert (
        profiles["last_seen"].null_count() == 50
        and found.data.users.frame.schema == data.users.frame.schema
    )
    assert found.report.synthetic == 50


def test_interaction_vectors_mark_who_met_what():
    data = biased_data(many=3, few=2)
    vectors, items = interaction_vectors(data, ["u0", "u1", "u2", "u3", "u4"])
    assert vectors.sum() == 60
    assert set(np.array(items)[vectors[1]]) == set(
        data.interactions.frame.filter(pl.col("user_id") == "u1")["item_id"]
    )


def test_bad_input_is_refused():
    with pytest.raises(BadInput, match="user 1 has no event"):
        train_gan(np.array([[True], [False]]), np.array([0, 0]), SMALL, torch.Generator())
    with pytest.raises(BadInput, match="even already"):
        augment_with_gan(biased_data(many=10, few=10), "group", np.random.default_rng(0))
    with pytest.raises(BadInput, match="must be 1 or more"):
        GanConfig(steps=0)
