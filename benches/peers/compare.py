#!/usr/bin/env python3
"""The same questions to flowseek, DuckDB and ClickHouse, in turn, over the same flows; prints a Markdown table.

Each answers from its own storage: flowseek from the archive, DuckDB and ClickHouse (chdb) from a table that is loaded
from the archive's Parquet files and kept beside it. All have two threads, are warm, and live in processes that run
all the while; each answer is checked before it is timed. See README.md.
"""

import argparse
import glob
import json
import os
import shutil
import statistics
import subprocess
import sys
import time

import chdb.session
import duckdb
import pyarrow

THREADS = 2
RUNS = 3
BENCHES = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
ORDER = "start_time, flow_id"

CLICKHOUSE_TABLE = """
CREATE TABLE flows (
    flow_id UInt64, start_time DateTime64(3, 'UTC'), end_time Nullable(DateTime64(3, 'UTC')), protocol UInt8,
    src_ip Nullable(FixedString(16)), dst_ip Nullable(FixedString(16)),
    src_port Nullable(UInt16), dst_port Nullable(UInt16), src_bytes Nullable(UInt64), dst_bytes Nullable(UInt64),
    tcp_flags Nullable(UInt8),
    src_node LowCardinality(Nullable(String)), dst_node LowCardinality(Nullable(String)),
    node_id LowCardinality(Nullable(String)), activity_id LowCardinality(Nullable(String)),
    INDEX src_ip_bloom src_ip TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX dst_ip_bloom dst_ip TYPE bloom_filter(0.01) GRANULARITY 1
) ENGINE = MergeTree ORDER BY (start_time, flow_id)
"""


