//! Programs that are not ours and that some tests need: a test without its program is skipped on a developer's
//! machine, and fails in CI.

use std::io::Write;

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

/// Says that a test is skipped since this machine doesn't let it happen, in CI too.
pub fn skipped(why: &str) {
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    let _ = writeln!(std::io::stderr(), "SKIPPED {test}: {why}");
}
