"""The kernels under AddressSanitizer and UndefinedBehaviorSanitizer, in a process of their own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from shim import compiler

HERE = Path(__file__).parent
OPTIONS = "-fsanitize=address,undefined -fno-sanitize-recover=undefined -O1"


def library(name):
    found = subprocess.run(
        [str(compiler()), f"-print-file-name={name}"], capture_output=True, text=True, check=True
    ).stdout.strip()
    return found if os.path.isabs(found) else None


def run(*arguments):
    if compiler() is None or library("libasan.so") is None:
        pytest.skip("no g++ with its sanitizer libraries on this machine")
    environment = {
        **os.environ,
        "LD_PRELOAD": f"{library('libasan.so')} {library('libubsan.so')}",
        "ASAN_OPTIONS": "detect_leaks=0",  # Python itself leaks
        "UBSAN_OPTIONS": "print_stacktrace=1",
    }
    return subprocess.run(
        [sys.executable, str(HERE / "sanitized.py"), OPTIONS, *arguments],
        capture_output=True, text=True, env=environment, check=False,
    )  # fmt: skip


@pytest.mark.slow
def test_all_kernels_run_clean(shim_folder):
    done = run(str(shim_folder), "all")
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    assert "cases" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("overrun", "heap-buffer-overflow"),
        ("shared_overrun", "out of bounds"),
        ("shift", "shift exponent"),
    ],
)
def test_faults_are_noticed(shim_folder, fault, said):
    done = run(str(shim_folder), fault)
    assert done.returncode != 0
    assert said in done.stderr
