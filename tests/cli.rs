//! The program as a user meets it.

use assert_cmd::Command;

use crate::support::tree;

fn bazgasht(dir: &std::path::Path) -> Command {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("bazgasht"));
    command.current_dir(dir).env_remove("BAZGASHT_CONFIG").env("NO_COLOR", "1");
    command
}

fn code_and_error(command: &mut Command) -> (i32, String) {
    let output = command.output().expect("it ran");
    (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn without_a_config_it_says_how_to_get_one() {
    let dir = tempfile::tempdir().expect("a folder");
    let (code, error) = code_and_error(bazgasht(dir.path()).arg("run"));
    assert_eq!(code, 2);
    assert!(error.contains("bazgasht init"), "{error}");
}

#[test]
fn init_writes_a_project_that_checks() {
    let dir = tempfile::tempdir().expect("a folder");
    bazgasht(dir.path()).arg("init").assert().success();
    assert!(tree(dir.path()).keys().any(|name| name == "sql/marts/rfm.sql"));
    bazgasht(dir.path()).arg("check").assert().success();
    let (code, error) = code_and_error(bazgasht(dir.path()).arg("init"));
    assert_eq!((code, error.contains("left alone")), (2, true), "{error}");
}

#[test]
fn a_typo_is_met_with_the_nearest_name() {
    let dir = tempfile::tempdir().expect("a folder");
    std::fs::write(dir.path().join("bazgasht.toml"), "[project]\ntimezome = \"UTC\"\n").expect("written");
    let (code, error) = code_and_error(bazgasht(dir.path()).arg("check"));
    assert_eq!(code, 2);
    assert!(error.contains("timezone"), "{error}");
}

#[test]
fn an_unreachable_folder_is_exit_code_3() {
    let dir = tempfile::tempdir().expect("a folder");
    let toml = "[project]\ntimezone = \"UTC\"\ncurrency = \"EUR\"\n[storage]\nlake = \"./lake\"\nmarts = \"./marts\"\n\
                [sources.orders]\nlocation = \"./nowhere\"\nformat = \"csv\"\n";
    std::fs::write(dir.path().join("bazgasht.toml"), toml).expect("written");
    let (code, error) = code_and_error(bazgasht(dir.path()).arg("run"));
    assert_eq!(code, 3, "{error}");
}

#[test]
fn generate_is_deterministic() {
    let dir = tempfile::tempdir().expect("a folder");
    for out in ["a", "b"] {
        bazgasht(dir.path()).args(["generate", "--customers", "50", "--days", "40", "--out", out]).assert().success();
    }
    assert!(tree(&dir.path().join("a")) == tree(&dir.path().join("b")));
}
