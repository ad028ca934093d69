"""The reference pipelines, one PIL picture at a time; tests and the benchmark compare with them."""

from __future__ import annotations

import random

import torch
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageOps
from torchvision import transforms


def simclr(size, strength=0.5, blur=False):
    s = strength
    jitter = transforms.ColorJitter(0.8 * s, 0.8 * s, 0.8 * s, 0.2 * s)
    steps = [
        transforms.RandomResizedCrop(size, scale=(0.2, 1.0)),
        transforms.RandomHorizontalFlip(),
        transforms.RandomApply([jitter], p=0.8),
        transforms.RandomGrayscale(p=0.2),
    ]
    if blur:
        kernel = 2 * max(1, size // 20) + 1
        steps.append(transforms.RandomApply([transforms.GaussianBlur(kernel)], p=0.5))
    return transforms.Compose([*steps, transforms.ToTensor()])


def pillow_blur(image):
    return image.filter(ImageFilter.GaussianBlur(random.uniform(0.1, 2.0)))


def moco_v2(size):
    return transforms.Compose(
        [
            transforms.RandomResizedCrop(size, scale=(0.2, 1.0)),
            transforms.RandomApply([transforms.ColorJitter(0.4, 0.4, 0.4, 0.1)], p=0.8),
            transforms.RandomGrayscale(p=0.2),
            transforms.RandomApply([pillow_blur], p=0.5),
            transforms.RandomHorizontalFlip(),
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
