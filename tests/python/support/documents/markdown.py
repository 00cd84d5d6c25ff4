"""The blocks of a Markdown page, and the comments that say how to run them.

A comment stands before a block and is not shown to readers:

    <!-- test: not run: REASON -->          the next block cannot be run
    <!-- test: stays until SIGN, SIGN -->   its last command goes on running; wait for what it prints, or for an ADDRESS:PORT
    <!-- test: file NAME -->                it is written to the file NAME, and run by later commands
    <!-- test: part of PATH -->             its lines stand in that file of the repository, in this order
    <!-- test: shows COMMAND -->            it is what COMMAND prints
    <!-- test: has the form of COMMAND -->  the same, but only members and kinds of values are compared

or is a step of its own:

    <!-- test: let TEXT be OTHER -->        from here on, commands have OTHER for TEXT
    <!-- test: first COMMAND -->            what the page takes for granted
    <!-- test: server OPTIONS -->           a server, where the page does not start one itself
    <!-- test: Ctrl-C -->                   ends everything that goes on running
"""

import dataclasses
import re

COMMENT = re.compile(r"<!-- test: (.+?) -->")
FENCE = re.compile(r"( *)```(\w*)$")
INDENTED_COMMAND = re.compile(r" {4}\$ ")

ABOUT_THE_NEXT_BLOCK = ("not run: ", "stays until ", "file ", "part of ", "shows ", "has the form of ")
STEPS = ("let ", "first ", "server", "Ctrl-C")


@dataclasses.dataclass
class Comment:
    """A step by itself."""

    line: int
    verb: str
    rest: str


@dataclasses.dataclass
class Block:
    """A fenced block and what the comments before it say."""

    line: int
    language: str
    text: str
    notes: dict[str, str]


class Malformed(Exception):
    """The page cannot be read."""


def read(text):
    """The blocks and steps of a page, in its order."""
    steps, notes = [], {}
    lines = enumerate(text.splitlines(), 1)
    for number, line in lines:
        if found := FENCE.match(line):
            block = Block(number, found[2], _content(lines, number, found[1]), notes)
            steps.append(block)
            notes = {}
        elif found := COMMENT.match(line.strip()):
            verb, rest = _verb(found[1], number)
            if verb in STEPS:
                steps.append(Comment(number, verb.strip(), rest))
            else:
                notes[verb.strip(": ")] = rest
        elif line.strip().startswith("<!-- test"):
            raise Malformed(f"line {number}: this comment cannot be read")
        elif notes and line.strip():
            raise Malformed(f"line {number}: a comment is about the next block, and text stands between them")
        elif INDENTED_COMMAND.match(line):
            raise Malformed(f"line {number}: commands stand in fences, not in indented blocks")
    return steps


def _content(lines, number, indent):
    content = []
    for _, line in lines:
        if line == f"{indent}```":
            return "".join(f"{line.removeprefix(indent)}\n" for line in content)
        content.append(line)
    raise Malformed(f"line {number}: the block has no end")


def _verb(text, number):
    for verb in (*ABOUT_THE_NEXT_BLOCK, *STEPS):
        if text.startswith(verb):
            return verb, text.removeprefix(verb).strip()
    raise Malformed(f"line {number}: nobody knows what this comment wants: {text}")
