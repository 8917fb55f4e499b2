"""Which part of the data gives the better model: arms, evaluations, and what they say.

Array names here carry, beside the letters of the project:

    S  seeds of one arm             I  items: questions, pairs or held-out documents
    R  resamples of a bootstrap     O  options of a question
"""
