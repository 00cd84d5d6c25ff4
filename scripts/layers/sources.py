"""What no file may say, whatever it is."""

import pathlib
import re

CLOCK_DOOR = re.compile(r"#!?\[expect\([^\]]*clippy::disallowed_(?:methods|types)")
ALLOW = re.compile(r"#!?\[(?:cfg_attr\([^\]]*,\s*)?allow\(")
# Written so that the patterns do not match themselves.
MACHINE_PATH = re.compile(r"(?<![\w.])/(?:work|root)/\w")
REGISTRY_HOST = re.compile(r"\b(?:(?:registry|index|static|files|deb)\.[a-z][a-z0-9-]*|pypi)\.(?:org|io|com)\b")
LOCK_FILES = {"Cargo.lock", "package-lock.json"}
# Rust that is not part of the product and measures time because that is its job.
NOT_PRODUCT = ("bench/", "fuzz/")


def source_violations(path, text, clock_doors):
    """Every breach of the house rules in one file, with its line."""
    if pathlib.PurePath(path).name in LOCK_FILES:
        return
    if path.endswith(".rs"):
        for match in ALLOW.finditer(text):
            yield f"{path}:{line_of(text, match)}: use #[expect(lint, reason = ...)], never allow"
        if not path.startswith((*clock_doors, *NOT_PRODUCT)):
            for match in CLOCK_DOOR.finditer(text):
                yield f"{path}:{line_of(text, match)}: time and randomness come in through the Clock and Random ports"
    for match in MACHINE_PATH.finditer(text):
        yield f"{path}:{line_of(text, match)}: names a path of somebody's machine"
    for match in REGISTRY_HOST.finditer(text):
        yield f"{path}:{line_of(text, match)}: names a package registry's host"


def line_of(text, match):
    return text.count("\n", 0, match.start()) + 1
