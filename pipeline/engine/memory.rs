//! How much memory to take where the config doesn't say: no more than a container may have. Results never depend on it:
//! with less, models spill earlier.

use std::path::Path;

use crate::config::LEAST_MEMORY;

/// Where nothing bounds it.
pub const DEFAULT_LIMIT_BYTES: u64 = 2 << 30;

/// The limit for `configured`, on this machine: what the config says, else [`DEFAULT_LIMIT_BYTES`] or half of what the
/// process's control group may have, whichever is less. The other half is for what the engine doesn't account.
pub fn limit_bytes(configured: Option<u64>) -> u64 {
    let read = |path: &str| std::fs::read_to_string(path).ok();
    let of_group = read("/proc/self/cgroup").and_then(|groups| group_limit_bytes(&groups, read));
    let limit = resolve(configured, of_group);
    if let Some(of_group) = of_group {
        if configured.is_none() && limit < DEFAULT_LIMIT_BYTES {
            tracing::info!(
                "memory_limit is {} MiB, half of what this container or service may have; [engine] memory_limit sets it",
                limit >> 20
            );
        } else if limit >= of_group {
            tracing::warn!(
                "[engine] memory_limit is {} MiB, but this container or service may have no more than {} MiB: it may be \
                 killed; set about half of that, or leave memory_limit out",
                limit >> 20,
                of_group >> 20
            );
        }
    }
    limit
}

fn resolve(configured: Option<u64>, of_group: Option<u64>) -> u64 {
    let half = of_group.map_or(u64::MAX, |limit| limit / 2);
    configured.unwrap_or_else(|| DEFAULT_LIMIT_BYTES.min(half).max(LEAST_MEMORY.bytes()))
}

/// The least limit of the control groups that `/proc/self/cgroup` names, and of those around them. In a container the
/// named path may be the host's, which isn't there: what holds then lies at the mount's root.
fn group_limit_bytes(groups: &str, read: impl Fn(&str) -> Option<String>) -> Option<u64> {
    let least = |mount: &str, group: &str, file: &str| {
        let around = Path::new(group).ancestors().filter_map(Path::to_str);
        let limits = around.filter_map(|group| read(&format!("{mount}{}/{file}", group.trim_end_matches('/'))));
        // Version 2 writes `max` for no limit; version 1 a number near 2^63.
        limits.filter_map(|limit| limit.trim().parse::<u64>().ok()).filter(|limit| *limit < 1 << 62).min()
    };
    let of_line = |line: &str| {
        let mut parts = line.splitn(3, ':');
        match (parts.next()?, parts.next()?, parts.next()?) {
            ("0", "", group) => least("/sys/fs/cgroup", group, "memory.max"),
            (_, controllers, group) if controllers.split(',').any(|name| name == "memory") => {
                least("/sys/fs/cgroup/memory", group, "memory.limit_in_bytes")
            }
            _ => None,
        }
    };
    groups.lines().filter_map(of_line).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    fn limit(groups: &str, files: &[(&str, &str)]) -> Option<u64> {
        group_limit_bytes(groups, |path| {
            files.iter().find(|(name, _)| *name == path).map(|(_, text)| (*text).to_owned())
        })
    }

    #[test]
    fn version_2_in_a_container_with_its_own_root() {
        assert_eq!(limit("0::/\n", &[("/sys/fs/cgroup/memory.max", "1073741824\n")]), Some(GIB));
        assert_eq!(limit("0::/\n", &[("/sys/fs/cgroup/memory.max", "max\n")]), None);
    }

    #[test]
    fn version_2_takes_the_tightest_group_on_the_way_up() {
        let files = [
            ("/sys/fs/cgroup/system.slice/bazgasht.service/memory.max", "max\n"),
            ("/sys/fs/cgroup/system.slice/memory.max", "3221225472\n"),
        ];
        assert_eq!(limit("0::/system.slice/bazgasht.service\n", &files), Some(3 * GIB));
        let tighter = [files[1], ("/sys/fs/cgroup/system.slice/bazgasht.service/memory.max", "2147483648\n")];
        assert_eq!(limit("0::/system.slice/bazgasht.service\n", &tighter), Some(2 * GIB));
    }

    #[test]
    fn version_1_where_the_path_is_the_hosts() {
        let groups = "12:cpu,cpuacct:/docker/4f\n9:memory:/docker/4f\n0::/docker/4f\n";
        let root = "/sys/fs/cgroup/memory/memory.limit_in_bytes";
        assert_eq!(limit(groups, &[(root, "2147483648\n")]), Some(2 * GIB));
        assert_eq!(limit(groups, &[(root, "9223372036854771712\n")]), None);
        let of_other = [("/sys/fs/cgroup/cpu/memory.limit_in_bytes", "4096\n")];
        assert_eq!(limit("12:cpu,cpuacct:/\n", &of_other), None);
    }

    #[test]
    fn where_there_are_no_control_groups_nothing_is_known() {
        assert_eq!(limit("", &[]), None);
        assert_eq!(limit("what is this\n0::\n", &[]), None);
        assert_eq!(limit("0::/a:b\n", &[("/sys/fs/cgroup/a:b/memory.max", "1073741824\n")]), Some(GIB));
    }

    #[test]
    fn half_of_a_small_container_and_never_more_than_the_default() {
        assert_eq!(resolve(None, None), DEFAULT_LIMIT_BYTES);
        assert_eq!(resolve(None, Some(64 * GIB)), DEFAULT_LIMIT_BYTES);
        assert_eq!(resolve(None, Some(GIB)), GIB / 2);
        assert_eq!(resolve(None, Some(1 << 20)), LEAST_MEMORY.bytes());
        assert_eq!(resolve(Some(8 * GIB), Some(GIB)), 8 * GIB, "what the config says holds");
    }
}
