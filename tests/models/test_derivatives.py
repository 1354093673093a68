import pytest
import torch
from torch import nn
from torch.autograd import grad, gradgradcheck
from torch.nn import functional as F

from metarec.models.few_shot.functional import (
    gelu,
    softmax,
    standardized,
    times,
    times_turned,
    turned_times,
)

EPS = 1e-2
PAIRS = {
    "gelu": (gelu, F.gelu),
    "standardized": (
        lambda x: standardized(x, EPS),
        nn.LayerNorm(7, EPS, elementwise_affine=False),
    ),
    "softmax": (softmax, lambda x: torch.softmax(x, -1)),
    "times": (lambda x: times(x.mT, x), lambda x: x.mT @ x),
    "times_turned": (lambda x: times_turned(x.cos(), x), lambda x: x.cos() @ x.mT),
    "turned_times": (lambda x: turned_times(x.cos(), x), lambda x: x.cos().mT @ x),
}


def drawn() -> torch.Tensor:
    x = 2.0 * torch.randn(3, 4, 7, generator=torch.Generator().manual_seed(0), dtype=torch.double)
    return x.requires_grad_()


@pytest.mark.parametrize("name", PAIRS)
def test_values_and_both_derivatives_are_those_of_torch(name):
    """The slope of a slope, by what went in and by what pulled, equals the one autograd puts
    together.
    """

    def both(function):
        x = drawn()
        y = function(x)
        pull = torch.cos(y.detach()).requires_grad_()
        (slope,) = grad((y * pull).sum(), x, create_graph=True)
        return y, slope, *grad(torch.sin(3.0 * slope).sum(), (x, pull))

    for mine, torchs in zip(*(both(function) for function in PAIRS[name]), strict=True):
        assert torch.allclose(mine, torchs, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", PAIRS)
def test_second_derivatives_are_those_of_differences(name):
    assert gradgradcheck(PAIRS[name][0], (drawn(),))


@pytest.mark.parametrize("name", ["gelu", "standardized"])
def test_third_derivatives_are_refused(name):
    x = drawn()
    (slope,) = grad(PAIRS[name][0](x).sin().sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="written out to the second"):
        grad(slope.square().sum(), x, create_graph=True)
