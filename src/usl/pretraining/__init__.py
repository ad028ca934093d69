"""Representation learning without labels. A new method is one file here.

A method is one file with one function::

    def build(backbone, *, seed=0, <own parameters>) -> Task

- ``backbone``: the network to train, as from ``usl.learning.backbone``; trained in place and kept
  as the attribute ``backbone`` of the task.
- ``seed``: of the weights of the heads and of whatever else the method starts with.
- The keyword-only parameters are the method's configuration; their help is in the docstring.
"""
