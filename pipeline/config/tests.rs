use std::path::Path;

use super::*;

/// The smallest useful config.
const MINIMAL: &str = r#"
[project]
timezone = "Europe/London"
currency = "GBP"
[storage]
lake = "./lake"
marts = "./marts"
[sources.orders]
location = "./orders/*.csv"
"#;

/// The design's example.
const RETAILER: &str = r#"
[project]
timezone = "Europe/London"
calendar = "gregorian"
currency = "GBP"
[storage]
lake  = "./lake"
marts = "./marts"
[sources.order_items]
location = "./raw/by-day/*.csv"
format   = "csv"
[sources.order_items.columns]
order_id    = "\"InvoiceNo\""
ordered_at  = "\"InvoiceDate\""
customer_id = "\"CustomerID\""
product_id  = "\"StockCode\""
quantity    = "\"Quantity\""
unit_price  = "\"UnitPrice\""
[sources.order_items.skip]
cancellation = "starts_with(\"InvoiceNo\", 'C')"
anonymous    = "\"CustomerID\" IS NULL"
"#;

fn environment(name: &str) -> Option<String> {
    match name {
        "BUCKET" => Some("shop".to_owned()),
        "SECRET" => Some("hunter2".to_owned()),
        "SLACK_WEBHOOK" => Some("https://hooks.example.com/services/T0/B0/x".to_owned()),
        "BAZGASHT_PII_KEY" => Some("a key of some length".to_owned()),
        _ => None,
    }
}

fn parse(text: &str) -> Result<Config, Complaints> {
    Config::parse("bazgasht.toml", Path::new("/shop"), text, &environment)
}

fn good(text: &str) -> Config {
    parse(text).unwrap_or_else(|complaints| panic!("{complaints}"))
}

/// Each complaint as `line: message (hint)`.
fn complaints(text: &str) -> Vec<String> {
    let Err(complaints) = parse(text) else { panic!("no complaint about {text}") };
    let rendered = complaints.render(false);
    assert!(rendered.lines().all(|line| line.chars().count() <= 100), "{rendered}");
    complaints.iter().map(brief).collect()
}

fn brief(complaint: &Complaint) -> String {
    let line = complaint.place().map_or(0, |place| place.line_and_column().0);
    match complaint.hint_text() {
        Some(hint) => format!("{line}: {} ({hint})", complaint.message()),
        None => format!("{line}: {}", complaint.message()),
    }
}

/// The only complaint about `MINIMAL` with `from` replaced by `to`.
fn complaint(from: &str, to: &str) -> String {
    assert!(MINIMAL.contains(from));
    let mut list = complaints(&MINIMAL.replace(from, to));
    assert_eq!(list.len(), 1, "{list:#?}");
    list.remove(0)
}

#[test]
fn the_minimal_config_gets_every_default() {
    let config = good(MINIMAL);
    assert_eq!(config.project.timezone, Tz::Europe__London);
    assert_eq!(config.project.calendar, Calendar::Gregorian);
    assert_eq!(config.project.week_start, chrono::Weekday::Mon);
    assert_eq!(config.project.name, "shop");
    assert_eq!(config.storage.lake, StoreRoot::Local("/shop/lake".into()));
    assert_eq!(config.engine.memory_limit, None);
    assert!(config.engine.threads >= 1 && config.models.is_none());
    assert_eq!(config.publish.keep_days, 30);
    let orders = &config.sources[&SourceName::Orders];
    assert_eq!((orders.mode, orders.delivery, orders.on_removed), (Mode::Changes, Delivery::Object, OnRemoved::Block));
    assert_eq!(orders.csv, Csv { delimiter: Delimiter::Char(b','), quote: Some(b'"'), header: true });
    assert_eq!((orders.max_rejected, orders.max_age, orders.format), (0.01, None, None));
    assert_eq!((orders.on_late, orders.volume), (OnBreach::Warn, None));
}

