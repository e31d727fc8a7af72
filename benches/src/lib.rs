//! What every comparison needs: a server that stands for S3 at the machine's own limit, one that is far away, whole
//! processes measured from outside, servers under load, and a table with medians.

mod bookkeeping;
mod delay;
mod lake;
mod nginx;
mod process;
mod report;
mod server;
mod setup;
mod throttle;
mod wrk;

pub use bookkeeping::{Bookkeeping, bookkeeping};
pub use delay::Delayed;
pub use lake::{Distance, Lake, Objects, Requests};
pub use nginx::{Nginx, SLOW_CONNECTION};
pub use process::{Measured, cpu_seconds, measure};
pub use report::{Cell, median, write_section};
pub use server::{CpuTime, Running, free_port};
pub use setup::{Places, succeed};
pub use throttle::Throttled;
pub use wrk::{Answered, Load, wrk};
