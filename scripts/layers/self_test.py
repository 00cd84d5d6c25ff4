"""Shows each rule something that breaks it and something that keeps it."""

import pathlib
import sys
import tempfile
import textwrap

from layers import product
from layers.dependencies import PREFIX, dependency_violations, manifest_violations
from layers.documents import Names, document_violations
from layers.law import Law, Layer, Room
from layers.python_imports import imports_of_package
from layers.rust_imports import read_crate
from layers.rust_tokens import product_of
from layers.sources import source_violations


def run(law):
    """Prints how many cases hold; the exit status says whether all do."""
    cases = [
        *dependencies(law),
        *permissions(),
        *sources(law),
        *rings(),
        *python_rings(),
        *rooms(),
        *lengths(),
        *dialects(),
        *documents(),
    ]
    failed = [name for name, held in cases if not held]
    for name in failed:
        print(f"self-test failed: {name}", file=sys.stderr)
    print(f"check-layers: self-test, {len(cases) - len(failed)} of {len(cases)} rules hold")
    return 1 if failed else 0


# --- dependencies ----------------------------------------------------------------------------------------------------


def workspace(crates, edges=()):
    """`crates`: name -> [(dependency, kind, optional)]; `edges`: what crates of others bring along."""
    graph = {name: [wanted for wanted, kind, _ in wants if kind is None] for name, wants in crates.items()}
    for name, wanted in edges:
        graph.setdefault(name, []).append(wanted)
    everything = set(graph) | {wanted for wants in graph.values() for wanted in wants}
    return {
        "workspace_members": list(crates),
        "packages": [
            {
                "id": name,
                "name": name,
                "dependencies": [
                    {"name": wanted, "kind": kind, "optional": optional}
                    for wanted, kind, optional in crates.get(name, [])
                ],
            }
            for name in everything
        ],
        "resolve": {
            "nodes": [
                {"id": name, "deps": [{"pkg": to, "dep_kinds": [{"kind": None}]} for to in graph.get(name, [])]}
                for name in everything
            ]
        },
    }


def dependencies(law):
    def crate(name, wanted, kind=None, optional=False, edges=()):
        found = dependency_violations(workspace({PREFIX + name: [(wanted, kind, optional)]}, edges), law.layers)
        return [violation for violation in found if "does not" not in violation]

    bare_manifest = '[package]\nname = "x"\n'
    yield "protocol may use serde", not crate("protocol", "serde")
    yield "protocol must not use tokio", crate("protocol", "tokio")
    yield "protocol must not use tokio in its build script", crate("protocol", "tokio", kind="build")
    yield "protocol must not use tokio behind a feature", crate("protocol", "tokio", optional=True)
    yield "protocol may use tokio in tests", not crate("protocol", "tokio", kind="dev")
    yield "protocol must not reach getrandom", crate("protocol", "uuid", edges=[("uuid", "getrandom")])
    yield "protocol must not use a crate nobody listed", crate("protocol", "left-pad")
    yield "authority must not use http", crate("authority", "http")
    yield "guard must not use the authority", crate("guard", PREFIX + "authority")
    yield "store alone opens a database", not crate("store", "rusqlite")
    yield "memory must not open a database", crate("memory", "rusqlite")
    yield "server must not open a database", crate("server", "rusqlite")
    yield "server must not reach a database", crate("server", "axum", edges=[("axum", "rusqlite")])
    yield "cli may use any crate of others", not crate("cli", "left-pad")
    yield "testkit is no dependency", crate("cli", PREFIX + "testkit")
    yield "testkit is a dev-dependency", not crate("cli", PREFIX + "testkit", kind="dev")
    yield "an unknown crate is refused", crate("extra", "serde")
    yield "a foreign workspace member is refused", dependency_violations(workspace({"extra": []}), law.layers)
    yield "lints must be inherited", list(manifest_violations("crates/x/Cargo.toml", bare_manifest))


def permissions():
    def crate(layer, *wants):
        return dependency_violations(workspace({f"{PREFIX}x": list(wants)}), {"x": layer})

    serde, ours = ("serde", None, False), (f"{PREFIX}y", None, False)
    yield "what is permitted and used is fine", not crate(Layer(others="serde", ours="y"), serde, ours)
    yield "a permission that nobody uses is refused", crate(Layer(others="serde uuid"), serde)
    yield "a permission that only tests use is refused", crate(Layer(others="serde"), ("serde", "dev", False))
    yield "an unused permission for one of ours is refused", crate(Layer(ours="y"))
    yield "who may use anything need not use it", not crate(Layer(others="*"))


# --- sources ---------------------------------------------------------------------------------------------------------