#[test]
fn the_designs_example_is_read() {
    let config = good(RETAILER);
    let lines = &config.sources[&SourceName::OrderItems];
    assert_eq!(lines.contract.time, Some("ordered_at"));
    assert_eq!(lines.columns[0].column, "order_id");
    assert_eq!(lines.columns[0].expression.text(), "\"InvoiceNo\"");
    let rules: Vec<_> = lines.skip.iter().map(|rule| rule.name.as_str()).collect();
    assert_eq!(rules, ["cancellation", "anonymous"], "in the file's order");
    let place = lines.skip[0].condition.place_at(1, 13);
    assert_eq!(place.text(), r#"\""#, "the quote, with its escape");
    assert_eq!(place.to_string(), "bazgasht.toml:20:29");
}

#[test]
fn a_jalali_business_has_jalali_defaults() {
    let config = good(&MINIMAL.replace("currency", "calendar = \"jalali\"\ncurrency"));
    assert_eq!(config.project.calendar, Calendar::Jalali);
    assert_eq!(config.project.week_start, chrono::Weekday::Sat);
    assert_eq!(config.project.weekend, [chrono::Weekday::Fri]);
}

#[test]
fn every_key_is_understood() {
    let config = good(
        r#"
        [project]
        name = "گلفروشی"
        timezone = "Asia/Tehran"
        calendar = "jalali"
        currency = "IRR"
        week_start = "sunday"
        weekend = ["friday", "thursday", "friday"]
        history_starts_on = 2018-03-21
        [storage]
        lake = "s3://${BUCKET}/lake"
        marts = "file:///srv/marts"
        scratch = "../scratch"
        retry_for = "90s"
        options = { aws_endpoint = "http://localhost:8333", AWS_ALLOW_HTTP = true, timeout = "30s" }
        [engine]
        memory_limit = "512 MiB"
        threads = 4
        [models]
        path = "./sql"
        [publish]
        keep_days = 7
        limits = { rows_gained = 2, moved = 0.25, marts = { rfm = { rows_lost = 0.1, least_rows = 5 } } }
        [business]
        no_purchase_months = 6
        overdue_factor = 2.5
        counted_statuses = [" Paid ", "shipped", "paid"]
        [sources.orders]
        location = ["./a.txt", "./b/*.txt"]
        format = "csv"
        encoding = "windows-1256"
        decimal = ","
        thousands = "."
        dates = { ordered_at = "%d/%m/%Y %H:%M", updated_at = ["jalali", "iso"] }
        delimiter = "blanks"
        quote = "none"
        header = false
        timezone = "UTC"
        mode = "snapshot"
        delivery = "folder"
        on_removed = "keep"
        max_rejected = 0.005
        max_age = "1d 12h"
        on_late = "block"
        volume = { least = 0.25, most = 3, weeks = 4, on_breach = "block" }
        options = {}
        "#,
    );
    assert_eq!(config.storage.lake.to_string(), "s3://shop/lake");
    assert_eq!(config.storage.scratch, Path::new("/scratch"));
    assert_eq!(config.storage.options.expose()["aws_allow_http"], "true");
    assert_eq!(config.storage.retry_for, Duration::from_secs(90));
    assert_eq!(config.project.weekend, [chrono::Weekday::Thu, chrono::Weekday::Fri]);
    assert_eq!(config.models.as_deref(), Some(Path::new("/shop/sql")));
    let orders = &config.sources[&SourceName::Orders];
    assert_eq!(orders.csv, Csv { delimiter: Delimiter::Blanks, quote: None, header: false });
    assert_eq!(orders.encoding.get().name(), "windows-1256");
    assert_eq!(orders.numbers, Numbers { decimal: ',', thousands: Some('.') });
    let dates: Vec<_> = orders.dates.iter().map(|dates| (dates.column, dates.formats.len())).collect();
    assert_eq!(dates, [("ordered_at", 1), ("updated_at", 2)]);
    assert_eq!(orders.locations.len(), 2);
    assert_eq!(orders.max_age, Some(Duration::from_secs(36 * 3600)));
    assert_eq!(orders.on_late, OnBreach::Block);
    let volume = Volume { least: 0.25, most: Some(3.0), weeks: 4, on_breach: OnBreach::Block };
    assert_eq!(orders.volume, Some(volume));
    let limits = MartLimits {
        rows_lost: Some(0.5),
        rows_gained: Some(2.0),
        sums: None,
        moved: Some(0.25),
        least_rows: Some(100),
    };
    assert_eq!(config.publish.limits.of("churn_flags", false), limits);
    let of_rfm = MartLimits { rows_lost: Some(0.1), least_rows: Some(5), ..limits };
    assert_eq!(config.publish.limits.of("rfm", false), of_rfm);
    let volatile = config.publish.limits.of("rfm", true);
    assert_eq!(volatile, MartLimits { rows_gained: None, moved: None, ..of_rfm }, "only what names it");
    assert_eq!(orders.timezone, Tz::UTC);
    assert!(orders.options.is_empty(), "its own options, though empty, replace the storage's");
}

#[test]
fn guards_of_days_need_days() {
    let with =
        |keys: &str| complaints(&format!("{MINIMAL}\n[sources.products]\nlocation = \"./p\"\n{keys}\n")).join("\n");
    let no_day = |key: &str| format!("`{key}`: the rows of products have no day");
    assert!(with("max_age = \"1d\"").contains(&no_day("max_age")));
    assert!(with("volume = {}").contains(&no_day("volume")));
    assert!(with("on_late = \"block\"").contains("`on_late` needs `max_age`"));
    assert!(
        complaint("currency = \"GBP\"", "currency = \"GBP\"\n[publish.limits]\nrows_lost = 1.5")
            .contains("from 0 to 1")
    );
}

#[test]
fn how_text_is_written_is_checked() {
    let with = |keys: &str| complaints(&format!("{MINIMAL}\n{keys}\n"));
    let first = MINIMAL.lines().count() + 2;
    assert_eq!(
        with("encoding = \"utf-9\""),
        [format!("{first}: `encoding` must be an encoding such as \"utf-8\", \"utf-16le\" or \"windows-1256\"")]
    );
    assert_eq!(
        with("thousands = \".\""),
        [format!(
            "{first}: `.` cannot stand both between thousands and before decimals (set `decimal` too, for example \
             decimal = \",\")"
        )]
    );
    assert_eq!(
        with("format = \"ndjson\"\ndecimal = \",\""),
        [format!("{}: `decimal` isn't for JSON, whose numbers have one form", first + 1)]
    );
    assert_eq!(
        with("format = \"avro\"\nencoding = \"utf-16le\""),
        [format!("{}: `encoding` is for CSV and JSON, and `format` says otherwise", first + 1)]
    );
    assert_eq!(
        with(
            "[sources.orders.dates]\norderd_at = \"iso\"\namount = \"iso\"\nordered_at = [\"%Q\", \"jalaly\", \"%H:%M\"]"
        ),
        [
            format!("{}: the contract of orders has no column `orderd_at` (did you mean `ordered_at`?)", first + 1),
            format!(
                "{}: `amount` is no date or time (those of orders are `ordered_at`, `promised_at`, `delivered_at` or \
                 `updated_at`)",
                first + 2
            ),
            format!(
                "{}: `%Q` has a `%` that strftime doesn't know (write a strftime pattern, or `iso`, `jalali`, \
                 `epoch_seconds`, `epoch_millis` or `epoch_micros`)",
                first + 3
            ),
            format!("{}: `jalaly` is neither a known word nor a pattern with `%` (did you mean `jalali`?)", first + 3),
            format!(
                "{}: `%H:%M` tells no whole day, or a time without hour and minute (`%I` needs `%p`) (write a strftime \
                 pattern, or `iso`, `jalali`, `epoch_seconds`, `epoch_millis` or `epoch_micros`)",
                first + 3
            ),
        ]
    );
}

#[test]
fn parameters_have_the_same_names_and_types_in_every_project() {
    let kind = |value: &ParameterValue| match value {
        ParameterValue::Date(_) => ParameterType::Date,
        ParameterValue::Int(_) => ParameterType::Int,
        ParameterValue::Decimal(_, precision, scale) => ParameterType::Decimal(*precision, *scale),
        ParameterValue::Text(_) => ParameterType::Text,
        ParameterValue::Bool(_) => ParameterType::Bool,
        ParameterValue::NullOf(kind) => *kind,
    };
    let shape = |config: &Config| -> Vec<_> {
        config.parameters().into_iter().map(|parameter| (parameter.name, kind(&parameter.value))).collect()
    };
    let settings = "[business]\nno_purchase_months = 6\nhigh_value_share = 1\noverdue_factor = 100\n\
                    counted_statuses = [\" Paid\", \"تكميل\"]\nrfm_window_days = 365\n[project]\n\
                    history_starts_on = 2020-01-01";
    let other = good(&MINIMAL.replace("[project]", settings));
    assert_eq!(shape(&good(MINIMAL)), shape(&other));

    let value = |config: &Config, name: &str| {
        config.parameters().into_iter().find(|parameter| parameter.name == name).unwrap().value
    };
    assert_eq!(value(&other, "counted_statuses"), ParameterValue::Text("paid,تکمیل".to_owned()));
    assert_eq!(value(&other, "overdue_factor"), ParameterValue::Decimal(10_000, 5, 2));
    assert_eq!(value(&good(MINIMAL), "high_value_share"), ParameterValue::Decimal(8_000, 5, 4));
    assert_eq!(value(&good(MINIMAL), "no_purchase_months"), ParameterValue::NullOf(ParameterType::Int));
    assert_eq!(value(&good(MINIMAL), "kpi_basis"), ParameterValue::Text("order".to_owned()));
    let clicks = format!("{MINIMAL}[sources.interactions]\nlocation = \"./clicks\"");
    assert_eq!(value(&good(&clicks), "kpi_basis"), ParameterValue::Text("any".to_owned()));
}

#[test]
fn every_business_setting_is_a_parameter() {
    let schema: serde_json::Value = serde_json::from_str(&json_schema()).unwrap();
    let keys = schema["properties"]["business"]["properties"].as_object().unwrap();
    let config = good(MINIMAL);
    let mut names: Vec<_> = config.parameters().into_iter().map(|parameter| parameter.name).collect();
    names.retain(|name| !["history_starts_on", "effect_history_days"].contains(name));
    names.sort_unstable();
    let mut keys: Vec<_> = keys.keys().map(String::as_str).collect();
    keys.sort_unstable();
    assert_eq!(names, keys);
}

#[test]
fn a_misspelt_key_is_one_complaint_with_the_right_name() {
    assert_eq!(complaint("timezone", "timezome"), "3: [project] has no key `timezome` (did you mean `timezone`?)");
    assert_eq!(complaint("[sources", "[sorces"), "8: the file has no key `sorces` (did you mean `sources`?)");
    assert_eq!(
        complaint("[storage]", "[business]\nactive_day = 3\n[storage]"),
        "6: [business] has no key `active_day` (did you mean `active_days`?)"
    );
    assert_eq!(
        complaint("[storage]", "[engine]\ncolour = 3\n[storage]"),
        "6: [engine] has no key `colour` (it may have `memory_limit` or `threads`)"
    );
}

#[test]
fn an_unknown_source_is_refused() {
    let text = format!("{MINIMAL}[sources.customer]\nlocation = \"./c\"");
    assert_eq!(complaints(&text), ["10: [sources] has no key `customer` (did you mean `customers`?)"]);
}

#[test]
fn a_bad_value_says_what_it_must_be() {
    let zone = |zone: &str| complaint("Europe/London", zone);
    assert_eq!(zone("Europ/Londn"), "3: there is no time zone `Europ/Londn` (did you mean `Europe/London`?)");
    assert_eq!(zone("Tehran"), "3: there is no time zone `Tehran` (did you mean `Asia/Tehran`?)");
    assert!(zone("+03:30").ends_with("(write an IANA name, such as `Europe/London` or `Asia/Tehran`)"));

    let project = |line: &str| complaint("[storage]", &format!("{line}\n[storage]"));
    assert_eq!(
        project("calendar = \"jalaly\""),
        "5: `calendar` must be `gregorian` or `jalali` (did you mean `jalali`?)"
    );
    assert_eq!(project("calendar = \"lunar\""), "5: `calendar` must be `gregorian` or `jalali`");
    assert_eq!(
        project("history_starts_on = \"1398-01-01\""),
        "5: `history_starts_on` must be a Gregorian date from 1900 to 2099, such as 2024-03-20"
    );
    assert_eq!(
        project("[engine]\nmemory_limit = \"2 bananas\""),
        "6: `memory_limit` must be a size such as \"512MiB\" or \"2GiB\""
    );
    assert_eq!(project("[engine]\nmemory_limit = \"1KiB\""), "6: `memory_limit` must be at least 16MiB");
    assert_eq!(project("[engine]\nthreads = 0"), "6: `threads` must be a whole number from 1 to 1024");
    assert_eq!(project("[business]\nactive_days = \"90\""), "6: `active_days` must be a whole number from 1 to 3650");
    assert_eq!(
        project("[business]\nhigh_value_share = 80"),
        "6: `high_value_share` must be a number from 0 to 1 with at most 4 decimals"
    );
    let many_threads = project("[engine]\nthreads = 99999999999999999999");
    assert_eq!(many_threads, "6: `threads` must be a number that fits 64 bits");
    assert_eq!(project("name = 5"), "5: `name` must be a string");
    assert_eq!(project("weekend = \"friday\""), "5: `weekend` must be a list");
    assert_eq!(project("calendar = 5"), "5: `calendar` must be a string");
    assert_eq!(
        project("engine = 5"),
        "5: [project] has no key `engine` (it may have `name`, `timezone`, `calendar`, \
        `currency`, `week_start`, `weekend`, `history_starts_on`, `pii` or `pii_key`)"
    );
    assert_eq!(
        complaint("GBP", "gbp"),
        "4: `currency` must be a three-letter code in capitals, such as \"IRR\" or \"GBP\""
    );
}

#[test]
fn all_complaints_come_at_once_in_the_files_order() {
    let text = MINIMAL
        .replace("Europe/London", "Nowhere")
        .replace("marts =", "mart =")
        .replace("GBP", "pounds")
        .replace("./orders/*.csv", "./orders/*.txt");
    let lines: Vec<_> =
        complaints(&text).iter().map(|complaint| complaint.split(':').next().unwrap().to_owned()).collect();
    assert_eq!(lines, ["3", "4", "7", "9"]);
}

#[test]
fn complaints_are_shown_with_their_line_and_a_caret() {
    let Err(complaints) = parse(&MINIMAL.replace("timezone", "timezome")) else { panic!("it was accepted") };
    let expected = "\
error: [project] has no key `timezome`
 --> bazgasht.toml:3:1
  |
3 | timezome = \"Europe/London\"
  | ^^^^^^^^
  |
  = hint: did you mean `timezone`?";
    assert_eq!(complaints.to_string(), expected);
    assert!(complaints.render(true).contains("\u{1b}["));
}

#[test]
fn what_is_missing_is_told() {
    assert_eq!(
        complaint("currency = \"GBP\"\n", ""),
        "2: [project] has no `currency` (add a three-letter code: currency = \"GBP\")"
    );
    assert_eq!(
        complaint("lake = \"./lake\"\n", ""),
        "5: [storage] has no `lake` (add a folder or prefix: lake = \"./lake\")"
    );
    assert!(complaint("location = \"./orders/*.csv\"\n", "").starts_with("8: [sources.orders] has no `location`"));
    assert!(complaint("[sources.orders]", "[sources.customers]").contains("[sources] has no `orders`"));
    let list = complaints("");
    assert_eq!(list.len(), 3, "{list:#?}");
    assert!(list[0].starts_with("0: there is no [project]"), "{list:#?}");
}

#[test]
fn an_unknown_contract_column_is_refused_with_the_nearest() {
    let with_column = |column: &str| format!("{MINIMAL}[sources.orders.columns]\n{column} = \"x\"");
    assert_eq!(
        complaints(&with_column("custmer_id")),
        ["11: the contract of orders has no column `custmer_id` (did you mean `customer_id`?)"]
    );
    let lines = format!(
        "{MINIMAL}[sources.order_items]\nlocation = \"./l\"\n[sources.order_items.columns]\nordered_at = \"x\""
    );
    assert_eq!(
        complaints(&lines),
        [
            "13: the contract of order_items has no column `ordered_at` (beside [sources.orders], lines take it from their order)"
        ]
    );
    assert_eq!(
        complaints(&with_column("order_id").replace("\"x\"", "\" \"")),
        ["11: there is no SQL expression (write one, or leave the key out)"]
    );
}

#[test]
fn skip_rules_need_a_plain_name() {
    let text = format!("{MINIMAL}[sources.orders.skip]\n\"Test order\" = \"x\"");
    assert!(complaints(&text)[0].starts_with("11: `Test order` cannot name a skip rule"));
}

#[test]
fn a_missing_variable_is_one_complaint_at_the_variable() {
    let Err(complaints) = parse(&MINIMAL.replace("Europe/London", "${ZONE}")) else { panic!("it was accepted") };
    let complaint = complaints.iter().next().unwrap();
    assert_eq!((complaints.len(), complaint.message()), (1, "the environment has no variable `ZONE`"));
    assert_eq!(complaint.place().map(ToString::to_string).as_deref(), Some("bazgasht.toml:3:13"));
    assert_eq!(complaint.place().map(Place::text), Some("${ZONE}"));
}

#[test]
fn secrets_are_never_shown() {
    let storage =
        "[storage.options]\naws_secret_access_key = \"${SECRET}\"\naws_session_token = \"swordfish\"\n[sources.orders]";
    let columns = "[sources.orders.columns]\norder_id = \"concat(id, '${SECRET}')\"\n";
    let text = format!("{}{columns}", MINIMAL.replace("[sources.orders]", storage));
    let config = good(&text);
    assert_eq!(config.storage.options.expose()["aws_secret_access_key"], "hunter2");
    let orders = &config.sources[&SourceName::Orders];
    assert_eq!(orders.columns[0].expression.text(), "concat(id, 'hunter2')");
    assert_eq!(orders.columns[0].expression.to_string(), "concat(id, '${SECRET}')");
    let shown = format!("{config:?} {config:#?}");
    assert!(!shown.contains("hunter2") && !shown.contains("swordfish"), "{shown}");

    for (from, to) in [
        ("aws_session_token", "aws_sesion_token"),
        ("Europe/London", "${SECRET}"),
        ("[project]", "[project]\ncalendar = \"${SECRET}\""),
        ("[project]", "[engine]\nthreads = \"${SECRET}\"\n[project]"),
        ("[project]", "[engine]\nmemory_limit = \"${SECRET}\"\n[project]"),
        ("./orders/*.csv", "s3://me:swordfish@bucket/orders"),
        ("./lake", "s3://${SECRET}:${SECRET}@bucket/lake"),
    ] {
        let Err(complaints) = parse(&text.replace(from, to)) else { panic!("{to} was accepted") };
        let shown = format!("{complaints} {complaints:?}");
        assert!(!shown.contains("hunter2") && !shown.contains("swordfish"), "{shown}");
    }
}

#[test]
fn unknown_store_options_are_refused() {
    let text = MINIMAL.replace("[sources.orders]", "[storage.options]\naws_endpont = \"x\"\n[sources.orders]");
    assert_eq!(complaints(&text), ["9: the store has no option `aws_endpont` (did you mean `aws_endpoint`?)"]);
}

#[test]
fn options_belong_to_a_store_that_is_there() {
    let with = |options: &str| {
        let cloud = MINIMAL.replace("./orders/*.csv", "az://logs/orders/*.csv");
        format!("{cloud}[sources.orders.options]\n{options}")
    };
    good(&with("azure_storage_account_name = \"shop\"\nazure_storage_use_emulator = true"));
    assert_eq!(
        complaints(&with("google_service_account = \"x\"")),
        [
            "11: `google_service_account` is an option of another store: of Google Cloud Storage (the locations here have \
             no such store)"
        ]
    );
}

#[test]
fn a_web_server_is_for_named_sources_alone() {
    good(&MINIMAL.replace("./orders/*.csv", "https://example.com/orders.csv"));
    assert!(complaint("./lake", "https://example.com/lake").starts_with("6: `lake` can't be on a web server (write a"));
    assert!(complaint("./marts", "http://example.com").starts_with("7: `marts` can't be on a web server"));
    assert!(complaint("./orders/*.csv", "https://example.com/orders/").starts_with("9: `location` names no file"));
}

#[test]
fn outputs_and_inputs_must_not_overlap() {
    assert!(complaint("./marts", "./lake/marts").starts_with("7: `marts` and `lake` overlap"));
    assert!(complaint("./orders/*.csv", "./lake/orders/*.csv").starts_with("9: `location` lies in the lake"));
    let both = complaints(&MINIMAL.replace("./orders/*.csv", "."));
    assert!(both[0].starts_with("9: `location` holds the lake"), "{both:?}");
    good(&MINIMAL.replace("./orders/*.csv", "./*.csv"));
}

#[test]
fn csv_keys_are_for_csv() {
    let with = |keys: &str| MINIMAL.replace("location", &format!("{keys}\nlocation"));
    assert_eq!(
        complaints(&with("format = \"ndjson\"\nheader = false")),
        ["10: `header` is for CSV alone, and `format` says otherwise"]
    );
    assert!(complaint("*.csv", "*.txt").starts_with("9: `location` doesn't tell how its objects are written"));
    good(&with("format = \"csv\"").replace("*.csv", "*.txt"));
}

#[test]
fn an_interaction_basis_needs_interactions() {
    let text = MINIMAL.replace("[storage]", "[business]\nkpi_basis = \"interaction\"\n[storage]");
    assert!(complaints(&text)[0].starts_with("6: `kpi_basis` is `interaction`, but there is no"));
}

#[test]
fn broken_toml_is_told_alone() {
    let list = complaints("[project\ntimezone = \ncolour = 1\n");
    assert!(list.iter().all(|complaint| !complaint.contains("colour")), "{list:#?}");
    assert!(list[0].starts_with("1: "), "{list:#?}");
}

#[test]
fn a_missing_file_points_to_init() {
    let Err(complaints) = Config::load(Path::new("no/such/bazgasht.toml")) else { panic!("it was read") };
    assert!(complaints.to_string().contains("bazgasht init"), "{complaints}");
}

#[test]
fn relative_paths_start_at_the_config_file() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(FILE_NAME), MINIMAL).unwrap();
    let config = Config::load(&folder.path().join(FILE_NAME)).unwrap();
    assert_eq!(config.storage.lake.local_dir(), Some(folder.path().join("lake").as_path()));
}

