#![doc = include_str!("../README.md")]

mod clock;
mod error;
mod limiter;
mod login;
mod region;
mod secret;
mod settings;
mod source;

pub use clock::{Clock, SystemClock};
pub use error::{Error, ErrorKind};
pub use limiter::RateLimiter;
pub use region::Region;
pub use secret::{AccessToken, Secret};
pub use settings::TokenSettings;
pub use source::{TokenSource, TokenSourceBuilder};
