"""`t5x.eval` and `t5x.infer` with the files of gin/evaluate: what does not fit is said."""

import pytest
from test_documents_seen import corpus as corpus  # a fixture

BINDINGS = [
    'VOCABULARY_FILE = "bytes"',
    "VOCABULARY_ROWS = 384",
    'BASE = "base"',
    'TASK_FEATURE_LENGTHS = {"inputs": 16, "targets": 16}',
    'CHECKPOINT_PATH = "nowhere"',
]
SCRIPTS = {
    "eval": ("gin/evaluate/perplexity.gin", "evaluate", "EVAL_OUTPUT_DIR"),
    "infer": ("gin/evaluate/scores.gin", "infer", "INFER_OUTPUT_DIR"),
}


@pytest.fixture(params=SCRIPTS)
def evaluate(request, corpus, tmp_path, run_as_script):
    """Runs t5x.eval or t5x.infer in this process."""
    from test_gin_files import parse

    def run(*bindings):
        import gin

        file, function, output = SCRIPTS[request.param]
        module = run_as_script(request.param)
        where = [f'SELECTION = "{tmp_path}/selection"', f'{output} = "{tmp_path}/out"']
        files = ["gin/models/tiny.gin", file, "gin/pretrain/pruned_task.gin"]
        parse(files, [*BINDINGS, *where, *bindings])
        gin.get_configurable(getattr(module, function))()

    return run


@pytest.mark.parametrize(
    ("binding", "message"),
    [
        ('BASE = "bose"', r"No task 'bose' is registered\. Import .* such as base"),
        ('SELECTION = "nowhere"', r"nowhere is not a selection: it has no selection\.json"),
        ("VOCABULARY_ROWS = 128", r"has 259 ids, and the model's table 128 rows\. Set network"),
        (
            "VOCABULARY = @other_vocabulary()",
            r"The inputs of .* have the vocabulary .* the model has .* Give both one file",
        ),
    ],
    ids=["base", "selection", "rows", "vocabulary"],
)
def test_what_does_not_fit_is_said(evaluate, binding, message):
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        evaluate(binding)


def test_what_fits_gets_as_far_as_the_checkpoint(evaluate, monkeypatch):
    from t5x import utils

    class ReachedError(Exception):
        pass

    def reach(*_, **__):
        raise ReachedError

    monkeypatch.setattr(utils, "get_first_valid_restore_config_and_paths", reach)  # of t5x.eval
    monkeypatch.setattr(utils, "create_checkpoint_manager_and_restore", reach)  # of t5x.infer
    with pytest.raises(ReachedError):
        evaluate("utils.DatasetConfig.split = 'train'")
