"""The forms of the law. Its text is in `scripts/check-layers`."""

from dataclasses import dataclass, field

ANYTHING = "*"


@dataclass(frozen=True)
class Layer:
    """What one crate may name in its dependencies (dev-dependencies are free)."""

    ours: str = ""
    """Our own crates it may depend on, without the prefix."""
    others: str = ""
    """Crates of others it may depend on directly, or ANYTHING."""
    never: str = ""
    """Crates that must not reach it through any chain of dependencies."""


@dataclass(frozen=True)
class Room:
    """What the files of a module may use of their crate, and who may use them; None for everything and everybody."""

    uses: tuple | None = None
    used_by: tuple | None = None


@dataclass(frozen=True)
class Law:
    """All that the rules need to know about this workspace. Places are files, or folders and modules without `.rs`."""

    layers: dict
    """Crate -> Layer."""
    clock_doors: dict = field(default_factory=dict)
    """Where time and randomness may come in, and why."""
    rooms: dict = field(default_factory=dict)
    """Module -> Room."""
    dialect_homes: dict = field(default_factory=dict)
    """Where a dialect may be named, and why."""
    dialect_words: dict = field(default_factory=dict)
    """Words with a dialect's name in them that may stand elsewhere, and why: file -> {word: reason}."""
    documents: tuple = ()
    """Documents whose names of files, modules and items must be there."""
    not_names: dict = field(default_factory=dict)
    """What looks like such a name in a document and is none, and why."""
    long_files: dict = field(default_factory=dict)
    """Files that may be longer than others, and why."""
    long_functions: dict = field(default_factory=dict)
    """Functions that may be longer than others, as `file:name`, and why."""


def is_within(path, places):
    """Whether a file is one of these places or lies in one."""
    return any(path == place or path == f"{place}.rs" or path.startswith(f"{place.rstrip('/')}/") for place in places)
