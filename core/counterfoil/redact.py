r"""What is taken out of an event before anything touches the disk.

A `Rule` is a regular expression over the encoded JSON, so that it sees a secret at any depth: in a
message, in JSON inside a string, in a shell command inside that. What it takes out leaves
`[redacted:<rule>]` in its place. Every part is still valid JSON afterwards; a part where that fails,
or where a user's function raises, is withheld whole: `{"redacted":"<rule> failed"}`.

Nearly all events hold no secret, and must learn that in microseconds: see `_sieve`.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple, TypeAlias

import msgspec

from counterfoil.events import encode
from counterfoil.guard import report

__all__ = ["DEFAULT_RULES", "Redactor", "Rule", "build"]

_BLANK: Final = re.compile(r"\{\}|\\(\d+)|\\g<(\w+)>")
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class Rule(msgspec.Struct, frozen=True):
    r"""A kind of secret: what it looks like in JSON text, and how it is known to be absent.

    `pattern` is a regular expression over the UTF-8 JSON of one part: a quote inside a string is `\"`
    there, a newline `\n` in two characters. `(?i)` makes it match any case.
    `needles`: every match of `pattern` holds one of these strings, in any case if the pattern says `(?i)`.
    Without needles the pattern is tried on all of every event, at ten microseconds a kilobyte.
    `keep` is what a match becomes: `{}` is the marker, `\1` or `\g<name>` is a group that stays.
    `leading`: every match even begins with a needle, so the pattern is tried at those places only.

    Raises `ValueError` if the pattern, or what it would leave, is not possible.
    """

    name: str
    pattern: str
    needles: tuple[str, ...] = ()
    keep: str = "{}"
    leading: bool = False

    def __post_init__(self) -> None:
        """Refuse what could not work, where the rule is written rather than where an event is."""
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"a rule's name is letters, digits, '.', '_' and '-', not {self.name!r}")
        if "{}" not in self.keep:
            raise ValueError(f"rule {self.name}: keep={self.keep!r} has no {{}} for the marker")
        if "" in self.needles:
            raise ValueError(f"rule {self.name}: an empty needle is in every text")
        if self.leading and not self.needles:
            raise ValueError(f"rule {self.name}: no needle could lead")
        try:
            pattern = _compiled(self)
        except re.error as error:
            raise ValueError(f"rule {self.name}: {error}") from error
        groups = {*range(pattern.groups + 1), *pattern.groupindex}
        for piece in _pieces(self):
            if not isinstance(piece, bytes) and piece not in groups:
                raise ValueError(
                    f"rule {self.name}: keep={self.keep!r} names a group that the pattern has not"
                )
        if pattern.search(b""):
            raise ValueError(f"rule {self.name}: the pattern matches the empty text")


#: A rule, or a function that gives what shall stand for a string value of the JSON (keys are left alone).
#: The function sees every string of every event: it is the slow way, for what no pattern can say.
Redactor: TypeAlias = Rule | Callable[[str], str]


def _compiled(rule: Rule) -> re.Pattern[bytes]:
    return re.compile(rule.pattern.encode())


def _pieces(rule: Rule) -> Iterator[bytes | int | str]:
    """Give what a match becomes: text and the marker as bytes, groups that stay by number or name."""
    end = 0
    for blank in _BLANK.finditer(rule.keep):
        yield rule.keep[end : blank.start()].encode()
        number, name = blank.groups()
        yield int(number) if number else name or f"[redacted:{rule.name}]".encode()
        end = blank.end()
    yield rule.keep[end:].encode()


def _replacement(rule: Rule) -> Callable[[re.Match[bytes]], bytes]:
    # `re` has templates too, but `Match.expand` parses them anew each time, which costs more than the search.
    pieces = tuple(_pieces(rule))

    def replacement(match: re.Match[bytes]) -> bytes:
        return b"".join([piece if isinstance(piece, bytes) else match[piece] or b"" for piece in pieces])

    return replacement


class _Default(Rule, frozen=True):
    """A rule of our own: led by its needles, and not compiled before it is needed (20 to 100 ms for all)."""

    leading: bool = True

    def __post_init__(self) -> None:
        pass


# --- the default rules -------------------------------------------------------------------------------------
#
# JSON makes of a quote behind n backslashes one behind 2n + 1, Python's repr one behind 2n: 1, 3, 7 are JSON in
# JSON, 5 is JSON in a repr in JSON. Group `b` below holds those of the quote that opens a value; `b` alone closes
# it, fewer belong to a string around. In JSON only, an odd multiple of (`b` and one) in front of `b` belongs to
# a quote deeper inside, an even one is text. With a repr around either may be the other: it closes the value
# only where the JSON goes on behind it, else more is taken than need be, up to the end of the string around.
_SPACE: Final = r"(?:\s|\\++[nrt])*+"
_ONLY_JSON: Final = "|".join(rf"\\{{{2**depth - 1}}}" for depth in range(6, 0, -1))
_MIXED: Final = r"\\(?:\\\\)++"
_QUOTE: Final = rf'(?P<q>(?P<b>(?:{_ONLY_JSON})?(?=")|(?P<mixed_b>{_MIXED}))")'


def _inside(b: str) -> str:
    """Give the pattern for the inside, not empty, of a string in quotes with the backslashes of group `b`."""
    goes_on = (
        rf"{_SPACE}[,}}\]](?:[\s\d,.eE+{{}}\[\]-]|true|false|null|\\++[nrt])*+"
        rf'(?:(?P={b})"(?![\s,:}}\]]|\\++[nrt])|(?!(?P={b}))\\*+")'
    )
    return (
        rf'(?:[^"\\]++|\\++(?!")|(?:(?:(?P={b})\\){{2}})*+(?P={b})\\(?P={b})"'
        rf'|(?=\\(?:\\\\)*+")(?P={b})(?(mixed_{b})(?:\\\\)++|(?:(?:(?P={b})\\){{2}})++)"(?!{goes_on}))++'
    )


_CLOSE: Final = r'(?(mixed_b)(?P=b)(?:\\\\)*+"|(?:(?:(?P=b)\\){2})*+(?P=q))'
_STRING: Final = rf"(?P=q){_inside('b')}{_CLOSE}?+"
_SCALAR: Final = r"(?:-?\d[\d.eE+-]*+|true|false)(?!\w)"
_LIST: Final = rf'\[{_SPACE}(?:(?P=q)(?:{_inside("b")})?+{_CLOSE}|[^"\\\[\]{{}}]|\\++[nrt])++\]'
# A name that ends in a backslash looks like one in a repr: the next string begins with another quote.
_NOT_IN_REPR: Final = r'(?:[^"\\]++|\\++(?!"))*+(?:"|(?:(?<=[\s,{\[])|(?<=\\[nrt]))(?!(?P=q))\\++")'
# `"password": "..."`, and `"name": "password", "value": "..."` as environments and headers are often listed.
_FIELD: Final = (
    rf"{_QUOTE}(?P<sep>{_SPACE}(?:,{_SPACE}(?P=q)value(?P=q){_SPACE})?+:{_SPACE})"
    rf"(?:{_STRING}|(?(mixed_b)(?!{_NOT_IN_REPR}))(?:{_SCALAR}|{_LIST}))"
)

# What stands behind `password:` or `token =` in code and in prose.
_NO_VALUE: Final = (
    r"(?:str|string|int|integer|bool|boolean|bytes|any|object|optional|secretstr"
    r"|none|null|nil|undefined|true|false"
    r"|must|should|may|can|will|is|are|was|the|an?|your|my|this|that|and|or|if|to|for|of|at|in|on|with|not|no"
    r"|required|missing|flag|option|argument|parameter|prompt)(?=[,;)|>}\]]|[.:!?]?[\s\"'\\])"
    r"|(?:self|cls|this|os|env|process|settings|config|cfg|args|opts|options|params|request|req|ctx|getpass)"
    r"\.[a-z_]"
    r"|[a-z_][a-z_.]{0,60}[(\[][^\s\"\\]{0,80}[)\]]"
    r"|[{(\[][\s\"'\\]"
)
# Not `,` or `&` before the next field, nor `\` before anything but an escaped letter or slash.
_WORD: Final = (
    rf"(?!{_NO_VALUE})"
    r"(?:[^\s\"'\\&,;)<]|[&,;)](?=[^\s\"'\\&,;)<])(?!\w{1,40}=)|<(?!/)|\\++(?:u[0-9a-f]{4}|/))++"
)
# A quote that opens a value, not one that closes a string which ends in `password=`.
_OPENS: Final = rf'(?P<b2>(?:{_ONLY_JSON})(?=")|(?P<mixed_b2>{_MIXED}))"(?![\s,:}}\]]|\\++[nrt])'
# A repr escapes single quotes, JSON does not. Double ones may be inside where the value is sure to be closed.
_OPENS_SINGLE: Final = r"(?P<e>\\*+)'"
_PLAIN: Final = r"[^'\"\\]++|\\++(?!['\"])|(?P=e)\\++'"
_SINGLE: Final = (
    rf"(?:(?P<s>{_PLAIN})(?:{_PLAIN})*+)?"
    rf"(?:(?P<d>\\(?:\\\\)*+)\"(?!{_SPACE}[,:}}\]](?!(?:{_PLAIN})*+(?P=e)')|\\*+\")"
    rf"(?:{_PLAIN}|(?P=d)(?:\\\\)*+\")*+(?=(?P=e)'\s*[,}})\]]))?(?(s)|(?(d)|(?!)))"
)
_SCHEME: Final = r"(?:bearer|basic|digest|token|apikey|negotiate) {1,4}"
# A digit, `_`, `=`, camelCase or twenty characters: a secret rather than the next word of a sentence.
_UNLIKE_PROSE: Final = r"(?=[^\s\"'\\]{6})(?=[^\s\"'\\]{20}|[^\s\"'\\]{0,64}?(?:[\d_=]|(?-i:[a-z][A-Z])))"
_ASSIGNED: Final = (
    rf"(?P<gap>(?:\\*+'(?:\]|,{_SPACE}\\*+'value\\*+')?+|\\++\"\]|\*\*|`)?+"
    rf"(?: {{0,4}}(?:=>|:=|={{1,3}})(?:\*\*)? {{0,4}}(?:{_SCHEME})?+"
    r"| {0,4}:(?!:|//)(?:\*\*)? {0,4}"
    rf"(?(sure)(?:{_SCHEME})?+|(?:{_SCHEME}|(?=\\++['\"]|'|b\\*+')|{_UNLIKE_PROSE}))"
    r"|>(?=[^<>\s\"\\]{1,256}</))"
    rf"(?:{_OPENS}|(?P<single>[bruf]{{0,2}}{_OPENS_SINGLE})(?![\s,:}}\])]))?)"
    rf"(?(b2){_inside('b2')}|(?(single){_SINGLE}|{_WORD}))"
)
# Of a field (`q`, `sep`) or an assignment (`gap`): a group that did not take part is empty.
_NAMED_KEEP: Final = r"\g<name>\g<q>\g<sep>\g<gap>\g<q>{}\g<q>"


def _named(rule: str, name: str, needles: tuple[str, ...], *, sure: str = "") -> Rule:
    """Give the rule for values that stand under a name that ends like the pattern `name`.

    They are fields at any depth of JSON, assignments, headers, lines of YAML, and elements of XML.
    `sure` is a pattern right behind the name: where it holds, `name: word` is a secret whatever the word.
    """
    return _Default(
        rule,
        rf"(?i)(?P<name>{name}(?P<sure>{sure}){'?' if sure else ''})(?:{_FIELD}|{_ASSIGNED})",
        needles,
        _NAMED_KEEP,
    )


def _behind(words: Iterable[str], *ends: str) -> str:
    """Give the pattern that holds right behind any of `words` continued by any of the patterns `ends`."""
    return "(?:" + "|".join(f"(?<={word}{end})" for word in words for end in ends) + ")"


# Words in front of `token` that make it a piece of text, its price, or a place in a list.
_COUNTED: Final = (
    "max", "min", "per", "num", "new", "input", "output", "prompt", "completion", "cached", "reasoning",
    "total", "text", "audio", "image", "first", "last", "special", "bos", "eos", "pad", "unk", "sep", "cls",
    "mask", "stop", "next", "page", "continuation", "cancellation",
)  # fmt: skip
# What may follow the word, and what does not: `input_tokens` is in every answer of a model.
_TOKEN: Final = tuple("token" + end for end in "\"\\'*` =:>")
_KEYS: Final = (
    "api", "access", "secret", "private", "account", "signing", "encryption", "master", "auth", "shared",
    "session", "service", "subscription", "client", "deploy", "ssh", "storage",
)  # fmt: skip
_BEFORE_KEY: Final = "".join(sorted({"_", "-", *(word[-1] for word in _KEYS)}))
_LOGINS: Final = ("db", "sql", "user", "smtp", "mail", "ftp", "admin", "root", "auth", "redis", "proxy")
# `\nsk-` is a line that begins with a key, `task-` is none; `\u001b[31m` and `%3D` end in a letter too.
_WORD_STARTS: Final = (
    r"(?:(?<![A-Za-z]{0})|(?<=\\[bfnrt]{0})|(?<=\\u[0-9A-Fa-f]{{4}}{0})|(?<=%[0-9A-F]{{2}}{0})"
    r"|(?<=[0-9;\[]m{0})|(?<=\[K{0}))"
)
_B64: Final = "[A-Za-z0-9+/]"

DEFAULT_RULES: Final[tuple[Rule, ...]] = (
    _Default(
        "private-key",
        # With its end whatever is between, without it (cut off) as far as it looks like base64.
        r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----(?:"
        r"(?:[^\"\\-]++|\\++(?!\")|-(?!----))*+-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
        r"|(?:(?:\\++[nr])*[A-Za-z0-9+/=]++)*+)",
        ("-----BEGIN",),
    ),
    _Default(
        "sk-key",  # OpenAI, Anthropic, OpenRouter and many more
        rf"sk-{_WORD_STARTS.format('sk-')}(?=[a-z_-]{{0,40}}[A-Z0-9]|[a-z]{{20}})[A-Za-z0-9_-]{{16,}}",
        ("sk-",),
    ),
    _Default(
        "model-key",  # Groq, xAI, Perplexity, Tavily, LangSmith
        r"(?:gsk_|xai-|pplx-|tvly-|lsv2_)(?=[A-Za-z_-]{0,40}[0-9])[A-Za-z0-9_-]{20,}",
        ("gsk_", "xai-", "pplx-", "tvly-", "lsv2_"),
    ),
    _Default("aws-key", r"A[KS]IA[0-9A-Z]{16}(?![0-9A-Z])", ("AKIA", "ASIA")),
    _Default(
        "github-token",
        r"gh[pousr]_[A-Za-z0-9]{30,}|github_pat_[A-Za-z0-9_]{22,}",
        ("ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"),
    ),
    _Default("gitlab-token", r"glpat-[A-Za-z0-9_-]{16,}", ("glpat-",)),
    _Default("slack-token", r"xox[a-z]-[A-Za-z0-9-]{10,}", ("xox",)),
    _Default("google-key", r"AIza[A-Za-z0-9_-]{35}", ("AIza",)),
    _Default(
        "stripe-key",
        r"[sr]k_(?:live|test)_[A-Za-z0-9]{10,}",
        ("sk_live_", "rk_live_", "sk_test_", "rk_test_"),
    ),
    _Default("huggingface-token", r"hf_[A-Za-z0-9]{30,}", ("hf_",)),
    _Default("npm-token", r"npm_[A-Za-z0-9]{30,}", ("npm_",)),
    _Default("pypi-token", r"pypi-[A-Za-z0-9_-]{32,}", ("pypi-",)),
    _Default(
        "jwt",  # bounded: else a text of nothing but `eyJ` takes its length squared
        r"eyJ[A-Za-z0-9_-]{8,1000}+\.[A-Za-z0-9_-]{4,}+(?:\.[A-Za-z0-9_-]*+){0,3}",
        ("eyJ",),
    ),
    _Default(
        "bearer",  # with a digit, camelCase or length: not `Bearer authentication`
        r"(?i)(bearer {1,4})(?=[a-z._~+/=-]{0,64}[0-9]|(?-i:[A-Za-z]*[a-z][A-Z])|[a-z._~+/=-]{24})"
        r"[a-z0-9._~+/=-]{8,}",
        ("bearer ",),
        r"\1{}",
    ),
    _Default(
        "basic-auth",  # base64 of something with a colon, wherever in its group of three it falls
        rf"((?i:basic) {{1,4}})(?=(?:{_B64}{{4}}){{0,200}}?"
        rf"(?:O[g-v]{_B64}{{2}}|{_B64}[DTjz][o-r][A-Za-z0-9+/=]|{_B64}{{2}}[AEIMQUYcgkosw048]6))"
        rf"{_B64}{{4,}}={{0,2}}",
        ("basic ",),
        r"\1{}",
    ),
    _named(
        "password",
        r"pass(?:word|wd|phrase)(?:s|[_-]?(?:hash|confirm(?:ation)?|[0-9]{1,2}))?",
        ("passw", "passph"),
    ),
    _named("password", rf"_pass{_behind(_LOGINS, '_pass')}", ("_pass",)),
    # $PWD is the working directory
    _named("password", r"pwd(?!\\*+[\"']?\s*[:=]\s*\\*+[\"']?(?:[/~.]|[a-z]:))", ("pwd",)),
    _named("secret", r"secret(?:[_-]?(?:string|value|text))?", ("secret",), sure=r"(?<=[_-]secret)"),
    _named(
        "token",
        "token" + "".join(f"(?<!{word}token)(?<!{word}[_ -]token)" for word in _COUNTED),
        _TOKEN,
        sure="(?<=[_-]token)",
    ),
    _named(
        "key",
        rf"(?:i |[{_BEFORE_KEY}])key(?:(?<=api key)|{_behind(_KEYS, 'key', '[_-]key')})",
        ("i key", *(before + "key" for before in _BEFORE_KEY)),
    ),
    _named("authorization", "authorization", ("authoriz",), sure="(?!)"),
    _Default(
        "cookie",
        rf"(?i)(?P<name>cookies?)(?:{_FIELD}"
        r"|(?P<gap>(?:\\*+')?+: {0,4}(?:b?\\*+')?)[^\s\"'\\;=&]{1,80}=[^\s\"'\\;]*+(?:; ?[^\s\"'\\;]++)*+)",
        ("cookie",),
        _NAMED_KEEP,
    ),
    _Default(
        "option",  # `--token abc`, and the same as a list of arguments
        r"(?i)(?P<name>(?:password|passwd|passphrase|token|secret|[_-]key)"
        rf"{_behind(('--',), *(f'[a-z0-9_-]{{{n}}}' for n in range(4, 25)))})"
        rf"(?:(?P<list>{_QUOTE}{_SPACE},{_SPACE}(?P=q)){_inside('b')}"
        rf"|(?P<gap>(?P<single>(?:\\*+',)? {{1,4}}{_OPENS_SINGLE})| {{1,4}}(?:{_OPENS})?)"
        rf"(?!-)(?(b2){_inside('b2')}|(?(single){_SINGLE}|{_WORD})))",
        ("passw", "passph", "secret", "_key", "-key", *_TOKEN),
        r"\g<name>\g<list>\g<gap>{}",
    ),
    _Default(
        "url-password",
        r"(:(?:\\*+/){2}[^/?#\s:@\"\\<>\[]{0,256}:)[^/?#\s\"\\<>]+@",
        ("://", ":/\\", r":\/", ":\\\\"),
        r"\1{}@",
    ),
)

# --- the sieve ---------------------------------------------------------------------------------------------

#: How likely a byte of text is this one, roughly: letters by their rank in English, all else alike.
_LIKELY: Final = [0.15 * 0.9 ** (b" etaoinsrhld-cumfpgwybvk".find(byte) % 25) for byte in range(256)]
#: How many bytes of a needle the sieve looks at.
_WIDTH: Final = 3

_ANY_BYTE: Final = frozenset(range(256))
_Columns: TypeAlias = tuple[frozenset[int], ...]
#: Where a needle begins, and the rule it is one of.
_Hit: TypeAlias = tuple[int, int]


class _Needle(NamedTuple):
    text: bytes
    any_case: bool


class _Window(NamedTuple):
    """Three bytes of a needle, from `offset` on: for each the bytes that may stand there."""

    offset: int
    columns: _Columns


def _likelihood(columns: _Columns) -> float:
    """Estimate how often three bytes of text fit `columns`."""
    result = 1.0
    for column in columns:
        if column is not _ANY_BYTE:
            result *= min(1.0, sum([_LIKELY[byte] for byte in column]))
    return result


def _windows(needle: _Needle) -> list[_Window]:
    """Give the three windows of `needle` that fit the least text."""
    columns: list[frozenset[int]] = [
        frozenset((byte, *bytes([byte]).upper())) if needle.any_case else frozenset((byte,))
        for byte in needle.text
    ]
    columns += [_ANY_BYTE] * (_WIDTH - len(columns))
    windows = [_Window(at, tuple(columns[at : at + _WIDTH])) for at in range(len(columns) - _WIDTH + 1)]
    return sorted(windows, key=lambda window: _likelihood(window.columns))[:3]


def _union(one: _Columns, other: _Columns) -> _Columns:
    return tuple(_ANY_BYTE if _ANY_BYTE in {a, b} else a | b for a, b in zip(one, other, strict=True))


def _grouped(needles: Iterable[_Needle]) -> tuple[list[_Columns], dict[_Needle, int]]:
    """Put `needles` into at most eight groups that fit little text.

    Give the columns of each group, and where in each needle the three bytes are that its group looks at.
    """
    groups: list[_Columns] = []
    offsets: dict[_Needle, int] = {}
    windows = {needle: _windows(needle) for needle in needles}
    for needle in sorted(windows, key=lambda one: -_likelihood(windows[one][0].columns)):
        choices: list[tuple[float, int, int, _Columns]] = []
        for offset, columns in windows[needle]:
            if len(groups) < 8:
                choices.append((_likelihood(columns), len(groups), offset, columns))
            for at, group in enumerate(groups):
                union = _union(group, columns)
                choices.append((_likelihood(union) - _likelihood(group), at, offset, union))
        _, at, offsets[needle], columns = min(choices, key=lambda choice: choice[:3])
        groups[at : at + 1] = [columns]
    return groups, offsets


def _sieve(needles: Mapping[_Needle, Sequence[int]]) -> Callable[[bytes], list[_Hit]]:
    """Give the function that tells where in a text the needles of which rules are: in order, all, no others.

    A search per needle takes a microsecond a kilobyte, because each step is a branch that no processor can
    foresee; sixty needles take sixty. This takes five in all, without a branch: the text is translated
    three times, into bytes with one bit for each of eight groups of needles: may this byte be the first of
    the three bytes looked at, the second, the third? As whole numbers, the second moved by one byte and
    the third by two, they are AND-ed; what is left says where the three may be, and there we look closely.
    """
    groups, offsets = _grouped(needles)
    tables = [bytearray(256) for _ in range(_WIDTH)]
    for bit, columns in enumerate(groups):
        for table, column in zip(tables, columns, strict=True):
            for byte in column:
                table[byte] |= 1 << bit
    first, second, third = map(bytes, tables)
    # From the three bytes seen to what may be around them, by where that begins and ends.
    around: dict[bytes, dict[tuple[int, int, bool], dict[bytes, Sequence[int]]]] = {}
    for (text, any_case), offset in offsets.items():
        window = around.setdefault(text[offset : offset + _WIDTH].lower(), {})
        span = -offset, len(text) - offset, any_case
        window.setdefault(span, {})[text] = needles[_Needle(text, any_case)]
    lengths = {len(window) for window in around}
    padding = b"\t" * _WIDTH
    number = int.from_bytes

    def sieve(text: bytes) -> list[_Hit]:
        padded = text + padding
        fits = (
            number(padded.translate(first), "little")
            & number(padded[1:].translate(second), "little")
            & number(padded[2:].translate(third), "little")
        )
        return look_closely(text, fits.to_bytes(len(padded), "little")) if fits else []

    def look_closely(text: bytes, places: bytes) -> list[_Hit]:
        hits: set[_Hit] = set()
        for value in set(places.translate(None, b"\0")):
            at = places.find(value)
            while at >= 0:
                for length in lengths:
                    possible = around.get(text[at : at + length].lower(), {})
                    for (left, right, any_case), wanted in possible.items():
                        seen = text[max(0, at + left) : at + right]
                        for rule in wanted.get(seen.lower() if any_case else seen, ()):
                            hits.add((at + left, rule))
                at = places.find(value, at + 1)
        return sorted(hits)

    return sieve


# --- all together ------------------------------------------------------------------------------------------

_decode_raw: Final = msgspec.json.Decoder(msgspec.Raw).decode
_decode_string: Final = msgspec.json.Decoder(str).decode
# A string of JSON, and the colon if it is a key.
_A_STRING: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"(\s*+:)?+')
#: What is put in the place of a stretch of a part: where it begins and ends, and the new text.
_Edit: TypeAlias = tuple[int, int, bytes]


class _Step(NamedTuple):
    name: str
    #: From a part and the places of the rule's needles in it, in order, to what shall change.
    edits: Callable[[bytes, Sequence[int]], Iterator[_Edit]]
    always: bool


def build(rules: Iterable[Redactor] = DEFAULT_RULES) -> Callable[[bytes], bytes]:
    """Give the function that takes out of one event's parts, JSON texts joined by TAB, what `rules` say.

    They apply in their order, to each part by itself. The function never raises: a part that a rule would
    turn into something else than one line of JSON, or at which a function of the user raised, becomes
    `{"redacted":"<name> failed"}`. Raises `TypeError` for what is neither a `Rule` nor callable.
    """
    steps: list[_Step] = []
    needles: dict[_Needle, list[int]] = {}
    for at, rule in enumerate(rules):
        if isinstance(rule, Rule):
            steps.append(_Step(rule.name, _matches(rule), always=not rule.needles))
            any_case = bool(re.search(r"\(\?[aLmsux]*i", rule.pattern))
            for needle in rule.needles:
                text = needle.encode()
                one = _Needle(text.lower() if any_case else text, any_case)
                needles.setdefault(one, []).append(at)
        elif callable(rule):
            name = str(getattr(rule, "__name__", type(rule).__name__))
            steps.append(_Step(name, _strings(rule), always=True))
        else:
            raise TypeError(f"a redactor is a Rule or a function, not {rule!r}")
    sieve = _sieve(needles)
    always = any(step.always for step in steps)

    def redact(event: bytes) -> bytes:
        hits = sieve(event)
        if not hits and not always:
            return event
        parts: list[bytes] = []
        start = 0
        for part in event.split(b"\t"):
            end = start + len(part)
            inside = [(place - start, rule) for place, rule in hits if start <= place < end]
            parts.append(redact_part(part, inside) if inside or always else part)
            start = end + 1
        return b"\t".join(parts)

    def redact_part(part: bytes, hits: Sequence[_Hit]) -> bytes:
        places = _by_rule(hits)
        for at, (name, find, unasked) in enumerate(steps):
            if not unasked and at not in places:
                continue
            try:
                edits = list(find(part, places.get(at, ())))
                if not edits:
                    continue
                changed = _edited(part, edits)
                _check(changed)
            except Exception as error:
                # Only its type: the message may quote what must not be told.
                report(f"redactor {name}", RuntimeError(type(error).__name__))
                return encode({"redacted": f"{name} failed"})
            hits = sieve(changed) if unasked else _moved(hits, edits, part)
            places = _by_rule(hits)
            part = changed
        return part

    return redact


def _by_rule(hits: Iterable[_Hit]) -> dict[int, list[int]]:
    places: dict[int, list[int]] = {}
    for place, rule in hits:
        places.setdefault(rule, []).append(place)
    return places


def _edited(part: bytes, edits: Iterable[_Edit]) -> bytes:
    pieces: list[bytes] = []
    last = 0
    for start, end, new in edits:
        pieces += part[last:start], new
        last = end
    return b"".join([*pieces, part[last:]])


def _moved(hits: Iterable[_Hit], edits: Iterable[_Edit], part: bytes) -> list[_Hit]:
    """Give the needles that are left, where `edits` put them: before, behind, or in what a match keeps."""
    moved: list[_Hit] = []
    growth = 0
    rest = iter(edits)
    start, end, new = next(rest)
    for place, rule in hits:
        while place >= end:
            growth += start + len(new) - end
            start, end, new = next(rest, (len(part), len(part) + 1, b""))
        if place < start or (place - start < len(new) and new.startswith(part[start : place + 1])):
            moved.append((place + growth, rule))
    return moved


def _check(part: bytes) -> None:
    """Raise unless `part` is JSON in UTF-8 and fits on a line of tape."""
    if b"\t" in part or b"\n" in part:
        raise ValueError("a raw TAB or LF")
    part.decode()
    _decode_raw(part)  # does not look into strings


def _matches(rule: Rule) -> Callable[[bytes, Sequence[int]], Iterator[_Edit]]:
    replacement = _replacement(rule)
    pattern = functools.cache(lambda: _compiled(rule))

    def everywhere(part: bytes, _: Sequence[int]) -> Iterator[_Edit]:
        for match in pattern().finditer(part):
            yield match.start(), match.end(), replacement(match)

    def at_places(part: bytes, places: Sequence[int]) -> Iterator[_Edit]:
        end = 0
        for place in places:
            if place >= end and (match := pattern().match(part, place)):
                end = match.end()
                yield place, end, replacement(match)

    return at_places if rule.leading else everywhere


def _strings(function: Callable[[str], str]) -> Callable[[bytes, Sequence[int]], Iterator[_Edit]]:
    def edits(part: bytes, _: Sequence[int]) -> Iterator[_Edit]:
        for match in _A_STRING.finditer(part):
            if match[1] is None:  # no key
                before = _decode_string(match[0])
                after = function(before)
                if not isinstance(after, str):
                    raise TypeError(type(after).__name__)
                if after != before:
                    yield match.start(), match.end(), encode(after)

    return edits
