"""The Hugging Face hub, from which timm takes weights: without pointless waits, or not at all."""

from __future__ import annotations

import socket
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from usl.features.shared.download import NotFetchedError

HUB = ("hf-hub:", "hf_hub:")  # timm's words before a repository of the hub


@contextmanager
def no_pointless_retries() -> Iterator[None]:
    """Where the hub's name does not resolve, look into the hub's cache alone.

    The hub's client would try again for 50 seconds, even for weights that it has.
    """
    from huggingface_hub import constants

    host = urllib.parse.urlsplit(constants.ENDPOINT).hostname
    if constants.HF_HUB_OFFLINE or urllib.request.getproxies() or resolves(host):
        yield  # a proxy would resolve the name for us
        return
    with cache_alone():
        yield


@contextmanager
def cache_alone() -> Iterator[None]:
    """The hub's client looks into its cache alone."""
    from huggingface_hub import constants

    before, constants.HF_HUB_OFFLINE = constants.HF_HUB_OFFLINE, True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


@contextmanager
def offline(name: str) -> Iterator[None]:
    """Weights come from the hub's cache or torch's, or not at all."""
    import timm
    import torch

    config = None if name.startswith(HUB) else timm.get_pretrained_cfg(name)
    if config is not None and not config.hf_hub_id:  # timm takes it from an address
        file = Path(urllib.parse.urlsplit(config.url or "").path).name
        if not (Path(torch.hub.get_dir()) / "checkpoints" / file).is_file():
            raise NotFetchedError(name)
    with cache_alone():
        yield


def resolves(host: str | None) -> bool:
    """Whether a host name has an address."""
    try:
        return bool(socket.getaddrinfo(host, 443))
    except OSError:
        return False
