"""Networks, their checkpoints, and how they are laid out over devices.

Shape letters are those of `pruning/__init__.py`.
"""
