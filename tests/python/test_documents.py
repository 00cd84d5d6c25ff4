"""Every block of README, docs and examples, run as it is written, in the order of its page, on a fresh server.

`support/documents` says how, and which comments a page may have for it.
"""

import os
import re
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest

from support.documents import markdown, samples
from support.documents.__main__ import command
from support.documents.surroundings import REPOSITORY, isolation

pytestmark = pytest.mark.sqlite("the pages begin with a server that makes its database itself")

PAGES = sorted(
    str(path.relative_to(REPOSITORY))
    for path in [
        REPOSITORY / "README.md",
        REPOSITORY / "bindings/python/README.md",
        *REPOSITORY.glob("docs/**/*.md"),
        *REPOSITORY.glob("examples/*/README.md"),
    ]
    if "```" in path.read_text()
)

NOT_RUN = 17
"""How many blocks may stand in all pages that cannot be run."""


@pytest.fixture(scope="module")
def runs():
    """All pages at once, as far as there are processors and networks for them; pages that are slow begin first."""
    at_once = (os.cpu_count() or 1) if isolation() else 1
    with ThreadPoolExecutor(max(1, min(at_once, 4))) as pool:
        slow_first = sorted(PAGES, key=lambda page: -(REPOSITORY / page).read_text().count("```"))
        yield {page: pool.submit(run, page) for page in slow_first}


def run(page):
    return subprocess.run(command(page), cwd=REPOSITORY / "tests/python", capture_output=True, text=True, check=False)


@pytest.mark.parametrize("page", PAGES)
def test_every_block_of_a_page_does_what_the_page_says(page, runs):
    done = runs[page].result()
    assert done.returncode == 0, f"\n{done.stdout}{done.stderr}"


def test_few_blocks_are_not_run_and_each_says_why():
    blocks = [
        f"{page}:{step.line}: {step.notes['not run']}"
        for page in PAGES
        for step in markdown.read((REPOSITORY / page).read_text())
        if isinstance(step, markdown.Block) and "not run" in step.notes
    ]
    print("\n".join(blocks))
    assert len(blocks) <= NOT_RUN, "\n".join(blocks)
    assert all(len(block.rpartition(": ")[2]) > 10 for block in blocks), "a reason is a sentence"


def test_commands_stand_in_fences_whose_language_says_how_to_run_them():
    for page in PAGES:
        for step in markdown.read((REPOSITORY / page).read_text()):
            assert isinstance(step, markdown.Comment) or step.language, f"{page}:{step.line}"


# --- the comparison itself: a stale page must not pass ---

FRESH = (
    '{"detail":"the JWT was used before","status":401,"title":"The request must prove who makes it.","at":1795350084}'
)


@pytest.mark.parametrize(
    "stale",
    [
        FRESH.replace("The request must prove who makes it.", "Unauthorized"),
        FRESH.replace(',"at":1795350084', ""),
        FRESH.replace("401", "400"),
        FRESH.replace("}", ',"more":1}'),
    ],
)
def test_a_sample_of_an_older_version_is_noticed(stale):
    assert samples.difference(stale, FRESH)


def test_what_differs_from_run_to_run_may_differ():
    later = FRESH.replace("1795350084", "1795350099")
    assert samples.difference(FRESH, later) is None
    shown = "account  01a2033a-1482-70a8-8277-91873f76dbc5\nuntil  2026-11-22T12:42:48Z"
    printed = "account  01a20356-0011-789b-bbb1-8bfb4bfc6679\nuntil  2026-11-27T04:00:01Z\n"
    assert samples.difference(shown, printed) is None
    assert samples.difference(shown.replace("account", "username"), printed)


def test_left_out_is_only_what_the_page_says_is_left_out():
    assert samples.difference('{"a":1,…}', '{"a":1,"b":2}') is None
    assert samples.difference('{"a":1,…}', '{"b":2}')
    assert samples.difference("one\n…\nfour", "one\ntwo\nthree\nfour") is None
    assert samples.difference("one\n…\nfour", "one\ntwo\nthree\n")
    assert samples.difference("one\nfour", "one\ntwo\nfour")


def test_of_headers_those_that_are_shown_must_be_there():
    answer = "HTTP/1.1 401 Unauthorized\ndate: now\nWWW-Authenticate: DPoP\n\nno\n"
    assert samples.difference("HTTP/1.1 401 Unauthorized\nwww-authenticate: DPoP", answer) is None
    assert samples.difference("HTTP/1.1 401 Unauthorized\nwww-authenticate: Bearer", answer)
    assert samples.difference("HTTP/1.1 200 OK", answer)
    assert samples.difference("HTTP/1.1 401 Unauthorized\n\nyes", answer)


@pytest.mark.parametrize("comment", ["<!-- test: maybe -->", "<!-- test: not run -->", "<!-- test:"])
def test_a_comment_that_nobody_understands_is_an_error(comment):
    with pytest.raises(markdown.Malformed):
        markdown.read(f"{comment}\n\n```sh\ntrue\n```\n")


def test_a_block_cannot_hide_behind_indentation():
    with pytest.raises(markdown.Malformed):
        markdown.read("    $ countersign serve\n")


def test_every_page_of_documents_is_run_that_has_a_block():
    fenced = {page for page in PAGES if re.search(r"^ *```", (REPOSITORY / page).read_text(), re.MULTILINE)}
    assert fenced == set(PAGES)
