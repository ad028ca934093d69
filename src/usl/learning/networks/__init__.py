"""Networks, one per file: ``build() -> nn.Module`` with random weights, ``SIZE`` the input side.

A network has ``.dim`` and maps normalised pictures, float [b, 3, h, w], to pooled features
[b, dim]. A new network is one new file: ``blueprint.NETWORKS`` lists
them without importing any.
"""
