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
from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple, TypeAlias

import msgspec

from counterfoil.events import encode
from counterfoil.guard import report

__all__ = ["DEFAULT_RULES", "Redactor", "Rule", "build"]

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
            pattern.sub(_template(self), b"")
        except (re.error, IndexError) as error:
            raise ValueError(f"rule {self.name}: {error}") from error
        if pattern.search(b""):
            raise ValueError(f"rule {self.name}: the pattern matches the empty text")


#: A rule, or a function that gives what shall stand for a string value of the JSON (keys are left alone).
#: The function sees every string of every event: it is the slow way, for what no pattern can say.
Redactor: TypeAlias = Rule | Callable[[str], str]


def _compiled(rule: Rule) -> re.Pattern[bytes]:
    return re.compile(rule.pattern.encode())


def _template(rule: Rule) -> bytes:
    return rule.keep.replace("{}", f"[redacted:{rule.name}]").encode()


class _Default(Rule, frozen=True):
    """A rule of our own: led by its needles, and not compiled before it is needed (20 to 100 ms for all)."""

    leading: bool = True

    def __post_init__(self) -> None:
        pass


# --- the default rules -------------------------------------------------------------------------------------
#
# A string inside JSON inside a string inside JSON ends with a quote behind three backslashes: at depth n a
# quote has 2**n - 1 of them. Group `b` below holds the backslashes of the quote that opens a value. Before a
# later quote, `b` alone closes the value, two `b` and one more belong to a quote deeper inside, and a
# multiple of twice (`b` and one) in front of either is text. Any other number belongs to a string around.

_SPACE: Final = r"(?:\s|\\++[nrt])*+"
_DEPTHS: Final = r"\\{15}|\\{7}|\\{3}|\\"
_QUOTE: Final = rf'(?P<q>(?P<b>(?:{_DEPTHS})?+)")'


def _inside(b: str) -> str:
    """Give the pattern for the inside, not empty, of a string whose quotes have the backslashes of group `b`."""
    return rf'(?:[^"\\]++|\\++(?!")|(?:(?:(?P={b})\\){{2}})*+(?P={b})\\(?P={b})")++'


_CLOSE: Final = r"(?:(?:(?:(?P=b)\\){2})*+(?P=q))"
_STRING: Final = rf"(?P=q){_inside('b')}{_CLOSE}?+"
_SCALAR: Final = r"(?:-?\d[\d.eE+-]*+|true|false)(?!\w)"
_LIST: Final = rf'\[{_SPACE}(?:(?P=q)(?:{_inside("b")})?+{_CLOSE}|[^"\\\[\]{{}}]|\\++[nrt])++\]'
# `"password": "..."`, and `"name": "password", "value": "..."` as environments and headers are often listed.
_FIELD: Final = rf"{_QUOTE}(?P<sep>{_SPACE}(?:,{_SPACE}(?P=q)value(?P=q){_SPACE})?+:{_SPACE})(?:{_STRING}|{_SCALAR}|{_LIST})"
_FIELD_KEEP: Final = r"\g<q>\g<sep>\g<q>{}\g<q>"

