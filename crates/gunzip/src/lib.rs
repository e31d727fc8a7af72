#![doc = include_str!("../README.md")]

mod codes;
mod decoder;
pub mod fuzzing;
mod inflate;

pub use decoder::{Gunzip, Step, inflate};
