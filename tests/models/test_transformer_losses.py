"""Losses: equal to a slow obvious form; sampling corrected; padding counts for nothing."""

import pytest
import torch

from metarec.models.transformer.losses import sampled_softmax_loss, softmax_loss


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(0)


def test_full_softmax_by_hand(generator):
    scores = torch.randn(3, 5, generator=generator)
    targets = torch.tensor([0, 3, 4])
    by_hand = -sum(scores[b, t] - scores[b].exp().sum().log() for b, t in enumerate(targets)) / 3
    torch.testing.assert_close(softmax_loss(scores, targets), by_hand)
    torch.testing.assert_close(
        softmax_loss(scores, torch.nn.functional.one_hot(targets, 5).float()), by_hand
    )


def test_items_already_seen_take_no_part(generator):
    scores = torch.randn(1, 4, generator=generator)
    allowed = torch.tensor([[True, False, True, True]])
    torch.testing.assert_close(
        softmax_loss(scores, torch.tensor([2]), allowed_BN=allowed),
        softmax_loss(scores[:, [0, 2, 3]], torch.tensor([1])),
    )


def test_a_row_without_positives_counts_for_nothing(generator):
    scores = torch.randn(2, 4, generator=generator)
    targets = torch.tensor([[0.0, 1, 0, 1], [0, 0, 0, 0]])
    torch.testing.assert_close(softmax_loss(scores, targets), softmax_loss(scores[:1], targets[:1]))
    assert softmax_loss(scores[1:], targets[1:]).item() == 0


def test_sampled_softmax_tends_to_the_full_one(generator):
    """With many samples from a skewed distribution the corrected loss is the full loss; uncorrected
    it is not.
    """
    users, items = (
        torch.randn(16, 8, generator=generator),
        torch.randn(40, 8, generator=generator) * 0.5,
    )
    bias, targets = (
        torch.randn(40, generator=generator),
        torch.randint(40, (16,), generator=generator),
    )
    chance = torch.softmax(2 * torch.randn(40, generator=generator), 0)
    sampled = torch.multinomial(chance, 200_000, replacement=True, generator=generator)
    full = softmax_loss(users @ items.T + bias, targets)
    corrected = sampled_softmax_loss(users, items, targets, sampled, chance.log(), bias_N=bias)
    uniform = sampled_softmax_loss(
        users,
        items,
        targets,
        sampled,
        torch.full((40,), -torch.log(torch.tensor(40.0))),
        bias_N=bias,
    )
    assert abs(corrected - full) < 0.02 < abs(uniform - full)


def test_items_left_out_are_no_negatives(generator):
    users, items = torch.randn(2, 4, generator=generator), torch.randn(6, 4, generator=generator)
    even, targets = torch.full((6,), -torch.log(torch.tensor(6.0))), torch.tensor([0, 1])
    left_out = torch.zeros(2, 6, dtype=torch.bool)
    left_out[:, 5] = True
    without = sampled_softmax_loss(
        users, items, targets, torch.tensor([2, 3, 5]), even, left_out_BN=left_out
    )
    moved = items.clone()
    moved[5] += 10
    torch.testing.assert_close(
        without,
        sampled_softmax_loss(
            users, moved, targets, torch.tensor([2, 3, 5]), even, left_out_BN=left_out
        ),
    )
    assert without < sampled_softmax_loss(users, items, targets, torch.tensor([2, 3, 5]), even)
