//! Faults of the machine itself, met by the real program: a disk that is full, files that may not grow, a lake that
//! may not be written.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::laws::{order, shop_with};
use crate::outside::skipped;
use crate::support::{Shop, published, tree};

/// A shop after its first night, with news for the second.
fn shop() -> Shop {
    let shop = shop_with("");
    shop.write("bazgasht.toml", &shop.toml);
    shop.write("raw/2024-01.ndjson", order("a", "c1", "2024-01-10", "10"));
    assert_eq!(run(&shop, &[]).0, 0);
    shop.write("raw/2024-02.ndjson", order("b", "c2", "2024-01-30", "20") + &order("c", "c1", "2024-02-10", "30"));
    shop
}

/// `bazgasht run` under a program that starts it; the exit code, and what was said.
fn run(shop: &Shop, under: &[&str]) -> (i32, String) {
    let program = assert_cmd::cargo::cargo_bin!("bazgasht").display().to_string();
    let words: Vec<&str> = under.iter().copied().chain([program.as_str(), "run", "--as-of", "2024-02-15"]).collect();
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).current_dir(shop.dir.path()).env_remove("BAZGASHT_CONFIG").env("NO_COLOR", "1");
    let output = command.stdin(Stdio::null()).output().expect("it starts");
    let said = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&said).into_owned())
}

/// After a failed run: the marts are as they were; and a run that nothing befalls makes of them what it should.
fn assert_unharmed(shop: &Shop, before: &[(String, Vec<u8>)]) {
    let marts = tree(&shop.path("marts"));
    assert!(before.iter().all(|(path, bytes)| marts.get(path) == Some(bytes)), "what was published is still there");
    let (code, said) = run(shop, &[]);
    assert_eq!(code, 0, "{said}");
    let clean = Shop { dir: tempfile::tempdir().expect("a folder"), toml: shop.toml.clone() };
    for folder in ["raw", "sql"] {
        for (path, bytes) in tree(&shop.path(folder)) {
            clean.write(&format!("{folder}/{path}"), bytes);
        }
    }
    clean.publish("2024-02-15");
    assert!(published(&clean) == published(shop));
}

fn marts(shop: &Shop) -> Vec<(String, Vec<u8>)> {
    tree(&shop.path("marts")).into_iter().collect()
}

/// Something mounted, for as long as it is needed.
struct Mounted(PathBuf);

impl Mounted {
    /// `None` where this process may not mount.
    fn tmpfs(at: PathBuf, size: &str) -> Option<Self> {
        let mount =
            Command::new("mount").args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"]).arg(&at).output();
        mount.is_ok_and(|output| output.status.success()).then_some(Self(at))
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).output();
    }
}

#[test]
fn a_full_disk_under_the_lake_is_told_and_survived() {
    let shop = shop();
    let (before, lake) = (marts(&shop), tree(&shop.path("lake")));
    std::fs::rename(shop.path("lake"), shop.path("kept")).expect("renamed");
    std::fs::create_dir(shop.path("lake")).expect("created");
    let Some(disk) = Mounted::tmpfs(shop.path("lake"), "2m") else {
        return skipped("only root may mount a disk to fill");
    };
    for (path, bytes) in &lake {
        shop.write(&format!("lake/{path}"), bytes);
    }
    // Fill it, but for less and less: so the run gets further and further.
    for free_kib in [0, 4, 16, 48] {
        fill(&shop, free_kib);
        let (code, said) = run(&shop, &[]);
        assert_eq!(code, 3, "{free_kib} KiB free: {said}");
        assert!(said.contains("No space left on device"), "{said}");
    }
    for (path, bytes) in tree(&shop.path("lake")) {
        if path != "filler" {
            shop.write(&format!("kept/{path}"), bytes);
        }
    }
    drop(disk);
    std::fs::remove_dir(shop.path("lake")).expect("unmounted");
    std::fs::rename(shop.path("kept"), shop.path("lake")).expect("renamed");
    assert_unharmed(&shop, &before);
}

/// Fills the lake's disk up to so many KiB.
fn fill(shop: &Shop, free_kib: usize) {
    use std::io::Write;
    let filler = shop.path("lake/filler");
    let mut file = std::fs::File::create(&filler).expect("created");
    let mut written = 0;
    while file.write_all(&[7; 4096]).is_ok() {
        written += 4;
    }
    drop(file);
    let file = std::fs::File::options().write(true).open(&filler).expect("opened");
    file.set_len((written - free_kib.min(written)) as u64 * 1024).expect("cut");
}

#[test]
fn files_that_may_not_grow_are_told_and_survived() {
    let shop = shop();
    let before = marts(&shop);
    // In blocks of 512 bytes: nothing may be written; then not what is longer than a record; then not a snapshot.
    for blocks in [0, 2, 8, 24] {
        let limited = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$@\"");
        let (code, said) = run(&shop, &["sh", "-c", &limited, "sh"]);
        assert_eq!(code, 3, "{blocks} blocks: {said}");
        assert!(said.contains("File too large"), "{said}");
    }
    assert_unharmed(&shop, &before);
}

#[test]
fn a_lake_that_may_not_be_written_is_told_and_survived() {
    let shop = shop();
    let before = marts(&shop);
    let chmod = |mode: &str| {
        let changed = Command::new("chmod").args(["-R", mode]).arg(shop.path("lake")).status();
        assert!(changed.is_ok_and(|status| status.success()));
    };
    // Root may write everything, unless it gives that up.
    let powerless = ["setpriv", "--bounding-set=-dac_override", "--inh-caps=-dac_override"];
    let writes = |under: &[&str]| {
        let test = ["test", "-w", "lake/snapshots"];
        let words: Vec<&str> = under.iter().copied().chain(test).collect();
        let tested = Command::new(words[0]).args(&words[1..]).current_dir(shop.dir.path()).output();
        tested.is_ok_and(|output| output.status.success())
    };
    chmod("a-w");
    let under: &[&str] = if writes(&[]) { &powerless } else { &[] };
    if under.first().is_some_and(|program| Command::new(program).arg("--version").output().is_err()) || writes(under) {
        chmod("u+w");
        return skipped("root may write every folder, and setpriv doesn't change that here");
    }
    let (code, said) = run(&shop, under);
    chmod("u+w");
    assert_eq!(code, 3, "{said}");
    assert!(said.contains("Permission denied"), "{said}");
    assert_unharmed(&shop, &before);
}
