"""flowseek and the databases beside it: how each holds the flows, and how it is asked."""

import glob
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import time

import chdb.session
import duckdb
import pyarrow
import pyarrow.parquet

THREADS = 2
BENCHES = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
ORDER = "start_time, flow_id"

# No column is nullable: granules of nullable columns are not passed over. What is absent is 0 or empty.
CLICKHOUSE_TABLE = """
CREATE TABLE flows (
    flow_id UInt64 CODEC(Delta, ZSTD), start_time DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    end_time DateTime64(3, 'UTC') CODEC(Delta, ZSTD), protocol UInt8 CODEC(ZSTD),
    src_ip FixedString(16) CODEC(ZSTD), dst_ip FixedString(16) CODEC(ZSTD),
    src_port UInt16 CODEC(ZSTD), dst_port UInt16 CODEC(ZSTD),
    src_bytes UInt64 CODEC(T64, ZSTD), dst_bytes UInt64 CODEC(T64, ZSTD), tcp_flags UInt8 CODEC(ZSTD),
    src_node LowCardinality(String), dst_node LowCardinality(String), node_id LowCardinality(String),
    activity_id LowCardinality(String),
    INDEX dst_port_range dst_port TYPE minmax GRANULARITY 1,
    INDEX dst_bytes_range dst_bytes TYPE minmax GRANULARITY 1,
    INDEX src_ip_bloom src_ip TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX dst_ip_bloom dst_ip TYPE bloom_filter(0.01) GRANULARITY 1,
    PROJECTION by_source (SELECT * ORDER BY src_ip, start_time),
    PROJECTION by_destination (SELECT * ORDER BY dst_ip, start_time)
) ENGINE = MergeTree ORDER BY (start_time, flow_id)
"""

# What is asked again is to be searched again: no system may keep answers.
CLICKHOUSE_SETTINGS = """
SET max_threads = 2, use_query_condition_cache = 0, use_query_cache = 0, use_skip_indexes_for_top_k = 1,
    use_top_k_dynamic_filtering = 1, use_skip_indexes_on_data_read = 1
"""

SQLITE_TABLE = """
CREATE TABLE flows (
    flow_id INTEGER PRIMARY KEY, start_time INTEGER, end_time INTEGER, protocol INTEGER, src_ip BLOB, dst_ip BLOB,
    src_port INTEGER, dst_port INTEGER, src_bytes INTEGER, dst_bytes INTEGER, tcp_flags INTEGER,
    src_node TEXT, dst_node TEXT, node_id TEXT, activity_id TEXT
)
"""
SQLITE_INDEXES = [
    "start_time",
    "src_ip, start_time",
    "dst_ip, start_time",
    "dst_port, start_time",
    "node_id, start_time",
    "dst_bytes, start_time",
]


def timed(run):
    start = time.perf_counter()
    run()
    return (time.perf_counter() - start) * 1e3


class Flowseek:
    """The bench program `peers`: a line in, a line out."""

    def __init__(self, words):
        command = ["cargo", "bench", "--quiet", "--locked", "--features", "cli", "--bench", "peers", "--", *words]
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
        answer = self.ask(number)
        return [answer["flowseek_ms"], answer.get("summary_ms") or 0]


class Peer:
    def time(self, _number, case):
        return [timed(lambda: self.run(case[self.key]))]


class DuckDb(Peer):
    """Its own table, sorted by start time, in a file."""

    name = "DuckDB"
    key = "duckdb"
    suites = None

    def __init__(self, path):
        self.path = path + ".duckdb"
        self.connection = None

    def load(self, files):
        for path in glob.glob(self.path + "*"):
            os.remove(path)
        self.open()
        self.connection.execute(f"CREATE TABLE flows AS SELECT * FROM read_parquet('{files}') ORDER BY {ORDER}")
        self.connection.execute("CHECKPOINT")

    def open(self):
        self.connection = duckdb.connect(self.path, config={"threads": THREADS})
        self.connection.execute("SET TimeZone = 'UTC'")

    def bytes(self):
        return os.path.getsize(self.path)

    def run(self, sql):
        return self.connection.sql(sql).to_arrow_table()

    def rows(self, sql):
        return arrow_rows(self.run(sql))


