"""Text that comes with Python."""

import pydoc_data.topics
import re

# Lines drawn of one character are shortened: they fall into
# pieces in several ways of equal probability, of which rounding picks one.
REAL_TEXTS = [
    re.sub(r"([^\w\s])\1{3,}", r"\1", text)
    for _, text in sorted(pydoc_data.topics.topics.items())[:60]
]
