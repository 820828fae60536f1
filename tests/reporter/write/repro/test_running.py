from __future__ import annotations

import signal
import sys
import threading
import time

import pytest

import migrate
from reporter.measure.identity import identify
from reporter.write import repro
from reporter.write.repro import running

BUILDS = """\
import sys
from pathlib import Path
kind = sys.argv[3]
print("asked for", kind)
Path(f"repro-{kind}.mlmodel").write_bytes(Path({model!r}).read_bytes())
"""


def save(spec, path):
    path.write_bytes(spec.SerializeToString(deterministic=True))
    return path


def tiny(one_layer, name="t"):
    spec = one_layer("activation", [(2, 3)], fill=lambda p: p.ReLU.SetInParent())
    spec.neuralNetwork.layers[0].name = name
    return spec


@pytest.fixture
def path(one_layer, tmp_path):
    return save(tiny(one_layer), tmp_path / "t.mlmodel")


def test_a_script_broken_on_purpose_is_reported_as_failed(path):
    done = repro.execute("print('so far')\nraise ValueError('broken on purpose')\n", path)
    assert done.status == "FAILED when executed: ValueError: broken on purpose"
    assert "so far" in done.output
    assert not done.rebuilds
    assert done.weights == ()


def test_a_script_that_writes_no_model_is_reported_as_failed(path):
    assert repro.execute("print('nothing')", path).status == "FAILED when executed: nothing"
    assert repro.execute("", path).status == "FAILED when executed: no output"


def test_each_kind_of_weights_is_built_by_a_process_of_its_own(path):
    script = BUILDS.replace("{model!r}", repr(str(path)))
    done = repro.execute(script, path, ("seeded", "exact"))
    assert done.rebuilds
    assert done.own_weights
    assert done.status.endswith("with the model's own weights; with exact weights likewise")
    assert done.output == "asked for seeded\n"
    seeded, exact = done.weights
    assert (seeded.kind, exact.kind) == ("seeded", "exact")
    assert exact.file == "repro-exact.mlmodel"
    assert exact.identity.sha256 == identify(path).sha256


def test_exact_weights_that_cannot_be_built_do_not_hide_the_seeded(path):
    script = BUILDS.replace("{model!r}", repr(str(path)))
    broken = script.replace('print("asked', 'kind == "exact" and sys.exit("no")\nprint("asked')
    done = repro.execute(broken, path, ("seeded", "exact"))
    assert done.rebuilds
    assert done.status.endswith("; with exact weights FAILED: no")
    assert [weights.kind for weights in done.weights] == ["seeded"]


def test_exact_weights_of_another_network_are_told(one_layer, path, tmp_path):
    other = save(tiny(one_layer, "another name"), tmp_path / "other.mlmodel")
    script = BUILDS.replace("{model!r}", f"{str(path)!r} if kind == 'seeded' else {str(other)!r}")
    done = repro.execute(script, path, ("seeded", "exact"))
    assert done.status.endswith("; with exact weights FAILED: asked for exact")


def test_a_script_that_builds_something_else_is_told_from_the_model(one_layer):
    original, other = tiny(one_layer), tiny(one_layer, "another name")
    judged = running._judged("", "", other, original)
    assert not judged.rebuilds
    assert "ANOTHER network" in judged.status


def test_other_weights_are_told_from_the_models_own(one_layer):
    def biased(value):
        spec = one_layer("bias", [(1, 2, 3)])
        spec.neuralNetwork.layers[0].bias.shape.append(1)
        spec.neuralNetwork.layers[0].bias.bias.floatValue.append(value)
        spec.description.metadata.author = str(value)
        return spec

    judged = running._judged("", "", biased(1), biased(2))
    assert judged.rebuilds
    assert not judged.own_weights
    assert "seeded weights in place of its own" in judged.status
    assert running._judged("", "", biased(1), biased(1)).own_weights


def test_notes_on_ranks_that_are_left_out_are_told(one_layer):
    noted = tiny(one_layer)
    noted.neuralNetwork.layers[0].inputTensor.add(rank=2)
    judged = running._judged("", "", tiny(one_layer), noted)
    assert judged.rebuilds
    assert judged.status.endswith(", without what its layers note of their ranks")


def test_a_script_that_takes_too_long_is_stopped(path, monkeypatch):
    monkeypatch.setattr(running, "SECONDS", 0.5)
    done = repro.execute("import time\ntime.sleep(60)\n", path)
    assert done.status.startswith("FAILED when executed: over 0.5 s")


DEAF = """\
import signal, sys, time
from pathlib import Path
signal.signal(signal.SIGINT, signal.SIG_IGN)  # as imports of torch may be
Path({folder!r}, "begun-" + sys.argv[3]).touch()
time.sleep(20)
Path({folder!r}, "ended-" + sys.argv[3]).touch()
"""


@pytest.fixture
def ctrl_c():
    """Ctrl-C is heard, also below a shell that has told its jobs to ignore it."""
    usual = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, usual)


@pytest.mark.skipif(sys.platform == "win32", reason="no signals to threads")
@pytest.mark.usefixtures("ctrl_c")
def test_ctrl_c_does_not_wait_for_scripts_that_do_not_hear_it(path, tmp_path):
    """It ends them; Ctrl-C is sent once both have begun."""

    def interrupt():
        for _ in range(1200):
            if len(list(tmp_path.glob("begun-*"))) == 2:
                break
            time.sleep(0.05)
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    sender = threading.Thread(target=interrupt)
    sender.start()
    with pytest.raises(KeyboardInterrupt):
        repro.execute(DEAF.format(folder=str(tmp_path)), path, ("seeded", "exact"))
    sender.join()
    assert list(tmp_path.glob("ended-*")) == []


def test_the_users_script_is_not_run_unless_asked(tmp_path):
    script = tmp_path / "mine.py"
    script.write_text("open('ran', 'w').close()\n")
    found = repro.from_user(script, run=False)
    assert found.script == "open('ran', 'w').close()\n"
    assert (found.author, found.output) == ("the user", "")
    assert found.status.startswith("not executed")
    assert not (tmp_path / "ran").exists()


def test_the_users_script_runs_where_it_lies(tmp_path):
    script = tmp_path / "mine.py"
    script.write_text("open('ran', 'w').close()\nprint('hello')\n")
    found = repro.from_user(script, run=True)
    assert (tmp_path / "ran").exists()
    assert found.status == "executed, it ended without error"
    assert found.output == "hello\n"


def test_the_users_script_that_fails(tmp_path):
    script = tmp_path / "mine.py"
    script.write_text("import sys\nprint('so far')\nsys.exit('no')\n")
    found = repro.from_user(script, run=True)
    assert found.status == "executed, FAILED (exit 1)"
    assert found.output == "so far\nno\n"


def test_the_users_script_may_print_any_bytes(tmp_path):
    script = tmp_path / "mine.py"
    script.write_text("import sys\nsys.stdout.buffer.write(b'\\xff\\xfe ok')\n")
    assert "ok" in repro.from_user(script, run=True).output


@pytest.mark.parametrize("kind", ["missing", "folder", "not text"])
def test_a_script_that_cannot_be_read(tmp_path, kind):
    path = tmp_path / "mine.py"
    if kind == "folder":
        path.mkdir()
    elif kind == "not text":
        path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(migrate.AnereportError, match="cannot read the script"):
        repro.from_user(path, run=True)
