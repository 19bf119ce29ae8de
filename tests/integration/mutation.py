"""Broken, odd and hostile forms of JSON messages, drawn at random."""

import random
import re
from collections.abc import Callable
from typing import Any, Final

import orjson

MEGABYTE: Final = 2**20
_MOST_BYTES: Final = 2 * MEGABYTE  # of a message
# As they would stand in JSON; no library could be made to write most of them.
TOKENS: Final[tuple[bytes, ...]] = (
    *(b"NaN", b"-Infinity", b"1e400", b"-1e400", b"1e-400", b"1" + b"0" * 5000, b"-" + b"7" * 310),
    *(b"18446744073709551616", b"9223372036854775808", b"4294967296", b"-1", b"-0", b"1E5", b"0.1"),
    *(b"1e308", b"253402300800", b"253402300800000", b"-62135596801", b"01", b"0x10", b"+1", b".5"),
    *(b'"\\ud800"', b'"\\udc00\\ud800"', b'"\\u0000"', b'"a\\u0000b"', b'"\x01"', b'"\xff"'),
    *(b'"\xc0\x80"', b'"\xed\xa0\x80"', b'"\\x41"', b'"\\"', b"'a'", b"null", b"true", b"truee"),
    *(
        b"[]",
        b"{}",
        b"[[]]",
        b"[null]",
        b'{"":{"":null}}',
        b'{"a":1,"a":2}',
        b'{"a.b":{"c":1}}',
        b"",
    ),
    *(
        b"[" * 50 + b"]" * 50,
        b"[" * 990 + b"]" * 990,
        b"[" * 100_000,
        b'{"a":' * 190 + b"1" + b"}" * 190,
    ),
    *(b'"0001-01-01T00:00:00+14:00"', b'"9999-12-31T23:59:59-14:00"', b'"2016-12-31T23:59:60Z"'),
    *(
        b'"2026-03-01T02:00:00"',
        b'"2026-W09-7T02Z"',
        b'"20260301T020000Z"',
        b'"1772330400"',
        b'"\xc3\xa9"',
    ),
    *(
        b'"2026-03-01T02:00:00.123456789123456789Z"',
        b'"2026-02-30T00:00:00Z"',
        b'"24e124fffe0000a1"',
    ),
)
# A megabyte each: one in a few hundred messages holds one.
LARGE: Final[tuple[bytes, ...]] = (
    b'"' + b"x" * MEGABYTE + b'"',
    b'"' + b"\\u0000" * (MEGABYTE // 6) + b'"',
    b'"' + b"\xf0\x9f\x92\xa7" * (MEGABYTE // 4) + b'"',
    b'"' + b"=" * MEGABYTE + b'"',
    b'"' + b":0" * (MEGABYTE // 2) + b'"',
    b"9" * MEGABYTE,
    b"[" + b"0," * (MEGABYTE // 2 - 2) + b"0]",
    b"[" + b"{}," * (MEGABYTE // 3 - 2) + b"{}]",
    b"[" + b'{"timestamp":1},' * (MEGABYTE // 16 - 1) + b"{}]",
    b"{" + b",".join(b'"%d":0' % n for n in range(MEGABYTE // 10)) + b"}",
    b'{"a":0' + b',"a":0' * (MEGABYTE // 6) + b"}",
    b'{"' + b"k" * (MEGABYTE // 2) + b'":[' + b"0," * 450 + b"0]}",
)
_PLACE: Final = re.compile(rb'"\xee\x80\x80([sl])(\d+)\xee\x80\x81"')
Place = tuple[Any, Any]  # a container, and the index or name of something in it


class Mutator:
    """Forms of the given messages. One in `large_every` holds something of a megabyte."""

    def __init__(self, draw: random.Random, bodies: list[bytes], large_every: int = 500) -> None:
        self._draw, self._bodies, self._every = draw, bodies, large_every

    def mutate(self, body: bytes) -> bytes:
        """By its structure, by its bytes, or by both."""
        way = self._draw.random()
        if way < 0.7:
            body = self._by_structure(body)
        if way > 0.6:
            for _ in range(self._draw.choice((1, 1, 1, 2, 5))):
                body = self._draw.choice(_BY_BYTES)(self._draw, body)
        return body[:_MOST_BYTES]

    def _by_structure(self, body: bytes) -> bytes:
        value = [orjson.loads(body)]
        for _ in range(self._draw.choice((1, 1, 1, 2, 3))):
            container, key = self._draw.choice(places(value))
            self._draw.choice(_BY_STRUCTURE)(self, container, key)
        return _filled(orjson.dumps(value[0], option=orjson.OPT_NON_STR_KEYS))

    def _odd(self) -> str:
        """A name for a token, which takes its place when all is written."""
        if self._draw.randrange(self._every) == 0:
            return f"\ue000l{self._draw.randrange(len(LARGE))}\ue001"
        return f"\ue000s{self._draw.randrange(len(TOKENS))}\ue001"

    def _replace(self, container: Any, key: Any) -> None:
        container[key] = self._odd()

    def _remove(self, container: Any, key: Any) -> None:
        container[key] = None
        if isinstance(container, dict):
            del container[key]

    def _wrap(self, container: Any, key: Any) -> None:
        inner = container[key]
        container[key] = self._draw.choice(([inner], {"a": inner}, [inner, inner], str(inner)))

    def _repeat(self, container: Any, key: Any) -> None:
        """Many of the same; small ones more often, since most of these are refused at once."""
        inner, times = container[key], round(5000 ** self._draw.random())
        times = min(times, 200_000 // max(1, len(str(inner))))
        container[key] = (inner if isinstance(inner, list) else [inner]) * max(2, times)

    def _widen(self, container: Any, key: Any) -> None:
        inner, wide = container[key], round(700 ** self._draw.random())
        container[key] = {f"{key}{n}": inner if n % 50 == 0 else n for n in range(wide)}

    def _rename(self, container: Any, key: Any) -> None:
        name = f"{key}"
        names = (name.upper(), f"{name}\0", f"{name}.x", "", "x" * 3000, f" {name}", self._odd())
        if isinstance(container, dict):
            container[self._draw.choice(names)] = container.pop(key)

    def _exchange(self, container: Any, key: Any) -> None:
        """A part of another message."""
        other = [orjson.loads(self._draw.choice(self._bodies))]
        there, name = self._draw.choice(places(other))
        container[key] = there[name]

    def _nudge(self, container: Any, key: Any) -> None:
        """Values that can be read, so that what comes after reading meets them."""
        inner = container[key]
        if isinstance(inner, bool):
            container[key] = not inner
        elif isinstance(inner, int | float):
            by = self._draw.choice((-1, 1, -inner, 1e9, -1e9, 1e300, 2**31, 2**53, 0.5))
            container[key] = min(max(inner + by, -(2**63)), 2**63) if by != 0.5 else inner * by
        elif isinstance(inner, str):
            odd = ("\0", "é", " ", "/", "\u202e", "-", "0", "'", "\\", "%s", "\ufeff")
            at = self._draw.randrange(len(inner) + 1)
            container[key] = inner[:at] + self._draw.choice(odd) + inner[at:]


def _filled(written: bytes) -> bytes:
    """With the tokens in their places while there is room: each of thousands may be a megabyte."""
    room = _MOST_BYTES

    def token(name: re.Match[bytes]) -> bytes:
        nonlocal room
        if room <= 0:
            return b"0"
        tokens = LARGE if name[1] == b"l" else TOKENS
        chosen = tokens[int(name[2]) % len(tokens)]  # a mutation may have changed the number
        room -= len(chosen)
        return chosen

    return _PLACE.sub(token, written)


def places(value: list[Any]) -> list[Place]:
    """Every place in a structure, the whole of it first."""
    found: list[Place] = []
    waiting: list[Any] = [value]
    while waiting:
        container = waiting.pop()
        for key in [*container] if isinstance(container, dict) else range(len(container)):
            found.append((container, key))
            if isinstance(container[key], dict | list):
                waiting.append(container[key])
    return found


def _truncate(draw: random.Random, body: bytes) -> bytes:
    return body[: draw.randrange(len(body) + 1)]


def _flip(draw: random.Random, body: bytes) -> bytes:
    changed = bytearray(body)
    for _ in range(draw.choice((1, 1, 3, 20)) if changed else 0):
        changed[draw.randrange(len(changed))] = draw.randrange(256)
    return bytes(changed)


def _insert(draw: random.Random, body: bytes) -> bytes:
    at = draw.randrange(len(body) + 1)
    return body[:at] + draw.choice((*TOKENS, b"\0", b"\xff\xfe", draw.randbytes(8))) + body[at:]


def _cut(draw: random.Random, body: bytes) -> bytes:
    at = draw.randrange(len(body) + 1)
    return body[:at] + body[at + draw.randrange(30) :]


def _tell_twice(draw: random.Random, body: bytes) -> bytes:
    """A name of an object once more, before its value."""
    names = re.findall(rb'"\w{1,30}":', body[:20_000])
    if not names:
        return body
    name = draw.choice(names)
    return body.replace(name, name + draw.choice(TOKENS) + b"," + name, 1)


def _digits(draw: random.Random, body: bytes) -> bytes:
    return re.sub(rb"\d+", lambda _: draw.choice(TOKENS[:22]), body, count=draw.randint(1, 3))


def _encode(draw: random.Random, body: bytes) -> bytes:
    written = body[:50_000].decode(errors="replace")
    encoding = draw.choice(("utf-16", "utf-16-le", "utf-32", "utf-7", "utf-8-sig", "cp500"))
    return written.replace("a", "é").encode(encoding, "replace")


def _latin(_draw: random.Random, body: bytes) -> bytes:
    return body.replace(b"a", b"\xe9", 3)


def _surround(draw: random.Random, body: bytes) -> bytes:
    before, after = ((b"\xef\xbb\xbf", b""), (b"", b"\0"), (b" \n" * 3000, b" "), (b"", body))[
        draw.randrange(4)
    ]
    return before + body + after


_BY_BYTES: Final[tuple[Callable[[random.Random, bytes], bytes], ...]] = (
    *(_truncate, _flip, _insert, _cut, _tell_twice, _tell_twice, _digits, _encode, _latin),
    _surround,
)
_BY_STRUCTURE: Final[tuple[Callable[[Mutator, Any, Any], None], ...]] = (
    *(Mutator._replace, Mutator._replace, Mutator._replace, Mutator._remove, Mutator._wrap),
    *(Mutator._repeat, Mutator._widen, Mutator._rename, Mutator._exchange, Mutator._nudge),
    *(Mutator._nudge, Mutator._nudge),
)
