"""Coverage-guided fuzzing of the readers, with atheris; without it, the same mutations blindly.

    fuzz.py spec --seconds 900                 all that is found goes to out/fuzz/spec
    fuzz.py spec --replay tests/fuzz/found     feed it files once more

An input that raises anything but a sentence is written down once per place it is raised from, and
fuzzing goes on; one that takes more than a minute, or crashes the interpreter, ends it. Memory is
limited to 4 GiB more than the libraries take: beyond that, whatever allocates is refused. What a
file may claim is a quarter of that for one tensor, and half of it in all. Exit status 0 if nothing
was found.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import importlib
import io
import os
import pkgutil
import resource
import sys
import tempfile
import traceback
from pathlib import Path
from random import Random
from time import monotonic

ROOT = Path(__file__).resolve().parents[2]
MEMORY = 4 * 2**30
TIMEOUT = 60  # seconds for one input
OWN = 0.7  # the share of mutations that keep the form; atheris' own are the others


def main() -> None:
    """Fuzz one target, or replay inputs."""
    parser = argparse.ArgumentParser(description="Fuzz a reader.")
    parser.add_argument("target", choices=["spec", "results", "listing", "program"])
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--runs", type=int, default=-1, help="so many, the same each time")
    parser.add_argument("--out", type=Path, help="folder for what is found")
    parser.add_argument("--replay", type=Path, help="folder whose files are read, nothing else")
    parser.add_argument("--blind", action="store_true", help="without atheris")
    args = parser.parse_args()
    with contextlib.suppress(AttributeError):
        sys.set_int_max_str_digits(4300)  # the default, whatever the environment says
    guide = None if args.blind or args.replay else _guide()
    target = _target(args.target, guide)
    out = args.out or ROOT / "out" / "fuzz" / args.target
    out.mkdir(parents=True, exist_ok=True)
    watched = Watched(target, out)
    if args.replay:
        _limit()
        for file in sorted(p for p in args.replay.rglob("*") if p.is_file()):
            watched(file.read_bytes())
    else:
        seeds = list(target.seeds(args.seconds))
        _limit()
        if guide is None:
            _blind(watched, seeds, args.seconds)
        else:
            limits = [f"-max_total_time={args.seconds}", f"-runs={args.runs}"]
            limits += ["-seed=1"] if args.runs > 0 else []
            sys.exit(_guided_apart(guide, watched, seeds, limits, out))
    sys.exit(1 if watched.found else 0)


def _guide():
    try:
        import atheris
    except ImportError:
        print("without atheris: mutations are blind", file=sys.stderr)
        return None
    return atheris


def _target(name, guide):
    """Return the target, with our packages instrumented where there is a guide."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    import coremltools  # noqa: F401  what is not ours is imported before, and not instrumented
    import torch  # noqa: F401

    packages = ["migrate", "reporter", "coremltools.converters.mil.frontend.milproto"]
    watching = guide.instrument_imports(include=packages) if guide else contextlib.nullcontext()
    with contextlib.redirect_stderr(io.StringIO()), watching:  # it names every module
        for package in ("migrate", "migrate.layers", "migrate.mil", "migrate.linting",
                        "reporter.measure"):  # fmt: skip
            for module in pkgutil.iter_modules(importlib.import_module(package).__path__):
                importlib.import_module(f"{package}.{module.name}")
        importlib.import_module("migrate.limits").LARGEST_BYTES = MEMORY // 4
        return importlib.import_module("targets").TARGETS[name]


def _limit() -> None:
    """Allow the process so much memory beyond what it has already."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


class Watched:
    """A target whose findings are written down, once for each place that they come from."""

    def __init__(self, target, out: Path) -> None:
        self.target, self.out = target, out
        self.found: set[str] = set()
        self.count = 0

    def __call__(self, content: bytes) -> None:
        """Read the content."""
        self.count += 1
        try:
            self.target(content)
        except Exception as error:
            origin = error
            while origin.__cause__ is not None:
                origin = origin.__cause__
            where = traceback.extract_tb(origin.__traceback__)[-1]
            kinds = f"{type(error).__name__} of {type(origin).__name__}"
            key = f"{kinds}, {where.filename}:{where.lineno}"
            if key not in self.found:
                self.found.add(key)
                digest = hashlib.sha256(content).hexdigest()[:12]
                (self.out / digest).write_bytes(content)
                (self.out / f"{digest}.txt").write_text(traceback.format_exc(), errors="replace")
                print(f"found {digest}: {key}", file=sys.stderr, flush=True)


def _blind(watched, seeds, seconds) -> None:
    random, pool, until = Random(0), list(seeds), monotonic() + seconds
    for seed in pool:
        watched(seed)
    while monotonic() < until:
        content = random.choice(pool)
        for _ in range(random.choice((1, 1, 2, 3))):
            content = watched.target.mutate(content, random)
        watched(content)
    print(f"{watched.count} inputs read", file=sys.stderr)


def _guided_apart(guide, watched, seeds, limits, out) -> int:
    """Fuzz in a process of its own, which atheris ends itself; return the exit status."""
    before = set(out.iterdir())
    process = os.fork()
    if process == 0:
        _guided(guide, watched, seeds, limits, out)
    status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    return status or int(set(out.iterdir()) != before)


def _guided(guide, watched, seeds, limits, out) -> None:
    def mutate(content, most, seed):
        random = Random(seed)
        if random.random() > OWN:
            return guide.Mutate(content, most)
        found = watched.target.mutate(bytes(content), random)
        return found if len(found) <= most else guide.Mutate(content, most)

    with tempfile.TemporaryDirectory() as corpus:
        for number, seed in enumerate(seeds):
            (Path(corpus) / str(number)).write_bytes(seed)
        options = [*limits, f"-timeout={TIMEOUT}", "-rss_limit_mb=6000",
                   f"-artifact_prefix={out}/", "-print_final_stats=1", "-max_len=600000",
                   "-len_control=0", "-mutate_depth=2", "-reload=0", "-detect_leaks=0"]  # fmt: skip
        guide.Setup([sys.argv[0], *options, corpus], watched, custom_mutator=mutate)
        guide.Fuzz()


if __name__ == "__main__":
    main()
