"""The exact optimum by constraint programming (OR-tools CP-SAT): truth for the planner's tests.

Written from the model's description alone; shares nothing with the planner but `Job`, `Worker`
and `Storage`.
"""

from __future__ import annotations

from ortools.sat.python import cp_model


def optimum(jobs, workers, storage=None, seconds=20.0, unit=1e-3):
    """Lowest makespan in multiples of `unit`, of which all times must be whole multiples.

    Raises AssertionError if it could not be proven within `seconds`.
    """
    model = cp_model.CpModel()

    def units(t):
        whole = round(t / unit)
        assert abs(whole * unit - t) < 1e-12, t
        return whole

    writes = [max(units(job.write), 0) for job in jobs]
    rates = [0] * len(jobs)
    if storage is not None:
        for i, job in enumerate(jobs):
            if job.nbytes:
                capacity = int(storage.bandwidth)
                needed = -(-job.nbytes * 10**9 // capacity)  # ns
                assert needed <= writes[i] * unit * 1e9, "keep writes below the bandwidth"
                rates[i] = -(-job.nbytes * 10**9 // round(writes[i] * unit * 1e9))
    edges = [units(e) for w in workers for m in (w.busy.compute, w.busy.background) for _, e in m]
    horizon = max([0, *edges]) + max([0] + [units(j.release) for j in jobs])
    horizon += sum(units(job.compress) for job in jobs) + sum(writes)
    makespan = model.new_int_var(0, horizon, "makespan")
    on_machine = {(w, m): [] for w in range(len(workers)) for m in (0, 1)}
    drawing = {}
    for i, job in enumerate(jobs):
        start = model.new_int_var(units(job.release), horizon, "")
        write = model.new_int_var(0, horizon, "")
        model.add(write >= start + units(job.compress))
        model.add(makespan >= write + writes[i])
        chosen = []
        for w, worker in enumerate(workers):
            if job.worker not in (None, worker.name) or job.node not in (None, worker.node):
                continue
            here = model.new_bool_var("")
            chosen.append(here)
            for machine, begin, length in ((0, start, units(job.compress)), (1, write, writes[i])):
                if length:
                    on_machine[w, machine].append(
                        model.new_optional_fixed_size_interval_var(begin, length, here, "")
                    )
            if rates[i]:
                key = "" if storage.shared == "all" else worker.node
                drawing.setdefault(key, []).append(
                    (
                        model.new_optional_fixed_size_interval_var(write, writes[i], here, ""),
                        rates[i],
                    )
                )
        model.add_exactly_one(chosen)
    for w, worker in enumerate(workers):
        for machine, busy in enumerate((worker.busy.compute, worker.busy.background)):
            taken = [
                model.new_fixed_size_interval_var(units(s), units(e) - units(s), "")
                for s, e in busy
                if units(e) > units(s)
            ]
            model.add_no_overlap(on_machine[w, machine] + taken)
    for pairs in drawing.values():
        model.add_cumulative(
            [interval for interval, _ in pairs], [rate for _, rate in pairs], int(storage.bandwidth)
        )
    model.minimize(makespan)
    solver = cp_model.CpSolver()
    solver.parameters.max_time_in_seconds = seconds
    solver.parameters.num_workers = 1
    solver.parameters.random_seed = 1
    # Else the solver leaves the system's own handler of SIGINT, which ends the process, where
    # Python's was: a test that raises an interrupt later on would end the whole run.
    solver.parameters.catch_sigint_signal = False
    status = solver.solve(model)
    assert status == cp_model.OPTIMAL, solver.status_name(status)
    return round(solver.objective_value)
