"""What a pre-training method is.

A method is one file in this room with one function and one table::

    def build(backbone, *, seed, <own parameters>) -> Task
    RECIPES = {"cpu": Recipe(...), ...}

``build``, a function or the class of the task, wraps a :class:`usl.learning.backbone.Backbone` into
a :class:`usl.learning.loop.Task` whose ``backbone`` is what is kept in the end. A
:class:`usl.learning.recipe.Recipe` is a preset.
Bounds of parameters stand in the signature of ``build`` (:mod:`usl.core.parameters`).
"""

from __future__ import annotations

from usl.core.methods import Methods

METHODS = Methods("usl.pretraining.methods", "build", ("seed",))
