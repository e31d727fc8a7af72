//! The profile of a running server, and a live view of its figures.

mod arguments;
mod live;
mod source;
mod view;

pub(crate) use self::{arguments::Profile, live::profile, source::ProfileSource};
