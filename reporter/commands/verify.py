"""`anereport verify`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from reporter.commands.terminal import loading, shown


def verify(
    zipped: Annotated[
        Path, typer.Argument(metavar="ZIP", help="A zip that anereport create wrote.")
    ],
    run_script: Annotated[
        bool,
        typer.Option(
            "--run-script", help="Execute repro.py even if it is not what is written here: read it."
        ),
    ] = False,
) -> None:
    """Check a report's zip: every member and hash, the model, and that the repro rebuilds it.

    What could do harm is refused before it is unpacked. A script is executed only if it is what
    anereport writes here for the model in the zip, or with --run-script.

    It shows what is damaged or does not fit together, not who wrote it: whoever changes a text can
    change its sha256 too. The exit code is 0 if all is ok, and 1 if a check failed, or could not be
    made.

    Example: anereport verify Block-report.zip
    """
    with loading():
        from reporter.write.zipped.checks import BundleError
        from reporter.write.zipped.verifying import verify as verified

    with shown() as progress:
        found = verified(zipped, run_script, progress)
    for check in found:
        typer.echo(f"{check.word:12}{check.what}: {' '.join(check.said.split())}")
    if failed := [check.what for check in found if check.word == "FAILED"]:
        raise BundleError(f"{zipped} is not to be trusted: {failed[0]} failed")
    if left := [check.what for check in found if check.word == "not checked"]:
        raise BundleError(f"nothing failed in {zipped}, but not checked: {', '.join(left)}")
