"""Names of the code in documents: what a document names must be there."""

import re

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
        for path, text in files.items():
            parts = path.split("/")
            # A document may leave out where a path begins, and the `src` of a crate.
            for whole in (parts, [part for part in parts if part != "src"]):
                for end in range(1, len(whole) + 1):
                    self.paths.update("/".join(whole[begin:end]) for begin in range(end))
            if path.endswith((".rs", ".py")):
                self.words.update(WORD.findall(COMMENT.sub("", text)))

    def has_module(self, room, name):
        """Whether a crate or package has a module of that name, or is one."""
        return any(f"{room}/{name}{ending}" in self.paths for ending in ("", ".rs", ".py"))


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
    if FILE.fullmatch(span):
        return [] if span.removeprefix("./") in names.paths else [span]
    if FOLDER.fullmatch(span) and "." not in span.split("/")[0]:
        return [] if span.rstrip("/") in names.paths else [span]
    if ITEM.fullmatch(span.rstrip("!()")):
        return [word for word in WORD.findall(span) if word not in names.words | names.paths]
    return []
