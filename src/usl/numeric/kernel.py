"""The kernel: which of their routines the numeric libraries have chosen for this processor.

A matrix product and a sum round differently in the last digit from one kernel to another. Results
are the same to the bit on one kernel, whatever the number of threads; on another, a method that
decides by small differences may pick other images.
"""

from __future__ import annotations

import sys
from typing import Any


def kernel() -> dict[str, Any]:
    """What results depend on to the bit, beside the versions in ``run.json``.

    ``blas``: NumPy's library of linear algebra, its version and the architecture it takes this
    processor for; ``simd``: the groups of instructions that NumPy uses; ``torch``: those of torch,
    where it is loaded.
    """
    from threadpoolctl import threadpool_info

    groups = simd()  # which loads NumPy, so that its library is found
    found = [one for one in threadpool_info() if one["user_api"] == "blas"]
    own = [one for one in found if "numpy" in str(one.get("filepath"))] or found  # not SciPy's copy
    keys = ("internal_api", "version", "architecture")
    blas = {" ".join(str(one[key]) for key in keys if one.get(key)) for one in own}
    known: dict[str, Any] = {"blas": sorted(blas), "simd": groups}
    if torch := sys.modules.get("torch"):
        known["torch"] = str(torch.backends.cpu.get_cpu_capability())
    return known


def simd() -> list[str]:
    """The groups of instructions that NumPy was built for, then those it found and may use."""
    import numpy as np

    told: Any = np.show_config(mode="dicts")
    found = (told or {}).get("SIMD Extensions", {})
    return [*found.get("baseline", ()), *found.get("found", ())]


def differs(known: Any, now: dict[str, Any]) -> str:
    """What differs between the kernel that made something and this one, in words; else empty.

    What only one of them tells does not count.
    """
    if not isinstance(known, dict):
        return ""
    pairs = [(known[key], now[key]) for key in now if key in known and known[key] != now[key]]
    return ", ".join(f"{shown(then)} then, {shown(here)} now" for then, here in pairs)


def shown(value: Any) -> str:
    """A list or a text in words."""
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)
