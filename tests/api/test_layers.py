"""What the layer contract cannot see: modules take each other from where they are."""

import ast
import pkgutil
from pathlib import Path

import ui2c


def test_only_the_core_comes_from_the_top_of_the_package() -> None:
    folder = Path(ui2c.__file__).parent
    modules = {module.name for module in pkgutil.iter_modules(ui2c.__path__)}
    taken = {
        (path.name, name.name)
        for path in folder.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and node.module == "ui2c"
        for name in node.names
        if name.name not in modules
    }
    assert taken == set()
