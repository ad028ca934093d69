from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("torchvision")

from scipy.stats import ks_2samp  # noqa: E402
from torchvision.transforms import RandomErasing  # noqa: E402

from usl.learning.augment.erasing import random_erasing_  # noqa: E402


def boxes(images):
    """Top, left, height and width of what is 1 in each picture, [n, 4]."""
    rows, columns = images[:, 0].amax(2), images[:, 0].amax(1)
    sizes = [rows.argmax(1), columns.argmax(1), rows.sum(1), columns.sum(1)]
    return torch.stack([size.float() for size in sizes], 1)


@pytest.mark.parametrize("shape", [(32, 32), (20, 45)])
def test_boxes_are_drawn_as_torchvision_does(shape):
    ours = torch.zeros(2000, 3, *shape)
    random_erasing_(ours, (1.0, 1.0, 1.0), torch.Generator().manual_seed(0))
    torch.manual_seed(1)
    erase = RandomErasing(p=1.0, value=1.0)  # scale (0.02, 0.33), ratio (0.3, 3.3)
    theirs = torch.stack([erase(torch.zeros(3, *shape)) for _ in range(2000)])
    assert torch.equal(ours.sum((1, 2, 3)), 3 * boxes(ours)[:, 2] * boxes(ours)[:, 3])
    for column in range(4):
        a, b = boxes(ours)[:, column], boxes(theirs)[:, column]
        assert ks_2samp(a, b).pvalue > 1e-3, column


def test_a_colour_and_the_grey_of_it():
    images = torch.zeros(50, 3, 16, 16)
    random_erasing_(images, (0.25, 0.5, 1.0), torch.Generator().manual_seed(0))
    assert images.amax((0, 2, 3)).tolist() == [0.25, 0.5, 1.0]
    greys = torch.zeros(50, 1, 16, 16)
    random_erasing_(greys, (0.25, 0.5, 1.0), torch.Generator().manual_seed(0))
    assert greys.max().item() == pytest.approx(0.299 * 0.25 + 0.587 * 0.5 + 0.114)


def test_a_picture_too_small_for_a_box_stays():
    images = torch.zeros(20, 3, 1, 1)
    random_erasing_(images, (1.0, 1.0, 1.0), torch.Generator().manual_seed(0))
    assert images.max() == 0
