"""Rust source as tokens: enough of the language to tell code from comments and strings, and product from tests."""

import re
from dataclasses import dataclass

TOKEN = re.compile(
    r"""
      (?P<space>\s+|//[^\n]*)
    | (?P<block>/\*)
    | (?P<raw>(?:br|cr|r)(?P<hashes>\#*)")
    | (?P<string>[bc]?"(?:[^"\\]|\\.)*")
    | (?P<char>b?'(?:[^'\\\n]|\\(?:x[0-9a-fA-F]{2}|u\{[0-9a-fA-F_]+\}|.))')
    | (?P<lifetime>'\w+)
    | (?P<ident>r\#\w+|[A-Za-z_]\w*)
    | (?P<number>\d\w*)
    | (?P<punct>::|=>|->|.)
    """,
    re.VERBOSE | re.DOTALL,
)
BLOCK_EDGE = re.compile(r"/\*|\*/")
OPENING, CLOSING = "([{", ")]}"
# What these begin goes on to its semicolon, whatever braces come before.
UNTIL_SEMICOLON = {"use", "const", "static", "type", "let"}
# What these begin goes on to its body, whatever commas come before.
UNTIL_BODY = {"fn", "struct", "enum", "union", "trait", "impl", "mod", "macro_rules", "extern", "unsafe", "async"}


@dataclass(frozen=True)
class Token:
    """A word or a sign of the code, and the line that it stands in."""

    text: str
    line: int


def tokens_of(text):
    """The code's words and signs: no comments; a string becomes an empty one."""
    found, at, line = [], 0, 1
    while at < len(text):
        match = TOKEN.match(text, at)
        end = match.end()
        if match["block"]:
            end = end_of_block_comment(text, at)
        elif match["raw"]:
            closing = text.find('"' + match["hashes"], end)
            end = len(text) if closing < 0 else closing + 1 + len(match["hashes"])
            found.append(Token('""', line))
        elif match["string"] or match["char"]:
            found.append(Token('""', line))
        elif not match["space"]:
            found.append(Token(match[0].removeprefix("r#"), line))
        line += text.count("\n", at, end)
        at = end
    return found


def end_of_block_comment(text, at):
    """Block comments nest."""
    depth = 0
    for edge in BLOCK_EDGE.finditer(text, at):
        depth += 1 if edge[0] == "/*" else -1
        if depth == 0:
            return edge.end()
    return len(text)


@dataclass(frozen=True)
class Product:
    """What of a file is compiled into the product."""

    tokens: list
    """Its words and signs; attributes are among them, save those that say `test`."""
    test_lines: frozenset
    """The numbers of the lines that only tests compile."""


def product_of(text):
    """The file without what only tests compile."""
    tokens = tokens_of(text)
    kept, test_lines, at = [], set(), 0
    while at < len(tokens):
        end = end_of_attribute(tokens, at)
        if end is None:
            kept.append(tokens[at])
            at += 1
        elif is_test_only(tokens[at:end]):
            end = end_of_item(tokens, end)
            test_lines.update(range(tokens[at].line, tokens[end - 1].line + 1))
            at = end
        else:
            kept += tokens[at:end]
            at = end
    return Product(kept, frozenset(test_lines))


def end_of_attribute(tokens, at):
    """Where the outer attribute ends that begins here, if one does."""
    if tokens[at].text != "#" or at + 1 >= len(tokens) or tokens[at + 1].text != "[":
        return None
    return end_of_group(tokens, at + 1)


def end_of_group(tokens, at):
    """The place after the bracket that closes the one here."""
    depth = 0
    for place in range(at, len(tokens)):
        if tokens[place].text in OPENING:
            depth += 1
        elif tokens[place].text in CLOSING:
            depth -= 1
            if depth == 0:
                return place + 1
    return len(tokens)


def is_test_only(attribute):
    """`#[cfg(test)]`, `#[cfg(all(test, …))]` or `#[test]`."""
    words = [token.text for token in attribute][2:-1]
    return words[:3] == ["cfg", "(", "test"] or words[:5] == ["cfg", "(", "all", "(", "test"] or words == ["test"]


def end_of_item(tokens, at):
    """The place after the item, statement, field or arm that begins here with its attributes."""
    while at < len(tokens) and (end := end_of_attribute(tokens, at)) is not None:
        at = end
    beginning = at
    if at < len(tokens) and tokens[at].text == "pub":
        beginning += 1
        if beginning < len(tokens) and tokens[beginning].text == "(":
            beginning = end_of_group(tokens, beginning)
    first = tokens[beginning].text if beginning < len(tokens) else ""
    if first == "const" and beginning + 1 < len(tokens) and tokens[beginning + 1].text in UNTIL_BODY:
        first = "fn"
    while at < len(tokens):
        text = tokens[at].text
        if text in CLOSING:
            return at
        if text == ";" or (text == "," and first not in UNTIL_BODY | UNTIL_SEMICOLON):
            return at + 1
        if text in OPENING:
            at = end_of_group(tokens, at)
            if text == "{" and first not in UNTIL_SEMICOLON:
                return at + (at < len(tokens) and tokens[at].text == ",")
            continue
        at += 1
    return at
