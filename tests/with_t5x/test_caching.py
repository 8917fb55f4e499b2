"""`seqio_cache_tasks` caches a pruned task, whose workers import the user's module again.

Readers of the cache and `t5x.train` then see the same documents as without one.
"""

import collections
import importlib.util
import os
import pathlib
import shutil
import subprocess
import sys

import numpy as np
import pytest
import seqio
from test_documents_seen import LENGTHS, corpus, document, read  # noqa: F401 (corpus is a fixture)
from test_t5x_training import train, trained_on  # noqa: F401 (fixtures)

from seqio_tasks import pruned_task

ROOT = pathlib.Path(__file__).parents[2]
HAS_BEAM = importlib.util.find_spec("apache_beam") is not None

MY_TASKS = """
import os
import pathlib

from seqio_tasks import pruned_task
from seqio_tasks.pretraining import text_task

base = text_task(
    "base",
    tfrecords={{"train": "{folder}/data/*.tfrecord"}},
    vocabulary="bytes",
    objective="causal_lm",
)
pruned_task(base, "{folder}/selection", name="pruned")
pathlib.Path(f"{folder}/imported.{{os.getpid()}}").touch()
"""


@pytest.mark.skipif(not HAS_BEAM, reason="apache-beam is not installed (the extra `beam`)")
def test_training_from_a_cache_reads_the_same_documents(corpus, train, trained_on, tmp_path):  # noqa: F811
    base, selection, kept = corpus
    (tmp_path / "my_tasks.py").write_text(MY_TASKS.format(folder=tmp_path))
    arguments = ["--tasks=pruned", "--module_import=my_tasks", "--min_shards=2"]
    # A worker in a process of its own: the task is not there unless that imports it.
    arguments += [
        "--pipeline_options=--direct_running_mode=multi_processing,--direct_num_workers=1"
    ]
    code = "from seqio.scripts.cache_tasks_main import console_entry_point as run; run()"
    subprocess.run(
        [sys.executable, "-c", code, *arguments, f"--output_cache_dir={tmp_path}/cache"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(tmp_path), *sys.path])},
        check=True,
        capture_output=True,
    )
    assert len(list(tmp_path.glob("imported.*"))) == 2
    expected = collections.Counter(document(i, r) for i, rows in enumerate(kept) for r in rows)
    assert min(len(rows) for rows in kept) == 0 and len(kept) == len(LENGTHS)
    task = pruned_task(base, selection, name="pruned")
    seqio.set_global_cache_dirs([str(tmp_path / "cache")])
    try:
        for use_cached in (False, True):
            shards = [read(task, i, 2, use_cached=use_cached) for i in range(2)]
            assert collections.Counter(d for shard in shards for d in shard) == expected
        assert seqio.TaskRegistry.get(task).get_cached_stats("train")["examples"] == sum(
            np.size(rows) for rows in kept
        )
        steps = expected.total()
        cached = ['seqio_tasks.pruned_task.name = "pruned"', "USE_CACHED_TASKS = True"]
        one_epoch = [
            "BATCH_SIZE = 1",
            f"utils.SaveCheckpointConfig.period = {steps}",
            # seqio shuffles across the end of an epoch.
            "train/utils.DatasetConfig.shuffle = False",
        ]
        shutil.rmtree(tmp_path / "data")  # what is read is the cache
        train("run", steps, [*cached, *one_epoch])
        assert collections.Counter(trained_on) == expected
    finally:
        seqio.set_global_cache_dirs([])
