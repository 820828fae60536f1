"""What tells this machine and its user: folders, names, and values of environment variables."""

from __future__ import annotations

import getpass
import os
import platform
import re
import socket
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from reporter.measure.private import TYPES, Rule, mixed

TEMPORARIES = ("TMPDIR", "TEMP", "TMP")
HOME, HERE, TEMPORARY = "~", ".", "[temporary folder]"
HARMLESS = frozenset(
    re.findall(
        r"[A-Z_]+",
        "CI COLORTERM COLUMNS DEBIAN_FRONTEND DISPLAY EDITOR HOSTTYPE LANG LANGUAGE LINES "
        "LS_COLORS MACHTYPE NO_COLOR OSTYPE PAGER PATH PYTHONPATH PYTHON_VERSION SHELL SHLVL TERM "
        "TERM_PROGRAM TERM_PROGRAM_VERSION TZ VISUAL XPC_FLAGS XPC_SERVICE_NAME _ ",
    )
)
HARMLESS_STARTS = ("LC_", "OMP_", "MKL_", "PYTEST_", "XDG_SESSION_", "__CF")
SECRET = re.compile(
    r"(?i)(?:^|_)(?:\w*secret|\w*token|(?:api|access|private)?key|pass(?:word|wd|phrase)?|pwd"
    r"|credentials?|auth)(?=_|$)"
)
SYSTEM = re.compile(
    r"/(?:usr|bin|sbin|opt|etc|lib|lib64|dev|proc|sys|System|Library|Applications|nix)(?:/|$)"
)
ORDINARY = frozenset(
    re.findall(
        r"[a-z]+",
        "abs address admin agent all alpha and anereport ane apple array batch beta block build "
        "builder channel client conv core count cpu credentials data default demo dev device "
        "docker error fault file float folder from gpu guest home host imac index input int iphone "
        "kernel key label layer linux list local localhost mac macbook macos mail main mark "
        "mask max may mean member min mini mobile model name names net network neural node none "
        "null number numbers output parent password path person pool pro private record report "
        "right root rows runner sample scale sensor serial server shape size staff stage studio "
        "system table temporary test tester testing token ubuntu unit unknown user users "
        "vagrant value vm weight will with work worker ",
    )
)


@dataclass(frozen=True)
class Surroundings:
    """What is private to a machine: folders and what stands for them, and words by their kind."""

    folders: tuple[tuple[str, str], ...] = ()
    words: tuple[tuple[str, tuple[str, ...]], ...] = ()

    @property
    def rules(self) -> tuple[Rule, ...]:
        """Return the rules for the words, of each kind the longest first."""
        return tuple(_rule(kind, words) for kind, words in self.words if words)


def here() -> Surroundings:
    """Return what this machine and process say of themselves; what does not answer is missing."""
    users, persons = _persons()
    return Surroundings(
        tuple(_folders()),
        (
            ("environment value", tuple(_values())),
            ("host name", tuple(dict.fromkeys(_hosts()))),
            ("name of a person", tuple(dict.fromkeys(persons))),
            ("user name", tuple(dict.fromkeys(users))),
        ),
    )


def _rule(kind: str, words: Iterable[str]) -> Rule:
    longest = sorted(words, key=len, reverse=True)
    either = "|".join(re.escape(word) for word in longest)
    flags = re.RegexFlag(0) if kind == "environment value" else re.IGNORECASE
    before = r"(?:(?<![A-Za-z0-9])|(?<=%[0-9A-F]{2}))"  # a byte of an address: %2F
    return Rule(kind, re.compile(rf"{before}(?:{either})(?![A-Za-z0-9])", flags))


def _folders() -> Iterator[tuple[str, str]]:
    """Yield folders, the longest first, with what is written in their place."""
    found: dict[str, str] = {}
    environment = os.environ.get
    known: tuple[tuple[str, tuple[Callable[[], object], ...]], ...] = (
        (HERE, (Path.cwd, partial(environment, "PWD"))),
        (HOME, (Path.home, partial(environment, "HOME"), partial(environment, "USERPROFILE"))),
        (TEMPORARY, (tempfile.gettempdir, *(partial(environment, n) for n in TEMPORARIES))),
    )  # fmt: skip
    for word, ways in known:
        for ask in ways:
            with suppress(OSError, RuntimeError):
                given = str(ask() or "").rstrip("/\\")
                for folder in (given, str(Path(given).resolve()) if given else ""):
                    if len(Path(folder).parts) > 1:
                        found.setdefault(folder, word)
    yield from sorted(found.items(), key=lambda item: -len(item[0]))


def _persons() -> tuple[list[str], list[str]]:
    """Return login names, and the names of the person that the system knows."""
    logins = [os.environ.get(name, "") for name in ("USER", "LOGNAME", "USERNAME", "SUDO_USER")]
    persons = []
    with suppress(Exception):  # no password database, or no entry in it
        logins.append(getpass.getuser())
    with suppress(Exception):  # Windows has none
        import pwd

        entry = pwd.getpwuid(os.getuid())
        logins.append(entry.pw_name)
        persons.append(entry.pw_gecos.split(",")[0].strip())
    known = [name for name in logins if _tells(name, 3)]
    return known, [form for name in persons for form in _forms(name) if form not in known]


def _forms(name: str) -> Iterator[str]:
    """Yield a person's name as it is written together, and its parts that are no usual words."""
    parts = name.split()
    if len(parts) > 1:
        yield from (mark.join(parts) for mark in (" ", "", ".", "-", "_", "%20"))
    yield from (part for part in parts if _tells(part, 4))


def _hosts() -> Iterator[str]:
    asked = [os.environ.get("HOSTNAME", ""), os.environ.get("COMPUTERNAME", "")]
    with suppress(OSError):
        asked += [socket.gethostname(), platform.node()]
    for name in asked:
        yield from (form for form in (name, name.partition(".")[0]) if _tells(form, 4))


def _tells(word: str, least: int) -> bool:
    return len(word) >= least and word.lower() not in ORDINARY and not word.isdigit()


def _values() -> Iterator[str]:
    """Yield values of environment variables that are no plain words, but for harmless variables."""
    for name, value in os.environ.items():
        value = value.strip()
        if name in HARMLESS or name.startswith(HARMLESS_STARTS) or value.lower() in ORDINARY:
            continue
        if value.startswith("/"):
            tells = len(value) > 7 and not SYSTEM.match(value)
        elif SECRET.search(name):
            tells = len(value) >= 4 and not re.fullmatch(rf"(?i:{TYPES})|\d+", value)
        else:
            tells = len(value) > 11 and _rare(value)
        if tells:
            yield value


def _rare(value: str) -> bool:
    """Tell whether a value is of one word and so mixed that it hardly stands there by chance."""
    return mixed(value) and not re.search(r"\s|\.[A-Za-z]\w{1,10}$|:/", value)