#[test]
fn the_template_is_a_config_and_so_are_its_examples() {
    good(TEMPLATE);
    let examples: Vec<_> = TEMPLATE
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(example) if !example.starts_with([' ', '-']) && !example.is_empty() => {
                example.replace("SHOP_KEY_ID", "SECRET")
            }
            _ => line.to_owned(),
        })
        .map(|line| line.replace("SHOP_KEY", "SECRET"))
        .collect();
    good(&examples.join("\n"));
}

#[test]
fn the_template_has_every_key_with_its_default() {
    let schema: serde_json::Value = serde_json::from_str(&json_schema()).unwrap();
    let tables = &schema["properties"];
    for table in ["project", "storage", "engine", "models", "publish", "business"] {
        for (key, about) in tables[table]["properties"].as_object().unwrap() {
            let mentioned = |line: &&str| line.trim_start_matches('#').starts_with(&format!("{key} = "));
            let line = TEMPLATE.lines().find(mentioned);
            let is_table = key == "options" || TEMPLATE.contains(&format!("[{table}.{key}]"));
            assert!(line.is_some() || is_table, "the template lacks {table}.{key}");
            if let (Some(default), Some(line)) = (about.get("default"), line) {
                let shown = default.to_string().replace(',', ", ");
                assert!(line.contains(&format!("{key} = {shown}")), "{line} should show {shown}");
            }
        }
    }
    let limits = tables["publish"]["properties"]["limits"]["properties"].as_object().unwrap();
    for key in limits.keys().filter(|key| *key != "marts") {
        assert!(TEMPLATE.contains(&format!("\n#{key} = ")), "the template lacks publish.limits.{key}");
    }
    for key in schema["definitions"]["Source"]["properties"].as_object().unwrap().keys() {
        let written = [format!("{key} = "), format!("[sources.orders.{key}]")];
        assert!(written.iter().any(|text| TEMPLATE.contains(text)), "the template lacks sources.orders.{key}");
    }
}

