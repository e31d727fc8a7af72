//! The customers file: who is behind a calling number.

use std::io::{self, Write};

use chrono::{Days, NaiveDate};

use super::row::{Ani, Random};
use super::text::quoted;

const FIRST: [&str; 12] = [
    "Ada", "Bruno", "Chiara", "Dmitri", "Elif", "Farid", "Greta", "Hiro", "Ines", "Jonas", "Keiko",
    "Lars",
];
const LAST: [&str; 12] = [
    "Example",
    "Muster",
    "Sample",
    "Placeholder",
    "Test",
    "O'Demo",
    "Ejemplo",
    "Esempio",
    "Beispiel",
    "Exemple",
    "Tesuto",
    "Voorbeeld",
];
const TIERS: [&str; 4] = ["bronze", "silver", "gold", "platinum"];
const LANGUAGES: [&str; 5] = ["en-US", "es-US", "fr-CA", "de-DE", "ja-JP"];
const NOTES: [&str; 4] = [
    "",
    "prefers e-mail",
    "moved, new address pending",
    "asks for \"the usual agent\"",
];

/// Writes one line for each caller, in the order given.
pub(crate) fn write(out: &mut impl Write, seed: u64, callers: &[u64]) -> io::Result<()> {
    writeln!(
        out,
        "customer_id,ani,name,tier,language,customer_since,balance_usd,vip,notes"
    )?;
    let first_day = NaiveDate::from_ymd_opt(2015, 1, 1).unwrap_or_default();
    for (index, caller) in callers.iter().enumerate() {
        let mut random = Random::new(seed, caller ^ 0xC057_0000_0000_0000);
        let tier = random.pick(&TIERS);
        let since = first_day + Days::new(random.below(4000));
        let cents = random.below(500_000);
        write!(
            out,
            "C-{:06},{},{} {},{tier},{},{since},{}.{:02},{},",
            index + 1,
            Ani(*caller),
            random.pick(&FIRST),
            random.pick(&LAST),
            random.pick(&LANGUAGES),
            cents / 100,
            cents % 100,
            tier == "platinum",
        )?;
        quoted(out, random.pick(&NOTES))?;
        out.write_all(b"\n")?;
    }
    Ok(())
}
