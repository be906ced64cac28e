"""Outputs are there whole or not at all."""

import os
import secrets
import stat
from pathlib import Path

import pytest
from ui2c.files import (
    OutputFile,
    check_output,
    discard_unfinished,
    is_rereadable,
    is_sequence,
    name_beside,
    naming,
    open_input,
    read_start,
    write_whole,
)
from ui2c.video import Description, open_sink


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
    assert check_output(os.devnull) is None
    file = OutputFile(os.devnull)
    assert file.direct
    file.write(b"abc")
    file.commit()
    file.discard()
    assert os.path.exists(os.devnull)


@pytest.mark.parametrize("name", ["/dev/fd/{}", "/proc/self/fd/{}"])
def test_open_streams_are_written_where_they_stand(name: str, tmp_path: Path) -> None:
    path = tmp_path / "log"
    with open(path, "wb", buffering=0) as log:
        log.write(b"before ")
        file = OutputFile(name.format(log.fileno()))
        file.write(b"in between")
        file.commit()
        log.write(b" after")
    assert path.read_bytes() == b"before in between after"
    assert list(tmp_path.iterdir()) == [path]


def test_a_closed_stream_is_refused_before_the_work() -> None:
    read, write = os.pipe()
    for number in (read, 1000):
        with pytest.raises(OSError, match="Bad file descriptor"):
            OutputFile(f"/dev/fd/{number}")
    os.close(read)
    os.close(write)


@pytest.mark.parametrize("name", ["x" * 255, "ä" * 127, "x.y4m"])
def test_names_may_be_as_long_as_the_system_lets_them(name: str, tmp_path: Path) -> None:
    file = OutputFile(tmp_path / name)
    file.write(b"abc")
    file.commit()
    assert [path.name for path in tmp_path.iterdir()] == [name]
    (tmp_path / name_beside(name, ".segments")).mkdir()
    assert name_beside("folder/a.ui2c", ".segments") == "folder/a.ui2c.segments"
    assert name_beside("y" * 255, ".segments") != name_beside("y" * 254 + "z", ".segments")


def test_permissions(tmp_path: Path) -> None:
    """A new file has what the umask leaves, one that is replaced keeps its own."""
    target = tmp_path / "out.bin"
    before = os.umask(0o027)
    try:
        write_whole(target, b"abc")
        assert stat.S_IMODE(target.stat().st_mode) == 0o640
        for mode in (0o600, 0o664, 0o400):
            target.chmod(mode)
            file = OutputFile(target, overwrite=True)
            (temporary,) = tmp_path.glob(".out.bin.*.part")
            assert stat.S_IMODE(temporary.stat().st_mode) == mode
            file.write(mode.to_bytes(2, "big"))
            file.commit()
            assert target.read_bytes() == mode.to_bytes(2, "big")
            assert stat.S_IMODE(target.stat().st_mode) == mode
    finally:
        os.umask(before)


def test_a_planted_link_is_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even where somebody guesses the name of the temporary file."""
    prize, target = tmp_path / "prize", tmp_path / "out.bin"
    prize.write_bytes(b"precious")
    guesses = iter(["11111111", "22222222", "33333333"])
    monkeypatch.setattr(secrets, "token_hex", lambda _: next(guesses))
    (tmp_path / ".out.bin.11111111.part").symlink_to(prize)
    (tmp_path / ".out.bin.22222222.part").write_bytes(b"somebody's")
    write_whole(target, b"abc")
    assert target.read_bytes() == b"abc" and not target.is_symlink()
    assert prize.read_bytes() == b"precious"
    assert (tmp_path / ".out.bin.11111111.part").is_symlink()
    assert (tmp_path / ".out.bin.22222222.part").read_bytes() == b"somebody's"


def test_bytes_reach_the_disk_before_the_name_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = []
    sync, replace = os.fsync, os.replace

    def synced(descriptor: int) -> None:
        mode = os.fstat(descriptor).st_mode
        done.append("folder" if stat.S_ISDIR(mode) else os.fstat(descriptor).st_size)
        sync(descriptor)

    def replaced(*names: Path) -> None:
        done.append("name")
        replace(*names)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", replaced)
    write_whole(tmp_path / "out.bin", b"abc")
    assert done == [3, "name", "folder"]
    for ending, size in ((".y4m", None), (".yuv", 0)):
        done.clear()
        sink = open_sink(tmp_path / f"clip{ending}", Description(4, 2))
        sink.close()
        assert done[1:] == ["name", "folder"]
        assert done[0] == (tmp_path / f"clip{ending}").stat().st_size
        assert size is None or done[0] == size


def test_what_is_unfinished_can_be_removed_at_once(tmp_path: Path) -> None:
    kept = OutputFile(tmp_path / "kept")
    kept.commit()
    files = [OutputFile(tmp_path / name) for name in "ab"]
    assert len(list(tmp_path.iterdir())) == 3
    discard_unfinished()
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]
    for file in files:
        file.discard()


def test_inputs_by_name(tmp_path: Path) -> None:
    path = tmp_path / "12:30.bin"
    path.write_bytes(b"abcdef")
    assert is_rereadable(str(path)) and not is_sequence(str(path))
    with open(path, "rb", buffering=0) as file:
        name = f"/dev/fd/{file.fileno()}"
        assert not is_rereadable(name)
        assert read_start(open_input(name), 2) == b"ab"
        assert read_start(open_input(name), 9) == b"cdef"
    pattern = str(tmp_path / "a%03d.png")
    assert is_sequence(pattern) and not is_sequence(str(tmp_path / "100%.png"))
    Path(pattern).touch()
    assert not is_sequence(pattern) and is_rereadable(pattern)


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