class Flowseek:
    """The bench program `peers`: a line in, a line out."""

    def __init__(self, words):
        command = ["cargo", "bench", "--quiet", "--features", "sql", "--bench", "peers", "--", *words]
        self.process = subprocess.Popen(
            command, cwd=os.path.dirname(BENCHES), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.archive = self.read()
        self.cases = list(iter(self.read, {}))

    def read(self):
        line = self.process.stdout.readline()
        if not line:
            sys.exit("flowseek's program has ended: see what it wrote above")
        return json.loads(line)

    def ask(self, line):
        print(line, file=self.process.stdin, flush=True)
        return self.read()

    def time(self, number, _case):
        return self.ask(number)["flowseek_ms"]


class DuckDb:
    name = "DuckDB"
    key = "duckdb"

    def __init__(self, path):
        self.path = path + ".duckdb"
        self.connection = None

    def load(self, data):
        for path in glob.glob(self.path + "*"):
            os.remove(path)
        self.open()
        self.connection.execute(f"CREATE TABLE flows AS SELECT * FROM read_parquet('{data}') ORDER BY {ORDER}")
        self.connection.execute("CHECKPOINT")

    def open(self):
        self.connection = duckdb.connect(self.path, config={"threads": THREADS})

    def bytes(self):
        return os.path.getsize(self.path)

    def answer(self, sql):
        return self.connection.sql(sql).to_arrow_table()

    def time(self, _number, case):
        return timed(lambda: self.connection.sql(case[self.key]).to_arrow_table())


class ClickHouse:
    name = "ClickHouse"
    key = "clickhouse"

    def __init__(self, path):
        self.path = path + ".clickhouse"
        self.session = None

    def load(self, data):
        shutil.rmtree(self.path, ignore_errors=True)
        self.open()
        self.session.query(CLICKHOUSE_TABLE)
        self.session.query(f"INSERT INTO flows SELECT * FROM file('{data}', Parquet)")
        self.session.query("OPTIMIZE TABLE flows FINAL")

    def open(self):
        self.session = chdb.session.Session(self.path)
        self.session.query(f"SET max_threads = {THREADS}")
        # What is asked again is to be searched again: no system may keep answers.
        self.session.query("SET use_query_condition_cache = 0, use_query_cache = 0")

    def bytes(self):
        total = "SELECT sum(bytes_on_disk) FROM system.parts WHERE table = 'flows' AND active"
        return int(self.session.query(total, "TSV").data())

    def answer(self, sql):
        data = self.session.query(sql, "ArrowStream").bytes()
        return pyarrow.ipc.open_stream(data).read_all()

    def time(self, _number, case):
        return timed(lambda: self.session.query(case[self.key], "Native"))


def timed(run):
    start = time.perf_counter()
    run()
    return (time.perf_counter() - start) * 1e3


def loaded(peers, archive, path):
    """Loads the archive's flows, unless they were loaded before."""
    marker = path + ".loaded"
    contents = f"{archive['format']} {archive['flows']}\n{CLICKHOUSE_TABLE}"
    if os.path.exists(marker) and open(marker, encoding="utf-8").read() == contents:
        for peer in peers:
            peer.open()
        return
    for peer in peers:
        took = timed(lambda peer=peer: peer.load(os.path.join(archive["archive"], "data", "*.parquet")))
        print(f"{peer.name} has loaded {archive['flows']} flows in {took / 1e3:.0f} s", file=sys.stderr)
    with open(marker, "w", encoding="utf-8") as file:
        file.write(contents)


def check(peer, case):
    table = peer.answer(case[peer.key])
    column = table.column("flow_id" if "flow_id" in table.column_names else 0)
    if column.to_pylist() != case["answer"]:
        sys.exit(f"{peer.name} answers {case['name']} otherwise than flowseek:\n{case[peer.key]}")


def medians(systems, number, case):
    """The medians of all in turn: the machine's speed drifts, their ratio does not.

    A turn is some runs, of which the last counts: the others have used the processor's caches meanwhile.
    """
    first = [turn(system, number, case) for system in systems]
    wanted = [15 if once < 50 else 5 if once < 500 else 3 for once in first]
    samples = [[] for _ in systems]
    for run in range(max(wanted)):
        for system, times, most in zip(systems, samples, wanted):
            if run < most:
                times.append(turn(system, number, case))
    return [statistics.median(times) for times in samples]


def turn(system, number, case):
    return [system.time(number, case) for _ in range(RUNS)][-1]


def row(cells):
    print("| " + " | ".join(cells) + " |", flush=True)


def compare(flowseek, peers):
    row(["query", "flowseek ms", *(f"{peer.name} ms" for peer in peers), "ratio", "target"])
    row(["---"] + ["---:"] * (len(peers) + 3))
    for number, case in enumerate(flowseek.cases):
        for peer in peers:
            check(peer, case)
        ours, *theirs = medians([flowseek, *peers], number, case)
        ratio, target = min(theirs) / ours, case["target"]
        missed = " (missed)" if target and ratio < target else ""
        times = [f"{ours:.3f}", *(f"{their:.1f}" for their in theirs)]
        row([case["name"], *times, f"{ratio:.1f}", f"{target:g}{missed}" if target else ""])


def sizes(name, archive, peers):
    cells = [f"{peer.bytes() / archive['flows']:.2f}" for peer in peers]
    row([name, f"{archive['flows']}", f"{archive['bytes'] / archive['flows']:.2f}", *cells])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("words", nargs="*", help="suites or parts of the names of cases; all without")
    parser.add_argument("--real", metavar="FILE", help="flows to compare the sizes with: NDJSON, plain or compressed")
    arguments = parser.parse_args()

    flowseek = Flowseek(arguments.words)
    path = flowseek.archive["archive"] + "-peers"
    peers = [DuckDb(path), ClickHouse(path)]
    loaded(peers, flowseek.archive, path)
    compare(flowseek, peers)

    print()
    row(["bytes a flow", "flows", "flowseek", *(peer.name for peer in peers)])
    row(["---"] + ["---:"] * (len(peers) + 2))
    sizes("generated", flowseek.archive, peers)
    if arguments.real:
        # One process has one ClickHouse.
        peers[1].session.close()
        imported = flowseek.ask(os.path.abspath(arguments.real))
        real = [DuckDb(imported["archive"] + "-peers"), ClickHouse(imported["archive"] + "-peers")]
        loaded(real, imported, imported["archive"] + "-peers")
        sizes(os.path.basename(arguments.real), imported, real)
    print("\nnfdump is not in the table: it reads only files of its own collector, which hold no flow IDs to check by.")


if __name__ == "__main__":
    main()
