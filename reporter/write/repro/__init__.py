"""The repro script: a standalone file that rebuilds the model and shows its numbers.

building       a model as statements, and exact their weights of whole numbers
script         the script of these; package_repro that of an ML Program, which is not rebuilt
running        the script in a clean process: a Repro
survival       whether the divergence is there too with the weights that it offers
"""

from __future__ import annotations

from reporter.write.repro.facts import Repro as Repro
from reporter.write.repro.facts import Weights as Weights
from reporter.write.repro.running import execute as execute
from reporter.write.repro.running import executed as executed
from reporter.write.repro.running import failed as failed
from reporter.write.repro.running import from_user as from_user
from reporter.write.repro.running import run_clean as run_clean
from reporter.write.repro.script import Generated as Generated
from reporter.write.repro.script import generate as generate
from reporter.write.repro.script import identities as identities
from reporter.write.repro.script import interface as interface
from reporter.write.repro.survival import judged as judged
from reporter.write.repro.survival import offered as offered
