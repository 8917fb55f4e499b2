import pytest

from models.training_folder import write_or_check


def files(num, **more):
    return {f"part-{i:03d}": {"size": i, **more} for i in range(num)}


def test_differences_of_hundreds_of_files_do_not_hide_a_setting(tmp_path):
    file = tmp_path / "new" / "training.json"
    write_or_check(file, {"recipe": {"files": files(300), "window": 512}})
    write_or_check(file, {"recipe": {"files": files(300), "window": 512}})
    with pytest.raises(ValueError, match="other settings") as error:
        write_or_check(file, {"recipe": {"files": files(400, mark="x"), "window": 256}})
    lines = str(error.value).splitlines()
    assert lines[1].strip() == "recipe.window: the folder has 512, this run asks for 256"
    # A file that only one side has is one difference, not one for each of its keys.
    assert lines[2].strip() == (
        "recipe.files.part-300: the folder has 'nothing', this run asks for "
        "{'size': 300, 'mark': 'x'}"
    )
    assert lines[11:] == ["  and 391 more", "Give another output, or delete the folder."]


def test_what_json_cannot_tell_apart_is_the_same(tmp_path):
    write_or_check(tmp_path / "a.json", {"shape": (1, 2)})
    write_or_check(tmp_path / "a.json", {"shape": [1, 2]})
    with pytest.raises(ValueError, match=r"shape: the folder has \[1, 2\], .* for None"):
        write_or_check(tmp_path / "a.json", {"shape": None})


def test_a_write_that_fails_leaves_nothing(tmp_path):
    with pytest.raises(TypeError):
        write_or_check(tmp_path / "a.json", {"x": object()})
    assert not list(tmp_path.iterdir())
