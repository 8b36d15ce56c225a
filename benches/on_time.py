#!/usr/bin/env python3
"""Copies one day's files without what tells of an earlier month.

usage: on_time.py MONTH FROM TO

FROM and TO hold `<source>/dt=…/*.ndjson.gz` as `bazgasht generate` writes them; MONTH is such as 2025-12.
Left out are orders and interactions of other months (they came late, or were completed, refunded or moved
later), the lines of such orders, and broken lines. A night with what is left touches the open month, and the month
before where a subscription that was ending then has been renewed, followed or cancelled.
"""

import gzip
import json
import sys
from pathlib import Path


def rows(path):
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            try:
                yield json.loads(line), line
            except ValueError:
                pass


def copy(path, source_dir, target_dir, keeps):
    target = target_dir / path.relative_to(source_dir)
    target.parent.mkdir(parents=True, exist_ok=True)
    kept = "".join(line for row, line in rows(path) if keeps(row))
    target.write_bytes(gzip.compress(kept.encode(), mtime=0))


def main():
    month, source_dir, target_dir = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])

    def files(source):
        return sorted((source_dir / source).glob("dt=*/*.ndjson.gz"))

    def in_month(row, column):
        return row.get(column, "").startswith(month)

    orders = {row["order_id"] for path in files("orders") for row, _ in rows(path) if in_month(row, "ordered_at")}
    keeps = {
        "orders": lambda row: in_month(row, "ordered_at"),
        "order_items": lambda row: row.get("order_id") in orders,
        "interactions": lambda row: in_month(row, "occurred_at"),
    }
    keeps |= {source: lambda row: True for source in ("customers", "products", "campaigns", "subscriptions", "identities")}
    for source, keep in keeps.items():
        for path in files(source):
            copy(path, source_dir, target_dir, keep)


if __name__ == "__main__":
    main()
