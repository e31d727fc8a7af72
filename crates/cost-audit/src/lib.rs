#![doc = include_str!("../README.md")]

#[cfg(feature = "cost-explorer")]
mod actuals;
pub mod audit;
mod budget;
mod clock;
mod error;
mod estimate;
mod prices;
mod report;
mod usd;

#[cfg(feature = "cost-explorer")]
pub use actuals::{Actuals, ActualsQuery, GroupBy, S3_SERVICE};
pub use audit::{
    AuditLog, AuditLogBuilder, AuditObject, AuditReceipt, AuditRecord, AuditSettings, AuditStatus,
    VerifyReport, keyed_hash, verify,
};
pub use budget::{
    BudgetLimits, BudgetSettings, BudgetStatus, Budgets, OverBudget, Reservation, ShareStatus,
    SharedBudget, StatementBoard,
};
pub use clock::{Clock, SystemClock};
pub use error::{Error, ErrorKind};
pub use estimate::{Cost, CostLine, Destination, Usage};
pub use prices::{
    GetPrice, OfferSummary, PriceTable, RegionPrices, RequestPrices, Source, Tier, TransferPrices,
    UnitPrice,
};
pub use report::{
    ActionCost, ActualCosts, ActualGroup, ActualPeriod, CostPeriod, CostReport, Granularity,
};
