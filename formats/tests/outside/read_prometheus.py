"""Reads a scrape with the Python client's parser and prints every sample as a line of JSON.

usage: read_prometheus.py text|openmetrics < scrape
"""

import importlib
import json
import sys

PARSERS = {"text": "prometheus_client.parser", "openmetrics": "prometheus_client.openmetrics.parser"}

parser = importlib.import_module(PARSERS[sys.argv[1]])
scrape = sys.stdin.buffer.read().decode()
for family in parser.text_string_to_metric_families(scrape):
    for sample in family.samples:
        print(json.dumps({"name": sample.name, "labels": sample.labels, "value": sample.value}))
