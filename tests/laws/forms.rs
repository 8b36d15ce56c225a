//! The same orders give the same rows, however they are written.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Arc;

use arrow::array::{ArrayRef, Decimal128Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow_avro::compression::CompressionCodec;
use arrow_avro::writer::WriterBuilder;
use arrow_avro::writer::format::AvroOcfFormat;
use parquet::arrow::ArrowWriter;

use super::shop_of;
use crate::support::{Shop, rows};

/// An orders source that may say how it is written.
fn shop_with(keys: &str) -> Shop {
    shop_of(&format!("[sources.orders]\nlocation = \"./raw\"\n{keys}"))
}

/// The extracted rows of the one object, without their lines.
fn extracted(shop: &Shop) -> Vec<BTreeMap<String, String>> {
    let snapshot = shop.publish("2024-01-31");
    let extract = snapshot.sources["orders"].extracts.values().next().expect("one extract");
    assert_eq!((extract.read, extract.rejected.len()), (2, 0));
    let files = extract.rows.values().map(|file| rows(&shop.path(&format!("lake/{}", file.path))));
    let strip = |mut row: BTreeMap<String, String>| {
        row.remove("line");
        row
    };
    files.flatten().map(strip).collect()
}

const PLAIN: &str = "order_id,customer_id,ordered_at,amount,status\n\
                     007,17850.0,2024-01-10T12:00:00Z,1234.5,پرداخت شد\n\
                     99999999999999999999,c2,2024-01-31T12:00:00Z,20,\n";

fn bzip2(content: &[u8]) -> Vec<u8> {
    let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::default());
    encoder.write_all(content).expect("writes to memory");
    encoder.finish().expect("writes to memory")
}

fn xz(content: &[u8]) -> Vec<u8> {
    let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 1);
    encoder.write_all(content).expect("writes to memory");
    encoder.finish().expect("writes to memory")
}

fn typed(ordered_at: ArrayRef, amount: ArrayRef) -> RecordBatch {
    let text = |values: [Option<&str>; 2]| Arc::new(StringArray::from_iter(values)) as ArrayRef;
    RecordBatch::try_from_iter_with_nullable([
        ("order_id", text([Some("007"), Some("99999999999999999999")]), true),
        ("customer_id", text([Some("17850.0"), Some("c2")]), true),
        ("ordered_at", ordered_at, true),
        ("amount", amount, true),
        ("status", text([Some("پرداخت شد"), None]), true),
    ])
    .expect("fits")
}

const SECONDS: [i64; 2] = [1_704_888_000, 1_706_702_400];

fn avro() -> Vec<u8> {
    let at = TimestampMicrosecondArray::from_iter_values(SECONDS.map(|s| s * 1_000_000)).with_timezone("+00:00");
    let amount = Decimal128Array::from_iter_values([12_345_000, 200_000]).with_precision_and_scale(18, 4);
    let batch = typed(Arc::new(at), Arc::new(amount.expect("fits")));
    let writer = WriterBuilder::new(batch.schema().as_ref().clone()).with_compression(Some(CompressionCodec::Snappy));
    let mut writer = writer.build::<_, AvroOcfFormat>(Vec::new()).expect("opens");
    writer.write(&batch).expect("writes");
    writer.finish().expect("finishes");
    writer.into_inner()
}

fn parquet() -> Vec<u8> {
    let at = Int64Array::from_iter_values(SECONDS);
    let batch = typed(Arc::new(at), Arc::new(StringArray::from(vec!["1.234,5", "۲۰"])));
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None).expect("opens");
    writer.write(&batch).expect("writes");
    writer.into_inner().expect("closes")
}

