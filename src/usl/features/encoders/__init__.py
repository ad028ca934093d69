"""Encoders, one file a family, from a picture to a raw feature row.

A new family is one new file here; nothing else is edited. Such a module has a subclass of
:class:`usl.features.contract.Encoder` and

- ``PRIORITY``: families are asked in ascending order, and the first that knows a name opens it.
  0 fixed names, 10 files of our own, 20 names of a form of their own, 90 the last resort;
- ``load(name) -> Encoder | None``: the encoder, None for a name of another family, or the error
  that says what is missing. Cheap, and without torch.

A family that may use the network has ``fetches(name) -> bool``, whether it would for this name, and
its ``load`` takes ``fetch=False``: then it loads what is on this machine, or raises
:class:`usl.features.shared.download.NotFetchedError`.

It may have ``names() -> list[str]``, its fixed names, ``FORM``, how its other names look, and
``near(name) -> str``, a hint at the nearest such name; the error on an unknown name tells them.
"""
