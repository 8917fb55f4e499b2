"""Scores, stores and selects the documents of a pretraining corpus.

Array names carry their shape in capital letters, declared here once for the
whole project:

    B  rows of a batch               S  positions of the encoder
    T  positions of the decoder      V  vocabulary
    D  width of the model            F  width of the feed-forward layer
    H  attention heads               K  width of one head
    N  documents or records          P  pieces (windows of documents)
    Q, C  query and key positions of one attention
    W  words or n-grams of a text    M  permutations of a MinHash signature
    R, B  rows and buckets of an LSH sketch
    K  clusters, too                 G  groups of them
    I, J  documents of two tiles
    U  units of work                 X  devices of a mesh
"""

__version__ = "0.1.0"
