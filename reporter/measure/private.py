"""What tells a person or one machine, by patterns that hold on every machine.

A pattern's group "private" is what is taken out, or else all of it. The forms of tokens are those
that their makers document; what follows "password =" and the like counts whatever its form.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Rule:
    """A kind of private text; a text without one of the `hints`, in small letters, holds none."""

    kind: str
    pattern: re.Pattern[str]
    hints: tuple[str, ...] = ()
    accept: Callable[[str], bool] = bool  # of what was found: whether it counts
    word: str = ""  # takes its place; "[KIND]" if empty

    @property
    def replacement(self) -> str:
        """Return what takes the place of what is found: ASCII that every format takes as text."""
        return self.word or f"[{self.kind}]"


def mixed(value: str) -> bool:
    """Tell whether a value is no word or name: letters and digits in turns, or in both cases."""
    turns = len(re.findall(r"[A-Za-z](?=[0-9])|[0-9](?=[A-Za-z])", value))
    both = bool(re.search("[a-z][A-Z0-9]*[A-Z][a-z0-9]*[A-Z]", value))
    return turns >= 3 or (turns >= 1 and both)


def _mail(address: str) -> bool:
    """Tell an address from "git@github.com" and from what is a file: "conv@module.py"."""
    name, _, domain = address.replace("%40", "@").rpartition("@")
    ending = domain.rpartition(".")[2].lower()
    return name != "git" and ending not in ("py", "md", "sh", "so", "cc")


def _serial(value: str) -> bool:
    """Tell a serial number from a name: two groups of digits, three letters, no word."""
    letters = [run for run in re.findall("[A-Z]+", value) if run not in ("X", "V")]
    words = any(run in FIELD or (len(run) > 3 and re.search("[AEIOU]", run)) for run in letters)
    return len(re.findall("[0-9]+", value)) > 1 and sum(map(len, letters)) > 2 and not words


def _password(value: str) -> bool:
    return not re.fullmatch(f"(?i){TYPES}|{SECRET}", value)


def _token(value: str) -> bool:
    return _password(value) and (mixed(value) or len(value) >= 32)


FIELD = frozenset(
    re.findall(
        r"[A-Z]+",
        "ANE BERT BF BGR BGRA BN CHW CLIP CNN CONV CPU CSV CUDA DPT FC FLOAT FP GB GELU GFLOP GPT "
        "GPU GRU HWC INT ISO JPEG KB LSTM LUT MB MD MIL MLP MNIST MNV NCHW NET NHWC PNG RES RGB "
        "RGBA RNN SDXL SHA SSD SWIN TF UINT UNET UTF VAE VGG VIT YCBCR YOLO ",
    )
)
TYPES = (
    r"(?:none|null|true|false|bool|string|str|bytes|required|optional|unknown|missing"
    r"|(?:u?int|b?float|fp|multi_?array)\w*)"
)
ENDINGS = (
    "com|org|net|edu|gov|mil|int|info|biz|name|dev|app|tech|cloud|online|site|email|mail|agency"
    "|studio|xyz|science|engineering|systems|software|company|group|team|world|life|рф|local|lan|internal|corp|home|example|test|invalid|[a-z]{2}|xn--[a-z0-9-]+"
)
BASE64 = "[A-Za-z0-9+/]"
HEX = "[0-9A-Fa-f]"
MAIL = r"\w.+\u00c0-\u052f-"  # Latin, Greek and Cyrillic letters; others may touch an address
LONG = r"[A-Za-z0-9_-]"
KEY = r"(?:(?<![A-Za-z])|(?-i:(?<=[a-z])(?=[A-Z])))"  # a word of "db_password", "dbPassword"
SECRET = (
    r"password|passwd|passphrase|passwort|pwd|secret(?:[_-]?(?:access[_-]?)?key)?"
    r"|private[_-]?key"
)
TOKEN = (
    r"token|api[_-]?key|access[_-]?key(?:[_-]?id)?|account[_-]?key|auth(?:orization)?"
    r"|credentials?|(?:amz-|goog-)?signature|sig"
)
VALUE = r"[^\s\"'`,;&<>(){}\[\]\\]"
END = r"(?<![:.!?])"
IS = r"""\\?["']?\s*(?:=|:)\s*\\?["']?"""
DEVICE = (
    r"(?:MacBook(?:[ -]?(?:Pro|Air))?|Mac[ -]?(?:mini|Mini|Pro|Studio)|iMac|Mac|iPhone|iPad|iPod)"
)
NAME = r"[A-Z\u00c0-\u00de][\w\u00c0-\u024f-]{1,30}"
NOBODY = (
    "Apple|It|That|What|Let|Here|There|Today|Users?|Models?|ML|Vision|Xcode|NVIDIA|Intel|Swift"
    "|Someone|Everyone|Anyone|Customer|Developer|This|Each|Every|One"
)
COMMIT = (  # what stands before 40 hexadecimal digits that are no device's
    *(
        f"{word}{mark}"
        for word in ("commit", "revision", "rev", "sha1", "hash")
        for mark in (" ", ": ", "=")
    ),
    *(word + mark for word in ("tree", "parent", "digest") for mark in (" ", ": ")),
    *(word + "/" for word in ("commit", "tree", "blob", "raw", "resolve", "snapshots")),
)
NO_COMMIT = "".join(rf"(?<!{re.escape(before)})" for before in COMMIT)


def _rule(kind: str, pattern: str, *hints: str, accept: Callable[[str], bool] = bool) -> Rule:
    return Rule(kind, re.compile(pattern, re.ASCII), hints, accept)


PRIVATE_KEY = _rule(
    "private key",
    r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----"
    r"(?:(?!-----END )[\s\S])*(?:-----END (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----|\Z)",
    "private key",
)
RULES = (
    _rule(
        "credentials",
        r"(?<=://)(?!git@)(?P<private>[^\s/@\"'<>\[\]]{1,300})(?=@[\w.-])",
        "://",
    ),
    _rule("token", r"(?<!\w)(?:gh[pousr]|github_pat)_\w{20,}", "gh", "github"),
    _rule("token", rf"(?<!\w)gl(?:pat|dt|rt|cbt|ptt|soat)-{LONG}{{16,}}", "gl"),
    _rule("token", r"(?<!\w)(?:hf|api_org|npm)_[A-Za-z0-9]{20,}", "hf_", "api_org_", "npm_"),
    _rule(
        "token",
        rf"(?<![\w-])(?:sk-|[sr]k_(?:live|test)_){LONG}{{20,}}",
        "sk-",
        "k_",
        accept=mixed,
    ),
    _rule("token", rf"(?<!\w)(?:xox[a-z]|xapp)-{LONG}{{10,}}", "xox", "xapp-"),
    _rule("token", r"(?<=hooks\.slack\.com/services/)[\w/]{16,}", "hooks.slack"),
    _rule("token", r"(?<!\w)A(?:KIA|SIA|GPA|IDA|ROA|BIA|CCA)[A-Z0-9]{16}(?!\w)", "a"),
    _rule("token", rf"(?<!\w)AIza{LONG}{{35}}", "aiza"),
    _rule("token", rf"(?<!\w)(?:ya29\.|GOCSPX-){LONG}{{20,}}", "ya29", "gocspx"),
    _rule("token", rf"(?<!\w)pypi-{LONG}{{32,}}", "pypi-"),
    _rule("token", rf"(?<!\w)eyJ{LONG}{{8,}}\.{LONG}{{8,}}(?:\.{LONG}*)?", "eyj"),
    _rule(
        "token",
        rf"(?i)(?:(?<!\w)bearer(?:{IS}|\s+)(?-i:(?=\S*[0-9A-Z]))"
        rf"|authorization{IS}(?:basic|token|digest)\s+)(?P<private>[A-Za-z0-9_.~+/=-]{{12,}})",
        "bearer",
        "authorization",
    ),
    _rule(
        "password",
        rf"(?i){KEY}(?:{SECRET}){IS}(?P<private>{VALUE}{{4,}}{END})",
        "pass",
        "pwd",
        "secret",
        "private",
        accept=_password,
    ),
    _rule(
        "token",
        rf"(?i){KEY}(?:{TOKEN}){IS}(?P<private>{VALUE}{{8,}}{END})",
        "token",
        "key",
        "auth",
        "cred",
        "sig",
        accept=_token,
    ),
    _rule(
        "mail address",
        rf"(?i)(?<![{MAIL}@])[{MAIL}]{{1,64}}(?:'[{MAIL}]{{1,64}})?(?:@|%40)"
        rf"(?:[{MAIL}]{{1,63}}\.){{1,9}}(?:{ENDINGS})"
        r"(?![A-Za-z0-9-])",
        "@",
        "%40",
        accept=_mail,
    ),
    _rule(
        "serial number",
        r"(?i)(?:serial[ _-]*(?:number|no\b\.?|#)?|\bS/N)(?: \(system\))?"
        r"""\\?["']?\s*(?:[:=]|\bis\b)?\s*\\?["']?(?<![A-Za-z])"""
        r"(?P<private>(?=[A-Z-]*[0-9])[A-Z0-9][A-Z0-9-]{5,21})(?!-)(?!\w)",
        "serial",
        "s/n",
    ),
    _rule(
        "UUID",
        rf"(?<![A-Za-z0-9-])(?!0{{8}}-){HEX}{{8}}(?:-{HEX}{{4}}){{3}}-{HEX}{{12}}(?![A-Za-z0-9-])",
        "-",
    ),
    _rule("UDID", rf"(?<![A-Za-z0-9-]){HEX}{{8}}-{HEX}{{16}}(?![A-Za-z0-9-])", "-"),
    _rule("UDID", rf"(?i)\bUDID(?:{IS}|\s+)(?P<private>[0-9a-f-]{{16,64}})(?![\w-])", "udid"),
    _rule("UDID", rf"(?i)(?<![\w+@-]){NO_COMMIT}[0-9a-f]{{40}}(?![\w+/=-])"),
    _rule(
        "ECID",
        rf"(?i)(?:\bECID|UniqueChipID){IS}(?P<private>(?:0x)?[0-9a-f]{{6,20}})(?!\w)",
        "ecid",
        "uniquechipid",
    ),
    _rule(
        "IMEI",
        rf"(?i)(?:\bIMEI|MobileEquipmentIdentity)\d?(?:{IS}|\s+)"
        r"(?P<private>\d(?:[ -]?\d){13,16})(?!\w)",
        "imei",
        "mobileequip",
    ),
    _rule(
        "MAC address",
        rf"(?<!\w)(?<!\b{HEX}{{2}}[:-]){HEX}{{2}}([:-])(?:{HEX}{{2}}\1){{4}}{HEX}{{2}}(?!\w|[:-]\w)",
        ":",
        "-",
    ),
    _rule(
        "serial number",  # also a file's name, but no part of a long run of base64
        rf"(?<![\w+.$#-])(?<!{BASE64}{{16}}/)[A-Z0-9]{{10,12}}(?![\w+=-]|/{BASE64}{{16}})",
        accept=_serial,
    ),
    _rule(
        "device name",
        rf"(?<!\w)(?:{NAME} )?(?!(?:{NOBODY})\b){NAME}"
        rf"(?:\\?['\u2019]|&#39;)s? (?:\w+ )?{DEVICE}(?!\w)"
        rf"|(?<!\w){DEVICE} (?:von|de|di|van|av|af|du) {NAME}",
        "mac",
        "iphone",
        "ipad",
        "ipod",
    ),
    _rule(
        "host name",
        rf"(?<![\w-])[A-Z][a-z]+s-(?:{DEVICE}|MBP|MBA)(?:-\d+)?(?:\.[\w-]+)*(?![\w-])"
        r"|(?<![\w.@-])(?=\w*[A-Z-])[A-Za-z][\w-]*\.local(?![\w(.-])",
        "mac",
        "iphone",
        "ipad",
        "s-mb",
        ".local",
    ),
)
