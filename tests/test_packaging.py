"""The wheel has everything that the checkout has."""

import pathlib
import subprocess
import sys
import zipfile

import pytest

ROOT = pathlib.Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Built from what git would check out, in a folder of its own."""
    folder = tmp_path_factory.mktemp("wheel")
    checkout = folder / "checkout"
    files = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
        text=True,
    ).stdout
    for name in filter(None, files.split("\0")):
        if (ROOT / name).is_file() and not name.startswith("tests/"):
            (checkout / name).parent.mkdir(parents=True, exist_ok=True)
            (checkout / name).write_bytes((ROOT / name).read_bytes())
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--outdir", str(folder), str(checkout)],
        check=True,
        capture_output=True,
    )
    (path,) = folder.glob("*.whl")
    return path


def test_wheel_has_every_module_and_gin_file(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    modules = [
        path.relative_to(ROOT).as_posix()
        for package in ("pruning", "models", "seqio_tasks")
        for path in (ROOT / package).rglob("*.py")
    ]
    configs = [
        f"pruning/_configs/{path.relative_to(ROOT).as_posix()}"
        for path in ROOT.glob("gin/**/*.gin")
    ]
    assert modules
    assert configs
    assert set(modules) | set(configs) <= names
    assert not [name for name in names if name.startswith("gin/")]


def test_installed_wheel_finds_its_gin_files(wheel, tmp_path):
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    code = (
        "from pruning.jobs.run_job import gin_root; import pruning;"
        "print(pruning.__file__); print((gin_root() / 'gin/score/default.gin').read_text())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path / "site")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith(str(tmp_path / "site"))
    assert "SCORERS = %gin.REQUIRED" in done.stdout
