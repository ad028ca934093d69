"""Run the whole pipeline on images that come with the package, and compare with chance.

5,000 Fashion-MNIST images, 40 labels, no network, about a minute on two cores.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from usl.cli.options import verb
from usl.demo import run_demo


@verb(run_demo)
def demo(out: Path = Path("demo-run"), /, **options: Any) -> None:
    """Leave the printing to the demo."""
    run_demo(out, **options)
