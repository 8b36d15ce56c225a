//! Personal data with `pii = "drop"` and `"pseudonymise"`: nowhere in clear, and every join as it was.

use std::collections::BTreeMap;

use bazgasht::error::Error;

use crate::support::{Shop, rows, tree};

const CUSTOMERS: &str = "customer_id,name,birth_date,phone,email,region,updated_at\n\
    kunde-4711,Anahita Karimi,1980-05-05,+98 912 0000001,anahita@example.com,Fars,2024-01-01\n\
    kunde-4712,Bahram Sadri,1990-06-06,+98 912 0000002,bahram@example.com,Gilan,2024-01-01\n\
    ,Cyrus Nameless,1990-06-06,+98 912 0000003,cyrus@example.com,Gilan,2024-01-01\n\
    kunde-4713,\"Darya Unquoted,1990-06-06,+98 912 0000004,darya@example.com,Gilan,2024-01-01\n";
const ORDERS: &str = "order_id,customer_id,ordered_at,amount,note\n\
    o1,kunde-4711,2024-01-10,10,for Anahita Karimi\n\
    o2,phone-0000001,2024-01-11,20,for Anahita Karimi\n\
    o3,kunde-4712,2024-01-12,5,for Bahram Sadri\n\
    o4,kunde-4712,someday,5,for Bahram Sadri\n";
const IDENTITIES: &str = "alias,customer_id\nphone-0000001,kunde-4711\n";
const INTERACTIONS: &str = "event_id,customer_id,occurred_at,kind,reason,referred_customer_id,subject_id\n\
    e1,phone-0000001,2024-01-13,referral,Anahita told her cousin,kunde-4712,\n\
    e2,kunde-4712,2024-01-14,churn_reason,Anahita told her cousin,,o3\n";

/// Whatever of these files says who somebody is. Parts of it, so that a cut text is found too.
const NAMES: &[&str] = &[
    "Anahita",
    "Karimi",
    "Bahram",
    "Sadri",
    "Cyrus",
    "Darya",
    "0000002",
    "0000003",
    "0000004",
    "@example.com",
    "cousin",
    "1980-05-05",
    "1990-06-06",
];
const IDS: &[&str] = &["kunde-47", "phone-0000001"];

const PEOPLE: &str = "/*---\ndescription = \"One row per customer.\"\ngrain = [\"customer_id\"]\n[columns]\n\
    customer_id = { type = \"text\", doc = \"The customer.\" }\nname = { type = \"text\", doc = \"Name.\" }\n\
    birth_date = { type = \"date\", doc = \"Birth date.\" }\nphone = { type = \"text\", doc = \"Phone.\" }\n\
    region = { type = \"text\", doc = \"Region.\" }\norders = { type = \"int64\", doc = \"Orders.\" }\n\
    reason = { type = \"text\", doc = \"Reason.\" }\nreferred_from = { type = \"text\", doc = \"Where whom they referred lives.\" }\n\
    CHECKS\n---*/\n\
    with bought as (select customer_id, count(*) as orders from stg_orders group by customer_id),\n\
    said as (select customer_id, max(reason) as reason, max(referred_customer_id) as referred from stg_interactions group by customer_id)\n\
    select people.customer_id, people.name, people.birth_date, people.phone, people.region, bought.orders, said.reason, other.region as referred_from\n\
    from stg_customers as people\n\
    left join bought on bought.customer_id = people.customer_id\n\
    left join said on said.customer_id = people.customer_id\n\
    left join (select customer_id as other_id, region from stg_customers) as other on other.other_id = said.referred\n\
    order by people.customer_id\n";

const KEY: &str = "pii = \"pseudonymise\"\npii_key = \"the first key of this shop\"\n";

fn shop(pii: &str) -> Shop {
    let sources = ["orders", "customers", "identities", "interactions"]
        .map(|name| format!("[sources.{name}]\nlocation = \"./raw/{name}.csv\"\nmax_rejected = 1.0\n"))
        .concat();
    let shop = Shop::new(
        &format!("timezone = \"Europe/London\"\ncurrency = \"GBP\"\n{pii}"),
        &format!("[models]\npath = \"./sql\"\n{sources}"),
    );
    for name in ["stg_identities", "stg_orders", "stg_customers", "stg_interactions"] {
        let staging = format!("sql/staging/{name}.sql");
        shop.write(
            &staging,
            std::fs::read(format!("{}/{staging}", env!("CARGO_MANIFEST_DIR"))).expect("shipped staging"),
        );
    }
    shop.write("sql/marts/people.sql", PEOPLE.replace("CHECKS", ""));
    shop.write("raw/orders.csv", ORDERS);
    shop.write("raw/customers.csv", CUSTOMERS);
    shop.write("raw/identities.csv", IDENTITIES);
    shop.write("raw/interactions.csv", INTERACTIONS);
    shop
}