#[test]
fn the_same_orders_in_every_form_give_the_same_rows() {
    let plain = shop_with("");
    plain.write("raw/a.csv", PLAIN);
    let expected = extracted(&plain);
    assert_eq!((expected[0]["order_id"].as_str(), expected[0]["customer_id"].as_str()), ("007", "17850.0"));
    assert_eq!((expected[0]["amount"].as_str(), expected[0]["day"].as_str()), ("1234.5000", "2024-01-10"));

    let utf16 = ("\u{feff}".to_owned() + PLAIN).encode_utf16().flat_map(u16::to_le_bytes).collect();
    let german = "order_id;customer_id;ordered_at;amount;status\r\n\
                  007;17850.0;10/01/2024 12:00;1.234,5;پرداخت شد\r\n\
                  99999999999999999999;c2;31/01/2024 12:00;20,0;\r\n";
    let array = format!(
        "[\n  {{\n    \"order_id\": \"007\",\n    \"customer_id\": 17850.0,\n    \"ordered_at\": {0}000,\n    \"amount\": 1234.5,\n    \
         \"status\": \"پرداخت شد\"\n  }},\n  {{\"order_id\": 99999999999999999999, \"customer_id\": \"c2\", \
         \"ordered_at\": {1}000, \"amount\": \"20\"}}\n]\n",
        SECONDS[0], SECONDS[1]
    );
    let jalali = PLAIN.replace("2024-01-10T12:00:00Z", "۱۴۰۲/۱۰/۲۰ ۱۲:۰۰").replace("2024-01-31T", "1402/11/11 ");
    let numbers = "decimal = \",\"\nthousands = \".\"\n";
    let windows =
        "encoding = \"windows-1256\"\ndelimiter = \";\"\n[sources.orders.dates]\nordered_at = \"%d/%m/%Y %H:%M\"";
    let forms: [(&str, String, Vec<u8>); 6] = [
        ("a.csv", String::new(), utf16),
        ("a.csv.bz2", format!("{numbers}{windows}"), bzip2(&encoding_rs::WINDOWS_1256.encode(german).0)),
        (
            "a.json.xz",
            "[sources.orders.dates]\nordered_at = [\"jalali\", \"epoch_millis\"]".into(),
            xz(array.as_bytes()),
        ),
        ("a.csv", String::new(), avro()),
        ("a.ndjson", format!("{numbers}[sources.orders.dates]\nordered_at = \"epoch_seconds\""), parquet()),
        ("a.csv", "[sources.orders.dates]\nordered_at = \"jalali\"".into(), jalali.replace(":00Z", "").into_bytes()),
    ];
    for (name, keys, content) in forms {
        let shop = shop_with(&keys);
        shop.write(&format!("raw/{name}"), content);
        assert_eq!(extracted(&shop), expected, "{name} {keys}");
    }
}

#[test]
fn json_numbers_keep_their_point_whatever_the_source_says_of_numbers() {
    let shop = shop_with("decimal = \",\"\nthousands = \".\"");
    let order = |id: &str| {
        format!(r#"{{"order_id":"{id}","customer_id":"c","ordered_at":"2024-01-10T12:00:00Z","amount":1.234}}"#)
    };
    shop.write("raw/a.ndjson", format!("{}\n{}\n", order("a"), order("b")));
    assert_eq!(extracted(&shop)[0]["amount"], "1.2340");
}

#[test]
fn content_that_contradicts_a_stated_format_is_an_unreadable_file() {
    let shop = shop_with("format = \"csv\"");
    shop.write("raw/a.csv", avro());
    let error = shop.run("2024-01-31").err().expect("refused");
    assert_eq!(error.exit_code(), 1);
    assert!(error.to_string().contains("a.csv"), "{error}");
}

#[test]
fn another_format_of_dates_is_another_decoding() {
    let shop = shop_with("[sources.orders.dates]\nordered_at = \"%d/%m/%Y\"");
    shop.write("raw/a.csv", "order_id,customer_id,ordered_at,amount\na,c,02/01/2024,1\nb,c,03/01/2024,1\n");
    assert_eq!(extracted(&shop)[0]["day"], "2024-01-02");
    let toml = shop.toml.replace("%d/%m/%Y", "%m/%d/%Y");
    let mended = Shop { toml, ..shop };
    let snapshot = mended.publish("2024-03-31");
    assert_eq!(snapshot.sources["orders"].extracts.values().next().map(|extract| extract.rows.len()), Some(2));
}
