"""Names of the code in documents: what a document names must be there."""

import re
from collections import defaultdict

from layers.rust_tokens import OPENING, end_of_group, tokens_of

SPAN = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"[\w./-]+\.(?:rs|py|sql|js|mjs|java|toml|md|sh)")
FOLDER = re.compile(r"[\w.-]+(?:/[\w.-]+)+/?")
ITEM = re.compile(r"(?:\w+::)+\w+|[A-Z]\w*[a-z]\w*")
WORD = re.compile(r"\w+")
COMMENT = re.compile(r"//[^\n]*|^\s*#[^\n]*", re.MULTILINE)
INSIDE = re.compile(r"^### Inside `(?P<room>[\w/]+)`\n(?P<text>.*?)(?=^##|\Z)", re.MULTILINE | re.DOTALL)
FIRST_CELL = re.compile(r"^\| (`[^|]*) \|", re.MULTILINE)


class Names:
    """Every path of the workspace, and every word of its code."""

    def __init__(self, files):
        """`files`: path -> text, of everything that is tracked."""
        self.paths = set()
        self.words = set()
        self.members = defaultdict(set)
        """Type -> its methods, fields, variants and constants."""
        for path, text in files.items():
            parts = path.split("/")
            # A document may leave out where a path begins, and the folders that every crate has.
            for left_out in ((), ("src",), ("src", "tests")):
                whole = [part for part in parts if part not in left_out]
                for end in range(1, len(whole) + 1):
                    self.paths.update("/".join(whole[begin:end]) for begin in range(end))
            if path.endswith((".rs", ".py")):
                self.words.update(WORD.findall(COMMENT.sub("", text)))
            if path.endswith(".rs"):
                for name, members in members_of(tokens_of(text)):
                    self.members[name].update(members)

    def has_module(self, room, name):
        """Whether a crate or package has a module of that name, or is one."""
        return any(f"{room}/{name}{ending}" in self.paths for ending in ("", ".rs", ".py"))


def members_of(tokens):
    """Every `(type, names of its members)` that a file of Rust defines or extends."""
    for at, token in enumerate(tokens):
        if token.text not in ("impl", "struct", "enum", "trait"):
            continue
        place, header = at + 1, []
        while place < len(tokens) and tokens[place].text not in "{;":
            header.append(tokens[place].text)
            place = end_of_group(tokens, place) if tokens[place].text in OPENING else place + 1
        name = named_by(header, token.text)
        if name is not None and place < len(tokens) and tokens[place].text == "{":
            yield name, members_in(tokens, place, token.text)


def named_by(header, kind):
    """The type that a header is about: `impl<T> Trait<T> for path::Name<T> where …` is about `Name`."""
    plain, depth = [], 0
    for word in header:
        depth += (word == "<") - (word == ">")
        plain += [word] if depth == 0 else []
    plain = plain[plain.index("for") + 1 :] if "for" in plain else plain
    plain = plain[: plain.index("where")] if "where" in plain else plain
    names = [word for word in plain if re.fullmatch(r"[A-Z]\w*", word)]
    return (names[-1] if kind == "impl" else names[0]) if names else None


def members_in(tokens, place, kind):
    """The names that the body at `place` defines by itself."""
    found, end, at = set(), end_of_group(tokens, place) - 1, place + 1
    while at < end:
        text, following = tokens[at].text, tokens[at + 1].text
        if text in OPENING:
            at = end_of_group(tokens, at)
            continue
        if text in ("fn", "const", "type"):
            found.add(following)
        elif (kind == "struct" and following == ":") or (kind == "enum" and text[0].isupper()):
            found.add(text)
        at += 1
    return found


def document_violations(path, text, names, not_names=()):
    """Files, modules and items that the document names and that are not there."""
    prose = FENCE.sub(lambda fence: "\n" * fence[0].count("\n"), text)
    named = [(match.start(), match[1]) for match in SPAN.finditer(prose) if match[1] not in not_names]
    found = [(at, word) for at, span in named for word in missing_in(span, names)]
    for inside in INSIDE.finditer(prose):
        for cell in FIRST_CELL.finditer(inside["text"]):
            modules = [span[1] for span in SPAN.finditer(cell[1]) if re.fullmatch(r"[a-z]\w*", span[1])]
            missing = [module for module in modules if not names.has_module(inside["room"], module)]
            found += [(inside.start("text") + cell.start(), module) for module in missing]
    for at, word in sorted(found):
        yield f"{path}:{text.count(chr(10), 0, at) + 1}: names {word}, which is not there"


def missing_in(span, names):
    *_, file, item = ["", *span.split()] if " " in span else ["", span, ""]
    if FILE.fullmatch(file) and re.fullmatch(r"\w*", item):
        known = file.removeprefix("./") in names.paths
        return [] if known and item in names.words | {""} else [span]
    if FOLDER.fullmatch(span) and "." not in span.split("/")[0]:
        return [] if span.rstrip("/") in names.paths else [span]
    if ITEM.fullmatch(span.rstrip("!()")):
        *_, owner, member = ["", *WORD.findall(span)]
        if owner in names.members and member not in names.members[owner]:
            return [span]
        return [word for word in WORD.findall(span) if word not in names.words | names.paths]
    return []
