"""Every mesh gives one device's scores, and its program sends no more than it must."""

import collections
import json
import math
import os
import subprocess
import sys
import textwrap

import on_eight_devices as program
import pytest

B, S, T = program.ROWS, program.ENCODER, program.DECODER
CASES = [(*case, *mesh) for case in program.CASES for mesh in program.MESHES]


def run(command):
    environment = {
        **os.environ,
        "JAX_PLATFORMS": "cpu",
        # Machine code is made in haste; what is tested here comes before it.
        "XLA_FLAGS": "--xla_force_host_platform_device_count=8 --xla_backend_optimization_level=0",
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    done = subprocess.run(command, env=environment, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


@pytest.fixture(scope="module")
def results():
    found = json.loads(run([sys.executable, program.__file__]))
    return {tuple(result["case"]): result for result in found}


@pytest.mark.parametrize("case", CASES, ids=str)
def test_scores_are_those_of_one_device(results, case):
    result = results[case]
    assert result["devices"] == 8
    for name, difference in result["difference"].items():
        assert difference <= 1e-5, name
    if "match" in result["mean"]:
        assert 0.2 < result["mean"]["match"] < 0.8


@pytest.mark.parametrize("case", CASES, ids=str)
def test_collectives_are_the_expected_ones(results, case):
    found: collections.Counter = collections.Counter()
    for collective in results[case]["collectives"]:
        assert collective["group"] == case[3]
        for shape in collective["shapes"]:
            found[collective["kind"], matrix(shape)] += collective["times"]
    assert found == expected_collectives(*case)


def matrix(shape):
    """Rows may be one axis or two, and numbers may have an axis of their own or none."""
    *rows, width = shape if len(shape) > 1 else (*shape, 1)
    return math.prod(rows), width


def expected_collectives(model, scorer, data, parts):
    """Kind and shape, to number of times.

    A sum over devices follows the last product of attention and mlp, and each embedding of
    tokens; and of the softmax over a split vocabulary, one number a position for each sum.
    """
    rows, width = B // data, program.CONFIGS[model].d_model
    has_encoder = model != "gpt2"
    inputs, targets, step = (rows * S, width), (rows * T, width), (rows, width)
    if parts == 1 or (model == "uneven" and parts > 2):
        return {}
    if model == "uneven":  # only the mlp is split
        return {("all-reduce", inputs): 1, ("all-reduce", targets): 1}
    counts: collections.Counter = collections.Counter()
    if has_encoder:
        counts["all-reduce", inputs] += 1 + 2
    of_decoder = 1 + (3 if has_encoder else 2)
    if scorer in ("predict", "ask_llm"):
        counts["all-reduce", targets] += of_decoder
        # Maximum, sum, and the target's logit and EL2N's sum of squares, or the logit of no.
        counts["all-reduce", (rows * T, 1)] += 4 if scorer == "predict" else 3
    if scorer == "ask_llm":
        counts["all-reduce", (rows * T, 2)] += 1  # two spellings of yes
    if scorer == "greedy_match":
        first = step if has_encoder else (rows * (S + 1), width)
        counts["all-reduce", first] += of_decoder
        counts["all-reduce", step] += of_decoder * (T - 1)
        # The likeliest token of each device's share, and its logit.
        counts["all-gather", (rows, parts)] += 2 * T
    return counts


def test_chunks_of_positions_stay_on_their_device():
    """Rows whose positions are no multiple of a chunk, over devices that split the batch."""
    code = """
        import jax
        from models.compiled_program import collectives_of
        from models.configs import T5Config
        from models.families import param_shapes
        from models.partitioning import make_mesh
        from models.scoring_model import make_token_statistics_fn

        config = T5Config(vocab_size=64, d_model=8, num_heads=2, head_dim=4, d_ff=8,
                          num_encoder_layers=1, num_decoder_layers=1)
        fn = make_token_statistics_fn(config, param_shapes(config), make_mesh(8, 1))
        program = fn.trace(16, 8, 650).lower().compile().as_text()
        assert "while(" in program
        assert not collectives_of(program)
    """
    run([sys.executable, "-c", textwrap.dedent(code)])
