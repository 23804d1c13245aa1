"""What every rank of `test_mpi.py` runs: python mpi_program.py STORE FIRST LAST [KILLED-AT]."""

from __future__ import annotations

import os
import signal
import sys

from mpi4py import MPI
from test_ranks import encoding, part

from fzdask import InSituWriter
from fzdask.insitu import Rules


def main() -> None:
    path, first, last = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    killed_at = int(sys.argv[4]) if len(sys.argv) > 4 else None
    comm = MPI.COMM_WORLD
    rank = comm.Get_rank()
    raw = {"t": {**encoding(rank)["t"], "compressors": None}}
    rules = Rules(windows="marked", order="johnson")  # with these nothing has to be compiled
    with InSituWriter(path, raw, comm=comm, timeout=60.0, rules=rules) as w:
        assert w.rank == rank
        for step in range(first, last):
            with w.iteration(step), w.idle("all ranks"):
                comm.Barrier()
            w.write(step, {"t": part(step, rank)}, coords={"time": float(step)})
            if step % 2:
                w.flush()
            if step == killed_at and rank == 1:
                os.kill(os.getpid(), signal.SIGKILL)
        w.flush()
        comm.Barrier()
        if rank == 0:
            print(f"{comm.Get_size()} ranks, visible up to {w.visible_steps['step'][-1]}")


if __name__ == "__main__":
    main()
