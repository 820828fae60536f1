"""What can be measured on a device, by its facts: what stands in the way, and what to do about it.

    use              from macOS   from iOS   never on
    Core ML                                  systems of others
    Neural Engine    13           16         Intel, Rosetta, a virtual machine, the A11
    compute plan     14.4         17.4

The versions are those of `CPU_AND_NE` and `MLComputePlan`. Nothing of this was tried on hardware.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from reporter.measure.devices import product
from reporter.measure.record import Device

Use = Literal["core_ml", "neural_engine", "compute_plan"]
USES: tuple[Use, ...] = ("core_ml", "neural_engine", "compute_plan")
Answer = Literal["yes", "no", "unknown"]
Version = tuple[int, ...]
FROM: dict[str, tuple[Version, Version]] = {  # CPU_AND_NE, MLComputePlan
    "macOS": ((13,), (14, 4)),
    "iOS": ((16,), (17, 4)),
    "iPadOS": ((16,), (17, 4)),
}
SIMULATOR = "Simulator"  # what the app of `runner` calls its product there
ELSEWHERE = "Measure on a Mac with Apple silicon, or on an iPhone with `anereport runner`."


@dataclass(frozen=True)
class Obstacle:
    """Something in the way of a use: a code for programs, a sentence, and another of advice."""

    code: str
    prevents: Use
    says: str
    advice: str


def obstacles(device: Device) -> tuple[Obstacle, ...]:
    """Return what stands in the way on a device; nothing where its facts do not tell."""
    if device.system not in FROM:
        says = f"Core ML does not run on {device.system or 'an unknown system'}."
        return (Obstacle("no-core-ml", "core_ml", says, ELSEWHERE),)
    return (*_of_machine(device), *_of_version(device))


def expected(device: Device) -> dict[Use, Answer]:
    """Return for each use whether it is to be expected; unknown where the fact it needs is."""
    prevented = {obstacle.prevents for obstacle in obstacles(device)}
    facts = {"core_ml": device.system, "neural_engine": device.chip, "compute_plan": device.version}
    return {
        use: "no" if prevented & {use, "core_ml"} else "yes" if facts[use] else "unknown"
        for use in USES
    }


def _of_machine(device: Device) -> Iterator[Obstacle]:
    if device.chip.startswith("Intel"):
        says = "A Mac with an Intel processor has no Neural Engine that Core ML uses."
        yield Obstacle("intel", "neural_engine", says, ELSEWHERE)
    if device.translated:
        says = "Python runs as an Intel process under Rosetta, which tells nothing of the "
        says += "Neural Engine."
        advice = "Install anereport into a Python for arm64."
        yield Obstacle("rosetta", "neural_engine", says, advice)
    if device.virtual:
        simulated = device.product == SIMULATOR
        machine, real = ("simulator", "a device") if simulated else ("virtual machine", "the Mac")
        says = f"A {machine} has no usable Neural Engine, and may hang compiling for it."
        yield Obstacle("virtual", "neural_engine", says, f"Measure on {real} itself.")
    if not product(device.identifier).core_ml:
        says = f"Core ML does not use the Neural Engine of the {product(device.identifier).soc}."
        yield Obstacle("old-chip", "neural_engine", says, "Measure on a newer device.")


def _of_version(device: Device) -> Iterator[Obstacle]:
    version = tuple(int(part) for part in device.version.split(".") if part.isdecimal())
    system, (unit, plan) = f"{device.system} {device.version}", FROM[device.system]
    advice = f"Update to {device.system} {'.'.join(map(str, plan))} or later."
    if version and version < unit:
        says = f"{system} cannot be asked for the CPU and the Neural Engine without the GPU."
        yield Obstacle("no-cpu-and-ne", "neural_engine", says, advice)
    if version and version < plan:
        says = f"{system} has no compute plan, which says where each layer is to run."
        yield Obstacle("no-compute-plan", "compute_plan", says, advice)
