//! A schema that gains, loses or retypes a column mid-history: two deliveries, end to end.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use bazgasht::error::Error;
use parquet::arrow::ArrowWriter;

use super::staging;
use crate::support::{Shop, rows};

const HEADER: &str = "order_id,customer_id,ordered_at,amount";

/// A shop of orders under the shipped staging; `more` goes into their source.
fn shop(more: &str) -> Shop {
    let sources = format!("[models]\npath = \"./sql\"\n[sources.orders]\nlocation = \"./raw\"\n{more}");
    let shop = Shop::new("timezone = \"UTC\"\ncurrency = \"GBP\"", &sources);
    for name in ["stg_orders", "stg_identities"] {
        let text = std::fs::read(staging(name)).expect("shipped staging");
        shop.write(&format!("sql/staging/{name}.sql"), text);
    }
    shop
}

/// The staged orders' values of a column, by order.
fn staged(shop: &Shop, as_of: &str, column: &str) -> Vec<String> {
    let snapshot = shop.publish(as_of);
    let files = snapshot.partitions["stg_orders"].values().map(|record| &record.file.path);
    files.flat_map(|path| rows(&shop.path(&format!("lake/{path}")))).map(|row| row[column].clone()).collect()
}

fn refused(shop: &Shop, as_of: &str) -> (i32, String) {
    let error: Error = shop.run(as_of).err().expect("refused");
    (error.exit_code(), error.to_string())
}

fn parquet(columns: Vec<(&str, ArrayRef)>) -> Vec<u8> {
    let batch = RecordBatch::try_from_iter(columns).expect("columns of one length");
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None).expect("opens");
    writer.write(&batch).expect("written");
    writer.into_inner().expect("closes")
}

fn texts(values: &[&str]) -> ArrayRef {
    Arc::new(StringArray::from(values.to_vec()))
}

#[test]
fn a_csv_gains_a_column() {
    let shop = shop("[sources.orders.columns]\nregion = '\"City\"'\n");
    shop.write("raw/1.csv", format!("{HEADER}\na,c1,2024-01-10,10\n"));
    let (code, message) = refused(&shop, "2024-02-28");
    assert_eq!(code, 2, "as long as no file has it, it may be a typo");
    assert!(message.contains("\"City\", which no object has"), "{message}");
    shop.write("raw/2.csv", format!("{HEADER},City\nb,c1,2024-02-10,20,York\n"));
    assert_eq!(staged(&shop, "2024-02-28", "region"), ["", "York"]);
}

#[test]
fn a_csv_loses_an_optional_column() {
    let shop = shop("");
    shop.write("raw/1.csv", format!("{HEADER},region\na,c1,2024-01-10,10,York\n"));
    shop.publish("2024-01-31");
    shop.write("raw/2.csv", format!("{HEADER}\nb,c1,2024-02-10,20\n"));
    assert_eq!(staged(&shop, "2024-02-28", "region"), ["York", ""]);
}

#[test]
fn a_csv_loses_a_required_column() {
    let shop = shop("");
    shop.write("raw/1.csv", format!("{HEADER}\na,c1,2024-01-10,10\n"));
    shop.publish("2024-01-31");
    let current = std::fs::read(shop.path("marts/current.json")).expect("published");
    shop.write("raw/2.csv", "order_id,customer_id,ordered_at,total\nb,c1,2024-02-10,20\n");
    let (code, message) = refused(&shop, "2024-02-28");
    assert_eq!(code, 2);
    for part in
        ["raw/2.csv", "`amount`", "it has: order_id, customer_id, ordered_at, total", "[sources.orders.columns]"]
    {
        assert!(message.contains(part), "{part} in {message}");
    }
    assert_eq!(current, std::fs::read(shop.path("marts/current.json")).expect("there still"));
}

#[test]
fn a_renamed_column_is_mapped_under_both_names() {
    let shop = shop("[sources.orders.columns]\namount = 'coalesce(\"total\", \"amount\")'\n");
    shop.write("raw/1.csv", format!("{HEADER}\na,c1,2024-01-10,10\n"));
    shop.write("raw/2.csv", "order_id,customer_id,ordered_at,total\nb,c1,2024-02-10,20\n");
    assert_eq!(staged(&shop, "2024-02-28", "amount"), ["10.0000", "20.0000"]);
    shop.write("raw/3.csv", "order_id,customer_id,ordered_at,sum\nc,c1,2024-02-11,30\n");
    let (code, message) = refused(&shop, "2024-02-28");
    assert_eq!(code, 2);
    assert!(message.contains("\"amount\", \"total\""), "{message}");
}

