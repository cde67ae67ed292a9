"""Find uses of private attributes of objects that another module defines."""

import ast
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

# Public by their documentation, though the names begin with an underscore.
_PUBLIC_NAMES = {"_asdict", "_exit", "_fields", "_make", "_replace"}
_SELF_NAMES = {"self", "cls"}


def find_foreign_private_names(source: str, other_sources: Iterable[str] = ()) -> list[tuple[int, str]]:
    """Return line and text of each private attribute that the module uses and does not define.

    A class may use the private attributes of itself and of its base classes. On other objects a module may use
    those that one of its classes defines.

    Args:
        source: The text of the module.
        other_sources: The texts of the other modules of the project, in which base classes may be.
    """
    tree = ast.parse(source)
    classes = _find_classes(tree)
    by_name = {node.name: node for text in other_sources for node in _find_classes(ast.parse(text))}
    return _find_in_module(tree, classes, by_name | {node.name: node for node in classes})


def _find_in_module(
    tree: ast.Module, classes: list[ast.ClassDef], by_name: dict[str, ast.ClassDef]
) -> list[tuple[int, str]]:
    module_names = {name for node in classes for name in _defined_names(node)}
    class_names = {
        node: {name for base in _base_classes(node, by_name) for name in _defined_names(base)} for node in classes
    }
    return sorted(
        (attribute.lineno, ast.unparse(attribute))
        for enclosing_class, attribute in _private_attributes(tree)
        if attribute.attr not in _PUBLIC_NAMES
        and attribute.attr
        not in (
            class_names[enclosing_class]
            if enclosing_class is not None and _is_attribute_of_self(attribute)
            else module_names
        )
    )


def find_in_tree(root: Path, packages: tuple[str, ...]) -> list[str]:
    """Return a line of text for each use in the packages below `root`, without line numbers."""
    paths = [path for package in packages for path in sorted((root / package).rglob("*.py"))]
    trees = {path: ast.parse(path.read_text()) for path in paths}
    classes = {path: _find_classes(tree) for path, tree in trees.items()}
    by_name = {node.name: node for nodes in classes.values() for node in nodes}
    return [
        f"{path.relative_to(root)}: {text}"
        for path, tree in trees.items()
        for text in dict.fromkeys(
            text
            for _, text in _find_in_module(tree, classes[path], by_name | {node.name: node for node in classes[path]})
        )
    ]


def _is_attribute_of_self(node: ast.Attribute) -> bool:
    return isinstance(node.value, ast.Name) and node.value.id in _SELF_NAMES


def _find_classes(tree: ast.Module) -> list[ast.ClassDef]:
    return [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]


def _private_attributes(tree: ast.Module) -> Iterator[tuple[ast.ClassDef | None, ast.Attribute]]:
    """Yield each private attribute with the innermost class around it."""
    pending: list[tuple[ast.ClassDef | None, ast.AST]] = [(None, tree)]
    while pending:
        enclosing_class, node = pending.pop()
        if isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.startswith("__"):
            yield enclosing_class, node
        inner_class = node if isinstance(node, ast.ClassDef) else enclosing_class
        pending += [(inner_class, child) for child in ast.iter_child_nodes(node)]


def _base_classes(node: ast.ClassDef, by_name: dict[str, ast.ClassDef]) -> Iterator[ast.ClassDef]:
    """Yield a class and all its base classes in the project."""
    yield node
    for base in node.bases:
        name = base.value if isinstance(base, ast.Subscript) else base
        if isinstance(name, ast.Name) and name.id in by_name and name.id != node.name:
            yield from _base_classes(by_name[name.id], by_name)


@cache
def _defined_names(class_node: ast.ClassDef) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(class_node):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.AnnAssign(target=ast.Name(id=name)):
                names.add(name)
            case ast.Assign(targets=[ast.Name(id=name)]):
                names.add(name)
            case ast.Attribute(value=ast.Name(id="self"), attr=name, ctx=ast.Store()):
                names.add(name)
    return names
