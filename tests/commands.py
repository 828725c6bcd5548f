"""Run the project's commands in this process: a process of their own costs seconds to start."""

import contextlib
import io
import runpy
import subprocess
import sys

import pytest
from conftest import ROOT


def run_here(script: str, *argv: str) -> subprocess.CompletedProcess[str]:
    """Run a script as `python <script>` would, with its exit status and output, in this process."""
    out, err = io.StringIO(), io.StringIO()
    with (
        pytest.MonkeyPatch.context() as patch,
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        patch.setattr(sys, "argv", [script, *argv])
        with pytest.raises(SystemExit) as stop:
            runpy.run_path(str(ROOT / script), run_name="__main__")
    return subprocess.CompletedProcess(
        [script, *argv], int(stop.value.code or 0), out.getvalue(), err.getvalue()
    )
