#![doc = include_str!("../README.md")]

pub mod audit;
mod clock;
mod error;
mod estimate;
mod prices;

pub use audit::{
    AuditLog, AuditLogBuilder, AuditObject, AuditReceipt, AuditRecord, AuditSettings, AuditStatus,
    VerifyReport, keyed_hash, verify,
};
pub use clock::{Clock, SystemClock};
pub use error::{Error, ErrorKind};
pub use estimate::{Cost, CostLine, Destination, Usage};
pub use prices::{PriceTable, RegionPrices, RequestPrices, Tier, TransferPrices, UnitPrice};
