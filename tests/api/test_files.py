"""Outputs are there whole or not at all."""

import os
from pathlib import Path

import pytest
from ui2c.files import OutputFile, StagedFile, naming


def test_nothing_shows_before_commit(tmp_path: Path) -> None:
    target = tmp_path / "out.bin"
    file = OutputFile(target)
    file.write(b"abc")
    assert not target.exists()
    file.commit()
    file.discard()
    assert target.read_bytes() == b"abc"
    assert list(tmp_path.iterdir()) == [target]


def test_discard_leaves_nothing(tmp_path: Path) -> None:
    file = OutputFile(tmp_path / "out.bin")
    file.write(b"abc")
    file.discard()
    assert list(tmp_path.iterdir()) == []


def test_existing_files_are_kept_unless_told(tmp_path: Path) -> None:
    target = tmp_path / "out.bin"
    target.write_bytes(b"old")
    with pytest.raises(FileExistsError, match="-y overwrites"):
        OutputFile(target)
    file = OutputFile(target, overwrite=True)
    file.write(b"new")
    assert target.read_bytes() == b"old"
    file.commit()
    assert target.read_bytes() == b"new"


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_bytes(b"old")
    link.symlink_to(target)
    file = OutputFile(link, overwrite=True)
    file.write(b"new")
    file.commit()
    assert link.is_symlink()
    assert target.read_bytes() == b"new"


def test_devices_are_written_directly() -> None:
    staged = StagedFile(os.devnull)
    assert staged.work == os.devnull
    staged.commit()
    staged.discard()
    assert os.path.exists(os.devnull)


def test_where_no_file_can_be(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="directory does not exist"):
        OutputFile(tmp_path / "missing" / "out.bin")
    with pytest.raises(IsADirectoryError):
        OutputFile(tmp_path)


def test_a_full_disk_is_named() -> None:
    if not os.path.exists("/dev/full"):
        pytest.skip("no device that is always full")
    file = OutputFile("/dev/full")
    with pytest.raises(OSError, match="No space left") as caught:
        file.write(b"x" * (1 << 20))
    assert caught.value.filename == "/dev/full"


def test_naming_keeps_what_has_a_name() -> None:
    with pytest.raises(FileNotFoundError) as caught, naming("other"):
        Path("missing file").read_bytes()
    assert caught.value.filename == "missing file"
