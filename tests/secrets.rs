//! Secrets reach nothing that is written: not a terminal, a log, the lake or the marts, whatever the outcome.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;

use assert_cmd::Command;

use crate::support::{rows, tree};

/// The values, each with a part that any cut or escaped form of it would still have.
const SECRET_KEY: &str = "Planted-Secret/with+odd=chars\\\"x";
const SALT: &str = "Planted-Salt-of-the-mapping";
const PII_KEY: &str = "Planted-Key-for-pseudonyms";
const TOKEN: &str = "Planted-Session-Token-0123456789";
const PLANTED: &str = "Planted";

const VARIABLES: [(&str, &str); 4] = [
    ("SHOP_SECRET", SECRET_KEY),
    ("SHOP_SALT", SALT),
    ("BAZGASHT_PII_KEY", PII_KEY),
    // What the store's own client reads from the environment.
    ("AWS_SESSION_TOKEN", TOKEN),
];

const MART: &str = "/*---\ndescription = \"One row per order.\"\ngrain = [\"order_id\"]\n[columns]\n\
    order_id = { type = \"text\", doc = \"The order.\" }\n---*/\nselect order_id from stg_orders order by order_id\n";

fn config(port: u16) -> String {
    format!(
        r#"[project]
timezone = "Europe/London"
currency = "GBP"
pii = "pseudonymise"
pii_key = "${{BAZGASHT_PII_KEY}}"
[storage]
lake = "./lake"
marts = "./marts"
[storage.options]
aws_endpoint = "http://Planted-User:Planted-Password@127.0.0.1:{port}"
aws_allow_http = true
aws_region = "us-east-1"
aws_access_key_id = "Planted-Key-Id"
aws_secret_access_key = "${{SHOP_SECRET}}"
[models]
path = "./sql"
[sources.orders]
location = "./raw"
max_rejected = 1.0
[sources.orders.options]
aws_secret_access_key = "Planted-in-the-file-itself"
aws_session_token = "Planted-Session-Token-in-the-file"
aws_endpoint = "http://127.0.0.1:{port}"
aws_allow_http = true
aws_region = "us-east-1"
aws_access_key_id = "Planted-Key-Id"
[sources.orders.columns]
customer_id = "md5(customer_id || '${{SHOP_SALT}}')"
"#
    )
}

/// A store that answers every request with a refusal that quotes all of it, headers and all.
fn refusing_store() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { continue };
            std::thread::spawn(move || {
                let mut request = Vec::new();
                let mut chunk = [0; 4096];
                while let Ok(read) = stream.read(&mut chunk) {
                    request.extend_from_slice(&chunk[..read]);
                    if read == 0 || request.windows(4).any(|end| end == b"\r\n\r\n") {
                        break;
                    }
                }
                let head =
                    format!("HTTP/1.1 403 Forbidden\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", request.len());
                let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&request));
            });
        }
    });
    port
}

struct Shop {
    dir: tempfile::TempDir,
}

impl Shop {
    fn new(toml: &str) -> Self {
        let shop = Shop { dir: tempfile::tempdir().expect("a folder") };
        for name in ["stg_identities", "stg_orders"] {
            let staging = format!("sql/staging/{name}.sql");
            let text = std::fs::read_to_string(format!("{}/{staging}", env!("CARGO_MANIFEST_DIR")));
            shop.write(&staging, &text.expect("shipped staging"));
        }
        shop.write("sql/marts/all_orders.sql", MART);
        shop.write("raw/a.csv", "order_id,customer_id,ordered_at,amount\na,c1,2024-01-10,1\nb,c1,someday,1\n");
        shop.write("bazgasht.toml", toml);
        shop
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.dir.path().join(path);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("created");
        std::fs::write(path, text).expect("written");
    }

    /// The exit code and all that was printed, which holds nothing that was planted.
    fn tells_none(&self, args: &[&str], log: &str, log_format: &str) -> (i32, String) {
        let (code, said) = self.says(args, log, log_format);
        assert_hidden(&format!("{args:?} with {log} as {log_format}"), &said);
        (code, said)
    }