#[test]
fn ndjson_gains_loses_and_retypes() {
    let shop = shop("");
    let order = |id: &str, day: &str, rest: &str| {
        format!(r#"{{"order_id":{id},"customer_id":"c1","ordered_at":"{day}",{rest}}}"#) + "\n"
    };
    shop.write("raw/1.ndjson", order("1", "2024-01-10", r#""amount":10"#));
    shop.publish("2024-01-31");
    // The id becomes text, the amount too; a column comes.
    shop.write(
        "raw/2.ndjson",
        order("\"1\"", "2024-01-10", r#""amount":"11.50","region":"York","updated_at":"2024-01-11""#),
    );
    assert_eq!(staged(&shop, "2024-01-31", "amount"), ["11.5000"], "1 and \"1\" are one order");
    assert_eq!(staged(&shop, "2024-01-31", "region"), ["York"]);
    // JSON leaves out what has no value, so a lost column is rows without it.
    shop.write("raw/3.ndjson", order("3", "2024-02-10", r#""total":10"#));
    let (code, message) = refused(&shop, "2024-02-28");
    assert_eq!(code, 1);
    assert!(message.contains("missing_required: 1 rows"), "{message}");
}

#[test]
fn parquet_retypes_from_numbers_to_text() {
    let shop = shop("");
    let numbers = |values: Vec<i64>| -> ArrayRef { Arc::new(Int64Array::from(values)) };
    shop.write(
        "raw/1.parquet",
        parquet(vec![
            ("order_id", numbers(vec![1])),
            ("customer_id", numbers(vec![17850])),
            ("ordered_at", texts(&["2024-01-10"])),
            ("amount", numbers(vec![10])),
        ]),
    );
    shop.publish("2024-01-31");
    shop.write(
        "raw/2.parquet",
        parquet(vec![
            ("order_id", texts(&["1", "2"])),
            ("customer_id", texts(&["17850", "17850"])),
            ("ordered_at", texts(&["2024-01-10", "2024-01-11"])),
            ("amount", texts(&["10.50", "20.25"])),
        ]),
    );
    assert_eq!(staged(&shop, "2024-01-31", "customer_id"), ["17850", "17850"], "the same customer");
    assert_eq!(staged(&shop, "2024-01-31", "amount"), ["10.5000", "20.2500"], "the newer delivery of order 1");
}

#[test]
fn parquet_retypes_ids_to_floats() {
    let shop = shop("");
    let floats: ArrayRef = Arc::new(Float64Array::from(vec![Some(17850.0)]));
    shop.write(
        "raw/1.parquet",
        parquet(vec![
            ("order_id", texts(&["1"])),
            ("customer_id", floats),
            ("ordered_at", texts(&["2024-01-10"])),
            ("amount", texts(&["10"])),
        ]),
    );
    assert_eq!(staged(&shop, "2024-01-31", "customer_id"), ["17850.0"]);
    let told = shop.mart("data_quality");
    assert!(told.iter().any(|row| row["measure"] == "warning:customer_id was a number, such as 17850.0"), "{told:?}");
}

#[test]
fn parquet_loses_a_required_column_or_retypes_it_beyond_repair() {
    let shop = shop("");
    let base = || vec![("order_id", texts(&["1"])), ("customer_id", texts(&["c1"]))];
    let at = || ("ordered_at", texts(&["2024-01-10"]));
    shop.write("raw/1.parquet", parquet(base().into_iter().chain([at(), ("amount", texts(&["10"]))]).collect()));
    shop.publish("2024-01-31");
    shop.write("raw/2.parquet", parquet(base().into_iter().chain([at()]).collect()));
    let (code, message) = refused(&shop, "2024-01-31");
    assert_eq!(code, 2);
    assert!(message.contains("raw/2.parquet") && message.contains("`amount`"), "{message}");
    let epoch: ArrayRef = Arc::new(Int64Array::from(vec![1_704_880_800]));
    shop.write(
        "raw/2.parquet",
        parquet(base().into_iter().chain([("ordered_at", epoch), ("amount", texts(&["10"]))]).collect()),
    );
    let (code, message) = refused(&shop, "2024-01-31");
    assert_eq!(code, 2);
    assert!(message.contains("raw/2.parquet") && message.contains("epoch_seconds"), "{message}");
}
