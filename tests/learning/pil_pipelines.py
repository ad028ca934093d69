"""The reference pipelines, one PIL picture at a time; tests and the benchmark compare with them.

Every number is the one of the source that is named, not of our code: boxes are torchvision's.
"""

from __future__ import annotations

import random
from functools import cache

import numpy as np
import torch
from matplotlib.colors import hsv_to_rgb, rgb_to_hsv
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageOps
from torchvision import transforms


def simclr(size, strength=0.5, blur=False, least=0.08):
    """google-research/simclr, data_util.py: area_range=(0.08, 1.0)."""
    s = strength
    jitter = transforms.ColorJitter(0.8 * s, 0.8 * s, 0.8 * s, 0.2 * s)
    steps = [
        transforms.RandomResizedCrop(size, scale=(least, 1.0)),
        transforms.RandomHorizontalFlip(),
        transforms.RandomApply([jitter], p=0.8),
        transforms.RandomGrayscale(p=0.2),
    ]
    if blur:
        kernel = 2 * max(1, size // 20) + 1
        steps.append(transforms.RandomApply([transforms.GaussianBlur(kernel)], p=0.5))
    return transforms.Compose([*steps, transforms.ToTensor()])


def tensorflow_box(h, w, area=(0.08, 1.0), ratios=(3 / 4, 4 / 3), covered=0.1):
    """sample_distorted_bounding_box_op.cc with the whole picture as the object: y, x, h, w."""
    f = np.float32
    least, most = (f(share) * f(w) * f(h) for share in area)
    for _ in range(100):
        ratio = f(random.random()) * (f(ratios[1]) - f(ratios[0])) + f(ratios[0])
        low, high = (int(np.rint(np.sqrt(bound / ratio))) for bound in (least, most))
        if np.rint(f(high) * ratio) > w:
            high = int((w + 0.5 - 1e-7) / ratio)
            high -= bool(np.rint(f(high) * ratio) > w)
        high = min(high, h)
        low = min(low, high)
        height = low + random.randrange(high - low + 1)
        height += bool(int(np.rint(f(height) * ratio)) * height < least)
        height -= bool(int(np.rint(f(height) * ratio)) * height > most)
        width = int(np.rint(f(height) * ratio))
        if not least <= width * height <= most or not (0 < width <= w and 0 < height <= h):
            continue
        if width * height / (w * h) < covered:
            continue
        y = random.randrange(h - height) if height < h else 0
        x = random.randrange(w - width) if width < w else 0
        return y, x, height, width
    return 0, 0, h, w


def tensorflow_bicubic(pixels, size):
    """resize_bicubic_op.cc with half_pixel_centers, float [h, w, c] to [size, size, c]."""
    rows, columns = (keys_weights(side, size) for side in pixels.shape[:2])
    return np.moveaxis(rows @ (np.moveaxis(pixels, 2, 0) @ columns.T), 0, 2)


@cache
def keys_weights(source, size):
    """Of the old pixels in each new one, [size, source]: four of them, a = -1/2."""
    found = np.zeros((size, source))
    for new in range(size):
        old = (new + 0.5) * source / size - 0.5
        for pixel in range(int(np.floor(old)) - 1, int(np.floor(old)) + 3):
            x = abs(pixel - old)
            near = ((-0.5 + 2) * x - (-0.5 + 3)) * x * x + 1
            far = ((-0.5 * x - 5 * -0.5) * x + 8 * -0.5) * x - 4 * -0.5
            if 0 <= pixel < source:
                found[new, pixel] = near if x <= 1 else far
    return found / found.sum(1, keepdims=True)


def tensorflow_crop(size):
    """google-research/simclr, data_util.py, crop_and_resize of one picture."""

    def crop(image):
        y, x, height, width = tensorflow_box(image.height, image.width)
        box = np.asarray(image)[y : y + height, x : x + width] / 255
        resized = tensorflow_bicubic(box, size).clip(0, 1)
        return Image.fromarray((resized * 255).round().astype(np.uint8))

    return crop


def tensorflow_jitter(strength):
    """google-research/simclr, data_util.py, color_jitter_rand of one picture; clipped each time."""

    def saturate(x, factor):
        hsv = rgb_to_hsv(x)
        hsv[..., 1] = (hsv[..., 1] * factor).clip(0, 1)
        return hsv_to_rgb(hsv)

    def turn(x, by):
        hsv = rgb_to_hsv(x)
        hsv[..., 0] = (hsv[..., 0] + by) % 1
        return hsv_to_rgb(hsv)

    def jitter(image):
        x, s = np.asarray(image) / 255, 0.8 * strength
        low = max(0, 1 - s)
        steps = [
            lambda x: x * random.uniform(low, 1 + s),
            lambda x: (x - (m := x.mean((0, 1)))) * random.uniform(low, 1 + s) + m,
            lambda x: saturate(x, random.uniform(low, 1 + s)),
            lambda x: turn(x, random.uniform(-0.2 * strength, 0.2 * strength)),
        ]
        for step in random.sample(steps, 4):
            x = step(x).clip(0, 1)
        return Image.fromarray((x * 255).round().astype(np.uint8))

    return jitter


def simclr_release(size, strength=0.5):
    """The same pipeline as TensorFlow's operations make it; for CIFAR it has no blur."""
    _, flip, _, *last = simclr(size, strength).transforms
    jitter = transforms.RandomApply([tensorflow_jitter(strength)], p=0.8)
    return transforms.Compose([tensorflow_crop(size), flip, jitter, *last])


def pillow_blur(image):
    return image.filter(ImageFilter.GaussianBlur(random.uniform(0.1, 2.0)))


def comatch_second(size):
    """salesforce/CoMatch, datasets/cifar.py, trans_strong1: RandomResizedCrop(scale=(0.2, 1.))."""
    return simclr(size, least=0.2)


def moco_v2(size, *last):
    """facebookresearch/moco, aug_plus; with RandomErasing CLD's train_cifar10_moco_cld.sh."""
    return transforms.Compose(
        [
            transforms.RandomResizedCrop(size, scale=(0.2, 1.0)),
            transforms.RandomApply([transforms.ColorJitter(0.4, 0.4, 0.4, 0.1)], p=0.8),
            transforms.RandomGrayscale(p=0.2),
            transforms.RandomApply([pillow_blur], p=0.5),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            *last,
        ]
    )


def moco_notebook(size):
    """facebookresearch/moco, moco_cifar10_demo.ipynb; RandomResizedCrop's own scale, no blur."""
    return transforms.Compose(
        [
            transforms.RandomResizedCrop(size),
            transforms.RandomHorizontalFlip(p=0.5),
            transforms.RandomApply([transforms.ColorJitter(0.4, 0.4, 0.4, 0.1)], p=0.8),
            transforms.RandomGrayscale(p=0.2),
            transforms.ToTensor(),
        ]
    )


def affine(image, *numbers):
    return image.transform(image.size, Image.Transform.AFFINE, numbers)


def operations(level, sign, side):
    """Name to function of a picture, at FixMatch's level 1..9 and in the direction of sign."""
    factor = 0.05 + 0.09 * level
    shear, shift = sign * 0.03 * level, sign * int(0.03 * level * side + 1e-9)
    return {
        "brightness": lambda i: ImageEnhance.Brightness(i).enhance(factor),
        "contrast": lambda i: ImageEnhance.Contrast(i).enhance(factor),
        "color": lambda i: ImageEnhance.Color(i).enhance(factor),
        "sharpness": lambda i: ImageEnhance.Sharpness(i).enhance(factor),
        "rotate": lambda i: i.rotate(sign * 3 * level),
        "shear_x": lambda i: affine(i, 1, shear, 0, 0, 1, 0),
        "shear_y": lambda i: affine(i, 1, 0, 0, shear, 1, 0),
        "translate_x": lambda i: affine(i, 1, 0, shift, 0, 1, 0),
        "translate_y": lambda i: affine(i, 1, 0, 0, 0, 1, shift),
        "autocontrast": ImageOps.autocontrast,
        "equalize": ImageOps.equalize,
        "posterize": lambda i: ImageOps.posterize(i, 4 + 4 * level // 10),
        "solarize": lambda i: ImageOps.solarize(i, 256 - 256 * level // 10),
        "identity": lambda i: i,
    }


def solarize_add(image, added):
    levels = (np.array(image).astype(int) + added).clip(0, 255).astype(np.uint8)
    return ImageOps.solarize(Image.fromarray(levels), 128)


def eman_operations(level, sign, side):
    """EMAN's data/randaugment.py, imagenet_augment_pool, at a level; DebiasPL has the same file."""
    factor, shift = 0.1 + 1.8 * level / 10, sign * int(0.45 * level / 10 * side + 1e-9)
    return operations(level, sign, side) | {
        "brightness": lambda i: ImageEnhance.Brightness(i).enhance(factor),
        "contrast": lambda i: ImageEnhance.Contrast(i).enhance(factor),
        "color": lambda i: ImageEnhance.Color(i).enhance(factor),
        "sharpness": lambda i: ImageEnhance.Sharpness(i).enhance(factor),
        "translate_x": lambda i: affine(i, 1, 0, shift, 0, 1, 0),
        "translate_y": lambda i: affine(i, 1, 0, 0, 0, 1, shift),
        "invert": ImageOps.invert,
        "solarize_add": lambda i: solarize_add(i, sign * int(level * 110 / 10)),
    }


def eman_rand_augment(image):
    """RandAugment(n=2, m=10): np.random.randint(1, m), and always applied."""
    for name in random.choices(list(eman_operations(1, 1, image.width)), k=2):
        level, sign = random.randint(1, 9), random.choice([-1, 1])
        image = eman_operations(level, sign, image.width)[name](image)
    return image


def eman(size, *strong):
    """EMAN's data/transforms.py: DefaultTrain, the weak view."""
    return transforms.Compose(
        [
            transforms.RandomResizedCrop(size),
            transforms.RandomHorizontalFlip(),
            *strong,
            transforms.ToTensor(),
        ]
    )


def eman_strong(size):
    """EMAN's data/transforms.py: RandAugment."""
    return eman(size, eman_rand_augment)


# USB's semilearn/datasets/augmentation/randaugment.py, augment_list: an operation of a value.
USB_OPERATIONS = [
    (lambda i, _: ImageOps.autocontrast(i), 0, 1),
    (lambda i, v: ImageEnhance.Brightness(i).enhance(v), 0.05, 0.95),
    (lambda i, v: ImageEnhance.Color(i).enhance(v), 0.05, 0.95),
    (lambda i, v: ImageEnhance.Contrast(i).enhance(v), 0.05, 0.95),
    (lambda i, _: ImageOps.equalize(i), 0, 1),
    (lambda i, _: i, 0, 1),
    (lambda i, v: ImageOps.posterize(i, int(v)), 4, 8),
    (lambda i, v: i.rotate(v), -30, 30),
    (lambda i, v: ImageEnhance.Sharpness(i).enhance(v), 0.05, 0.95),
    (lambda i, v: affine(i, 1, v, 0, 0, 1, 0), -0.3, 0.3),
    (lambda i, v: affine(i, 1, 0, 0, v, 1, 0), -0.3, 0.3),
    (lambda i, v: ImageOps.solarize(i, v), 0, 256),
    (lambda i, v: affine(i, 1, 0, v * i.width, 0, 1, 0), -0.3, 0.3),
    (lambda i, v: affine(i, 1, 0, 0, 0, 1, v * i.width), -0.3, 0.3),
]


def usb_cutout(image):
    """A box of any side up to half of the picture's; Pillow fills both of its ends."""
    side, box = image.width, 0.5 * random.random() * image.width
    left, top = (int(max(0, random.uniform(0, side) - box / 2)) for _ in range(2))
    image = image.copy()
    corner = (min(side, left + box), min(side, top + box))
    ImageDraw.Draw(image).rectangle((left, top, *corner), (125, 123, 114))
    return image


def usb_rand_augment(image):
    """RandAugment(3, 5); the 5 has no effect there."""
    for operation, low, high in random.choices(USB_OPERATIONS, k=3):
        image = operation(image, random.uniform(low, high))
    return usb_cutout(image)


def usb_strong(size):
    """USB's cv_datasets/cifar.py with crop_ratio 0.875, transform_strong."""
    return transforms.Compose(
        [
            transforms.Resize(size),
            transforms.RandomCrop(size, padding=int(size * 0.125), padding_mode="reflect"),
            transforms.RandomHorizontalFlip(),
            usb_rand_augment,
            transforms.ToTensor(),
        ]
    )


def usb_large(size, *strong):
    """USB's cv_datasets/imagenet.py with crop_ratio 0.875: the weak, or with steps the strong."""
    whole = int(size / 0.875)
    crop = transforms.RandomResizedCrop if strong else transforms.RandomCrop
    return transforms.Compose(
        [
            transforms.Resize((whole, whole)),
            crop((size, size)),
            transforms.RandomHorizontalFlip(),
            *strong,
            transforms.ToTensor(),
        ]
    )


# USL-T's shared/utils/augment.py, augment_list (of SCAN): FixMatch's, with shears and shifts of .1.
USLT_OPERATIONS = [
    (operation, *((low / 3, high / 3) if high == 0.3 else (low, high)))
    for operation, low, high in USB_OPERATIONS
]


def uslt_augment(image):
    """Augment(4)."""
    for operation, low, high in random.choices(USLT_OPERATIONS, k=4):
        image = operation(image, random.random() * (high - low) + low)
    return image


def uslt_cutout(tensor, fill, longest):
    """Cutout(n_holes=1, length=longest), which fills the normalised picture with 0: the mean."""
    half = random.randint(1, longest) // 2
    y, x = (random.randrange(side) for side in tensor.shape[1:])
    rows, columns = slice(max(0, y - half), y + half), slice(max(0, x - half), x + half)
    tensor = tensor.clone()
    tensor[:, rows, columns] = torch.tensor(fill)[:, None, None]
    return tensor


def uslt_cifar(size, fill=(0.4914, 0.4822, 0.4465)):
    """USL-T's shared/utils/nn_utils_cifar.py, SCAN-cifar10: its crop of 32 of 32 does nothing."""
    return transforms.Compose(
        [
            transforms.RandomHorizontalFlip(),
            uslt_augment,
            transforms.ToTensor(),
            lambda tensor: uslt_cutout(tensor, fill, size // 2),
        ]
    )


def cut(image):
    side, box = image.width, image.width // 2
    left, top = (int(max(0, random.uniform(0, side) - box / 2)) for _ in range(2))
    image = image.copy()
    corner = (min(side, left + box) - 1, min(side, top + box) - 1)
    ImageDraw.Draw(image).rectangle((left, top, *corner), (127, 127, 127))
    return image


def rand_augment(image):
    names = list(operations(1, 1, image.width))
    for name in random.choices(names, k=2):
        level, sign = random.randint(1, 9), random.choice([-1, 1])
        if random.random() < 0.5:
            image = operations(level, sign, image.width)[name](image)
    return cut(image)


def fixmatch_strong(size):
    return transforms.Compose(
        [
            transforms.RandomHorizontalFlip(),
            transforms.RandomCrop(size, padding=size // 8, padding_mode="reflect"),
            rand_augment,
            transforms.ToTensor(),
        ]
    )


def views(pipeline, images, seed):
    """One view of every uint8 [b, c, h, w] picture, float32 [b, c, s, s]."""
    torch.manual_seed(seed)
    random.seed(seed)
    return torch.stack([pipeline(picture(image)) for image in images])


def picture(image):
    """PIL picture of a uint8 tensor [c, h, w]."""
    array = image.permute(1, 2, 0).numpy()
    return Image.fromarray(array if array.shape[2] == 3 else array[:, :, 0])
