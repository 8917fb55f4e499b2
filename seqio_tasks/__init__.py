"""Everything that needs TensorFlow: sources over TFDS and seqio, and pruned seqio tasks."""