#[test]
fn the_schema_documents_every_key_and_knows_no_null() {
    let text = json_schema();
    assert!(!text.contains("null"), "{text}");
    let schema: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_documented(&schema, "");
    assert_eq!(schema["properties"]["project"]["required"], serde_json::json!(["timezone", "currency"]));
    assert_eq!(schema["properties"]["business"]["properties"]["active_days"]["minimum"], 1);
}

fn assert_documented(schema: &serde_json::Value, path: &str) {
    for (key, about) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}.{key}");
        assert!(about["description"].is_string(), "{path} has no description");
        assert_documented(about, &path);
    }
    for (name, about) in schema["definitions"].as_object().into_iter().flatten() {
        assert_documented(about, name);
    }
}

#[test]
fn pseudonyms_need_a_key_and_nothing_else_takes_one() {
    let with = |lines: &str| MINIMAL.replace("currency = \"GBP\"", &format!("currency = \"GBP\"\n{lines}"));
    assert!(matches!(good(MINIMAL).project.pii, Pii::Keep));
    assert!(matches!(good(&with("pii = \"drop\"")).project.pii, Pii::Drop));
    let keyed = "pii = \"pseudonymise\"\npii_key = \"${BAZGASHT_PII_KEY}\"";
    assert!(
        matches!(&good(&with(keyed)).project.pii, Pii::Pseudonymise(key) if key.expose() == "a key of some length")
    );
    let told = |lines: &str| complaints(&with(lines)).join("\n");
    assert!(told("pii = \"pseudonymise\"").contains("[project] has no `pii_key`"));
    assert!(told("pii = \"pseudonymise\"\npii_key = \"${SECRET}\"").contains("fewer than 16 characters"));
    assert!(told("pii_key = \"${BAZGASHT_PII_KEY}\"").contains("`pii` asks for none"));
    let written_out = complaints(&with("pii = \"drop\"\npii_key = \"a key in the file itself\""));
    assert!(!written_out.join("").contains("in the file itself"));
}

