"""Recipes: presets of methods, and what a person gives in their place."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

pytest.importorskip("torch")

from usl.core.errors import UsageError
from usl.learning.optim import Optimizer
from usl.learning.recipe import Recipe, recipe_of

CPU = Recipe(Optimizer("sgd", lr=0.1, weight_decay=0.01), 16, epochs=3, parameters={"tau": 0.9})
MODULE = SimpleNamespace(RECIPES={"cpu": CPU, "cifar": Recipe(Optimizer(), 64)})


def test_a_recipe_by_name():
    assert recipe_of(MODULE, "mine", "cpu") == CPU
    assert recipe_of(MODULE, "mine", "cpu", lr=None, weight_decay=None) == CPU


def test_what_is_given_takes_the_place_of_the_recipe():
    found = recipe_of(MODULE, "mine", "cpu", {"tau": 0.5, "lam": 2}, lr=0.2, weight_decay=None)
    assert found.optimizer == Optimizer("sgd", lr=0.2, weight_decay=0.01)
    assert found.parameters == {"tau": 0.5, "lam": 2}
    assert (found.batch_size, found.epochs) == (16, 3)
    assert CPU.parameters == {"tau": 0.9}


def test_many_classes_may_have_a_decay_of_their_own():
    module = SimpleNamespace(RECIPES={"cifar": Recipe(Optimizer(), 64, decay_of_many=0.5)})
    found = recipe_of(module, "mine", "cifar")
    decays = [found.optimizer_for(classes).weight_decay for classes in (10, 99, 100)]
    assert decays == [5e-4, 5e-4, 0.5]
    given = recipe_of(module, "mine", "cifar", weight_decay=0.1)
    assert given.optimizer_for(100).weight_decay == 0.1
    assert CPU.optimizer_for(100) == CPU.optimizer


def test_an_unknown_preset_is_named_with_those_there_are():
    with pytest.raises(UsageError, match=r"'mine' has no preset 'cifer'. Did you mean 'cifar'\?"):
        recipe_of(MODULE, "mine", "cifer")
    with pytest.raises(UsageError, match="It has: cpu, cifar"):
        recipe_of(MODULE, "mine", "tpu")
    with pytest.raises(UsageError, match="no preset 'cpu'"):
        recipe_of(SimpleNamespace(), "mine", "cpu")
