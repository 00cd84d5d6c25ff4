"""Which file of a Rust crate uses what of which other file of it.

A name counts for the file that defines it, through all re-exports: `use crate::Foo` is an import of `foo.rs` where
`lib.rs` says `pub use foo::Foo`. To declare a module (`mod foo;`) is no import; to name something in it is one.
"""

import pathlib
from collections import defaultdict
from dataclasses import dataclass, field

from layers.rust_tokens import end_of_group, product_of

NAMED = {"fn", "struct", "enum", "union", "trait", "type", "const", "static"}


@dataclass
class Module:
    """A file or an inline module."""

    file: pathlib.Path
    parent: "Module | None"
    folder: pathlib.Path
    """Where the files of its children lie."""
    items: set = field(default_factory=set)
    children: dict = field(default_factory=dict)
    aliases: dict = field(default_factory=lambda: defaultdict(list))
    """What `use` brings in: name -> paths."""
    globs: list = field(default_factory=list)
    paths: list = field(default_factory=list)
    """Every path that its code names outside `use`."""
    imports: list = field(default_factory=list)
    """Every path that a `use` names."""

    def root(self):
        return self if self.parent is None else self.parent.root()


@dataclass(frozen=True)
class Item:
    """What a path names in the end, and the file that defines it."""

    file: pathlib.Path
    name: str


@dataclass(frozen=True)
class Crate:
    """What one `lib.rs` or `main.rs` is the root of."""

    products: dict
    """`{file: Product}`: every file that it compiles, those of tests left out."""
    imports: dict
    """`{file: {other file: names}}`."""


def read_crate(root):
    """The crate whose `lib.rs` or `main.rs` this is."""
    products, modules = {}, []
    read_file(root, None, root.parent, products, modules)
    imports = defaultdict(lambda: defaultdict(set))
    for module in modules:
        found = [resolve(module, path) for path in module.imports + module.paths]
        opened = [resolve(module, path) for path, public in module.globs if public]
        found += [Item(one.file, "*") if isinstance(one, Module) else one for one in opened]
        for item in found:
            if isinstance(item, Item) and item.file != module.file:
                imports[module.file][item.file].add(item.name)
    return Crate(products, imports)


# --- reading ---------------------------------------------------------------------------------------------------------


def read_file(path, parent, folder, products, modules):
    module = Module(path, parent, folder)
    modules.append(module)
    products[path] = product_of(path.read_text(encoding="utf-8"))
    Reader(module, products, modules).read()
    return module


