//! The machine that a measurement was taken on, for whoever compares figures.

use std::num::NonZeroUsize;

/// The processor's name, as the system tells it.
pub(super) fn cpu_model() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    model_in(&info).unwrap_or_else(|| format!("{} (model not told)", std::env::consts::ARCH))
}

/// Cores that this process may use; a server with another affinity may have fewer or more.
pub(super) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, NonZeroUsize::get)
}

fn model_in(info: &str) -> Option<String> {
    let line = info.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_first_model_name_counts() {
        let info = "processor\t: 0\nmodel\t\t: 85\nmodel name\t: Some CPU @ 2.50GHz\nmodel name\t: other\n";
        assert_eq!(super::model_in(info).as_deref(), Some("Some CPU @ 2.50GHz"));
        assert_eq!(super::model_in("CPU part\t: 0xd0c\n"), None);
    }
}
