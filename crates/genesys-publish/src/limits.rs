//! How many of the platform's concurrent executions a load holds.

/// The load of a server, as its profile has it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Load {
    /// Requests a second.
    pub requests_per_second: f64,
    /// Their mean duration, in milliseconds.
    pub mean_ms: f64,
}

impl Load {
    /// The executions that run at the same time on average: arrivals a second times seconds each (Little's law).
    #[must_use]
    pub fn concurrent_executions(self) -> f64 {
        self.requests_per_second * self.mean_ms / 1000.0
    }
}

#[cfg(test)]
mod tests {
    use super::Load;

    #[test]
    fn rate_times_duration() {
        let load = Load {
            requests_per_second: 15.0,
            mean_ms: 200.0,
        };
        assert!((load.concurrent_executions() - 3.0).abs() < 1e-9);
    }
}
