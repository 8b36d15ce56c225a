//! The config file that `bazgasht init` writes.

/// What the config file is called where nobody says otherwise.
pub const FILE_NAME: &str = "bazgasht.toml";

/// A config file that explains itself: what must be set is set, and every other key stands there commented out,
/// with its default. A test holds it against the JSON Schema.
pub const TEMPLATE: &str = include_str!("template.toml");
