"""Whether what a page shows is what came out.

A page shows what one run printed: ids, times, keys and tokens were others then. So these are compared by their form
alone. `…` stands for whatever is left out; on a line of its own, for any number of lines.
"""

import json
import re

from .terminal import PROMPT

B64 = r"[A-Za-z0-9_-]"

CHANGING = [
    ("id", r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", None),
    ("time", r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z", None),
    ("jwt", rf"eyJ{B64}*(?:\.{B64}+){{0,2}}", rf"eyJ{B64}+(?:\.{B64}+){{0,2}}"),
    ("hash", r"\b[0-9a-f]{64}\b", None),
    ("hex", r"\b(?=[0-9a-f]*\d)[0-9a-f]{16}\b", None),
    ("thumbprint", rf"(?<!{B64}){B64}{{43}}(?!{B64})", rf"{B64}{{43}}"),
    ("seconds", r"\b1[6-9]\d{8}\b", r"\d{10}"),
    ("code", r"\bcsi_[A-Za-z0-9_-]+", None),
    ("latency", r"(?<=latency_us=)\d+", None),
    ("curl", r"(?<=curl/)\d+(?:\.\d+)*", None),
    ("number", r"\b1\d{51}\b", None),
    (
        "random",
        r"(?<![A-Za-z0-9_+/-])(?=[A-Za-z0-9_+/-]*\d)(?=[A-Za-z0-9_+/-]*[A-Z])[A-Za-z0-9_+/-]{20,}={0,2}",
        r"[A-Za-z0-9_+/-]{20,}={0,2}",
    ),
]
"""Kinds of values that differ from run to run: how they look in a page, and in output where that is another way."""

_ANY = re.compile("|".join(f"(?P<{name}>{form})" for name, form, _ in CHANGING) + "|(?P<elision>…)")
_IN_OUTPUT = {name: other or form for name, form, other in CHANGING}


def difference(shown, printed):
    """What a page shows and a command did not print; nothing if they agree."""
    shown, printed = _plain(shown), _plain(printed)
    if re.match(r"HTTP/[\d.]+ \d{3}", shown):
        return _http_difference(shown, printed)
    expected, actual = json_values(shown), json_values(_without_questions(printed))
    if expected is not None and actual is not None:
        return json_difference(expected, actual)
    if re.fullmatch(_pattern(shown), printed):
        return None
    return f"the page shows\n{_indented(shown)}\nbut this came out\n{_indented(printed)}"


def _plain(text):
    """Without what a terminal makes of it (bold names of headers), and without white space at the ends of lines."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", text)
    return "\n".join(line.rstrip() for line in text.splitlines()).strip("\n")


def _without_questions(text):
    return "\n".join(line for line in text.splitlines() if not (PROMPT.fullmatch(line) and line.endswith(":")))


def form_difference(shown, printed):
    """What is different in members and kinds of values."""
    expected, actual = json_values(shown), json_values(printed)
    if expected is None or actual is None:
        return f"both must be JSON:\n{_indented(shown)}\nand\n{_indented(printed)}"
    return json_difference(expected, actual, only_form=True)


def _indented(text):
    return "".join(f"    {line}\n" for line in text.splitlines()).rstrip("\n")


# --- text ---


def _pattern(shown):
    """A regular expression for all the output that the page describes; questions at the terminal may stand anywhere."""
    pattern = ""
    question = r"(?:(?!\n)" + PROMPT.pattern.rstrip("$") + r"(?:\n|$))*"
    lines = shown.split("\n")
    for number, line in enumerate(lines):
        last = number == len(lines) - 1
        if line.strip() == "…":
            pattern += r"(?:[^\n]*(?:\n|$))*?"
            continue
        pattern += f"(?i:{question})" + line_pattern(line) + ("" if last else r"(?:\n|$)")
    return f"{pattern}(?:\n(?i:{question}))?"


def line_pattern(line):
    """A regular expression for one line of output, or a part of it."""
    pattern, done = "", 0
    for found in _ANY.finditer(line):
        pattern += re.escape(line[done : found.start()])
        pattern += r"[^\n]*?" if found.lastgroup == "elision" else f"(?:{_IN_OUTPUT[found.lastgroup]})"
        done = found.end()
    return pattern + re.escape(line[done:])


# --- HTTP ---


def _http_difference(shown, printed):
    """Status and body as shown; of the headers those that are shown, wherever they stand."""
    shown_head, _, shown_body = shown.partition("\n\n")
    # `curl -i` after a redirect or a 100 prints several heads; nothing here does.
    head, _, body = printed.partition("\n\n")
    for line in shown_head.split("\n"):
        if line.strip() == "…":
            continue
        name, colon, value = line.partition(":")
        wanted = line_pattern(name.lower() + colon + value) if colon else line_pattern(line.rstrip())
        lines = [_lower_name(line) for line in head.split("\n")]
        if not any(re.fullmatch(wanted, line.rstrip()) for line in lines):
            return f"the page shows the line\n    {line}\nbut this came out\n{_indented(printed)}"
    return difference(shown_body, body) if shown_body else None


def _lower_name(line):
    name, colon, value = line.partition(":")
    return name.lower() + colon + value if colon else line


# --- JSON ---

ELISION = "…"

COUNTED = {"id", "next_before", "seq"}
"""Members whose numbers say how much has happened at the server before."""


def json_values(text):
    """The JSON values of which a text consists, one after the other; nothing where it is something else."""
    text = _elisions_as_members(text.strip())
    decoder = json.JSONDecoder()
    values = []
    while text:
        try:
            value, end = decoder.raw_decode(text)
        except ValueError:
            return None
        values.append(value)
        text = text[end:].strip()
    return values if values and all(isinstance(value, dict | list) for value in values) else None


def _elisions_as_members(text):
    """`{"a":1,…}` as JSON, with a member `…`; one inside of a text stays what it is."""

    def outside(found):
        return found[0] if found[0].startswith('"') else '"…":"…"'

    return re.sub(r'"(?:[^"\\]|\\.)*"|…', outside, text)


def json_difference(expected, actual, where="", only_form=False):
    """The first member that is not as the page shows it."""
    if isinstance(expected, dict) and isinstance(actual, dict):
        return _object_difference(expected, actual, where, only_form)
    if isinstance(expected, list) and isinstance(actual, list):
        if len(expected) != len(actual) and not only_form:
            return (
                f"{where or 'the list'}: the page shows {len(expected)} values, and there are {len(actual)}: {actual}"
            )
        pairs = enumerate(zip(expected, actual, strict=False))
        found = (json_difference(one, other, f"{where}[{i}]", only_form) for i, (one, other) in pairs)
        return next((difference for difference in found if difference), None)
    if _same_kind(expected, actual) and (only_form or _same_value(expected, actual)):
        return None
    return f"{where or 'the value'}: the page shows {expected!r}, and it is {actual!r}"


def _object_difference(expected, actual, where, only_form):
    shown = set(expected) - {ELISION}
    missing, new = shown - set(actual), set(actual) - shown
    if missing or (new and ELISION not in expected):
        return f"{where or 'the object'}: members only in the page: {sorted(missing)}; not in the page: {sorted(new)}"
    found = (
        json_difference(expected[name], actual[name], f"{where}.{name}", only_form or name in COUNTED)
        for name in sorted(shown)
    )
    return next((difference for difference in found if difference), None)


def _same_kind(expected, actual):
    return type(expected) is type(actual)


def _same_value(expected, actual):
    if isinstance(expected, str):
        one_line = (text.replace("\n", "\\n") for text in (expected, actual))
        return re.fullmatch(line_pattern(next(one_line)), next(one_line)) is not None
    if isinstance(expected, int) and not isinstance(expected, bool) and expected > 10**9:
        return actual > 10**9
    return expected == actual