# What stands behind `password:` or `token =` in code and in prose.
_NO_VALUE: Final = (
    r"(?:str|string|int|integer|bool|boolean|bytes|any|object|optional|secretstr|none|null|nil|undefined|true|false"
    r"|must|should|may|can|will|is|are|was|the|an?|your|my|this|that|and|or|if|to|for|of|at|in|on|with|not|no"
    r"|required|missing|flag|option|argument|parameter|prompt)(?=[,;)|>}\]]|[.:!?]?[\s\"'\\])"
    r"|(?:self|cls|this|os|env|process|settings|config|cfg|args|opts|options|params|request|req|ctx|getpass)\.[a-z_]"
    r"|[a-z_][a-z_.]{0,60}[(\[][^\s\"\\]{0,80}[)\]]"
    r"|[{(\[][\s\"'\\]"
)
# Not `,` or `&` before the next field, nor `\` before anything but an escaped letter or slash.
_WORD: Final = (
    rf"(?!{_NO_VALUE})"
    r"(?:[^\s\"'\\&,;)<]|[&,;)](?=[^\s\"'\\&,;)<])(?!\w{1,40}=)|<(?!/)|\\++(?:u[0-9a-f]{4}|/))++"
)
# A quote that opens a value, not one that closes a string which ends in `password=`.
_OPENS: Final = rf"(?P<b2>{_DEPTHS})\"(?![\s,:}}\]]|\\++[nrt])"
_SINGLE: Final = r"(?:[^'\"\\]|\\++(?!\"))++"
_SCHEME: Final = r"(?:bearer|basic|digest|token|apikey|negotiate) {1,4}"
# A digit, `_`, `=`, camelCase or twenty characters: a secret rather than the next word of a sentence.
_UNLIKE_PROSE: Final = r"(?=[^\s\"'\\]{6})(?=[^\s\"'\\]{20}|[^\s\"'\\]{0,64}?(?:[\d_=]|(?-i:[a-z][A-Z])))"
_ASSIGNED: Final = (
    r"(?P<gap>(?:'\]?|\\++\"\]|\*\*|`)?+"
    rf"(?: {{0,4}}(?:=>|:=|={{1,3}})(?:\*\*)? {{0,4}}(?:{_SCHEME})?+"
    r"| {0,4}:(?!:|//)(?:\*\*)? {0,4}"
    rf"(?(sure)(?:{_SCHEME})?+|(?:{_SCHEME}|(?=\\++\"|'|b')|{_UNLIKE_PROSE}))"
    r"|>(?=[^<>\s\"\\]{1,256}</))"
    rf"(?:{_OPENS}|(?P<single>[bruf]{{0,2}}')(?![\s,:}}\])]))?)"
    rf"(?(b2){_inside('b2')}|(?(single){_SINGLE}|{_WORD}))"
)


def _named(rule: str, name: str, needles: tuple[str, ...], *, sure: str = "") -> Rule:
    """Give the rule for values that stand under a name that ends like the pattern `name`.

    They are fields at any depth of JSON, assignments, headers, lines of YAML, and elements of XML. `sure` is a
    pattern right behind the name: where it holds, `name: word` is taken for a secret whatever the word.
    """
    return _Default(
        rule,
        rf"(?i)(?P<name>{name}(?P<sure>{sure}){'?' if sure else ''})(?:{_FIELD}|{_ASSIGNED})",
        needles,
        r"\g<name>\g<q>\g<sep>\g<gap>\g<q>{}\g<q>",
    )


def _behind(words: Iterable[str], *ends: str) -> str:
    """Give the pattern that holds right behind any of `words` continued by any of the patterns `ends`."""
    return "(?:" + "|".join(f"(?<={word}{end})" for word in words for end in ends) + ")"


