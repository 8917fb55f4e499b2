"""Everything that needs TensorFlow: sources over TFDS and seqio, and pruned seqio tasks."""

from seqio_tasks.mixtures import pruned_mixture as pruned_mixture
from seqio_tasks.pruned import pruned_task as pruned_task
from seqio_tasks.sources import open_seqio_source as open_seqio_source
