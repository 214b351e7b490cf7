"""Reads expositions with the reference parsers, one after the other: a line with the format and the number of bytes, then the text.
Prints for each a line of JSON: its series, or why it is no exposition."""

import json
import sys

from prometheus_client import parser
from prometheus_client.openmetrics import parser as openmetrics_parser

PARSERS = {
    "text": parser.text_string_to_metric_families,
    "openmetrics": openmetrics_parser.text_string_to_metric_families,
}

while head := sys.stdin.buffer.readline():
    kind, length = head.split()
    text = sys.stdin.buffer.read(int(length)).decode()
    try:
        families = list(PARSERS[kind.decode()](text))
        answer = [[sample.name, sample.labels] for family in families for sample in family.samples]
    except Exception as error:  # whatever it is, the other end shows it
        answer = f"{type(error).__name__}: {error}"
    print(json.dumps(answer), flush=True)
