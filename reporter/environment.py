"""What an installation needs to work: Python, versions of packages, and nobody else's modules."""

from __future__ import annotations

import importlib
import platform
import sys
from importlib.metadata import PackageNotFoundError, metadata, version
from typing import Any

TOOLS = ("anereport", "coremltools", "torch", "numpy")
OLDEST, TOO_NEW = (3, 10), (3, 14)
INSTALL = "install anereport into an environment of its own, as with uv tool install or pipx"


def versions() -> dict[str, str]:
    """Return the versions of Python and of what numbers depend on, of what is installed."""
    found = {"python": platform.python_version()}
    for package in TOOLS:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def tested() -> dict[str, str]:
    """Return the ranges that anereport's own metadata asks for, of Python and of TOOLS."""
    from packaging.requirements import Requirement

    try:
        own = metadata("anereport")
    except PackageNotFoundError:
        return {}
    asked = [Requirement(line) for line in own.get_all("Requires-Dist") or ()]
    return {"python": own["Requires-Python"]} | {
        one.name: str(one.specifier) for one in asked if one.name in TOOLS
    }


def within(asked: str, version: str | None) -> bool:
    """Tell whether a version is in a range; one that cannot be compared, or is missing, is not."""
    from packaging.specifiers import SpecifierSet
    from packaging.version import InvalidVersion, Version

    try:
        return SpecifierSet(asked).contains(Version(version or ""), prereleases=True)
    except InvalidVersion:
        return False


def unfit() -> str:
    """Return what is missing or of a version that anereport was not made for; else nothing."""
    found, asked = versions(), tested()
    wrong = [
        f"{tool} {found.get(tool, '(missing)')} is outside {wanted}"
        for tool, wanted in asked.items()
        if not within(wanted, found.get(tool))
    ]
    return f"{'; '.join(wrong)}: {INSTALL}" if wrong else ""


def collision() -> str:
    """Return what is wrong if the package `migrate` that is found is not ours; else nothing."""
    from importlib.metadata import packages_distributions  # Python 3.10 has it first

    try:
        found: Any = importlib.import_module("migrate")
    except Exception as error:  # another one's, at whose import anything may happen
        what = f"the package migrate fails with {type(error).__name__}"
    else:
        if "AnereportError" in getattr(found, "__all__", ()):
            return ""
        folder = next(iter(getattr(found, "__path__", [found.__file__])))
        what = f"the package migrate in {folder} is not anereport's"
    owners = {one for one in packages_distributions().get("migrate", ()) if one != "anereport"}
    whose = f", {', '.join(sorted(owners))} brings one too" if owners else ""
    return f"{what}{whose}: {INSTALL}"


def wrong_python() -> str:
    """Return that this Python is too old or too new, if it is."""
    here = sys.version_info[:2]
    if OLDEST <= here < TOO_NEW:
        return ""
    why = "too old" if here < OLDEST else "too new for coremltools"
    return f"Python {here[0]}.{here[1]} is {why}: install anereport with Python 3.10 to 3.13"
