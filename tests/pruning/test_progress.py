"""What a bar says."""

from pruning.progress import _Bar, progress


def test_slow_steps_are_counted_without_a_gap():
    assert "2.50s/steps" in _Bar.format_meter(2, 9, 5.0, unit=" steps")
    assert "4.00 steps/s" in _Bar.format_meter(8, 9, 2.0, unit=" steps")


def test_the_last_line_has_all(capsys):
    with progress("train", 2, "steps") as advance:
        advance(2, loss="1.0")
    assert "2/2" in capsys.readouterr().err
