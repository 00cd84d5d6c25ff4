"""Which file of a Python package uses which other file of it, imports within functions included."""

import ast
from collections import defaultdict


def imports_of_package(folder):
    """`{file: {other file: names}}` of the package in this folder."""
    edges = defaultdict(lambda: defaultdict(set))
    for file in sorted(folder.rglob("*.py")):
        package = (folder.name, *file.relative_to(folder).parent.parts)
        for path, name in imported(ast.parse(file.read_text(encoding="utf-8")), package):
            other = file_of(folder, (*path, name)) or file_of(folder, path)
            if other is not None and other != file:
                edges[file][other].add(name)
    return edges


def imported(node, package):
    """Every `(module path, name)` that the code below imports while it runs."""
    if isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
        for child in node.orelse:
            yield from imported(child, package)
        return
    if isinstance(node, ast.Import):
        for alias in node.names:
            *path, name = alias.name.split(".")
            yield tuple(path), name
    elif isinstance(node, ast.ImportFrom):
        above = package[: len(package) - node.level + 1] if node.level else ()
        path = above + tuple(node.module.split(".") if node.module else ())
        for alias in node.names:
            yield path, alias.name
    for child in ast.iter_child_nodes(node):
        yield from imported(child, package)


def file_of(folder, path):
    """The file of a module, if it is one of the package; of one in another language its stub."""
    if not path or path[0] != folder.name:
        return None
    place = folder.joinpath(*path[1:])
    beside = [place.with_name(place.name + ending) for ending in (".py", ".pyi")] if path[1:] else []
    return next((file for file in (*beside, place / "__init__.py") if file.exists()), None)
