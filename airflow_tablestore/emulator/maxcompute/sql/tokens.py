"""SQL's text as tokens, and the small reader that statements are parsed with.

A token keeps where it was, so that a part of the statement can be handed on as it was written.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from airflow_tablestore.emulator.maxcompute.errors import SqlFailure, parse_failure

WORD, QUOTED, STRING, NUMBER, SIGN, END = "word", "quoted", "string", "number", "sign", "end"
LONGEST = 2 * 1024 * 1024
"""Characters of a statement. Source: the service's limits."""
_PATTERN = re.compile(
    r"""(?P<skip>\s+|--[^\n]*|/\*.*?\*/)
      | (?P<string>'(?:[^'\\]|\\.|'')*'|"(?:[^"\\]|\\.)*")
      | (?P<quoted>`(?:[^`]|``)+`)
      | (?P<number>\d+(?:\.\d*)?(?:[eE][+-]?\d+)?(?![\w])|\.\d+)
      | (?P<word>\w+)
      | (?P<sign><=>|<>|!=|>=|<=|\|\||==|[-+*/%<>=(),.;:\[\]{}&|^~!?@$#])""",
    re.VERBOSE | re.DOTALL | re.UNICODE,
)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "0": "\0", "b": "\b", "Z": "\x1a"}
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Token:
    """A token. `text` is without quotes and escapes; `start` and `end` are its place in the statement."""

    kind: str
    text: str
    start: int
    end: int

    def is_word(self, *words: str) -> bool:
        """Whether it is one of these keywords."""
        return self.kind == WORD and self.text.upper() in words


def tokens_of(statement: str) -> list[Token]:
    """The tokens, an `END` last. :raises SqlFailure: a character can begin none."""
    if len(statement) > LONGEST:
        raise parse_failure("the statement is too long")
    return [*_split(statement), Token(END, "", len(statement), len(statement))]


def _split(statement: str) -> Iterator[Token]:
    at = 0
    while at < len(statement):
        found = _PATTERN.match(statement, at)
        if found is None:
            raise parse_failure(f"invalid token near {statement[at : at + 20]!r}")
        at = found.end()
        kind, text = found.lastgroup or "", found[0]
        if kind == STRING:
            text = _unescaped(text)
        elif kind == QUOTED:
            text = text[1:-1].replace("``", "`")
        if kind != "skip":
            yield Token(kind, text, found.start(), found.end())


def _unescaped(text: str) -> str:
    quote, inner = text[0], text[1:-1]
    if quote == "'":
        inner = inner.replace("''", "'")
    return re.sub(r"\\(.)", lambda found: _ESCAPES.get(found[1], found[1]), inner, flags=re.DOTALL)


class Reader:
    """Tokens of one statement, from the front."""

    def __init__(self, statement: str, tokens: Sequence[Token]):
        self.statement, self._tokens, self._at = statement, tokens, 0

    @property
    def next(self) -> Token:
        """The token to come."""
        return self._tokens[self._at]

    def take(self) -> Token:
        """The next token, which is passed."""
        token = self.next
        if token.kind != END:
            self._at += 1
        return token

    def takes(self, *words: str) -> bool:
        """Whether these keywords or signs follow; they are passed then."""
        ahead = self._tokens[self._at : self._at + len(words)]
        if len(ahead) == len(words) and all(
            token.kind in (WORD, SIGN) and token.text.upper() == word for token, word in zip(ahead, words, strict=True)
        ):
            self._at += len(words)
            return True
        return False

    def expect(self, *words: str) -> None:
        """:raises SqlFailure: these keywords or signs do not follow."""
        if not self.takes(*words):
            raise self.failure(" ".join(words))

    def failure(self, wanted: str) -> SqlFailure:
        """What is wrong here."""
        found = self.next.text[:60] or "the end"
        return parse_failure(f"{wanted} is expected where {found!r} stands")

    def name(self) -> str:
        """An identifier."""
        if self.next.kind not in (WORD, QUOTED):
            raise self.failure("a name")
        return self.take().text

    def string(self) -> str:
        """The text of a literal."""
        if self.next.kind != STRING:
            raise self.failure("a string")
        return self.take().text

    def number(self) -> int:
        """A whole number."""
        if self.next.kind != NUMBER or not self.next.text.isdigit():
            raise self.failure("a number")
        return int(self.take().text[:9])

    def list(self, one: Callable[[], T]) -> list[T]:
        """What is in parentheses, separated by commas."""
        self.expect("(")
        found = [one()]
        while self.takes(","):
            found.append(one())
        self.expect(")")
        return found

    def rest(self) -> str:
        """What is left of the statement, as it was written."""
        start = self.next.start
        self._at = len(self._tokens) - 1
        return self.statement[start:].strip().rstrip(";").strip()

    def end(self) -> None:
        """:raises SqlFailure: something follows but a semicolon."""
        while self.takes(";"):
            pass
        if self.next.kind != END:
            raise self.failure("the end")
