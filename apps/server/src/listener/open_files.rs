//! The system's limit of open files: each connection takes one, and files, S3 and the log take others.

use std::fs;

/// What is needed beside connections: the log and its journal, requests to S3, spilled files.
const BESIDE_CONNECTIONS: usize = 256;

/// What to say where as many connections as may be open need more files than the system lets this process open.
pub(crate) fn shortage(max_connections: usize) -> Option<String> {
    let limits = fs::read_to_string("/proc/self/limits").ok()?;
    too_few(most(&limits)?, max_connections)
}

/// The limit that holds; none where there is none.
fn most(limits: &str) -> Option<usize> {
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

fn too_few(most: usize, max_connections: usize) -> Option<String> {
    let needed = max_connections.saturating_add(BESIDE_CONNECTIONS);
    (most < needed).then(|| {
        format!(
            "this process may open {most} files, and {max_connections} connections need {needed}: raise the limit (`LimitNOFILE=` in the unit, `ulimit -n`) or lower `max_connections` in [server]"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::{most, shortage, too_few};

    #[test]
    fn a_limit_below_what_connections_need_is_said() {
        let limits = "Limit                     Soft Limit           Hard Limit           Units     \nMax open files            1024                 524288               files     \n";
        assert_eq!(most(limits), Some(1024));
        assert_eq!(most(&limits.replace("1024  ", "unlimited")), None);
        assert_eq!(too_few(1024, 768), None);
        assert!(too_few(1024, 769).unwrap().contains("need 1025"));
        assert!(too_few(1024, usize::MAX).is_some());
        assert_eq!(
            shortage(0).is_some(),
            most_here().is_some_and(|most| most < 256)
        );
    }

    fn most_here() -> Option<usize> {
        most(&std::fs::read_to_string("/proc/self/limits").unwrap())
    }
}
