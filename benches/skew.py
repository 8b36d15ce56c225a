#!/usr/bin/env python3
"""Writes a shop's logs in which one customer owns a share of all orders and interactions, and a config beside them.

usage: skew.py FOLDER ROWS MEMORY_LIMIT ONE_IN

ONE_IN = 3 is a third of all rows; 0 is none, to compare with.

Orders and interactions have so many rows each, over two years, in one file a month.
"""

import gzip
import sys
from pathlib import Path

CONFIG = """[project]
timezone = "UTC"
currency = "EUR"
[storage]
lake = "./lake"
marts = "./marts"
scratch = "./scratch"
[engine]
memory_limit = "{memory}"
[sources.orders]
location = "./raw/orders"
[sources.interactions]
location = "./raw/interactions"
"""
KINDS = ["page_view", "login", "message_sent", "message_opened", "ticket_opened", "ticket_resolved", "survey_nps"]


def order(number, customer, at):
    return f'{{"order_id":"o{number}","customer_id":"{customer}","ordered_at":"{at}","amount":{number % 977},"channel":"web"}}\n'


def interaction(number, customer, at):
    kind = KINDS[number % len(KINDS)]
    return f'{{"event_id":"e{number}","customer_id":"{customer}","occurred_at":"{at}","kind":"{kind}","score":{number % 11},"channel":"email","subject_id":"s{number // 7}"}}\n'


def main():
    folder, rows, memory, one_in = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
    (folder / "scratch").mkdir(parents=True)
    (folder / "bazgasht.toml").write_text(CONFIG.format(memory=memory))
    for source, line in [("orders", order), ("interactions", interaction)]:
        (folder / "raw" / source).mkdir(parents=True)
        for month in range(24):
            year, in_year = 2024 + month // 12, 1 + month % 12
            with gzip.open(folder / f"raw/{source}/{year}-{in_year:02}.ndjson.gz", "wt", compresslevel=1) as out:
                for number in range(month * rows // 24, (month + 1) * rows // 24):
                    # Some are the marketplace's; the rest are of many customers with a few rows each.
                    customer = "marketplace" if one_in and number % one_in == 0 else f"c{number * 7919 % (rows // 8 + 1)}"
                    at = f"{year}-{in_year:02}-{1 + number % 28:02}T{number % 24:02}:{number % 60:02}:00Z"
                    out.write(line(number, customer, at))


if __name__ == "__main__":
    main()
