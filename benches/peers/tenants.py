#!/usr/bin/env python3
"""The pages of `tenants`, by DuckDB: right after the benchmark has run, over the flows of its archive.

    cargo bench --features sql --bench tenants
    benches/peers/tenants.py target/tmp/tenants-11400000-16

DuckDB has its own table in a file, sorted by the start time, as flows come in; and another, sorted by the node's ID first, so that the flows
of a tenant lie together, as they do only where all flows are there before. It has two threads. A page is asked for by a new
connection (cold, but for the cache of the system), once more, and by 8 connections at once.
"""

import os
import statistics
import sys
import threading
import time

import duckdb

THREADS, TENANTS, RUNS = 2, 50, 5
ORDERS = {
    "newest": "start_time DESC, flow_id DESC",
    "destBytes:desc": "dst_bytes DESC NULLS LAST, start_time DESC, flow_id DESC",
    "sourceIP:desc": "src_ip DESC NULLS LAST, start_time DESC, flow_id DESC",
    "destPort:desc": "dst_port DESC NULLS LAST, start_time DESC, flow_id DESC",
}


def timed(run):
    """How long it takes, in milliseconds."""
    begun = time.perf_counter()
    run()
    return (time.perf_counter() - begun) * 1e3


def page(tenant, order):
    nodes = ", ".join(f"'tenant-{tenant}/{node}'" for node in range(10))
    return f"SELECT * FROM flows WHERE node_id IN ({nodes}) ORDER BY {order} LIMIT 1000"


def main():
    archive = sys.argv[1]
    for table in ["start_time, flow_id", "node_id, start_time"]:
        print(f"sorted by {table}")
        pages_of(archive, table)


def pages_of(archive, table):
    path = f"{archive.rstrip('/')}-{table.split(',')[0]}.duckdb"
    if not os.path.exists(path):
        with duckdb.connect(path, config={"threads": THREADS}) as connection:
            files = os.path.join(archive, "data", "*.parquet")
            connection.execute(f"CREATE TABLE flows AS SELECT * FROM read_parquet('{files}') ORDER BY {table}")

    def opened():
        return duckdb.connect(path, read_only=True, config={"threads": THREADS})

    def asked(connection, tenant, order):
        assert connection.sql(page(tenant, order)).to_arrow_table().num_rows == 1000

    print(f"{'':28} {'cold':>10} {'warm':>10} {'8 at once':>16}   ms")
    for name, order in ORDERS.items():
        cold = []
        for tenant in range(RUNS):
            with opened() as connection:
                cold.append(timed(lambda: asked(connection, tenant, order)))
        with opened() as connection:
            asked(connection, 7, order)
            warm = [timed(lambda: asked(connection, 7, order)) for _ in range(RUNS)]
            cursors = [connection.cursor() for _ in range(8)]

            def together():
                threads = [
                    threading.Thread(target=asked, args=(cursor, number * 6 % TENANTS, order))
                    for number, cursor in enumerate(cursors)
                ]
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join()

            eight = timed(together)
        print(f"{name:28} {statistics.median(cold):>10.1f} {statistics.median(warm):>10.1f} {eight:>16.1f}")


main()
