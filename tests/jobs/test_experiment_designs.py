"""The gin files of the papers' designs bind what exists, and count what they say."""

import pathlib
import re

import gin
import pytest

from models.configs import named_config
from pruning.experiments.arms import all_runs, parse_arms
from pruning.jobs.experiment import experiment
from pruning.jobs.experiment_setting import named
from pruning.jobs.run_job import gin_root

DESIGNS = sorted((gin_root() / "gin/experiments").glob("*.gin"))
# As the tables of docs/experiments.md have it.
RUNS = {
    "small": 24,
    "own_text": 21,
    "less_is_more": 123,
    "perplexed_by_perplexity": 26,
    "data_efficient": 32,
}
OF_A_FEW_DOCUMENTS = ("small", "own_text")


@pytest.mark.parametrize("path", DESIGNS, ids=lambda path: path.stem)
def test_a_design(path: pathlib.Path):
    defaults = experiment.__kwdefaults__
    gin.clear_config()
    gin.add_config_file_search_path(str(gin_root()))
    try:
        gin.parse_config_files_and_bindings([str(path)], ["SOURCE = 'jsonl:x'", "OUTPUT = 'x'"])
        bound = {
            name: gin.query_parameter(f"experiment.experiment.{name}")
            for name in defaults
            if f"experiment.experiment.{name} = " in gin.config_str()
        }
    finally:
        gin.clear_config()
    setting = defaults | bound
    arms = parse_arms(setting["arms"], setting["rates"], larger_size=setting["larger_size"])
    number = len(all_runs(arms, setting["seeds"]))
    assert number == RUNS[path.stem]
    # A tenth of C4, at every evaluation of every run, would cost more than the training.
    assert path.stem in OF_A_FEW_DOCUMENTS or setting["held_out_fraction"] == 0.001
    header = path.read_text()
    assert {int(n) for n in re.findall(r"--num_shards (\d+)", header)} <= {number}
    sizes = [setting["size"], *named(setting["references"]).values()]
    for size in filter(None, [*sizes, setting["larger_size"]]):
        named_config(size)
    assert set(named(setting["learning_rates"])) >= {s for s in sizes if not s.startswith("t5")}


def test_the_design_that_t5x_trains_has_the_sizes_of_its_gin_files():
    path = gin_root() / "gin/experiments/data_efficient.gin"
    text = path.read_text()
    sizes = dict(re.findall(r'^  (size|larger_size) = "(\w+)"', text, re.MULTILINE))
    emitted = re.findall(r"--t5x_size (\w+) \\\n#\s+--t5x_pretrain (\S+)", text)
    files = {sizes["size"]: experiment.__kwdefaults__["t5x_pretrain"], **dict(emitted)}
    assert set(files) == set(sizes.values())
    for size, file in files.items():
        assert f'include "gin/models/{size}.gin"' in (gin_root() / file).read_text()
