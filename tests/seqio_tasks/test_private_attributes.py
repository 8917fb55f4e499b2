"""What is used of seqio and TFDS that they do not promise to keep."""

import ast
import inspect
import pathlib

import pytest
import seqio
import tensorflow as tf

import seqio_tasks
import seqio_tasks.layout

FILES = seqio.FileDataSource(tf.data.TextLineDataset, {"train": "a"})
LINES = seqio.TextLineDataSource({"train": "a"})
LOADER = seqio.TfdsDataSource("tiny:1.0.0", splits=["train"]).tfds_dataset
TASK = seqio.Task("task", LINES, output_features={})
MIXTURE = seqio.Mixture("mixture", [TASK], default_rate=1.0)

PRIVATE = {
    "_split_to_filepattern": FILES,
    "_reader": FILES,
    "_cycle_length": FILES,
    "_block_length": FILES,
    "_file_shuffle_buffer_size": FILES,
    "_skip_header_lines": LINES,
    "_get_builder": LOADER,
    "_map_split": LOADER,
    "_decoders": LOADER,
    "_sample_fn": MIXTURE,
}


@pytest.mark.parametrize("name", PRIVATE)
def test_this_seqio_has_the_private_attribute(name):
    owner = PRIVATE[name]
    assert hasattr(owner, name), (
        f"{type(owner).__module__}.{type(owner).__name__} of seqio {seqio.__version__} has no "
        f"{name}, which {seqio_tasks.layout.__name__} reads. Find what replaces it there."
    )


def test_no_other_private_attribute_is_used():
    folder = pathlib.Path(inspect.getfile(seqio_tasks)).parent
    trees = [ast.parse(path.read_text()) for path in folder.glob("*.py")]
    used = {
        node.attr
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and node.attr.startswith("_")
        and not node.attr.startswith("__")
        and not (isinstance(node.value, ast.Name) and node.value.id == "self")
    }
    assert used == {*PRIVATE}
