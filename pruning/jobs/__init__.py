"""Jobs: plain functions that wire everything together, bound by gin files.

Only this folder and `pruning/cli.py` may import every layer, and they import
what is heavy inside the functions, so that `prune --help` is quick and a host
without TensorFlow can score.
"""
