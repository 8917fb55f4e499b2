"""Text that is on every machine with Python, by domain: no download, and megabytes of it.

Everything is parsed or read, nothing imported but `pydoc_data.topics`. What
comes out depends on the Python version and on what is installed beside it, and
on nothing else: not on the working folder, nor on the order of directories.
"""

import ast
import functools
import importlib.metadata
import os
import pathlib
import re
import sysconfig
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from pydoc_data.topics import topics
from types import MappingProxyType

_MIN_CHARACTERS = 200
_ENOUGH_CHARACTERS = 3_000
_MAX_CHARACTERS = 7_000
_NOT_THE_LIBRARY = {"site-packages", "dist-packages", "test", "tests", "idle_test", "__pycache__"}
_LICENSE_NAME = re.compile(r"licen[cs]e|copying|notice", re.IGNORECASE)
_LICENSE_SUFFIXES = {"", ".txt", ".md", ".rst"}
_Definition = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


@functools.cache
def domain_texts(domain: str) -> tuple[str, ...]:
    """All texts of a domain, in an order that is the same in every process.

    Raises:
      RuntimeError: this Python comes without them (a stripped or frozen one).
    """
    texts = DOMAINS[domain]()
    if not texts:
        raise RuntimeError(
            f"This Python ({sysconfig.get_path('stdlib')}) has no {domain.replace('_', ' ')}. "
            "The embedded corpus needs an ordinary installation with its .py files."
        )
    return texts


def _language_reference() -> tuple[str, ...]:
    return _documents(topics[name] for name in sorted(topics))


def _docstrings() -> tuple[str, ...]:
    return _documents(_standard_library()[0])


def _source_code() -> tuple[str, ...]:
    return _documents(_standard_library()[1])


def _package_descriptions() -> tuple[str, ...]:
    return _documents(str(d.metadata.json.get("description", "")) for d in _distributions())


def _licenses() -> tuple[str, ...]:
    return _documents(
        path.read_text(encoding="utf-8", errors="replace")
        for distribution in _distributions()
        for file in sorted(distribution.files or (), key=str)
        if _LICENSE_NAME.search(file.name) and file.suffix in _LICENSE_SUFFIXES
        if (path := pathlib.Path(str(distribution.locate_file(file)))).is_file()
    )


DOMAINS: Mapping[str, Callable[[], tuple[str, ...]]] = MappingProxyType(
    {
        "docstrings": _docstrings,
        "language_reference": _language_reference,
        "licenses": _licenses,
        "package_descriptions": _package_descriptions,
        "source_code": _source_code,
    }
)


def _distributions() -> list[importlib.metadata.Distribution]:
    # Not those on sys.path: that holds the working folder.
    folders = sorted({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")})
    found = importlib.metadata.distributions(path=folders)
    return sorted(found, key=lambda d: (str(d.metadata["Name"]).lower(), d.version))


@functools.cache
def _standard_library() -> tuple[list[str], list[str]]:
    """Docstrings, and functions and classes, of all modules."""
    docstrings: list[str] = []
    definitions: list[str] = []
    for path in _modules(sysconfig.get_path("stdlib")):
        try:
            source = path.read_text(encoding="utf-8")
            with warnings.catch_warnings(action="ignore"):
                module = ast.parse(source)
        except (SyntaxError, ValueError):  # templates, and files in other encodings
            continue
        docstrings.extend(_docstrings_in(module))
        definitions.extend(_definitions_in(module, source))
    return docstrings, definitions


def _modules(root: str) -> Iterator[pathlib.Path]:
    for folder, subfolders, names in os.walk(root):
        subfolders[:] = sorted(set(subfolders) - _NOT_THE_LIBRARY)  # walked in this order
        yield from (pathlib.Path(folder, n) for n in sorted(names) if n.endswith(".py"))


def _docstrings_in(node: ast.Module | _Definition) -> Iterator[str]:
    yield ast.get_docstring(node) or ""
    if isinstance(node, ast.Module | ast.ClassDef):
        for inner in node.body:
            if isinstance(inner, _Definition):
                yield from _docstrings_in(inner)


def _definitions_in(module: ast.Module, source: str) -> Iterator[str]:
    lines = source.split("\n")  # as ast counts them: form feeds end no line
    for node in module.body:
        if isinstance(node, _Definition):
            first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
            yield "\n".join(lines[first - 1 : node.end_lineno])


def _documents(texts: Iterable[str]) -> tuple[str, ...]:
    documents = (document for text in texts for document in _cut(text))
    return tuple(d for d in documents if len(d) >= _MIN_CHARACTERS)


def _cut(text: str) -> Iterator[str]:
    """Pieces of a few thousand characters, ending at blank lines where there are any."""
    piece: list[str] = []
    length = 0
    for line in text.splitlines(keepends=True):
        piece.append(line)
        length += len(line)
        if length >= _MAX_CHARACTERS or (length >= _ENOUGH_CHARACTERS and not line.strip()):
            yield "".join(piece).strip("\n")
            piece, length = [], 0
    yield "".join(piece).strip("\n")
