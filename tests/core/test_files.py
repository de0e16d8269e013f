import os
from pathlib import Path

import pytest

from garrison.core.errors import UsageError
from garrison.core.files import contents, regular_file, replacing


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / ("n" * 250)  # as long as names can be, nearly
    with replacing(str(path)) as file:
        file.write(b"first")
        assert not path.exists()
    assert path.read_bytes() == b"first"
    with pytest.raises(KeyboardInterrupt), replacing(str(path)) as file:
        file.write(b"sec")
        raise KeyboardInterrupt
    assert path.read_bytes() == b"first"
    assert os.listdir(tmp_path) == [path.name]


def test_a_place_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"), replacing(str(tmp_path / "none" / "file")):
        pass


def test_contents_are_bounded(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"12345")
    assert contents(str(tmp_path / "file"), 5) == b"12345"
    for name, most, said in (("file", 4, "more than 4 bytes"), ("none", 4, "none: No such file"), ("", 4, "directory")):
        with pytest.raises(UsageError, match=said):
            contents(str(tmp_path / name), most)


def test_pipes_are_no_regular_files(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name, said in (("pipe", "not a regular file"), ("", "not a regular file"), ("none", "No such file")):
        with pytest.raises(UsageError, match=said):
            regular_file(str(tmp_path / name))
