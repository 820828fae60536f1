"""Paths through a person's folder, the working folder or a temporary one: what stays of them.

That is "~", "." or "[temporary folder]", and the last part where it is a file's name with an
ending: "~/.../Block.mlmodel". They are found in quotes, with spaces, as addresses (file:,
%2F) and as Windows and JSON write them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from reporter.measure.surroundings import HOME, TEMPORARY

SLASH = r"(?:\\{0,2}/|%2[Ff])"
ANY = r"(?:\\{1,4}|\\{0,2}/|%2[Ff]|%5[Cc])"
CHAR = (
    r"(?:[^\s/\\'\"`<>|,;:*?&%()\[\]{}]|%(?!2[Ff]|5[Cc])|\\(?= )|(?<=\\) |\\?'(?=s[ _.-])"
    r"|\([^()/\\\n]{0,40}\)|[&;](?=[^\s/\\'\"`<>&;]{1,80}/))"
)
PART = rf"(?:{CHAR}+)"
WORD = rf"(?:(?!\.[A-Za-z]\w{{0,9}} ){CHAR})+"  # that another may follow: no file's name
SPACED = rf"(?:{WORD}(?: {WORD}){{1,5}}(?={ANY}))"
TAIL = re.compile(rf"(?:{SLASH}+(?:{SPACED}|{CHAR}*))*")
WINDOWS_TAIL = re.compile(rf"(?:{ANY}+(?:{SPACED}|{CHAR}*))*")  # in others "\\n" ends a line
MOUNTED = (
    r"(?:(?<!/)\.\.(?:/\.\.)*|(?:file|smb|afp|sftp|vscode)://[\w.-]*)?"
    r"(?:/(?:private|host_mnt|mnt|cygdrive|net|nfs|export|data|usr|Volumes|System/Volumes)"
    r"(?:/[^/\s:]+(?=/))??)?(?:/[a-z](?=/))?"
)
START = r"(?<![A-Za-z0-9_.+~$-])"  # letters of other scripts may touch
DRIVE = r"(?:[a-z](?::|%3a)|\\{2,4}[\w.$-]+)"  # or a file server
GENERAL = (
    (HOME, rf"{MOUNTED}{SLASH}(?:Users|home){SLASH}+(?:{SPACED}|{PART})"),
    (HOME, rf"(?i:{DRIVE}{ANY}+(?:users|documents and settings){ANY}+)(?:{SPACED}|{PART})"),
    (HOME, rf"/root(?={SLASH})|/var/root(?={SLASH})"),
    (HOME, rf"(?<!/)~(?:[a-z_][\w-]*)?(?!/\.\.\.)(?={ANY}[\w.%\[])"),
    (HOME, rf"(?:\$HOME|\$\{{HOME\}}|%USERPROFILE%|%HOMEPATH%)(?={ANY})"),
    (TEMPORARY, rf"{MOUNTED}{SLASH}var{SLASH}folders{SLASH}\w{{2}}{SLASH}\w+(?:{SLASH}[TC0])?"),
    (TEMPORARY, rf"{MOUNTED}{SLASH}(?:var{SLASH})?tmp(?={SLASH}\S)"),
    (TEMPORARY, rf"(?:\$TMPDIR|%TEMP%|%TMP%)(?={ANY})"),
)  # fmt: skip
HARMLESS = frozenset((".config", "anereport", "label", "Library", "Application Support"))
STOPS = re.compile(r"(?<!/)(?<!/\.)(?<!/\.\.)[.!]+$")  # that end a sentence, not "/..."
QUOTES = "\"'`"


@dataclass(frozen=True)
class Paths:
    """Finds private paths; each group of the pattern is a folder that one of the words is for."""

    pattern: re.Pattern[str]
    words: tuple[str, ...]

    def found(self, text: str) -> Iterator[tuple[int, int, str]]:
        """Yield where each path begins and ends, and what stays of it."""
        if not any(mark in text for mark in ("/", "\\", "%2F", "%2f")):
            return
        end = 0
        for root in self.pattern.finditer(text):
            if root.start() < end:
                continue
            end = _end(text, root)
            word = self.words[(root.lastindex or 1) - 1]
            yield root.start(), end, _shortened(word, text[root.end() : end])


def typed(path: str) -> str:
    """Return a path as it is typed in the working folder, if it lies there."""
    here = Path.cwd()
    return str(Path(path).relative_to(here)) if Path(path).is_relative_to(here) else path


def paths(folders: tuple[tuple[str, str], ...]) -> Paths:
    """Return what finds paths below these folders, and below those of any person or system."""
    own = [rf"{MOUNTED}{_spelled(folder)}(?![\w-]|\.[\w-])" for folder, _ in folders]
    groups = "|".join(f"({pattern})" for pattern in (*own, *(p for _, p in GENERAL)))
    words = (*(word for _, word in folders), *(word for word, _ in GENERAL))
    return Paths(re.compile(f"{START}(?:{groups})"), words)


def _spelled(folder: str) -> str:
    """Return the pattern of a folder's path with its slashes and spaces in any spelling."""
    parts = re.split(r"[/\\]", folder)
    return ANY.join(re.escape(part).replace(r"\ ", r"(?:\\? |%20)") for part in parts)


def _end(text: str, root: re.Match[str]) -> int:
    """Return where a path ends: at its closing quote, or where no path goes on."""
    end = root.end()
    windows = "\\" in text[root.start() : end + 1].replace("\\/", "")
    tail = (WINDOWS_TAIL if windows else TAIL).match(text, end)
    loose = tail.end() if tail else end
    if text.startswith("://", loose):  # an address in the next line, which "\\n" begins
        loose = max(end, text.rfind("\\", end, loose))
    quote = text[root.start() - 1] if root.start() else ""
    if quote and quote in QUOTES:
        close = text.find(quote, end)
        inside = text[end:close]
        if close >= loose and "\n" not in inside and not re.search(r": | /|[<>]", inside):
            return close
    return end + len(STOPS.sub("", text[end:loose]))


def _shortened(word: str, tail: str) -> str:
    """Return what stays of a path: `word` for its folder, and the name of a file."""
    parts = [part for part in re.split(ANY, tail) if part]
    if all(part in HARMLESS for part in parts):
        return "/".join([word, *parts])
    file = parts[-1] if re.search(r"\w\.[A-Za-z]\w{0,15}$", parts[-1]) else ""
    between = ["..."] if not file or len(parts) > 1 else []
    return "/".join([word, *between, *([file] if file else [])])
