"""Names, registration and what a pruned task shares with its base."""

import subprocess
import sys
import textwrap

import gin
import pytest
import seqio
import tensorflow as tf
from small_corpora import VOCABULARY, add_text_task, make_selection, read_texts, write_texts

from seqio_tasks import open_seqio_source, pruned_task


@pytest.fixture
def base(tmp_path):
    write_texts(tmp_path / "data", (40, 60))
    source = seqio.TextLineDataSource({"train": f"{tmp_path}/data/*.txt"})
    return add_text_task("base", source, metric_fns=[_accuracy], postprocess_fn=_upper)


def _accuracy(targets, predictions):
    return {"accuracy": float(targets == predictions)}


def _upper(text, **_):
    return text.upper()


def select(tmp_path, name="selection", share=0.5):
    return make_selection(open_seqio_source("seqio:base"), tmp_path / name, share)


def test_the_default_name_says_share_and_digest(tmp_path, base):
    selection = select(tmp_path)
    percent = 100 * selection.num_kept / 100
    assert pruned_task(base, selection.folder) == f"base.keep{percent:.3g}.{selection.digest[:8]}"


def test_the_same_again_is_fine(tmp_path, base):
    folder = select(tmp_path).folder
    assert pruned_task(base, folder) == pruned_task(base, folder)
    assert pruned_task(base, folder, "mine") == pruned_task(base, folder, "mine") == "mine"


def test_another_selection_under_the_name_is_refused(tmp_path, base):
    first, second = select(tmp_path), select(tmp_path, "second", 0.7)
    pruned_task(base, first.folder, "mine")
    match = rf"digest {first.digest[:12]}.*not {second.digest[:12]}"
    with pytest.raises(ValueError, match=match):
        pruned_task(base, second.folder, "mine")


def test_the_name_of_another_task_is_refused(tmp_path, base):
    folder = select(tmp_path).folder
    with pytest.raises(ValueError, match="'base' exists and is not a pruned one"):
        pruned_task(base, folder, name="base")
    add_text_task("other", seqio.TaskRegistry.get(base).source)
    pruned_task("other", folder, name="mine")
    with pytest.raises(ValueError, match="'mine' prunes split 'train' of 'other'"):
        pruned_task(base, folder, name="mine")


def test_a_gin_file_names_the_pruned_task(tmp_path, base):
    selection = select(tmp_path)
    config = f"""
        from __gin__ import dynamic_registration
        import seqio
        import seqio_tasks
        seqio.get_mixture_or_task.task_or_mixture_name = @seqio_tasks.pruned_task()
        seqio_tasks.pruned_task.base = "base"
        seqio_tasks.pruned_task.selection = "{selection.folder}"
    """
    try:
        gin.parse_config(textwrap.dedent(config))
        task = gin.get_configurable("seqio.get_mixture_or_task")()
    finally:
        gin.clear_config(clear_constants=True)
    assert task.num_input_examples("train") == selection.num_kept


def test_registering_with_a_name_opens_nothing(tmp_path, base):
    name = pruned_task(base, tmp_path / "not_there_yet", name="early")
    selection = make_selection(open_seqio_source("seqio:base"), tmp_path / "not_there_yet")
    assert len(read_texts(name)) == selection.num_kept


def test_features_metrics_and_postprocessing_are_the_base(tmp_path, base):
    old = seqio.TaskRegistry.get(base)
    new = seqio.get_mixture_or_task(pruned_task(base, select(tmp_path).folder))
    assert new.output_features == old.output_features
    assert new.output_features["targets"].vocabulary is VOCABULARY
    assert new.preprocessors == old.preprocessors
    assert new.metric_fns == old.metric_fns == [_accuracy]
    assert new.postprocess_fn("a") == "A"


def test_a_mixture_counts_what_is_kept(tmp_path, base):
    selection = select(tmp_path)
    name = pruned_task(base, selection.folder)
    seqio.MixtureRegistry.add("mix", [base, name], default_rate=seqio.mixing_rate_num_examples)
    mixture = seqio.MixtureRegistry.get("mix")
    assert mixture.get_rate(seqio.TaskRegistry.get(name)) == selection.num_kept


def test_a_cached_base_does_not_pass_for_a_cached_pruned_task(tmp_path, base):
    name = pruned_task(base, select(tmp_path).folder)
    match = f"'{name}' is not cached. Its base 'base' is not cached either"
    with pytest.raises(AssertionError, match=match):
        read_texts(name, use_cached=True)
    cache = tmp_path / "cache"
    (cache / base).mkdir(parents=True)
    (cache / base / "COMPLETED").touch()
    seqio.set_global_cache_dirs([str(cache)])
    try:
        with pytest.raises(AssertionError, match=f"Its base 'base' is cached in {cache}/base"):
            read_texts(name, use_cached=True)
    finally:
        seqio.set_global_cache_dirs([])


def test_the_graph_holds_nothing_stateful(tmp_path, base):
    name = pruned_task(base, select(tmp_path).folder)
    dataset = seqio.TaskRegistry.get(name).source.get_dataset("train", shuffle=True, seed=1)
    dataset.save(str(tmp_path / "saved"))
    options = tf.data.Options()
    options.experimental_external_state_policy = tf.data.experimental.ExternalStatePolicy.FAIL
    iterator = iter(dataset.with_options(options))
    next(iterator)
    tf.train.Checkpoint(iterator=iterator).save(str(tmp_path / "checkpoint"))


def test_importing_opens_no_file():
    code = (
        "import builtins, sys\n"
        "import seqio, tensorflow_datasets, pruning.keep_bits, pruning.sources.lines\n"
        "opened = []\n"
        "sys.addaudithook(lambda e, a: opened.append(a[0]) if e == 'open' else None)\n"
        "import seqio_tasks\n"
        "assert seqio_tasks.pruned_task\n"
        "opened = [o for o in opened if not str(o).endswith(('.py', '.pyc')) and '.pyc.' not in str(o)]\n"
        "assert not opened, opened\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