    fn says(&self, args: &[&str], log: &str, log_format: &str) -> (i32, String) {
        let mut command = Command::new(assert_cmd::cargo::cargo_bin!("bazgasht"));
        let command = command.current_dir(self.dir.path()).env_remove("BAZGASHT_CONFIG").env("NO_COLOR", "1");
        let command = command
            .envs(VARIABLES)
            .env("BAZGASHT_LOG", log)
            .env("BAZGASHT_LOG_FORMAT", log_format)
            .env("RUST_BACKTRACE", "1");
        let output = command.args(args).output().expect("it ran");
        let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
        (output.status.code().unwrap_or(-1), said)
    }
}

fn assert_hidden(what: &str, text: &str) {
    if let Some(at) = text.find(PLANTED) {
        let from = text.floor_char_boundary(at.saturating_sub(300));
        panic!("{what} tells a secret: …{}…", &text[from..text.floor_char_boundary(at + 120)]);
    }
}

fn assert_folder_hides(dir: &Path) {
    let files = tree(dir);
    assert!(!files.is_empty());
    for (path, bytes) in files {
        let mut text = format!("{path} {}", String::from_utf8_lossy(&bytes));
        if path.ends_with(".parquet") {
            let metadata =
                parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(bytes));
            text += &format!("{:?}", metadata.expect("Parquet").metadata());
            text += &rows(&dir.join(&path)).iter().map(|row| format!("{row:?}")).collect::<String>();
        }
        assert_hidden(&path, &text);
    }
}

#[test]
fn a_night_that_succeeds_tells_none() {
    let shop = Shop::new(&config(refusing_store()));
    let outcomes: [(&[&str], i32); 11] = [
        (&["check"], 0),
        (&["plan", "--json", "--as-of", "2024-01-31"], 0),
        (&["run", "--as-of", "2024-01-31"], 0),
        (&["run", "--as-of", "2024-02-01", "--rebuild"], 0),
        (&["plan"], 0),
        (&["runs", "--json"], 0),
        (&["rejects"], 0),
        (&["rejects", "--json"], 0),
        (&["show", "stg_orders"], 0),
        (&["rollback", "1"], 0),
        (&["gc"], 0),
    ];
    for (args, expected) in outcomes {
        let (log, format) = if args.contains(&"run") { ("trace", "json") } else { ("debug", "text") };
        let (code, said) = shop.tells_none(args, log, format);
        assert_eq!(code, expected, "{args:?}: {said}");
    }
    assert_folder_hides(&shop.dir.path().join("lake"));
    assert_folder_hides(&shop.dir.path().join("marts"));
}

#[test]
fn a_store_that_refuses_tells_none() {
    let toml = config(refusing_store());
    for toml in [
        toml.replace("\"./marts\"", "\"s3://shop/marts\""),
        toml.replace("\"./lake\"", "\"s3://shop/lake\""),
        toml.replace("\"./raw\"", "\"s3://shop/raw\""),
    ] {
        let shop = Shop::new(&toml);
        for (log, format) in [("info", "text"), ("trace", "json"), ("trace", "text")] {
            let (code, said) = shop.tells_none(&["run", "--as-of", "2024-01-31"], log, format);
            assert_eq!(code, 3, "{said}");
            assert!(said.contains("403") || said.contains("Forbidden"), "the store's answer is told: {said}");
        }
        // What a run says of its failure is in the lake too, where that can be reached.
        let lake = shop.dir.path().join("lake");
        if lake.exists() {
            assert_folder_hides(&lake);
        }
    }
}