class Reader:
    """Walks through the tokens of one file."""

    def __init__(self, module, products, modules):
        self.tokens = products[module.file].tokens
        self.texts = [token.text for token in self.tokens]
        self.products = products
        self.modules = modules
        self.at = 0
        # The module of each open brace; None for a brace within a body.
        self.open = [module]

    def read(self):
        while self.at < len(self.texts):
            self.step()

    def text(self, ahead=0):
        place = self.at + ahead
        return self.texts[place] if place < len(self.texts) else ""

    def module(self):
        return next(module for module in reversed(self.open) if module is not None)

    def step(self):
        text, at_top = self.text(), self.open[-1] is not None
        if text == "{":
            self.open.append(None)
        elif text == "}":
            if len(self.open) > 1:
                self.open.pop()
        elif text == "use" and self.text(1) not in ("<", ""):
            return self.read_use()
        elif text == "mod" and at_top:
            return self.read_mod()
        elif text == "macro_rules" and self.text(1) == "!":
            self.module().items.add(self.text(2))
        elif text == "pub" and self.text(1) == "(":
            self.at = end_of_group(self.tokens, self.at + 1)
            return None
        elif text in NAMED and at_top and is_name(self.text(1)) and self.text(1) not in NAMED:
            self.module().items.add(self.text(1))
            self.at += 1
        elif (is_name(text) or text == "$") and self.texts[self.at - 1] != ".":
            return self.read_path()
        self.at += 1
        return None

    def read_mod(self):
        name, parent = self.text(1), self.module()
        if self.text(2) == "{":
            child = Module(parent.file, parent, parent.folder / name)
            self.modules.append(child)
            self.open.append(child)
        else:
            beside, within = parent.folder / f"{name}.rs", parent.folder / name / "mod.rs"
            file = beside if beside.exists() else within
            if not file.exists():
                self.at += 3
                return
            child = read_file(file, parent, parent.folder / name, self.products, self.modules)
        parent.children[name] = child
        self.at += 3

    def read_use(self):
        public = self.texts[self.at - 1] in ("pub", ")")
        self.at += 1
        self.read_tree([], public)

    def read_tree(self, prefix, public):
        """`a::{self, B as C, d::*}`, from where the walk stands to the end of this branch."""
        path, module = list(prefix), self.module()
        while self.at < len(self.texts):
            text = self.text()
            self.at += 1
            if text == "{":
                while self.text() not in ("}", ""):
                    self.read_tree(path, public)
                    if self.text() == ",":
                        self.at += 1
                self.at += 1
                return
            if text == "*":
                module.globs.append((path, public))
                return
            if text == "::":
                if not path:
                    path = ["::"]
                continue
            if text != "self" or not path:
                path.append(text)
            if self.text() == "::":
                continue
            name = path[-1]
            if self.text() == "as":
                name = self.text(1)
                self.at += 2
            module.imports.append(path)
            module.aliases[name].append(path)
            return

    def read_path(self):
        path = []
        if self.text() == "$":
            self.at += 1
        if self.at > 0 and self.texts[self.at - 1] == "::":
            path.append("::")
        while is_name(self.text()):
            path.append(self.text())
            self.at += 1
            if self.text() != "::" or not is_name(self.text(1)):
                break
            self.at += 1
        if path:
            self.module().paths.append(path)


def is_name(text):
    return text[:1].isalpha() or (text[:1] == "_" and len(text) > 1)


# --- resolving -------------------------------------------------------------------------------------------------------


def resolve(module, path, seen=frozenset()):
    """What the path names from within this module: an Item, a Module, or None if it is not this crate's."""
    here, rest = module, list(path)
    if rest[0] == "crate":
        here, rest = module.root(), rest[1:]
    elif rest[0] in ("self", "super"):
        while rest and rest[0] in ("self", "super"):
            here = here.parent if rest.pop(0) == "super" else here
            if here is None:
                return None
    else:
        found = look_up(here, rest[0], len(rest) > 1, seen)
        return follow(found, rest[1:], seen)
    return follow(here, rest, seen)


def follow(found, rest, seen):
    for place, name in enumerate(rest):
        if not isinstance(found, Module):
            return found
        inside = look_up(found, name, place + 1 < len(rest), seen)
        if inside is None:
            # A macro may have made it; but the root is only passed through.
            return None if found.parent is None or is_foreign(found, name) else Item(found.file, name)
        found = inside
    return found


def is_foreign(module, name):
    """Whether a `use` of something that is not this crate's brings the name in."""
    return name in module.aliases


def look_up(module, name, wants_module, seen):
    """What a name means in a module, as `resolve` says it."""
    if (id(module), name) in seen:
        return None
    seen = seen | {(id(module), name)}
    found = [Item(module.file, name)] if name in module.items else []
    found += [module.children[name]] if name in module.children else []
    found += [resolve(module, path, seen) for path in module.aliases.get(name, ())]
    found = [one for one in found if one is not None]
    if not found:
        for path, _ in module.globs:
            target = resolve(module, path, seen)
            if isinstance(target, Module) and target is not module:
                inside = look_up(target, name, wants_module, seen)
                if inside is not None:
                    found.append(inside)
    found.sort(key=lambda one: isinstance(one, Module) != wants_module)
    return found[0] if found else None