def sources(law):
    def source(path, text):
        return list(source_violations(path, text, law.clock_doors))

    expect_lint = "#[" + 'expect(clippy::disallowed_methods, reason = "x")]'
    allow_lint = "#[" + "allow(dead_code)]"
    machine = "see /" + "work/main"
    host = "https://registry." + "example.org/x"
    yield "allow is refused", source("crates/cli/src/x.rs", allow_lint)
    yield "a clock door is refused", source("crates/cli/src/x.rs", expect_lint)
    yield "a clock door over two lines is refused", source("crates/cli/src/x.rs", expect_lint.replace("(", "(\n  "))
    yield "the system may open the clock door", not source("crates/system/src/x.rs", expect_lint)
    yield "a machine path is refused", source("README.md", machine)
    yield "a web path of the same name is fine", not source("README.md", "https://example.org/work/")
    yield "a registry host is refused", source("docs/x.md", host)
    yield "lock files may name registries", not source("tests/node/package-lock.json", host)


# --- imports ---------------------------------------------------------------------------------------------------------


def written(folder, files):
    """Writes the files of a crate or package below the folder."""
    for name, text in files.items():
        path = pathlib.Path(folder, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))


def crate_imports(**files):
    """What the files of a crate import: `lib` is `lib.rs`, `a__b` is `a/b.rs`."""
    with tempfile.TemporaryDirectory() as folder:
        written(folder, {name.replace("__", "/") + ".rs": text for name, text in files.items()})
        imports = read_crate(pathlib.Path(folder, "lib.rs")).imports
        relative = lambda path: str(path.relative_to(folder))
        return {relative(a): {relative(b): names for b, names in found.items()} for a, found in imports.items()}


def rings():
    def ring(**files):
        return list(product.ring_violations(crate_imports(**files)))

    two = {"lib": "mod a; mod b;", "b": "use crate::a::A; pub struct B;"}
    yield "a ring of two is refused", ring(**two, a="use crate::b::B; pub struct A;")
    yield "one direction is fine", not ring(**two, a="pub struct A;")
    yield "an inline path is an import", ring(**two, a="pub struct A(crate::b::B);")
    yield "a path through an imported module is one", ring(**two, a="use super::b; pub fn f() { b::g() } pub struct A;")
    yield "an import within a function is one", ring(**two, a="pub struct A; fn f() { use crate::b::B; }")
    yield "a renamed import is one", ring(**two, a="use crate::{b::{self as x, B as C}}; pub struct A;")
    yield "an import of all is one", ring(**two, a="use crate::b::*; pub struct A(B);")
    yield "a name in a comment is none", not ring(**two, a="/// [`crate::b::B`]\n// crate::b::B\npub struct A;")
    yield "a name in a string is none", not ring(**two, a='pub struct A; const X: &str = r#"crate::b::B "\'"#;')
    yield "an import by tests is none", not ring(**two, a="pub struct A; #[cfg(test)] mod tests { use crate::b::B; }")
    yield "a lifetime is no string", ring(**two, a="pub struct A<'a>(&'a crate::b::B, char); const C: char = '\"';")
    yield "an attribute's path is an import", ring(**two, a="#[x(y = crate::b::B)] pub struct A;")
    three = {
        "lib": "mod a; mod b; mod c;",
        "a": "use crate::b::B; pub struct A;",
        "b": "use crate::c::C; pub struct B;",
    }
    yield "a ring of three is refused", ring(**three, c="use crate::a::A; pub struct C;")
    face = {"lib": "mod a; mod b; pub use b::B;", "b": "use crate::a::A; pub struct B;"}
    yield "a re-export is the file that defines", ring(**face, a="use crate::B; pub struct A;")
    yield "passing through the root is no import of it", not ring(**face, a="pub struct A;")
    root = {"lib": "mod a; use a::A; pub struct Root;"}
    yield "what the root defines is the root's", ring(**root, a="use crate::Root; pub struct A;")
    parent = {"lib": "mod p;", "p__c": "use super::Noun; pub struct C;"}
    yield "to declare a child is no import", not ring(**parent, p="mod c; pub struct Noun;")
    yield "a parent that uses its child is in a ring", ring(**parent, p="mod c; pub struct Noun(c::C);")
    yield "a parent that re-exports its child is in a ring", ring(**parent, p="mod c; pub use c::C; pub struct Noun;")
    yield "inline modules are of their file", not ring(lib="mod a { pub struct A; } mod b { use super::a::A; }")
    uncle = {"lib": "mod n; mod p;", "n": "pub struct N;", "p": "mod c; use crate::n::N; fn f() { c::g() }"}
    yield "what a parent imports is not the parent's", not ring(**uncle, p__c="use super::N; pub fn g(_: N) {}")


def python_rings():
    def ring(**files):
        with tempfile.TemporaryDirectory() as folder:
            written(folder, {f"pack/{name}.py": text for name, text in files.items()})
            return list(product.ring_violations(imports_of_package(pathlib.Path(folder, "pack"))))

    b = "from pack.a import A\n"
    yield "Python: a ring is refused", ring(a="from pack import b", b=b)
    yield "Python: one direction is fine", not ring(a="A = 1", b=b)
    yield "Python: a lazy import counts", ring(a="def f():\n    from pack.b import B\n", b=b)
    yield "Python: a relative import counts", ring(a="from . import b", b=b)
    yield "Python: imports for types are none", not ring(a="if TYPE_CHECKING:\n    from pack.b import B\n", b=b)


