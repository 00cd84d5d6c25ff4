//! What the numbers were measured on.

use std::fs;

use crate::process::Cores;

/// One line: processor, cores, memory, kernel.
pub(crate) fn description(cores: &Cores) -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let cpu = after(&read("/proc/cpuinfo"), "model name").unwrap_or("unknown processor".into());
    let kernel = read("/proc/sys/kernel/osrelease");
    let memory = after(&read("/proc/meminfo"), "MemTotal").unwrap_or_default();
    let kib: u64 = memory.trim_end_matches("kB").trim().parse().unwrap_or_default();
    let (count, gib) = (cores.count(), kib.div_ceil(1 << 20));
    format!("{cpu}, {count} cores, {gib} GiB, Linux {}", kernel.trim())
}

/// How many processes wanted to run in the last minute, on average.
pub(crate) fn load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or_default().to_owned()
}

fn after(text: &str, name: &str) -> Option<String> {
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}
