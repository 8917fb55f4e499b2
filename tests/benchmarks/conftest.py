import pathlib
import sys

# The programs there import each other as `python benchmarks/NAME.py` finds them.
sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "benchmarks"))
