//! What the machine, or the container around the process, gives it: memory and cores.
//!
//! Comes in: the files under `/proc` and `/sys/fs/cgroup` (below a root that tests choose). Goes out: bytes and a
//! count. Keeps: the least of all limits that hold is the answer; a file that is missing or strange is no limit.

use std::fs;
use std::path::Path;
use std::thread;

/// What this process may use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Host {
    /// Memory in bytes: the machine's, or the cgroup's limit where that is less.
    pub memory_bytes: u64,
    /// Cores that the process may run on, by affinity and by cgroup quota.
    pub cores: usize,
}

impl Host {
    /// Looks at this machine.
    pub fn probe() -> Host {
        Host {
            memory_bytes: memory_bytes(Path::new("/")),
            cores: thread::available_parallelism().map_or(1, usize::from),
        }
    }
}

/// The least of the machine's memory and every limit on the way from the process's cgroups up to their roots.
fn memory_bytes(root: &Path) -> u64 {
    let mut least = machine_bytes(root).unwrap_or(MEMORY_BYTES_UNKNOWN);
    let cgroups = fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
    for line in cgroups.lines() {
        // hierarchy:controllers:path, where version 2 has hierarchy 0 and no controllers.
        let mut parts = line.splitn(3, ':');
        let (Some(hierarchy), Some(controllers), Some(path)) = (parts.next(), parts.next(), parts.next())
        else {
            continue;
        };
        let (mount, file) = if hierarchy == "0" && controllers.is_empty() {
            ("sys/fs/cgroup", "memory.max")
        } else if controllers.split(',').any(|name| name == "memory") {
            ("sys/fs/cgroup/memory", "memory.limit_in_bytes")
        } else {
            continue;
        };
        // In a container the path may be that of the host, where only its mounted root can be seen: going up finds it.
        for directory in Path::new(path.trim_start_matches('/')).ancestors() {
            let limit = fs::read_to_string(root.join(mount).join(directory).join(file)).ok();
            if let Some(bytes) = limit.and_then(|text| text.trim().parse::<u64>().ok()) {
                least = least.min(bytes);
            }
        }
    }
    least
}

fn machine_bytes(root: &Path) -> Option<u64> {
    let text = fs::read_to_string(root.join("proc/meminfo")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

/// Taken where the machine does not tell, as on macOS.
const MEMORY_BYTES_UNKNOWN: u64 = 4 << 30;

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(files: &[(&str, &str)]) -> u64 {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        memory_bytes(root.path())
    }

    const MEMINFO: (&str, &str) = ("proc/meminfo", "MemTotal:       8000000 kB\nMemFree:         1 kB\n");

    #[test]
    fn without_a_cgroup_it_is_the_machine() {
        assert_eq!(machine(&[MEMINFO]), 8_000_000 * 1024);
        assert_eq!(machine(&[]), MEMORY_BYTES_UNKNOWN);
        assert_eq!(machine(&[MEMINFO, ("proc/self/cgroup", "strange\n0:\n")]), 8_000_000 * 1024);
    }

    #[test]
    fn a_version_2_limit_above_the_process_counts() {
        let bytes = machine(&[
            MEMINFO,
            ("proc/self/cgroup", "0::/system.slice/tidegate.service\n"),
            ("sys/fs/cgroup/system.slice/tidegate.service/memory.max", "max\n"),
            ("sys/fs/cgroup/system.slice/memory.max", "1073741824\n"),
        ]);
        assert_eq!(bytes, 1 << 30);
    }

    #[test]
    fn a_version_2_container_sees_its_limit_at_the_root() {
        let cgroup = ("proc/self/cgroup", "0::/\n");
        assert_eq!(machine(&[MEMINFO, cgroup, ("sys/fs/cgroup/memory.max", "536870912\n")]), 512 << 20);
    }

    #[test]
    fn a_version_1_limit_counts_even_where_the_path_is_the_hosts() {
        let cgroup = ("proc/self/cgroup", "4:cpu:/x\n3:hugetlb,memory:/docker/abc\n0::/\n");
        let limit = ("sys/fs/cgroup/memory/memory.limit_in_bytes", "268435456\n");
        assert_eq!(machine(&[MEMINFO, cgroup, limit]), 256 << 20);
    }

    #[test]
    fn no_limit_in_version_1_is_a_huge_number() {
        let cgroup = ("proc/self/cgroup", "3:memory:/\n");
        let limit = ("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
        assert_eq!(machine(&[MEMINFO, cgroup, limit]), 8_000_000 * 1024);
    }

    #[test]
    fn this_machine_answers() {
        let host = Host::probe();
        assert!(host.cores >= 1);
        assert!(host.memory_bytes > 1 << 20, "{} bytes", host.memory_bytes);
    }
}