#[test]
fn a_config_that_is_wrong_in_the_very_place_tells_none() {
    let good = config(1);
    let wrong = |from: &str, to: &str| {
        assert!(good.contains(from), "{from}");
        good.replacen(from, to, 1)
    };
    let configs = [
        // In the table that holds them.
        wrong("aws_secret_access_key", "aws_secret_acess_key"),
        wrong("aws_secret_access_key = \"Planted-in", "aws_secret_acess_key = \"Planted-in"),
        wrong("aws_allow_http = true", "aws_allow_http = [\"Planted\"]"),
        wrong("\"Planted-in-the-file-itself\"", "\"Planted-in-the-file"),
        wrong("\"Planted-in-the-file-itself\"", "Planted-in-the-file"),
        wrong("\"Planted-in-the-file-itself\"", "\"Planted-${NOWHERE}\""),
        wrong("\"Planted-in-the-file-itself\"", "\"Planted-\\q\""),
        wrong("[sources.orders.options]", "[sources.orders.options"),
        wrong(
            "[sources.orders.options]\naws_secret_access_key =",
            "[sources.orders]\noptions = { aws_secret_access_key = \"Planted\", aws_x =",
        ),
        wrong("[storage.options]", "[storage.option]"),
        wrong("pii_key = \"${BAZGASHT_PII_KEY}\"", "pii_key = \"Planted\""),
        wrong("pii_key = \"${BAZGASHT_PII_KEY}\"", "pii_key = Planted-and-unquoted"),
        wrong("pii = \"pseudonymise\"", "pii = \"${SHOP_SECRET}\""),
        wrong("pii = \"pseudonymise\"", "pii = \"drop\""),
        // A variable in a value that shouldn't have it.
        wrong("timezone = \"Europe/London\"", "timezone = \"${SHOP_SECRET}\""),
        wrong("currency = \"GBP\"", "currency = \"${SHOP_SECRET}\""),
        wrong("max_rejected = 1.0", "max_rejected = \"${SHOP_SECRET}\""),
        wrong("max_rejected = 1.0", "format = \"${SHOP_SECRET}\""),
        wrong("max_rejected = 1.0", "timezone = \"${SHOP_SECRET}\""),
        wrong("\"./raw\"", "\"${SHOP_SALT}://${SHOP_SALT}\""),
        wrong("\"./raw\"", "\"./raw/[${SHOP_SALT}\""),
        wrong("path = \"./sql\"", "path = \"./${SHOP_SALT}\""),
        // In SQL.
        wrong("|| '${SHOP_SALT}')", "|| '${SHOP_SALT}'"),
        wrong("md5(customer_id || '${SHOP_SALT}')", "customer_id ${SHOP_SALT}"),
        wrong("md5(customer_id || '${SHOP_SALT}')", "md5(customer_id, '${SHOP_SALT}', 1)"),
        wrong("customer_id = \"md5(customer_id || '${SHOP_SALT}')\"", "ordered_at = \"epoch_seconds('${SHOP_SALT}')\""),
        wrong("customer_id = \"md5(customer_id || '${SHOP_SALT}')\"", "amount = \"cast('${SHOP_SALT}' as int)\""),
        format!("{good}[sources.orders.skip]\nodd = \"'${{SHOP_SALT}}'\"\n"),
        format!("{good}[sources.orders.skip]\nodd = \"'${{SHOP_SALT}}' + 1 > 2\"\n"),
        // In URLs.
        wrong("\"./raw\"", "\"https://Planted-User:Planted-Password@127.0.0.1:1/raw.csv\""),
        wrong("\"./raw\"", "\"https://example.invalid/raw.csv?sv=1&sig=Planted-Signature\""),
        wrong("\"./raw\"", "\"s3://Planted-User:Planted-Password@bucket/raw\""),
        wrong("\"./marts\"", "\"abfss://Planted-User:Planted-Password@x/y?sig=Planted\""),
    ];
    let mut wrongly = String::new();
    for (toml, format) in configs.iter().zip(["text", "json"].into_iter().cycle()) {
        let (code, said) = Shop::new(toml).says(&["check"], "trace", format);
        if !matches!(code, 0 | 2) || said.contains(PLANTED) {
            wrongly += &format!("exit code {code}:\n{said}\n");
        }
    }
    assert!(wrongly.is_empty(), "{wrongly}");
}
