"""Without Apache Beam, --runner says what to install."""

import sys

import pytest

from pruning.jobs.export import export


def test_the_message_says_what_to_install(tmp_path, monkeypatch):
    (tmp_path / "a.jsonl").write_text('{"text": "a"}\n')
    monkeypatch.setitem(sys.modules, "apache_beam", None)
    monkeypatch.delitem(sys.modules, "pruning.jobs.over_beam", raising=False)
    with pytest.raises(ImportError, match=r"--runner needs .* pip install 't5x-pruning\[beam\]'"):
        export(f"jsonl:{tmp_path}/a.jsonl", str(tmp_path / "out"), runner="DirectRunner")