/// Everything that a project wrote, Parquet with its values too.
fn everything(shop: &Shop) -> BTreeMap<String, String> {
    let mut texts = BTreeMap::new();
    for root in ["lake", "marts"] {
        for (path, bytes) in tree(&shop.path(root)) {
            let file = shop.path(&format!("{root}/{path}"));
            let mut text = format!("{path}\n{}", String::from_utf8_lossy(&bytes));
            if path.ends_with(".parquet") {
                text += &rows(&file).iter().map(|row| format!("{row:?}\n")).collect::<String>();
            }
            texts.insert(format!("{root}/{path}"), text);
        }
    }
    texts
}

fn assert_nowhere(texts: &BTreeMap<String, String>, secrets: &[&str]) {
    // Every day is in the calendar, days of birth too.
    for (path, text) in texts.iter().filter(|(path, _)| !path.contains("/calendar")) {
        for secret in secrets {
            assert!(!text.contains(secret), "{path} has {secret}");
        }
    }
}

/// The mart's rows without what is personal or an id: what analysis is about.
fn figures(shop: &Shop) -> Vec<[String; 3]> {
    let mut figures: Vec<_> = shop
        .mart("people")
        .iter()
        .map(|row| ["region", "orders", "referred_from"].map(|column| row[column].clone()))
        .collect();
    figures.sort();
    figures
}

#[test]
fn as_a_rule_everything_is_kept() {
    let shop = shop("");
    shop.publish("2024-01-31");
    let texts = everything(&shop);
    let all: String = texts.values().map(String::as_str).collect();
    assert!(NAMES.iter().chain(IDS).all(|name| all.contains(name)), "the search finds what is there");
    assert_eq!(figures(&shop), [["Fars", "2", "Gilan"], ["Gilan", "1", ""]].map(|row| row.map(str::to_owned)));
}

#[test]
fn dropped_it_is_nowhere_and_ids_stay() {
    let shop = shop("pii = \"drop\"\n");
    shop.publish("2024-01-31");
    let texts = everything(&shop);
    assert_nowhere(&texts, NAMES);
    assert_eq!(figures(&shop), figures_in_clear());
    let people = shop.mart("people");
    assert_eq!(people[0]["customer_id"], "kunde-4711");
    assert!(
        people.iter().all(|row| ["name", "birth_date", "phone", "reason"].iter().all(|column| row[*column].is_empty()))
    );
}

#[test]
fn pseudonymised_it_is_nowhere_and_every_join_holds() {
    let shop = shop(KEY);
    shop.publish("2024-01-31");
    let texts = everything(&shop);
    assert_nowhere(&texts, NAMES);
    assert_nowhere(&texts, IDS);
    assert_nowhere(&texts, &["the first key"]);
    assert_eq!(figures(&shop), figures_in_clear());
    let people = shop.mart("people");
    let is_hash = |text: &str| text.len() == 32 && text.chars().all(|c| c.is_ascii_hexdigit());
    assert!(people.iter().all(|row| ["customer_id", "name", "phone"].iter().all(|column| is_hash(&row[*column]))));
    assert!(people.iter().all(|row| row["birth_date"].is_empty()));
    let reasons: Vec<_> = people.iter().map(|row| row["reason"].clone()).collect();
    assert!(is_hash(&reasons[0]) && reasons[0] == reasons[1], "the same words have the same pseudonym");
}

fn figures_in_clear() -> Vec<[String; 3]> {
    [["Fars", "2", "Gilan"], ["Gilan", "1", ""]].map(|row| row.map(str::to_owned)).to_vec()
}

