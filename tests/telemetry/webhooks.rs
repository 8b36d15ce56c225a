//! Messages: who gets which, and that they tell neither secrets nor rows.

use std::process::Output;

use serde_json::Value;

use super::{BAD_ORDERS, ORDERS, assert_code, bazgasht, said, shop};
use crate::support::Shop;
use crate::support::json_schema::assert_valid;
use crate::support::receiver::{Answer, Receiver};

/// As Slack's are: the path is the password.
const PATH: &str = "/services/T0000/B0000/Planted-Hook-0123456789";
const NOTIFY: &str = "max_age = \"7d\"\n[[notify]]\nurl = \"${SHOP_HOOK}\"\n\
    [[notify]]\nurl = \"${SHOP_HOOK}/slack\"\nformat = \"slack\"\n";

fn program(shop: &Shop, hook: &str, args: &[&str]) -> Output {
    let mut command = bazgasht(shop, args);
    command.env("SHOP_HOOK", hook).env("BAZGASHT_LOG", "debug").output().expect("it ran")
}

struct Nights {
    shop: Shop,
    receiver: Receiver,
}

impl Nights {
    /// Runs with these arguments; returns the generic messages and Slack's, in order, which have the schema's form and
    /// tell nothing that they mustn't.
    fn told(&self, args: &[&str], code: i32) -> (Vec<Value>, Vec<String>) {
        let output = program(&self.shop, &self.receiver.url(PATH), args);
        assert_code(&output, code);
        assert!(!said(&output).contains("Planted-Hook"), "{}", said(&output));
        let received = self.receiver.take();
        let (mut generic, mut slack) = (vec![], vec![]);
        for request in received {
            assert!(request.body.len() < 8_000);
            assert!(!String::from_utf8_lossy(&request.body).contains("Planted"), "{}", request.json());
            if request.path == PATH {
                generic.push(request.json());
            } else {
                slack.push(request.json()["text"].as_str().expect("a text").to_owned());
            }
        }
        assert_valid("webhook", &generic);
        (generic, slack)
    }

    fn events(&self, args: &[&str], code: i32) -> Vec<String> {
        let (generic, slack) = self.told(args, code);
        assert_eq!(generic.len(), slack.len());
        generic.iter().map(|message| message["event"].as_str().expect("an event").to_owned()).collect()
    }
}

#[test]
fn a_person_hears_when_they_should() {
    let nights = Nights { shop: shop(NOTIFY), receiver: Receiver::new() };
    let night = |day| ["run", "--as-of", day];
    assert!(nights.events(&night("2024-02-08"), 0).is_empty(), "nothing to tell");

    nights.shop.write("orders/b.csv", BAD_ORDERS);
    let (generic, slack) = nights.told(&night("2024-02-09"), 1);
    let [blocked] = generic.try_into().expect("one message");
    assert_eq!((&blocked["event"], &blocked["stage"]), (&"blocked".into(), &"build".into()));
    assert_eq!((&blocked["models"][0], &blocked["run"]["as_of"]), (&"amounts (2024-02)".into(), &"2024-02-09".into()));
    assert!(blocked["error"].as_str().expect("said").starts_with("amounts (2024-02): check `known` failed on 1 rows"));
    let [slack] = slack.try_into().expect("one message");
    assert!(
        slack.starts_with(":red_circle: *the \"corner\" \\ shop &lt;&amp;&gt;*: the run as of 2024-02-09"),
        "{slack}"
    );
    let run = blocked["run"]["run_id"].as_str().expect("a name");
    assert!(slack.ends_with(&format!("run {run}")), "{slack}");
    // The command that it names is one.
    let next = blocked["next"].as_str().expect("a sentence").split('`').nth(1).expect("a command").to_owned();
    assert_eq!(next, format!("bazgasht explain {run} amounts:2024-02"));
    let words: Vec<&str> = next.split(' ').skip(1).collect();
    assert_code(&program(&nights.shop, "http://127.0.0.1:9/", &words), 0);

    nights.shop.write("orders/b.csv", ORDERS);
    // By hand: who asks for less than a night knows how it went.
    nights.shop.remove("orders/a.csv");
    assert!(nights.events(&["run", "--as-of", "2024-02-09", "--select", "amounts"], 3).is_empty());
    assert_eq!(nights.events(&night("2024-02-09"), 3), ["failure"]);
    nights.shop.write("orders/a.csv", ORDERS);
    let (generic, _) = nights.told(&night("2024-02-09"), 0);
    assert_eq!(generic.len(), 1);
    assert_eq!((&generic[0]["event"], &generic[0]["run"]["snapshot"]), (&"recovery".into(), &2.into()));
    assert!(nights.events(&night("2024-02-09"), 0).is_empty(), "it was told once");
    let (generic, _) = nights.told(&night("2024-03-01"), 0);
    assert_eq!((&generic[0]["event"], &generic[0]["sources"][0]), (&"late".into(), &"orders".into()));
}

#[test]
fn a_failing_day_of_a_backfill_is_told_once_and_isnt_healed_by_another_day() {
    let nights = Nights { shop: shop(NOTIFY), receiver: Receiver::new() };
    assert!(nights.events(&["run", "--as-of", "2024-02-08"], 0).is_empty());
    nights.shop.write("orders/b.csv", BAD_ORDERS.replace("02-06", "02-05"));
    let (generic, _) = nights.told(&["run", "--from", "2024-02-05", "--to", "2024-02-07"], 1);
    let told: Vec<(&Value, &Value)> = generic.iter().map(|m| (&m["event"], &m["run"]["as_of"])).collect();
    assert_eq!(told, [(&"blocked".into(), &"2024-02-05".into())]);
    nights.shop.write("orders/b.csv", ORDERS);
    assert_eq!(nights.events(&["retry"], 0), ["recovery"]);
}

#[test]
fn notify_tries_every_receiver_and_says_who_took_it() {
    let nights = Nights { shop: shop(NOTIFY), receiver: Receiver::new() };
    assert_eq!(nights.events(&["notify"], 0), ["test"]);

    let busy = Receiver::answering([Answer(429, &[("retry-after", "2")], String::new())]);
    let output = program(&nights.shop, &busy.url(PATH), &["notify"]);
    assert_code(&output, 0);
    let received = busy.received();
    assert_eq!(received.len(), 3, "one is tried again");
    assert!(received[2].at - received[0].at >= std::time::Duration::from_secs(2), "not before it said");

    // What is refused for good isn't tried again; the error names the host alone.
    let gone = Receiver::answering([404, 404]);
    let output = program(&nights.shop, &gone.url(PATH), &["notify"]);
    assert_code(&output, 3);
    assert_eq!(gone.received().len(), 2);
    assert!(said(&output).contains("127.0.0.1 answered 404 Not Found"), "{}", said(&output));
    assert!(!said(&output).contains("Planted"), "{}", said(&output));

    // A dead one is a warning of a night that goes well otherwise.
    nights.shop.write("orders/b.csv", BAD_ORDERS);
    let output = program(&nights.shop, &format!("http://127.0.0.1:9{PATH}"), &["run", "--as-of", "2024-02-08"]);
    assert_code(&output, 1);
    assert!(said(&output).contains("could not be delivered: 127.0.0.1 can't be reached"), "{}", said(&output));
    assert!(!said(&output).contains("Planted-Hook"), "{}", said(&output));

    let none = shop("");
    let output = program(&none, &nights.receiver.url(PATH), &["notify"]);
    assert_code(&output, 2);
    assert!(said(&output).contains("has no [[notify]]"), "{}", said(&output));
}