#[test]
fn what_is_secret_in_an_url_is_starred_out_of_quotations() {
    let url = "./orders/*.csv\"\nformat = \"https://user:hunter2@host/x?sv=1&sig=hunter2&x-token=hunter2";
    let Err(complaints) = parse(&MINIMAL.replace("./orders/*.csv", url)) else { panic!("no complaint") };
    let rendered = complaints.render(false);
    assert!(!rendered.contains("hunter2") && rendered.contains("sv=1"), "{rendered}");
}

#[test]
fn a_webhook_is_complained_about_without_its_url() {
    let first = MINIMAL.lines().count() + 2;
    let with = |lines: &str| complaints(&format!("{MINIMAL}[[notify]]\n{lines}\n"));
    let hint = "(write url = \"${SLACK_WEBHOOK}\")";
    assert_eq!(
        with("url = \"hooks.slack.com/services/Planted\""),
        [format!("{first}: `url` is no http or https URL {hint}")]
    );
    assert_eq!(
        with("url = \"https://h/Planted\"\non = [\"failur\"]"),
        [format!("{}: `on` must be `failure`, `recovery`, `late` or `blocked` (did you mean `failure`?)", first + 1)]
    );
    let config = good(&format!("{MINIMAL}[[notify]]\nurl = \"https://h/Planted\"\n"));
    assert_eq!(config.notify[0].on.len(), 4);
    assert!(!format!("{config:?}").contains("Planted"));
    let rendered = parse(&format!("{MINIMAL}[[notify]]\nurl = \"Planted://h\"\n")).unwrap_err().render(false);
    assert!(!rendered.contains("Planted"), "{rendered}");
}

