//! Programs that are not ours and that some tests need: a test without its program is skipped on a developer's
//! machine, and fails in CI.

use std::ffi::OsString;
use std::io::Write;
use std::process::{Command, Stdio};

use serde::de::DeserializeOwned;

/// Says that a test is skipped for want of a program, even when the test runner captures what tests print.
///
/// # Panics
/// Where `CI=true`.
pub fn absent(program: &str, hint: &str) {
    assert!(
        std::env::var("CI").as_deref() != Ok("true"),
        "{program} is missing, and CI must not skip its tests: {hint}"
    );
    skipped(&format!("{program} is missing; {hint}"));
}

/// A Python with what `.ci/requirements.txt` names; without one, says so.
pub fn python() -> Option<OsString> {
    let python = std::env::var_os("BAZGASHT_TEST_PYTHON");
    if python.is_none() {
        absent("BAZGASHT_TEST_PYTHON", "set it to a Python that has what .ci/requirements.txt names");
    }
    python
}

/// What a Python script makes of its standard input, in JSON; `None` without Python.
pub fn ask_python<T: DeserializeOwned>(script: &str, input: &[u8]) -> Option<T> {
    let mut asked = Command::new(python()?)
        .args(["-c", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("Python starts");
    asked.stdin.take().expect("a pipe").write_all(input).expect("written");
    let output = asked.wait_with_output().expect("it ends");
    assert!(output.status.success(), "the script failed on: {}", String::from_utf8_lossy(input));
    Some(serde_json::from_slice(&output.stdout).expect("JSON"))
}

/// Says that a test is skipped since this machine doesn't let it happen, in CI too.
pub fn skipped(why: &str) {
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    let _ = writeln!(std::io::stderr(), "SKIPPED {test}: {why}");
}
