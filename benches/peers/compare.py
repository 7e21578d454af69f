#!/usr/bin/env python3
"""The same questions to flowseek, DuckDB, ClickHouse and SQLite, in turn, over the same flows; prints Markdown tables.

Each answers from its own storage: flowseek from the archive, the others from a table that is loaded from the archive's
Parquet files and kept beside it. All have two threads, are warm, and live in processes that run all the while; each
answer is checked before it is timed. See README.md.
"""

import argparse
import os
import statistics
import subprocess
import sys

from systems import BENCHES, CLICKHOUSE_TABLE, SQLITE_INDEXES, ClickHouse, DuckDb, Flowseek, Sqlite, timed

RUNS = 3
# Whole commands in a new process, and the milliseconds that each should take at most.
COMMANDS = [
    ("newest", 15),
    ("absent address", 20),
    ("count: one port", 20),
    ("destBytes:desc", 100),
    ("node + port + protocol", 60),
]


def loaded(peers, archive, path):
    """Loads the archive's flows, unless they were loaded before."""
    contents = f"{archive['format']} {archive['flows']}\n{CLICKHOUSE_TABLE}{SQLITE_INDEXES}"
    for peer in peers:
        marker = f"{path}.{peer.key}.loaded"
        if os.path.exists(marker) and open(marker, encoding="utf-8").read() == contents:
            peer.open()
            continue
        took = timed(lambda peer=peer: peer.load(os.path.join(archive["archive"], "data", "*.parquet")))
        print(f"{peer.name} has loaded {archive['flows']} flows in {took / 1e3:.0f} s", file=sys.stderr)
        with open(marker, "w", encoding="utf-8") as file:
            file.write(contents)


def answers(peer, case):
    """Whether a peer is asked."""
    return peer.suites is None or case["suite"] in peer.suites


def check(peer, case):
    if compared(peer, peer.rows(case[peer.key])) != compared(peer, case["answer"]):
        sys.exit(f"{peer.name} answers {case['name']} otherwise than flowseek:\n{case[peer.key]}")


def compared(peer, rows):
    """The rows as they are compared: what is absent is 0 in ClickHouse's table."""
    return [["" if isinstance(peer, ClickHouse) and cell == "0" else cell for cell in row] for row in rows]


def medians(systems, number, case):
    """The medians of all in turn: the machine's speed drifts, their ratio does not.

    A turn of what is short is some runs, of which the last counts: the others have used the processor's caches meanwhile.
    """
    first = [turn(system, number, case, RUNS) for system in systems]
    is_short = [max(once) < 50 for once in first]
    wanted = [15 if short else 5 if max(once) < 500 else 3 for once, short in zip(first, is_short)]
    samples = [[] for _ in systems]
    for run in range(max(wanted)):
        for system, times, most, short in zip(systems, samples, wanted, is_short):
            if run < most:
                times.append(turn(system, number, case, RUNS if short else 1))
    return [[statistics.median(column) for column in zip(*times)] for times in samples]


def turn(system, number, case, runs):
    return [system.time(number, case) for _ in range(runs)][-1]


def row(cells):
    print("| " + " | ".join(cells) + " |", flush=True)


def head(cells):
    row(cells)
    row(["---"] + ["---:"] * (len(cells) - 1))


def compare(flowseek, peers):
    """A table of pages and counts, and one of SQL and summaries, of which those count that are SQL."""
    for is_sql in [False, True]:
        chosen = [(n, case) for n, case in enumerate(flowseek.cases) if (case["suite"] == "sql") == is_sql]
        asked = [peer for peer in peers if any(answers(peer, case) for _, case in chosen)]
        if not chosen:
            continue
        ours = ["SQL", "summary"] if is_sql else ["flowseek"]
        head(["ms", *ours, *(peer.name for peer in asked), "target", ""])
        for number, case in chosen:
            for peer in asked:
                check(peer, case)
            first, *theirs = medians([flowseek, *asked], number, case)
            row(cells(case, first if is_sql else first[:1], [time for (time,) in theirs], asked))
        print()


def cells(case, ours, theirs, peers):
    target = case["target"]
    if case["suite"] == "sql" and target is None:
        target = min(theirs)
    notes = ["missed"] if target and ours[0] > target else []
    notes += [f"{peer.name} is faster" for peer, time in zip(peers, theirs) if time < ours[0]]
    shown = [f"{time:.3f}" if time else "" for time in ours] + [f"{time:.3f}" for time in theirs]
    return [case["name"], *shown, f"{target:g}" if case["target"] else "the faster" if target else "", ", ".join(notes)]


def commands(flowseek):
    """Whole commands, each in a new process, their files in the cache of the system."""
    cases = {case["name"]: case for case in flowseek.cases}
    chosen = [(cases[name], target) for name, target in COMMANDS if name in cases]
    if not chosen:
        return
    program = built()
    head(["a new process, ms", "flowseek", "target", ""])
    for case, target in chosen:
        command = [program, "query", flowseek.archive["archive"], case["query"]]
        times = [timed(lambda command=command: subprocess.run(command, check=True, capture_output=True)) for _ in range(15)]
        time = statistics.median(times)
        row([case["name"], f"{time:.1f}", f"{target}", "missed" if time > target else ""])
    print()


def built():
    """The program, which is built of the same sources."""
    project = os.path.dirname(BENCHES)
    subprocess.run(["cargo", "build", "--quiet", "--locked", "--release", "--features", "cli"], cwd=project, check=True)
    target = os.environ.get("CARGO_TARGET_DIR", os.path.join(project, "target"))
    return os.path.join(target, "release", "flowseek")


def sizes(name, archive, peers):
    row([name, f"{archive['flows']}", *(f"{size / archive['flows']:.2f}" for size in [archive["bytes"], *peers])])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("words", nargs="*", help="suites or parts of the names of cases; all without")
    parser.add_argument("--real", metavar="FILE", help="flows to compare the sizes with: NDJSON, plain or compressed")
    arguments = parser.parse_args()

    flowseek = Flowseek(arguments.words)
    path = flowseek.archive["archive"] + "-peers"
    peers = [DuckDb(path), ClickHouse(path), Sqlite(path)]
    loaded(peers, flowseek.archive, path)
    compare(flowseek, peers)
    commands(flowseek)

    head(["bytes a flow", "flows", "flowseek", *(peer.name for peer in peers)])
    sizes("generated", flowseek.archive, [peer.bytes() for peer in peers])
    if arguments.real:
        # One process has one ClickHouse.
        peers[1].session.close()
        imported = flowseek.ask(os.path.abspath(arguments.real))
        path = imported["archive"] + "-peers"
        real = [DuckDb(path), ClickHouse(path), Sqlite(path)]
        loaded(real, imported, path)
        sizes(os.path.basename(arguments.real), imported, [peer.bytes() for peer in real])
    print("\nnfdump is not in the table: it reads only files of its own collector, which hold no flow IDs to check by.")


if __name__ == "__main__":
    main()
