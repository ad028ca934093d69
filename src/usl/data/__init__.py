"""Stage 0, the input: every kind of source becomes one table, the :class:`Collection`.

``open_collection(source)`` opens a folder, manifest, array, built-in set or data set object;
:class:`usl.run.split.Split` says which of its images are requested and labelled.
"""

from usl.data.collection import Collection
from usl.data.open import open_collection

__all__ = ["Collection", "open_collection"]
