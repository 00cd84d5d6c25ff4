"""What the rounds have found, as a table."""

import dataclasses

from ledger import Verdict


@dataclasses.dataclass
class Row:
    """One kind of fault."""

    fault: str
    rounds: int = 0
    failed: int = 0
    verdict: Verdict = dataclasses.field(default_factory=Verdict)
    note: str = ""
    stopped: int = 0
    problems: list[str] = dataclasses.field(default_factory=list)

    def add(self, verdict=None, problems=()):
        """One more round, with what was found in it."""
        verdict = verdict or Verdict()
        problems = [*problems, *(f"lost: {what}" for what in verdict.lost), *(f"twice: {what}" for what in verdict.twice)]
        self.rounds += 1
        self.failed += bool(problems)
        self.verdict += verdict
        self.problems += problems

    @property
    def passed(self):
        return self.rounds - self.failed


def show(rows):
    """Prints the table and what went wrong, and the line that scripts/test counts."""
    width = max((len(row.fault) for row in rows), default=5)
    print(f"\n{'fault':<{width}}  rounds    kept  lost  twice  note")
    for row in rows:
        found = f"{row.rounds:>6}  {row.verdict.kept:>6}  {len(row.verdict.lost):>4}  {len(row.verdict.twice):>5}"
        failed = f"{row.failed} FAILED. " if row.failed else ""
        print(f"{row.fault:<{width}}  {found}  {failed}{row.note}")
    for row in rows:
        for problem in row.problems[:10]:
            print(f"\n{row.fault}: {problem}")
    passed, failed = sum(row.passed for row in rows), sum(row.failed for row in rows)
    print(f"\nfaults: {passed} passed, {failed} failed")
    return failed
