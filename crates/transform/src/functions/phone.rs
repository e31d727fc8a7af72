//! `to_e164`, `phone_region`: telephone numbers as libphonenumber understands them.

use std::{str::FromStr, sync::Arc};

use datafusion::{
    arrow::{array::StringArray, datatypes::DataType},
    common::{Result, plan_err},
    logical_expr::{
        ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
    },
};
use phonenumber::{Mode, country};

use super::arguments::{array, invalid, texts};

/// Longest text that can be a number: a longer one is none.
const LONGEST_NUMBER: usize = 64;

pub(super) fn functions() -> Vec<ScalarUDF> {
    [Part::Number, Part::Region]
        .map(|part| {
            ScalarUDF::from(Phone {
                part,
                signature: Signature::user_defined(Volatility::Immutable),
            })
        })
        .into()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Part {
    Number,
    Region,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Phone {
    part: Part,
    signature: Signature,
}

impl ScalarUDFImpl for Phone {
    fn name(&self) -> &str {
        match self.part {
            Part::Number => "to_e164",
            Part::Region => "phone_region",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        if !(1..=2).contains(&given.len()) {
            return plan_err!("{} takes a number and, if you like, a region", self.name());
        }
        Ok(vec![DataType::Utf8; given.len()])
    }

    fn return_type(&self, _given: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = arguments.number_rows;
        let numbers = texts(&array(&arguments.args[0], rows)?)?;
        let regions = match arguments.args.get(1) {
            Some(regions) => texts(&array(regions, rows)?)?,
            None => vec![None; rows],
        };
        let mut last: Option<(String, country::Id)> = None;
        let mut results = Vec::with_capacity(rows);
        for (number, region) in numbers.into_iter().zip(regions) {
            let region = match region {
                None => None,
                Some(region) => match &last {
                    Some((name, id)) if *name == region => Some(*id),
                    _ => {
                        let id = parse_region(&region)?;
                        last = Some((region, id));
                        Some(id)
                    }
                },
            };
            results.push(number.and_then(|number| self.part.of(&number, region)));
        }
        Ok(ColumnarValue::Array(Arc::new(StringArray::from(results))))
    }
}

impl Part {
    /// The part of a number that is valid; nothing of one that is not.
    fn of(self, number: &str, region: Option<country::Id>) -> Option<String> {
        if number.len() > LONGEST_NUMBER {
            return None;
        }
        let number = phonenumber::parse(region, number).ok()?;
        if !number.is_valid() {
            return None;
        }
        match self {
            Self::Number => Some(number.format().mode(Mode::E164).to_string()),
            Self::Region => number.country().id().map(|id| id.as_ref().to_owned()),
        }
    }
}

fn parse_region(region: &str) -> Result<country::Id> {
    country::Id::from_str(&region.to_ascii_uppercase())
        .map_err(|_error| invalid("a region is no code of two letters such as US or DE".to_owned()))
}