class ClickHouse(Peer):
    """A MergeTree of one part with that key, tuned for these questions."""

    name = "ClickHouse"
    key = "clickhouse"
    suites = None

    def __init__(self, path):
        self.path = path + ".clickhouse"
        self.session = None

    def load(self, files):
        shutil.rmtree(self.path, ignore_errors=True)
        self.open()
        self.session.query(CLICKHOUSE_TABLE)
        self.session.query(f"INSERT INTO flows SELECT * FROM file('{files}', Parquet)")
        self.session.query("OPTIMIZE TABLE flows FINAL")

    def open(self):
        self.session = chdb.session.Session(self.path)
        self.session.query(CLICKHOUSE_SETTINGS)

    def bytes(self):
        """Of the table alone: its projections hold every flow twice more."""
        return self.sum("parts", "bytes_on_disk") - self.sum("projection_parts", "bytes_on_disk")

    def sum(self, table, column):
        total = f"SELECT sum({column}) FROM system.{table} WHERE table = 'flows' AND active"
        return int(self.session.query(total, "TSV").data())

    def run(self, sql):
        return self.session.query(sql, "Native")

    def rows(self, sql):
        data = self.session.query(sql, "ArrowStream").bytes()
        return arrow_rows(pyarrow.ipc.open_stream(data).read_all())


class Sqlite(Peer):
    """A table with B-trees for the pages and counts."""

    name = "SQLite"
    key = "sqlite"
    # Questions that read every row take it minutes.
    suites = {"pages", "needles", "sorts", "counts"}

    def __init__(self, path):
        self.path = path + ".sqlite"
        self.connection = None

    def load(self, files):
        for path in glob.glob(self.path + "*"):
            os.remove(path)
        self.open()
        self.connection.execute("PRAGMA journal_mode = OFF")
        self.connection.execute("PRAGMA synchronous = OFF")
        self.connection.execute(SQLITE_TABLE)
        insert = f"INSERT INTO flows VALUES ({', '.join(['?'] * 15)})"
        for path in sorted(glob.glob(files)):
            for batch in pyarrow.parquet.ParquetFile(path).iter_batches(batch_size=100_000):
                self.connection.executemany(insert, zip(*(plain_column(column) for column in batch.columns)))
        for columns in SQLITE_INDEXES:
            self.connection.execute(f"CREATE INDEX by_{columns.split(',')[0]} ON flows ({columns})")
        self.connection.execute("ANALYZE")
        self.connection.commit()

    def open(self):
        self.connection = sqlite3.connect(self.path)
        # What a query needs again stays in memory.
        self.connection.execute("PRAGMA cache_size = -2000000")
        self.connection.execute("PRAGMA mmap_size = 2000000000")

    def bytes(self):
        return os.path.getsize(self.path)

    def run(self, sql):
        return self.connection.execute(sql).fetchall()

    def rows(self, sql):
        cursor = self.connection.execute(sql)
        first = "flow_id" == cursor.description[0][0]
        return [[plain(cell) for cell in (row[:1] if first else row)] for row in cursor]


def plain_column(column):
    """The values of a column as SQLite takes them: times are milliseconds."""
    if pyarrow.types.is_timestamp(column.type):
        column = column.cast(pyarrow.int64())
    return column.to_pylist()


def arrow_rows(table):
    """The rows as texts. Of whole flows only their IDs."""
    if "flow_id" in table.column_names:
        table = table.select(["flow_id"])
    columns = [[plain(cell) for cell in column.to_pylist()] for column in table.columns]
    if table.schema.field(0).type == pyarrow.uint32() and table.column_names[0] == "bucket":
        # A DateTime of ClickHouse: seconds.
        columns[0] = [f"{cell}000" for cell in columns[0]]
    return [list(row) for row in zip(*columns)]


def plain(cell):
    """A cell as text: addresses are hexadecimal digits, times milliseconds, and what is absent is empty."""
    if cell is None:
        return ""
    if isinstance(cell, bytes):
        return cell.hex() if len(cell) == 16 else cell.decode()
    if hasattr(cell, "timestamp"):
        return str(round(cell.timestamp() * 1000))
    return str(cell)
