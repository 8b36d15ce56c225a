"""Opens every published Parquet file as others do: with pyarrow, polars and DuckDB.

    python readers.py MARTS

MARTS is the folder that holds `current.json`. Prints one complaint a line and exits 1 if there are any;
otherwise says how much was read.
"""

import json
import sys
from pathlib import Path

import duckdb
import polars
import pyarrow
import pyarrow.parquet
import pyarrow.types

KEYS = ["description", "grain", "columns", "as_of", "format"]


def with_pyarrow(paths):
    return pyarrow.concat_tables(pyarrow.parquet.ParquetFile(path).read() for path in paths)


def with_polars(paths):
    return polars.read_parquet([str(path) for path in paths]).to_arrow()


def with_duckdb(paths):
    connection = duckdb.connect()
    connection.execute("set TimeZone = 'UTC'")
    files = [str(path) for path in paths]
    return connection.execute("select * from read_parquet(?)", [files]).to_arrow_table()


def polars_key_values(path):
    return polars.read_parquet_metadata(path)


def duckdb_key_values(path):
    rows = duckdb.execute("select key, value from parquet_kv_metadata(?)", [str(path)]).fetchall()
    return {key.decode(): value.decode() for key, value in rows}


def complaints_of_docs(file):
    """What is missing or wrong in a file's key-value and field metadata."""
    raw = file.metadata.metadata or {}
    values = {key.decode(): value.decode() for key, value in raw.items()}
    missing = [key for key in KEYS if not values.get(f"bazgasht.{key}")]
    if missing:
        yield f"no {', '.join(missing)} in the key-value metadata"
        return
    docs = json.loads(values["bazgasht.columns"])
    names = file.schema_arrow.names
    if set(docs) != set(names):
        yield f"docs of {sorted(set(docs) ^ set(names))} without a column, or columns without docs"
    if unknown := set(values["bazgasht.grain"].split(", ")) - set(names):
        yield f"the grain names {sorted(unknown)}, which are no columns"
    for field in file.schema_arrow:
        about = {key.decode(): value.decode() for key, value in (field.metadata or {}).items()}
        if not about.get("doc") or about != docs.get(field.name):
            yield f"{field.name}: the field says {about}, the file {docs.get(field.name)}"


def complaints_of_types(schema):
    """Types that some tool cannot read, or would read as something else."""
    if schema.names[-1] != "as_of" or not pyarrow.types.is_date32(schema.field("as_of").type):
        yield "the last column is not the date as_of"
    for field in schema:
        kind = field.type
        if pyarrow.types.is_unsigned_integer(kind) or pyarrow.types.is_nested(kind):
            yield f"{field.name} is {kind}"
        if pyarrow.types.is_timestamp(kind) and (kind.unit, kind.tz) != ("us", "UTC"):
            yield f"{field.name} is {kind}, not microseconds in UTC"


def complaints_of_readings(paths, rows):
    """Where polars or DuckDB read other values than pyarrow does from the same files."""
    expected = with_pyarrow(paths)
    if expected.num_rows != rows:
        yield f"pyarrow reads {expected.num_rows} rows, current.json says {rows}"
    for name, reader in {"polars": with_polars, "DuckDB": with_duckdb}.items():
        found = reader(paths)
        if found.num_rows != expected.num_rows:
            yield f"{name} reads {found.num_rows} rows, pyarrow {expected.num_rows}"
        elif found.column_names != expected.column_names:
            yield f"{name} reads the columns {found.column_names}"
        else:
            yield from complaints_of_values(name, found, expected)


def complaints_of_values(reader, found, expected):
    for field in expected.schema:
        ours = expected.column(field.name).combine_chunks()
        theirs = found.column(field.name).combine_chunks()
        try:
            theirs = theirs.cast(field.type)
        except pyarrow.ArrowInvalid as error:
            yield f"{reader} reads {field.name} as {theirs.type}: {error}"
            continue
        if not theirs.equals(ours):
            yield f"{reader} reads other values in {field.name} than pyarrow"


def complaints_of_file(path, record):
    file = pyarrow.parquet.ParquetFile(path)
    if path.stat().st_size != record["size_bytes"]:
        yield f"{path.stat().st_size} bytes, current.json says {record['size_bytes']}"
    yield from complaints_of_docs(file)
    yield from complaints_of_types(file.schema_arrow)
    yield from complaints_of_readings([path], record["rows"])
    as_of = set(map(str, with_pyarrow([path]).column("as_of").to_pylist()))
    if as_of - {record["as_of"]}:
        yield f"as_of is {sorted(as_of)}, current.json says {record['as_of']}"
    ours = {key.decode(): value.decode() for key, value in (file.metadata.metadata or {}).items()}
    for name, read in {"polars": polars_key_values, "DuckDB": duckdb_key_values}.items():
        values = read(path)
        if any(values.get(key) != value for key, value in ours.items() if key.startswith("bazgasht.")):
            yield f"{name} reads other docs than pyarrow"


def complaints_of_mart(marts, name, mart):
    """Complaints about each file of a mart, and about all of them read as one table."""
    paths = [marts / record["current"] for record in mart["files"]]
    for path, record in zip(paths, mart["files"]):
        for complaint in complaints_of_file(path, record):
            yield f"{record['current']}: {complaint}"
    if paths:
        schema = pyarrow.parquet.ParquetFile(paths[0]).schema_arrow
        if [column for column, _ in mart["columns"]] != schema.names:
            yield f"{name}: current.json names other columns"
        for complaint in complaints_of_readings(paths, mart["rows"]):
            yield f"{name}: {complaint}"


def main(marts):
    current = json.loads((marts / "current.json").read_text(encoding="utf-8"))
    complaints = []
    for name, mart in current["marts"].items():
        complaints.extend(complaints_of_mart(marts, name, mart))
    named = {record["current"] for mart in current["marts"].values() for record in mart["files"]}
    there = {path.relative_to(marts).as_posix() for path in (marts / "current").rglob("*") if path.is_file()}
    complaints.extend(f"{path}: not in current.json, or not there" for path in sorted(named ^ there))
    for complaint in complaints:
        print(complaint)
    if not complaints:
        print(f"{len(named)} files of {len(current['marts'])} marts")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
