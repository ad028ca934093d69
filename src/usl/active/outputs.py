"""What a trained network says of pictures: features, predictions, views, and what it wants."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from usl.core.progress import Progress
from usl.learning.batches import step_generator
from usl.learning.pictures import PASS, Pictures, at_size
from usl.numeric.arrays import TINY
from usl.training.shared.student import Student

STREAM = 2  # of the random views, apart from those of the training
VIEWS, LOOK = "views", "looking"  # what progress calls them


@dataclass(frozen=True, eq=False)
class Outputs:
    """The finished task of a training, and its pictures, m of them.

    ``device`` : where to compute; ``seed`` of the views.
    """

    task: Student
    pictures: Pictures
    device: Any
    seed: int
    progress: Progress

    def seen(self) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        """Features before the last layer, float32 [m, d], of unit length, and class probabilities.

        The probabilities are float64 [m, C]; nothing is augmented.
        """
        kept = self.task.kept.to(self.device).eval()

        def look(images: Tensor, shapes: Tensor | None) -> tuple[Tensor, Tensor]:
            features = kept.backbone(at_size(images, kept.backbone.size, shapes)).float()
            return features.cpu(), kept.head(features).double().softmax(1).cpu()

        features, predictions = zip(*self._passes(look, LOOK), strict=True)
        rows = torch.cat(features).numpy()
        rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), TINY)
        return rows, torch.cat(predictions).numpy()

    def views(self, count: int) -> Iterator[NDArray[np.float64]]:
        """Class probabilities of ``count`` weak views of every picture, float64 [m, C] each.

        A :data:`usl.active.contract.Views`: the same at every call, those of a smaller count first.
        """
        kept = self.task.kept.to(self.device).eval()
        for number in range(count):
            seed = int(np.random.SeedSequence([self.seed, STREAM, number]).generate_state(1)[0])
            batches = iter(range(len(self.pictures)))

            def look(
                images: Tensor,
                shapes: Tensor | None,
                seed: int = seed,
                batches: Iterator[int] = batches,
            ) -> Tensor:
                generator = step_generator(seed, next(batches), 0, self.device)
                return kept(self.task.weak(images, generator, shapes)).double().softmax(1).cpu()

            yield torch.cat(list(self._passes(look, VIEWS))).numpy()

    def wanted(self) -> NDArray[np.float64]:
        """What the task itself wants, float64 [m], the largest most."""
        task: Any = self.task.to(self.device).eval()
        size = self.task.kept.backbone.size

        def look(images: Tensor, shapes: Tensor | None) -> Tensor:
            return task.wanted(at_size(images, size, shapes)).double().cpu()

        return np.asarray(torch.cat(list(self._passes(look, LOOK))).numpy())

    def _passes(self, look: Callable[..., Any], label: str) -> Iterator[Any]:
        """``look`` of all pictures, raw on the device, ``PASS`` at a time.

        It is called with the pictures and, of whole ones that were squeezed, their shapes.
        """
        every = np.arange(len(self.pictures))
        for start in range(0, len(every), PASS):
            with torch.inference_mode():
                yield look(*self.pictures.on(self.device, every[start : start + PASS]))
            self.progress(min(start + PASS, len(every)), len(every), label)