# Words in front of `token` that make it a piece of text, its price, or a place in a list.
_COUNTED: Final = (
    *(
        "max",
        "min",
        "per",
        "num",
        "input",
        "output",
        "prompt",
        "completion",
        "total",
        "first",
        "last",
        "special",
    ),
    *(
        "bos",
        "eos",
        "pad",
        "unk",
        "sep",
        "cls",
        "mask",
        "stop",
        "next",
        "page",
        "continuation",
        "cancellation",
    ),
)
_KEYS: Final = (
    *("api", "access", "secret", "private", "account", "signing", "encryption", "master", "auth", "shared"),
    *("session", "service", "subscription", "client", "deploy", "ssh", "storage"),
)
# What may follow: `input_tokens` is in every answer of a model.
_TOKEN: Final = tuple("token" + end for end in "\"\\'*` =:>")
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
        r"|(?:[A-Za-z0-9+/=]++|\\++[nr])*+)",
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
        rf"(?:i |[_\-iste])key(?:(?<=api key)|{_behind(_KEYS, 'key', '[_-]key')})",
        ("_key", "-key", "ikey", "i key", "skey", "tkey", "ekey"),
    ),
    _named("authorization", "authorization", ("authoriz",), sure="(?!)"),
    _Default(
        "cookie",
        rf"(?i)(?P<name>cookies?)(?:{_FIELD}"
        r"|(?P<gap>'?: {0,4}(?:b?')?)[^\s\"'\\;=&]{1,80}=[^\s\"'\\;]*+(?:; ?[^\s\"'\\;]++)*+)",
        ("cookie",),
        r"\g<name>\g<q>\g<sep>\g<gap>\g<q>{}\g<q>",
    ),
    _Default(
        "option",  # `--token abc`, and the same as a list of arguments
        r"(?i)(?P<name>(?:password|passwd|passphrase|token|secret|[_-]key)"
        rf"{_behind(('--',), *(f'[a-z0-9_-]{{{n}}}' for n in range(4, 25)))})"
        rf"(?:(?P<list>{_QUOTE}{_SPACE},{_SPACE}(?P=q)){_inside('b')}"
        rf"|(?P<gap>(?P<single>(?:',)? {{1,4}}')| {{1,4}}(?:{_OPENS})?)"
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
#: For each part of an event, for each rule that has needles there, the places where they begin.
_Found: TypeAlias = dict[int, dict[int, list[int]]]


class _Needle(NamedTuple):
    text: bytes
    any_case: bool
    rule: int


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


def _sieve(needles: Iterable[_Needle]) -> Callable[[bytes], _Found]:
    """Give the function that tells where in an event which needles are: all of them, and nothing else.

    A search per needle takes a microsecond a kilobyte, because each step is a branch that no processor can
    foresee; sixty needles take sixty. This takes five in all, without a branch: the text is translated
    three times, into bytes with one bit for each of eight groups of needles: may this byte be the first of
    the three bytes looked at, the second, the third? As whole numbers, the second moved by one byte and
    the third by two, they are AND-ed; what is left says where the three may be, and there we look closely.
    """
    groups, offsets = _grouped(needles)
    first, second, third = (
        bytes(
            sum(1 << bit for bit, columns in enumerate(groups) if byte in columns[at]) for byte in range(256)
        )
        for at in range(_WIDTH)
    )
    # From the three bytes seen to what may be around them, by where that begins and ends.
    around: dict[bytes, dict[tuple[int, int, bool], dict[bytes, list[int]]]] = {}
    for (text, any_case, rule), offset in offsets.items():
        window = around.setdefault(text[offset : offset + _WIDTH].lower(), {})
        window.setdefault((-offset, len(text) - offset, any_case), {}).setdefault(text, []).append(rule)
    lengths = {len(window) for window in around}
    padding = b"\t" * _WIDTH
    number = int.from_bytes

    def sieve(event: bytes) -> _Found:
        padded = event + padding
        fits = (
            number(padded.translate(first), "little")
            & number(padded[1:].translate(second), "little")
            & number(padded[2:].translate(third), "little")
        )
        return look_closely(event, fits) if fits else {}

    def look_closely(event: bytes, fits: int) -> _Found:
        found: _Found = {}
        places = fits.to_bytes(len(event) + _WIDTH, "little")
        for value in set(places.translate(None, b"\0")):
            at = places.find(value)
            while at >= 0:
                for length in lengths:
                    for (left, right, any_case), texts in around.get(
                        event[at : at + length].lower(), {}
                    ).items():
                        text = event[max(0, at + left) : at + right]
                        for rule in texts.get(text.lower() if any_case else text, ()):
                            begin = event.rfind(b"\t", 0, at) + 1
                            rules = found.setdefault(event.count(b"\t", 0, at), {})
                            rules.setdefault(rule, []).append(at + left - begin)
                at = places.find(value, at + 1)
        return found

    return sieve


# --- all together ------------------------------------------------------------------------------------------

_decode_raw: Final = msgspec.json.Decoder(msgspec.Raw).decode
_decode_string: Final = msgspec.json.Decoder(str).decode
# A string of JSON, and the colon if it is a key.
_A_STRING: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"(\s*+:)?+')


class _Step(NamedTuple):
    name: str
    #: Gives the part without its secrets, the same object if it has none. Told where its needles are.
    apply: Callable[[bytes, Sequence[int]], bytes]
    always: bool


def build(rules: Iterable[Redactor] = DEFAULT_RULES) -> Callable[[bytes], bytes]:
    """Give the function that takes out of one event's parts, JSON texts joined by TAB, what `rules` say.

    They apply in their order, to each part by itself. The function never raises: a part that a rule would
    turn into something else than one line of JSON, or at which a function of the user raised, becomes
    `{"redacted":"<name> failed"}`. Raises `TypeError` for what is neither a `Rule` nor callable.
    """
    steps: list[_Step] = []
    needles: list[_Needle] = []
    for at, rule in enumerate(rules):
        if isinstance(rule, Rule):
            steps.append(_Step(rule.name, _substitution(rule), always=not rule.needles))
            any_case = bool(re.search(r"\(\?[aLmsux]*i", rule.pattern))
            for needle in rule.needles:
                text = needle.encode()
                needles.append(_Needle(text.lower() if any_case else text, any_case, at))
        elif callable(rule):
            name = str(getattr(rule, "__name__", type(rule).__name__))
            steps.append(_Step(name, _on_strings(rule), always=True))
        else:
            raise TypeError(f"a redactor is a Rule or a function, not {rule!r}")
    sieve = _sieve(needles)
    always = {at for at, step in enumerate(steps) if step.always}

    def redact(event: bytes) -> bytes:
        found = sieve(event)
        if not found and not always:
            return event
        parts = event.split(b"\t")
        for at in range(len(parts)) if always else found:
            parts[at] = redact_part(parts[at], found.get(at, {}))
        return b"\t".join(parts)

    def redact_part(part: bytes, places: dict[int, list[int]]) -> bytes:
        for at in sorted(always | places.keys()):
            step = steps[at]
            if not step.always and at not in places:
                continue  # what had a needle has been taken out
            try:
                changed = step.apply(part, places.get(at, ()))
                if changed is part:
                    continue
                _check(changed)
            except Exception as error:
                # Only its type: the message may quote what must not be told.
                report(f"redactor {step.name}", RuntimeError(type(error).__name__))
                return encode({"redacted": f"{step.name} failed"})
            part = changed
            places = sieve(part).get(0, {})
        return part

    return redact


def _check(part: bytes) -> None:
    """Raise unless `part` is JSON in UTF-8 and fits on a line of tape."""
    if b"\t" in part or b"\n" in part:
        raise ValueError("a raw TAB or LF")
    part.decode()
    _decode_raw(part)  # does not look into strings


def _substitution(rule: Rule) -> Callable[[bytes, Sequence[int]], bytes]:
    template = _template(rule)
    pattern = functools.cache(lambda: _compiled(rule))

    def everywhere(part: bytes, _: Sequence[int]) -> bytes:
        changed, count = pattern().subn(template, part)
        return changed if count else part

    def at_places(part: bytes, places: Sequence[int]) -> bytes:
        pieces: list[bytes] = []
        end = 0
        for place in sorted(places):
            if place >= end and (match := pattern().match(part, place)):
                pieces += part[end:place], match.expand(template)
                end = match.end()
        return b"".join([*pieces, part[end:]]) if pieces else part

    return at_places if rule.leading else everywhere


def _on_strings(function: Callable[[str], str]) -> Callable[[bytes, Sequence[int]], bytes]:
    def of_one(match: re.Match[bytes]) -> bytes:
        if match[1] is not None:  # a key
            return match[0]
        before = _decode_string(match[0])
        after = function(before)
        if after == before:
            return match[0]
        if not isinstance(after, str):
            raise TypeError(type(after).__name__)
        return encode(after)

    def apply(part: bytes, _: Sequence[int]) -> bytes:
        changed = _A_STRING.sub(of_one, part)
        return part if changed == part else changed

    return apply