#[test]
fn a_schedule_has_defaults_and_says_what_is_wrong() {
    let with = |table: &str| format!("{MINIMAL}[schedule]\n{table}\n");
    let schedule = good(&with("publish = \"30 2 * * *\"")).schedule.expect("it is there");
    assert!(schedule.publish.is_some() && schedule.extract.is_none() && schedule.listen.is_none());
    assert_eq!((schedule.catch_up, schedule.retries), (CatchUp::Latest, 3));
    let minutes = [schedule.jitter, schedule.retry_after, schedule.lease].map(|time| time.as_secs() / 60);
    assert_eq!(minutes, [0, 15, 5]);
    assert!(good(MINIMAL).schedule.is_none());

    assert_eq!(
        complaints(&with("")),
        ["10: [schedule] has nothing to do (add when the marts are to be published: publish = \"30 2 * * *\")"]
    );
    let hint = "(write minute, hour, day of the month, month and day of the week: 30 2 * * *)";
    for (line, why) in [
        ("30 2 * *", "must have 5 or 6 fields"),
        ("61 2 * * *", "out of bounds"),
        ("30 2 30 2 *", "there is no such day"),
        ("half past two", ""),
    ] {
        let found = complaints(&with(&format!("publish = \"{line}\"")));
        let start = format!("11: `publish = {line}` is no cron line: ");
        assert!(found.len() == 1 && found[0].starts_with(&start) && found[0].ends_with(hint), "{found:?}");
        assert!(found[0].contains(why), "{found:?}");
    }
    let found = complaints(&with("gc = \"0 5 * * *\"\nlease = \"1s\"\nlisten = \"nine\"\ncatch_up = \"some\""));
    assert_eq!(found.len(), 3, "{found:?}");
}
