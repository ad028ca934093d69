"""Pictures for networks: the centre square that encoders see, whatever the shape."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from PIL import Image  # noqa: E402

from usl.core.errors import UslWarning  # noqa: E402
from usl.features.shared.resize import square_uint8  # noqa: E402
from usl.learning.pictures import encode, open_pictures, square  # noqa: E402


class Shelf:
    """Pictures in memory."""

    def __init__(self, pictures):
        self.pictures = pictures

    def __len__(self):
        return len(self.pictures)

    def read(self, row):
        return self.pictures[row]


def thirds(width, height):
    """Red, green and blue thirds along the longer side."""
    pixels = np.zeros((height, width, 3), dtype=np.uint8)
    across = width >= height
    for number in range(3):
        part = slice(number * max(width, height) // 3, (number + 1) * max(width, height) // 3)
        where = (slice(None), part) if across else (part,)
        pixels[(*where, slice(None))[:2]] = np.eye(3, dtype=np.uint8)[number] * 200
    return Image.fromarray(pixels)


@pytest.mark.parametrize("shape", [(96, 32), (32, 96)])
def test_the_centre_square_is_kept_and_not_squashed(shape):
    found = square(thirds(*shape), 32)
    assert (found[1] == 200).all()
    assert not found[[0, 2]].any()


@pytest.mark.parametrize("shape", [(32, 32), (40, 40), (48, 30), (31, 64)])
def test_it_is_the_square_that_encoders_see(shape):
    rng = np.random.default_rng(0)
    image = Image.fromarray(rng.integers(0, 256, (shape[1], shape[0], 3), dtype=np.uint8))
    np.testing.assert_array_equal(square(image, 24).transpose(1, 2, 0), square_uint8(image, 24))


@pytest.mark.parametrize("memory", [1 << 30, 0])
def test_whole_pictures_are_squeezed_and_know_their_shapes(memory):
    shelf = Shelf([thirds(96, 32), thirds(32, 96), thirds(48, 48)])
    pictures = open_pictures(shelf, 32, whole=True, memory=memory)
    batch = pictures.named("images", np.array([2, 0, 1]))
    assert batch["images_shapes"].tolist() == [[48, 48], [32, 96], [96, 32]]
    wide, high = batch["images"][1].float(), batch["images"][2].float()
    torch.testing.assert_close(wide.mean((1, 2)), torch.full((3,), 200 / 3), atol=2, rtol=0)
    assert (wide[0, :, 0] == 200).all()  # all of it, red at its left end
    assert (high[2, -1] == 200).all()  # and blue at its lower
    assert pictures.side == 64  # of 96, at most twice the network's
    cut = open_pictures(shelf, 32, memory=memory)
    assert cut.named("images", np.array([0])).keys() == {"images"}


def test_a_network_sees_the_centre_squares_of_whole_pictures():
    class Means(torch.nn.Module):
        size = 32

        def forward(self, images):
            return images.mean((2, 3))

    shelf = Shelf([thirds(96, 32), thirds(30, 90)])
    cut, whole = (encode(Means(), open_pictures(shelf, 32, whole=how)) for how in (False, True))
    torch.testing.assert_close(whole, cut, atol=0.03, rtol=0)


def test_a_narrow_picture_is_as_large_as_its_shorter_side():
    wide = Shelf([thirds(300, 40)] * 3)
    assert open_pictures(wide, 32).side == 40
    with pytest.warns(UslWarning, match="about 40 pixels wide, the network takes 64"):
        open_pictures(wide, 64)
