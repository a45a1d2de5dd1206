r"""The default rules: secrets that are told by how they look, or by the name that they stand under.

JSON makes of a quote behind n backslashes one behind 2n + 1, Python's repr one behind 2n: 1, 3, 7 are JSON in
JSON, 5 is JSON in a repr in JSON. Group `b` below holds those of the quote that opens a value; `b` alone closes
it, fewer belong to a string around. In JSON only, an odd multiple of (`b` and one) in front of `b` belongs to
a quote deeper inside, an even one is text. With a repr around either may be the other: it closes the value
only where the JSON goes on behind it, else more is taken than need be, up to the end of the string around.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from counterfoil.rules import Rule

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["DEFAULT_RULES"]


class _Default(Rule, frozen=True):
    """A rule of our own: led by its needles, and not compiled before it is needed (20 to 100 ms for all)."""

    leading: bool = True

    def __post_init__(self) -> None:
        pass


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
        "user-password",  # curl's `-u name:password`, `--proxy-user` too; `docker run -u 1000:1000` has none
        r"(-u(?: |ser[ =])(?P<quote>\\*+['\"])?[^\s:=@/\"'\\]{1,64}:)(?!\d+(?![^\s\"'\\]))"
        r"(?(quote)(?:(?!(?P=quote))(?:[^\"\\]|\\++(?!\")))++|[^\s\"'\\]++)",
        ("-u ", "-user ", "-user="),
        r"\1{}",
    ),
    _Default(
        "url-password",
        r"(:(?:\\*+/){2}[^/?#\s:@\"\\<>\[]{0,256}:)[^/?#\s\"\\<>]+@",
        ("://", ":/\\", r":\/", ":\\\\"),
        r"\1{}@",
    ),
)
