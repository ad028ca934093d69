"""Teachers that are moving averages of a student."""

from __future__ import annotations

import copy
from typing import Literal, TypeVar

import torch
from torch import nn

M = TypeVar("M", bound=nn.Module)


def teacher_of(student: M) -> M:
    """A copy that takes no gradient; its weights move by :func:`follow` alone."""
    teacher = copy.deepcopy(student)
    teacher.requires_grad_(False)
    return teacher


@torch.no_grad()  # type: ignore[untyped-decorator]
def follow(
    teacher: nn.Module,
    student: nn.Module,
    momentum: float,
    *,
    buffers: Literal["average", "copy"] = "copy",
) -> None:
    """theta_t <- m theta_t + (1 - m) theta_s, in place.

    Parameters
    ----------
    momentum : m, the share that stays.
    buffers : of batch normalisation: ``copy`` the student's (FixMatch), or ``average`` them like
        the weights (EMAN, Cai et al. 2021). Counters are always copied.
    """
    old, new = list(teacher.parameters()), list(student.parameters())
    if buffers == "average":
        old += [buffer for buffer in teacher.buffers() if buffer.is_floating_point()]
        new += [buffer for buffer in student.buffers() if buffer.is_floating_point()]
    torch._foreach_lerp_(old, [value.detach() for value in new], 1 - momentum)
    for mine, theirs in zip(teacher.buffers(), student.buffers(), strict=True):
        if buffers == "copy" or not mine.is_floating_point():
            mine.copy_(theirs)