def rooms():
    def broken(rule, **files):
        return list(product.room_violations(crate_imports(**files), {"room": rule}))

    files = {"lib": "mod room; mod x; mod y;", "x": "pub struct X;"}
    closed, private = Room(uses=("room",)), Room(used_by=("x",))
    yield "a room that uses a neighbour is refused", broken(closed, **files, room="use crate::x::X;", y="")
    yield (
        "a room that uses its own is fine",
        not broken(closed, **files, room="mod c; use c::C;", room__c="pub struct C;", y=""),
    )
    user = "use crate::room::R;"
    yield "a neighbour that uses a private room is refused", broken(private, **files, room="pub struct R;", y=user)
    allowed = {"lib": "mod room; mod x;", "x": user}
    yield "who may use a private room is fine", not broken(private, **allowed, room="pub struct R;")


# --- lengths and words -----------------------------------------------------------------------------------------------


def lengths():
    def long(text, **law):
        return list(product.length_violations("x.rs", text, product_of(text), Law({}, **law)))

    yield "a long file is refused", long("//\n" * 401)
    yield "a short file is fine", not long("//\n" * 400)
    yield "a file with a reason is fine", not long("//\n" * 401, long_files={"x.rs": "why"})
    yield "tests do not make a file long", not long("#[cfg(test)]\nmod tests {\n" + "//\n" * 401 + "}\n")

    def function(lines):
        return "fn f(a: [u8; 2]) -> u8 {\n" + "//\n" * (lines - 2) + "}\n"

    yield "a long function is refused", long(function(61))
    yield "a short function is fine", not long(function(60))
    yield "a function with a reason is fine", not long(function(61), long_functions={"x.rs:f": "why"})
    yield "a method is a function", long("impl A {\n" + function(61) + "}\n")
    yield "a function without a body is none", not long("trait A { fn f(); }\n" + "//\n" * 61)


def dialects():
    law = Law({}, dialect_homes={"home": "why"}, dialect_words={"x.rs": {"Gradecoin": "why"}})

    def named(text, path="x.rs"):
        return list(product.dialect_violations(path, text, product_of(text), law))

    yield "a dialect in a type is refused", named("struct SignjwtSession;")
    yield "a dialect in a comment is refused", named("/// As *passwordless* does it.")
    yield "a dialect in a text is refused", named('const A: &str = "jwks-server";')
    yield "a dialect in a name is refused", named("fn jwks_server_keys() {}")
    yield "a dialect at home is fine", not named("struct SignjwtSession;", "home/x.rs")
    yield "a dialect in a test is fine", not named("#[cfg(test)]\nmod tests {\n    fn signjwt() {}\n}\n")
    yield "a word with a reason is fine", not named("struct Gradecoin;")
    yield "the JWK Set is no dialect", not named("fn jwks() -> JwksAnswer {}")


def documents():
    names = Names(
        {
            "crates/a/src/room/file.rs": "struct Thing { field: u8 } // Gone",
            "crates/a/src/other.rs": "impl<T: Clone> Trait<T> for Thing<T> where T: Eq { fn act(self) { self.x } }",
            "docs/x.md": "",
        }
    )

    def missing(text):
        return list(document_violations("x.md", text, names, {"foo.rs": "an example"}))

    yield "a file by its whole path is there", not missing("`crates/a/src/room/file.rs`")
    yield (
        "a file by the end of its path is there",
        not missing("`room/file.rs`, `file.rs`, `a/room/file.rs`, `docs/x.md`"),
    )
    yield "a file that is gone is refused", missing("`crates/a/src/gone.rs`")
    yield "a folder that is gone is refused", missing("`crates/a/src/gone`")
    yield "an item is there", not missing("`Thing`, `Thing::act`, `Thing::field`, `a::Thing`")
    yield "a word that is no member of the type is refused", missing("`Thing::self`")
    yield "an item that is gone is refused", missing("`Thing::gone`")
    yield "a type that only a comment names is gone", missing("`Gone`")
    yield "an item beside its file is there", not missing("`other.rs act`")
    yield "an item that is gone from its file is refused", missing("`other.rs gone`")
    yield "what is no name is no name", not missing('`foo.rs`, `GET /x/y`, `a_b`, `{"Gone": 1}`')
    yield "a block of code is not looked at", not missing("```\n`gone.rs`\n```\n")
    table = "### Inside `a`\n\n| module | what |\n|---|---|\n| {} | x |\n"
    yield "a module in the table of its crate is there", not missing(table.format("`room`, `other`"))
    yield "a module that is gone is refused", missing(table.format("`room`, `gone`"))
