//! The config's JSON Schema, committed for editors, is the one that the types give.

#[test]
fn the_committed_schema_is_the_types_own() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/bazgasht.schema.json");
    let schema = bazgasht::config::json_schema();
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        std::fs::write(path, &schema).expect("written");
    }
    let committed = std::fs::read_to_string(path).unwrap_or_default();
    assert!(committed == schema, "docs/bazgasht.schema.json is out of date: `just schema` writes it anew");
}
