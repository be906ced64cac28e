"""Speed of the entropy coder beside others, in one run: python benches/entropy_coder/run.py [CLIP]

Prints a Markdown table: ours at every level of the processor, CompressAI's `ans` and constriction
on the same symbols, each in an environment of its own, which is made in the cache folder at the
first run. With a CLIP (any video), also the latents of one pair of it, scaled to 1920x1080 and
coded with the shipped model: from Rust, and from Python through the binding. All figures are of one
thread, in millions of elements per second of a processor, the best of some runs.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
PEERS = {
    "compressai": [["setuptools", "pybind11", "numpy"], ["--no-deps", "compressai"]],
    "constriction": [["numpy", "constriction"]],
}
"""What to install for each, one pip call after the other."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("clip", nargs="?", help="video whose latents are measured, too")
    parser.add_argument("--qp", type=int, nargs="+", default=[8, 32, 56], help="for the clip")
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "ui2c-bench"
    parser.add_argument("--cache", type=Path, default=cache, help=f"default {cache}")
    arguments = parser.parse_args()
    data = arguments.cache / "data"
    data.mkdir(parents=True, exist_ok=True)
    for old in data.glob("latents_*"):
        old.unlink()
    if arguments.clip:
        latents = [sys.executable, HERE / "latents.py", "write", arguments.clip, data]
        subprocess.run([*latents, *map(str, arguments.qp)], check=True)
    example = ["cargo", "run", "--release", "--quiet", "-p", "ui2c-core", "--example"]
    results = output([*example, "entropy_coder", "--", data])
    for peer, steps in PEERS.items():
        python = environment(arguments.cache / peer, steps)
        results += output([python, HERE / f"peer_{peer}.py", data])
    if arguments.clip:
        results += output([sys.executable, HERE / "latents.py", "measure", data])
    report(results)


def output(command: list[Any]) -> list[dict[str, Any]]:
    result = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(result.stdout)  # type: ignore[no-any-return]


def environment(folder: Path, steps: list[list[str]]) -> Path:
    """The interpreter of a virtual environment with those packages."""
    python = folder / "bin" / "python"
    done = folder / "installed"
    if not done.exists():
        venv.create(folder, with_pip=True)
        for packages in steps:
            install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
            subprocess.run([*install, *packages], check=True)
        done.touch()
    return python


def report(results: list[dict[str, Any]]) -> None:
    print(f"{processor()}; commit {commit()}; {platform.system()}; `{' '.join(sys.argv)}`;")
    versions = {result["coder"]: result["version"] for result in results if "version" in result}
    print(", ".join(f"{coder} {version}" for coder, version in versions.items()))
    print()
    print("| data | coder | elements | coded | bytes | over ideal | lanes | encode | decode |")
    print("|---|---|--:|--:|--:|--:|--:|--:|--:|")
    for r in sorted(results, key=lambda result: (order(result["data"]), result["data"])):
        over = f"{100 * (r['bytes'] / r['ideal'] - 1):.2f} %" if r.get("ideal") else ""
        name = f"{r['coder']} {r.get('level', '')}".strip()
        cells = [r["data"], name, r["elements"], r["coded"], r["bytes"], over, r.get("lanes", "")]
        speeds = [f"{r['encode']:.0f}", f"{r['decode']:.0f}"]
        print("| " + " | ".join(map(str, [*cells, *speeds])) + " |")


def order(data: str) -> int:
    names = ["low", "uniform", "skip"]
    return names.index(data) if data in names else len(names)


def processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))


def commit() -> str:
    command = ["git", "describe", "--always", "--dirty"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout.strip()


if __name__ == "__main__":
    main()
