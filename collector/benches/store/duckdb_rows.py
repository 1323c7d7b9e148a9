"""Profiles as rows in DuckDB: stacks once, and samples that refer to them. Told what to do by lines of JSON, and tells what it cost."""

import json
import sys
import time

import duckdb

database = duckdb.connect(sys.argv[1])
database.execute("CREATE TABLE stacks (stack UBIGINT, frames VARCHAR)")
database.execute("CREATE TABLE samples (service VARCHAR, time TIMESTAMP_S, stack UBIGINT, value BIGINT)")

MERGE = """
SELECT sum(value), count(*), sum(length(frames)) FROM (
    SELECT stack, sum(value) AS value FROM samples
    WHERE (service = $service OR $service = '') AND time >= make_timestamp($first::BIGINT * 1000000) AND time < make_timestamp($until::BIGINT * 1000000)
    GROUP BY stack
) JOIN stacks USING (stack)
"""


def ingest(request):
    for stacks, samples in request["files"]:
        # As durable as a batch of ours: a transaction for what came at the same time.
        database.execute("BEGIN")
        database.execute(f"INSERT INTO stacks SELECT * FROM read_csv('{stacks}', header = false, auto_detect = false, delim = ',', columns = "
                         "{'stack': 'UBIGINT', 'frames': 'VARCHAR'})")
        database.execute("INSERT INTO samples SELECT service, make_timestamp(time * 1000000), stack, value FROM "
                         f"read_csv('{samples}', header = false, auto_detect = false, delim = ',', columns = "
                         "{'service': 'VARCHAR', 'time': 'BIGINT', 'stack': 'UBIGINT', 'value': 'BIGINT'})")
        database.execute("COMMIT")
    database.execute("CHECKPOINT")
    return {}


def merge(request):
    asked = {key: request[key] for key in ("service", "first", "until")}
    total, stacks, _ = database.execute(MERGE, asked).fetchone()
    return {"total": int(total), "stacks": stacks}


for line in sys.stdin:
    request = json.loads(line)
    cpu, wall = time.process_time(), time.perf_counter()
    answer = {"ingest": ingest, "merge": merge}[request["do"]](request)
    answer["cpu_s"], answer["wall_s"] = time.process_time() - cpu, time.perf_counter() - wall
    answer["version"] = duckdb.__version__
    print(json.dumps(answer), flush=True)
