"""What came of stopping one workload once."""

from dataclasses import asdict, dataclass, field


@dataclass
class Answer:
    """What a manager said of one stop."""

    said_done: bool | None  # it says that nothing is left; None where its word can be read both ways
    took: float  # seconds, as its user waits for it
    words: str = ""
    verdict: str | None = None
    before: set = field(default_factory=set)
    survivors: dict = field(default_factory=dict)  # Process: why
    scope: str = ""
    killed_by: str = ""
    passes: int | None = None
    code: int | None = None


@dataclass
class Outcome:
    subject: str
    situation: str
    workload: str
    is_ours: bool = False
    survivors: int = 0
    outside: int = 0  # live, and the answer said that such are out of its reach
    zombies: int = 0
    wrong: list = field(default_factory=list)  # how what was said differs from what is so
    late: str | None = None
    took: float | None = None
    verdict: str | None = None
    not_started: str | None = None
    left: list = field(default_factory=list)  # the command lines of what lives
    answer: str = ""

    @property
    def cell(self):
        return (self.subject, self.situation, self.workload)

    def is_clean(self, in_time=True):
        return not (self.survivors or self.wrong or (in_time and self.late) or self.not_started)

    def as_json(self):
        return asdict(self)
