//! Times as neutron writes them: UTC without saying so, to the microsecond.

use std::fmt;
use std::ops::Sub;
use std::time::SystemTime;

use endpointd_guest::{Result, builtins};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use time::{Duration, OffsetDateTime, PrimitiveDateTime};

const READ: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond]");
const WRITE: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:6]");

#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Timestamp(PrimitiveDateTime);

impl Timestamp {
    /// The `time` argument of a report, as strictly as `timeutils.parse_strtime` reads it: with a
    /// fraction of 1 to 6 digits, and no zone.
    pub(crate) fn of_report(value: &Value) -> Result<Self> {
        let Some(text) = value.as_str() else {
            return Err(builtins::type_error("strptime() argument 1 must be str"));
        };
        Self::parse(text).ok_or_else(|| {
            builtins::value_error(format!(
                "time data '{text}' does not match format '%Y-%m-%dT%H:%M:%S.%f'"
            ))
        })
    }

    fn parse(text: &str) -> Option<Self> {
        let (_, fraction) = text.split_once('.')?;
        let time = PrimitiveDateTime::parse(text, READ).ok()?;
        (fraction.len() <= 6).then_some(Self(time))
    }
}

impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        let time = OffsetDateTime::from(time);
        // To the microsecond, so that what is stored equals what is compared.
        let micros = time.microsecond();
        let whole = time.replace_microsecond(micros).unwrap_or(time);
        Self(PrimitiveDateTime::new(whole.date(), whole.time()))
    }
}

impl Sub for Timestamp {
    type Output = Duration;

    fn sub(self, earlier: Self) -> Duration {
        self.0 - earlier.0
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.format(WRITE).map_err(|_| fmt::Error)?;
        f.write_str(&text)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| D::Error::custom(format!("`{text}` is no time")))
    }
}