#[test]
fn another_key_or_mode_reads_everything_again() {
    let shop = shop("");
    let extracts = |shop: &Shop| {
        let snapshot = shop.publish("2024-01-31");
        let sources = snapshot.sources.into_values();
        sources.flat_map(|source| source.extracts.into_keys()).collect::<std::collections::BTreeSet<_>>()
    };
    let kept = extracts(&shop);
    let with = |pii: &str| Shop {
        toml: shop.toml.replace("currency = \"GBP\"\n", &format!("currency = \"GBP\"\n{pii}")),
        dir: tempfile::tempdir().expect("unused"),
    };
    let mut seen = vec![kept.clone()];
    for pii in [KEY.to_owned(), KEY.replace("first", "second"), "pii = \"drop\"\n".to_owned()] {
        let toml = with(&pii).toml;
        let other = Shop { toml, dir: copy_of(&shop) };
        let found = extracts(&other);
        assert!(seen.iter().all(|before| before.is_disjoint(&found)), "{pii}");
        assert_eq!(figures(&other), figures_in_clear(), "{pii}");
        seen.push(found);
    }
    let said_aloud = Shop { toml: with("pii = \"keep\"\n").toml, dir: copy_of(&shop) };
    assert!(extracts(&said_aloud) == kept, "saying the default changes nothing");
}

/// The project's folder with its lake, as another project may go on from it.
fn copy_of(shop: &Shop) -> tempfile::TempDir {
    let copy = tempfile::tempdir().expect("a folder");
    for (path, bytes) in tree(shop.dir.path()) {
        let target = copy.path().join(path);
        std::fs::create_dir_all(target.parent().expect("a folder")).expect("created");
        std::fs::write(target, bytes).expect("written");
    }
    copy
}

/// The errors of runs that fail over these very rows.
fn errors(pii: &str) -> Vec<Error> {
    let refused = |change: &dyn Fn(&Shop) -> Option<String>| {
        let mut shop = shop(pii);
        if let Some(toml) = change(&shop) {
            shop.toml = toml;
        }
        shop.run("2024-01-31").err().expect("refused")
    };
    let check = "[checks]\nnobody_buys = \"select name, phone, customer_id from this where orders > 0\"";
    vec![
        refused(&|shop| Some(shop.toml.replace("max_rejected = 1.0", "max_rejected = 0.01"))),
        refused(&|shop| {
            shop.write("sql/marts/people.sql", PEOPLE.replace("CHECKS", check));
            None
        }),
        refused(&|shop| {
            let not_null =
                PEOPLE.replace("CHECKS", "").replace("doc = \"Orders.\"", "doc = \"Orders.\", checks = [\"fraction\"]");
            shop.write("sql/marts/people.sql", not_null);
            None
        }),
        // A value that doesn't cast.
        refused(&|shop| {
            shop.write(
                "sql/marts/people.sql",
                PEOPLE.replace("CHECKS", "").replace("people.birth_date,", "cast(people.name as date) as birth_date,"),
            );
            // Where there are no names, none fails.
            pii.contains("drop").then(|| shop.toml.replace("max_rejected = 1.0", "max_rejected = 0.01"))
        }),
        // A file without its header: its first row is taken for one.
        refused(&|shop| {
            shop.write("raw/customers.csv", CUSTOMERS.split_once('\n').expect("a header").1);
            None
        }),
    ]
}

#[test]
fn no_error_quotes_it() {
    let in_clear: String = errors("").iter().map(ToString::to_string).collect();
    assert!(in_clear.contains("Anahita"), "the errors would quote it: {in_clear}");
    for pii in ["pii = \"drop\"\n", KEY] {
        for error in errors(pii) {
            let told = error.to_string();
            assert!(NAMES.iter().all(|name| !told.contains(name)), "{told}");
            assert!(pii.contains("drop") || IDS.iter().all(|id| !told.contains(id)), "{told}");
        }
    }
}

#[test]
fn rejects_say_where_to_look_instead() {
    let shop = shop(KEY);
    shop.write("bazgasht.toml", &shop.toml);
    for json in [&[][..], &["--json"]] {
        let mut command = assert_cmd::Command::new(assert_cmd::cargo::cargo_bin!("bazgasht"));
        let output = command
            .current_dir(shop.dir.path())
            .env("NO_COLOR", "1")
            .arg("rejects")
            .args(json)
            .output()
            .expect("it ran");
        let out = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{out}");
        assert!(NAMES.iter().chain(IDS).all(|name| !out.contains(name)), "{out}");
        assert!(out.contains("customers.csv") && (out.contains("withheld") || out.contains("\"raw\": null")), "{out}");
    }
}
