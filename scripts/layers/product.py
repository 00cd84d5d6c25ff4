"""How the files of one crate lie: who uses whom, how long they are, which of them name a dialect."""

import re

from layers.law import is_within
from layers.rings import arrows_of, rings_of
from layers.rust_tokens import OPENING, end_of_group

MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60
DIALECT = re.compile(r"\w*(?:signjwt|passwordless|gradecoin|jwks[-_]?server)\w*", re.IGNORECASE)


def ring_violations(imports):
    """Files that use each other, directly or through others."""
    for ring in rings_of(imports):
        arrows = [f"  {file} -> {other}: {', '.join(names)}" for file, other, names in arrows_of(ring, imports)]
        yield "\n".join([f"{ring[0]}: {len(ring)} files import each other in a ring", *arrows])


def room_violations(imports, rooms):
    """Imports into a room or out of it that its rule forbids."""
    for room, rule in rooms.items():
        for file, others in imports.items():
            for other, names in others.items():
                inside, goes_inside = is_within(file, [room]), is_within(other, [room])
                if inside and not goes_inside and rule.uses is not None and not is_within(other, rule.uses):
                    yield f"{file}: {room} must not use {other} ({', '.join(sorted(names))})"
                if goes_inside and not inside and rule.used_by is not None and not is_within(file, rule.used_by):
                    yield f"{file}: must not use {room} ({', '.join(sorted(names))})"


def length_violations(path, text, part, law):
    """Files and functions that are longer than one idea."""
    lines = text.count("\n") - len(part.test_lines)
    if lines > MAX_FILE_LINES and path not in law.long_files:
        yield f"{path}: {lines} lines without tests; at most {MAX_FILE_LINES}"
    for name, first, last in functions_of(part.tokens):
        if last - first >= MAX_FUNCTION_LINES and f"{path}:{name}" not in law.long_functions:
            yield f"{path}:{first}: {name} has {last - first + 1} lines; at most {MAX_FUNCTION_LINES}"


def functions_of(tokens):
    """`(name, first line, last line)` of each function with a body."""
    for at, token in enumerate(tokens):
        if token.text == "fn" and tokens[at + 1].text != "(":
            place = at + 2
            while tokens[place].text not in "{;":
                place = end_of_group(tokens, place) if tokens[place].text in OPENING else place + 1
            if tokens[place].text == "{":
                yield tokens[at + 1].text, token.line, tokens[end_of_group(tokens, place) - 1].line


def dialect_violations(path, text, part, law):
    """Dialects named outside their homes."""
    if is_within(path, law.dialect_homes):
        return
    allowed = law.dialect_words.get(path, {})
    for number, line in enumerate(text.splitlines(), start=1):
        if number not in part.test_lines:
            for match in DIALECT.finditer(line):
                if match[0] not in allowed:
                    yield f"{path}:{number}: names a dialect, {match[0]}, outside the dialects' homes"
