//! Finds out how much memory this process may use.

use std::{fs, path::Path};

/// The memory to hash one password, in bytes.
const HASHER: u64 = 64 << 20;
/// The memory that the server needs otherwise, idle and under load.
const REST: u64 = 48 << 20;

/// The least of all limits that hold for this process, in bytes: those of its control groups, of its
/// address space, and of the machine. `None` where none can be read.
pub(crate) fn limit() -> Option<u64> {
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let limits = [
        of_control_groups(&groups, |file| fs::read_to_string(file).ok()),
        fs::read_to_string("/proc/self/limits").ok().and_then(|text| address_space(&text)),
        fs::read_to_string("/proc/meminfo").ok().and_then(|text| of_machine(&text)),
    ];
    limits.into_iter().flatten().min()
}

/// How many of `wanted` things, each of `bytes`, fit into one eighth of the memory. Logs it when
/// they do not all fit.
pub(crate) fn fitting(setting: &str, wanted: u64, bytes: u64) -> u64 {
    let Some(memory) = limit() else { return wanted };
    let fitting = fit(memory, wanted, bytes);
    if fitting < wanted {
        tracing::warn!(
            setting,
            wanted,
            fitting,
            memory,
            "this process has not the memory for more"
        );
    }
    fitting
}

fn fit(memory: u64, wanted: u64, bytes: u64) -> u64 {
    wanted.min((memory / 8 / bytes.max(1)).max(1))
}

/// How many passwords may be hashed at once where `memory` bytes may be used.
pub(crate) fn hashers_in(memory: u64) -> usize {
    usize::try_from(memory.saturating_sub(REST) / HASHER).unwrap_or(usize::MAX)
}

/// The least limit of the groups in `groups` (`/proc/self/cgroup`) and of those that they lie in.
/// `read` reads a file. For "no limit", version 2 says `max`, and version 1 a number larger than
/// any machine's memory.
fn of_control_groups(groups: &str, read: impl Fn(&Path) -> Option<String>) -> Option<u64> {
    let roots = groups.lines().filter_map(|line| {
        let mut parts = line.splitn(3, ':');
        let (_, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
        let (root, file) = match controllers {
            "" => ("/sys/fs/cgroup", "memory.max"),
            "memory" => ("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
            _ => return None,
        };
        Some((Path::new(root), path.trim_start_matches('/'), file))
    });
    let limits = roots.flat_map(|(root, path, file)| {
        // In a container the path is often the host's, and the root is the container's own group.
        let own = root.join(path);
        let all: Vec<_> = own
            .ancestors()
            .take_while(|group| group.starts_with(root))
            .map(|group| group.join(file))
            .collect();
        all
    });
    limits.filter_map(|file| read(&file)?.trim().parse().ok()).min()
}

/// The soft limit of the address space in `/proc/self/limits`.
fn address_space(limits: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max address space"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// The whole memory in `/proc/meminfo`.
fn of_machine(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_limit_of_all_groups_counts() {
        let read = |file: &Path| match file.to_str().unwrap() {
            "/sys/fs/cgroup/a/b/memory.max" => Some("max\n".to_owned()),
            "/sys/fs/cgroup/a/memory.max" => Some("134217728\n".to_owned()),
            "/sys/fs/cgroup/memory.max" => Some("268435456\n".to_owned()),
            "/sys/fs/cgroup/memory/c/memory.limit_in_bytes" => Some("67108864".to_owned()),
            _ => None,
        };
        assert_eq!(of_control_groups("0::/a/b\n", read), Some(128 << 20));
        assert_eq!(of_control_groups("0::/\n", read), Some(256 << 20));
        assert_eq!(of_control_groups("5:memory:/c\n0::/x\n", read), Some(64 << 20));
        assert_eq!(of_control_groups("", read), None);
    }

    #[test]
    fn the_limit_of_the_address_space_and_the_memory_are_read() {
        let limits = "Limit                     Soft Limit           Hard Limit           Units\n\
            Max address space         524288000            unlimited            bytes\n";
        assert_eq!(address_space(limits), Some(524_288_000));
        assert_eq!(address_space(&limits.replace("524288000", "unlimited")), None);
        assert_eq!(of_machine("MemTotal:       16384 kB\nMemFree: 1 kB\n"), Some(16 << 20));
    }

    #[test]
    fn what_strangers_fill_fits_into_an_eighth_of_the_memory() {
        assert_eq!(fit(128 << 20, 4096, 64 << 10), 256);
        assert_eq!(fit(8 << 30, 4096, 64 << 10), 4096);
        assert_eq!(fit(1 << 20, 4096, 1 << 20), 1);
    }

    #[test]
    fn as_many_passwords_are_hashed_at_once_as_fit() {
        let mib = |mib: u64| mib << 20;
        assert_eq!([64, 111, 112, 160, 512].map(|all| hashers_in(mib(all))), [0, 0, 1, 1, 7]);
    }
}
