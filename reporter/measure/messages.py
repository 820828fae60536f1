"""What Apple's compiler and run time print where a prediction goes wrong, or elsewhere.

Core ML may load a model that the Neural Engine's compiler refused, and say so on standard error
alone (coremltools issue 2758), so that these lines are kept of runs that went well too.
"""

from __future__ import annotations

import re

MOST = 20  # lines of one process
LONGEST = 300  # characters of a line
KNOWN = (
    "ANECCompile",  # coremltools issue 2758
    "ANECF",  # the same
    "E5RT",  # the same: the run time of ML Programs
    "[espresso]",  # coremltools issue 1380: the run time of NeuralNetworks
    "com.apple.appleneuralengine",  # the same: "Program Inference overflow"
    "ANE Evaluation Error",  # AUTOMATIC1111/stable-diffusion-webui issue 13419
    "ANE Scheduling Error",  # the same
)
LOG_HEAD = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\S*(?: [-+]\d{4})? \S+\[\d+:\w+\] ")


def messages(printed: str) -> tuple[str, ...]:
    """Return the known lines of what a process printed, each once, their time and process left out.

    At most MOST lines of LONGEST characters.
    """
    lines = (LOG_HEAD.sub("", line.strip()) for line in printed.splitlines())
    known = (line[:LONGEST] for line in lines if any(word in line for word in KNOWN))
    return tuple(dict.fromkeys(known))[:MOST]
