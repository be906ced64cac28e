"""Compiles `kernels.cpp` on first use and loads it.

The library takes plain pointers and gets PyTorch's own matrix product handed over, so it needs
neither PyTorch's headers nor a rebuild for another version of it; it is made for this very
processor and kept in the user's cache folder.
"""

import ctypes
import functools
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from pathlib import Path

import torch

SOURCE = Path(__file__).with_name("kernels.cpp")
HEADER = Path(__file__).with_name("bfloat16.h")
FLAGS: tuple[str, ...] = (
    "-std=c++17", "-O3", "-march=native", "-fno-math-errno", "-fno-trapping-math", "-shared",
    "-fPIC",
)  # fmt: skip
if platform.machine() == "x86_64":
    FLAGS += ("-mprefer-vector-width=512",)


class Unavailable(Exception):
    """Why there are no kernels on this machine."""


def compiler() -> str:
    """`$CXX`, or the first of g++ and c++ in the path."""
    for name in (os.environ.get("CXX"), "g++", "c++"):
        if name and (path := shutil.which(name)):
            return path
    raise Unavailable("no C++ compiler found (g++, c++ or $CXX)")


def cache_folder() -> Path:
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "ui2c"


def processor() -> str:
    """What `-march=native` depends on."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    keys = ("model", "cpu family", "vendor_id", "flags", "Features")
    return "\n".join(sorted({line for line in lines if line.split(":")[0].strip() in keys}))


def build(folder: Path) -> Path:
    """The compiled library in `folder`; made anew when source, compiler or processor changed."""
    command = [compiler(), *FLAGS]
    version = subprocess.run([command[0], "--version"], capture_output=True, text=True).stdout
    sources = (SOURCE.read_text(), HEADER.read_text())
    key = "\0".join((*sources, *command, version, platform.machine(), processor()))
    library = folder / f"kernels-{hashlib.sha256(key.encode()).hexdigest()[:20]}.so"
    if library.exists():
        return library
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # Several processes may build at the same time: each into its own file, then renamed.
        with tempfile.TemporaryDirectory(dir=folder) as temporary:
            made = Path(temporary) / "kernels.so"
            done = subprocess.run(
                [*command, str(SOURCE), "-o", str(made)], capture_output=True, text=True
            )
            if done.returncode:
                last = (done.stderr.strip().splitlines() or ["no message"])[-1]
                raise Unavailable(f"{command[0]} failed: {last}")
            os.replace(made, library)
    except OSError as error:
        raise Unavailable(f"cannot write to {folder}: {error}") from error
    return library


@functools.cache
def library() -> ctypes.CDLL:
    """The kernels, ready to be called; Unavailable says why there are none."""
    name = Path(torch.__file__).parent / "lib" / "libtorch_cpu.so"
    try:
        sgemm = ctypes.CDLL(str(name)).sgemm_
    except (OSError, AttributeError) as error:
        raise Unavailable(f"PyTorch shows no matrix product: {error}") from error
    try:
        kernels = ctypes.CDLL(str(build(cache_folder())))
    except OSError as error:
        raise Unavailable(str(error)) from error
    for function, pointers, sizes in (
        (kernels.ui2c_block_forward, 5, 5),
        (kernels.ui2c_block_backward, 6, 5),
        (kernels.ui2c_linear_forward, 6, 3),
        (kernels.ui2c_linear_backward, 6, 3),
        (kernels.ui2c_orthogonalise, 2, 3),
    ):
        function.argtypes = [ctypes.c_int64] * sizes + [ctypes.c_void_p] * pointers
        function.restype = None
    kernels.ui2c_set_reduced.argtypes = [ctypes.c_int]
    kernels.ui2c_set_reduced.restype = ctypes.c_int
    kernels.ui2c_set_sgemm(ctypes.cast(sgemm, ctypes.c_void_p))
    return kernels
