//! The options of a plan that step kinds look at.

use std::path::PathBuf;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    ChangeCapture, CutoverSettings, LargeObjectPolicy, PublishedPartitions, SecretRef,
    UnloggedPolicy, WithoutIdentity,
};

/// How a database of the plan is reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DatabaseRef {
    /// Where the connection string is found: a URI or libpq's `key=value` pairs.
    pub url: SecretRef,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsSettings>,
    /// Of the source: how the target server reaches it, where that differs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_target: Option<FromTarget>,
}

impl DatabaseRef {
    /// A database behind a url, with everything else left out.
    pub fn new(url: SecretRef) -> Self {
        Self { url, tls: None, from_target: None }
    }
}

/// How the target server reaches the source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FromTarget {
    /// Where the connection string is found that the subscriptions hold.
    pub url: SecretRef,
}

/// How the connection is protected. Left out: verified in full, except for local servers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TlsSettings {
    pub mode: TlsMode,
    /// PEM file of the certificates to trust; the system's where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TlsMode {
    /// No encryption.
    Disable,
    /// Encrypted, but anyone in the middle can pose as the server.
    Require,
    /// The certificate must come from a trusted authority.
    VerifyCa,
    /// And name the host that was asked for.
    VerifyFull,
}

/// The options that apply to the whole plan.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    pub load: LoadSettings,
    pub limits: LimitSettings,
    pub verify: VerifySettings,
    pub change_capture: ChangeCapture,
    pub tables_without_identity: WithoutIdentity,
    pub partitions: PublishedPartitions,
    pub large_objects: LargeObjectPolicy,
    pub unlogged: UnloggedPolicy,
    pub cutover: CutoverSettings,
}

/// How rows, indexes and constraints get to the target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LoadSettings {
    /// Steps that run at the same time, at most.
    #[schemars(range(min = 1, max = 256))]
    pub workers: u16,
    /// Tables larger than this are split into parts of about this size (PostgreSQL 14 and later).
    pub part_size: ByteSize,
    /// `auto` copies binary where both sides have the same built-in types, and text elsewhere.
    pub format: CopyFormat,
    /// Tables up to this size are moved many at a time, as one step.
    pub bundle_below: ByteSize,
}

impl Default for LoadSettings {
    fn default() -> Self {
        Self {
            workers: 4,
            part_size: ByteSize(1 << 30),
            format: CopyFormat::Auto,
            bundle_below: ByteSize(1 << 20),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CopyFormat {
    Auto,
    Text,
}

/// What a run may take of the servers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LimitSettings {
    /// Connections of steps to the source at the same time; two more watch and hold the lock.
    #[schemars(range(min = 1, max = 1000))]
    pub source_connections: u16,
    #[schemars(range(min = 1, max = 1000))]
    pub target_connections: u16,
    pub retained_wal: RetainedWal,
}

/// How much write-ahead log the slots may keep on the source.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RetainedWal {
    /// Left out: nobody looks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub budget: Option<ByteSize>,
    pub on_breach: OnBreach,
}

/// Stopping frees no WAL: the slots go with `abort`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnBreach {
    /// Says so, and goes on.
    #[default]
    Warn,
    /// Stops the run.
    Abort,
}

impl Default for LimitSettings {
    fn default() -> Self {
        Self { source_connections: 8, target_connections: 8, retained_wal: RetainedWal::default() }
    }
}

/// How the two sides are compared.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct VerifySettings {
    pub method: VerifyMethod,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum VerifyMethod {
    /// Row count, and the sum of a 64-bit hash of every row.
    #[default]
    Digest,
    /// Row count alone.
    Count,
}

/// A span of time in milliseconds. Written `500ms`, `10s`, `5min` or `6h`.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "TimeSpanText")]
pub struct TimeSpan(pub u64);

/// A span of time in a plan.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "only its schema is used")]
struct TimeSpanText(#[schemars(regex(pattern = r"^[0-9]*[1-9][0-9]* ?(ms|s|min|h)$"))] String);

impl TimeSpan {
    pub const fn duration(self) -> std::time::Duration {
        std::time::Duration::from_millis(self.0)
    }
}

impl TryFrom<String> for TimeSpan {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl FromStr for TimeSpan {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(split);
        let factor = match unit.trim_start() {
            "ms" => Some(1),
            "s" => Some(1_000),
            "min" => Some(60_000),
            "h" => Some(3_600_000),
            _ => None,
        };
        number
            .parse::<u64>()
            .ok()
            .zip(factor)
            .and_then(|(number, factor)| number.checked_mul(factor))
            .map(Self)
            .ok_or_else(|| format!("`{text}` is no span of time; write one like 10s"))
    }
}

impl std::fmt::Display for TimeSpan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (unit, factor) in [("h", 3_600_000), ("min", 60_000), ("s", 1_000)] {
            if self.0 >= factor && self.0.is_multiple_of(factor) {
                return write!(f, "{}{unit}", self.0 / factor);
            }
        }
        write!(f, "{}ms", self.0)
    }
}

impl From<TimeSpan> for String {
    fn from(span: TimeSpan) -> Self {
        span.to_string()
    }
}

/// A number of bytes. Written `2GiB`, `512MiB`, `64KiB` or `4096`.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(try_from = "ByteSizeText", into = "String")]
#[schemars(with = "ByteSizeText")]
pub struct ByteSize(pub u64);

/// A size in a plan: a number of bytes, or one with a unit.
#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
enum ByteSizeText {
    Bytes(u64),
    Text(#[schemars(regex(pattern = r"^[0-9]+ ?([KMGT]iB|B)?$"))] String),
}

impl TryFrom<ByteSizeText> for ByteSize {
    type Error = String;
    fn try_from(text: ByteSizeText) -> Result<Self, String> {
        match text {
            ByteSizeText::Bytes(bytes) => Ok(Self(bytes)),
            ByteSizeText::Text(text) => text.parse(),
        }
    }
}

impl FromStr for ByteSize {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(split);
        let shift = match unit.trim_start() {
            "" | "B" => 0,
            "KiB" => 10,
            "MiB" => 20,
            "GiB" => 30,
            "TiB" => 40,
            _ => return Err(format!("`{text}` is no size; write one like 512MiB")),
        };
        number
            .parse::<u64>()
            .ok()
            .and_then(|number| number.checked_mul(1 << shift))
            .map(Self)
            .ok_or_else(|| format!("`{text}` is no size; write one like 512MiB"))
    }
}

impl std::fmt::Display for ByteSize {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (unit, shift) in [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)] {
            if self.0 >= 1 << shift && self.0.is_multiple_of(1 << shift) {
                return write!(f, "{}{unit}", self.0 >> shift);
            }
        }
        write!(f, "{}", self.0)
    }
}

impl From<ByteSize> for String {
    fn from(size: ByteSize) -> Self {
        size.to_string()
    }
}
