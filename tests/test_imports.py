"""The import walls: which package may need which."""

import ast
import os
import pathlib
import subprocess
import sys
import tomllib

import pytest

import pruning

ROOT = pathlib.Path(pruning.__file__).parents[1]
HEAVY = ("tensorflow", "tensorflow_datasets", "tensorflow_text", "seqio", "gin", "t5x", "torch")

# What each package must not import, not even inside a function.
FORBIDDEN = {
    "pruning": (*HEAVY, "models", "seqio_tasks", "t5", "flax.training.checkpoints"),
    "models": (*HEAVY, "pruning", "seqio_tasks", "t5", "flax.training.checkpoints"),
    "seqio_tasks": ("models", "torch", "t5x", "gin"),
}
WIRING = ("pruning.jobs", "pruning.cli")
# Loaded with the first path that needs them: their libraries are extras.
OF_EXTRAS = ("pruning.object_stores_gs", "pruning.object_stores_s3")


def modules(package: str) -> list[str]:
    """All modules of a package but those that may import everything."""
    names = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for path in sorted((ROOT / package).rglob("*.py"))
    ]
    return [n for n in names if not any(n == w or n.startswith(f"{w}.") for w in WIRING)]


def modules_of_the_core(package: str) -> list[str]:
    return [name for name in modules(package) if name not in OF_EXTRAS]


def is_below(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


def run_python(code: str) -> str:
    """What a fresh Python prints."""
    process = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stderr[-3000:]
    return process.stdout


def imported_names(path: pathlib.Path) -> set[str]:
    """Everything that a file imports anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


@pytest.mark.parametrize("package", FORBIDDEN)
def test_no_line_of_a_package_imports_what_it_must_not(package):
    names = modules(package)
    assert len(names) > 5
    for name in names:
        path = ROOT / name.replace(".", "/")
        path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        for imported in imported_names(path):
            forbidden = [f for f in FORBIDDEN[package] if is_below(imported, f)]
            assert not forbidden, f"{name} imports {imported}"
            assert not any(is_below(imported, w) for w in WIRING), f"{name} imports {imported}"


@pytest.mark.parametrize("package", ["pruning", "models"])
def test_a_package_loads_nothing_that_it_must_not(package):
    """Other libraries might load TensorFlow where it is installed; this sees them too."""
    code = f"import sys\nimport {', '.join(modules_of_the_core(package))}\nprint(*sys.modules)"
    loaded = set(run_python(code).split())
    assert set(modules_of_the_core(package)) <= loaded
    assert not {"s3fs", "gcsfs"} & loaded
    assert not {f for f in FORBIDDEN[package] if f in loaded}


@pytest.mark.parametrize("package", ["pruning", "models"])
def test_a_package_can_be_imported_where_the_others_are_not_installed(package):
    block = f"import sys\nsys.modules |= dict.fromkeys({FORBIDDEN[package]!r})\n"
    run_python(f"{block}import {', '.join(modules_of_the_core(package))}")


def test_seqio_tasks_loads_no_model():
    code = f"import sys\nimport {', '.join(modules('seqio_tasks'))}\nprint(*sys.modules)"
    loaded = set(run_python(code).split())
    assert "seqio" in loaded
    assert not {"models", "torch", "t5x"} & loaded


def test_jobs_and_the_command_are_light_until_they_run():
    code = "import sys\nimport pruning.cli\nfrom pruning.jobs.run_job import JOBS, job_function\n"
    code += "[job_function(name) for name in JOBS]\nprint(*sys.modules)"
    loaded = set(run_python(code).split())
    assert not {"jax", "tensorflow", "seqio", "torch", "flax", "matplotlib", "models"} & loaded


@pytest.mark.parametrize("package", FORBIDDEN)
def test_no_module_hides_one_of_the_standard_library(package):
    top_level = {name.split(".")[0] for name in modules(package)}
    assert not top_level & sys.stdlib_module_names


@pytest.mark.parametrize("package", FORBIDDEN)
def test_every_folder_of_a_package_is_a_package_and_is_installed(package):
    folders = {
        ".".join(path.parent.relative_to(ROOT).parts) for path in (ROOT / package).rglob("*.py")
    }
    assert all((ROOT / f.replace(".", "/") / "__init__.py").exists() for f in folders)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = project["tool"]["setuptools"]["packages"]
    # The gin files are installed as data, in `pruning._configs`.
    assert folders == {p for p in packages if is_below(p, package) and "._configs" not in p}


def test_the_gin_folder_is_no_package():
    """It would stand in the way of the library of that name."""
    assert (ROOT / "gin").is_dir()
    assert not list((ROOT / "gin").rglob("*.py"))
    assert "gin/" not in run_python("import gin; print(gin.__file__)").replace(
        "site-packages/gin/", ""
    )
