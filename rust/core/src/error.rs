//! The one error type of the crate.

/// What can go wrong. Offsets are in bytes from the start of the stream.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The bytes contradict the format or themselves.
    #[error("corrupt data at byte {offset}: {what}")]
    Corrupt { offset: u64, what: String },
    /// The data ends before the format says it may.
    #[error("data ends early at byte {offset}: {what}")]
    Truncated { offset: u64, what: String },
    /// Well-formed, but of a kind this version cannot handle.
    #[error("unsupported: {what}")]
    Unsupported { what: String },
    /// The caller's limits forbid going on.
    #[error("limit exceeded: {what}")]
    Limit { what: String },
    /// Decoding gives another result here than where the stream was made.
    #[error("{what}")]
    Mismatch { what: String },
    /// An intact unit that cannot be decoded, perhaps because of such a difference.
    #[error("{what}")]
    Undecodable { what: String },
    /// The caller passed something that makes no sense.
    #[error("{what}")]
    InvalidArgument { what: String },
    /// The operating system said no.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// What a caller's own part of the decoder said.
    #[error("{error}")]
    Foreign { error: Box<dyn std::error::Error + Send + Sync>, severity: Severity },
}

/// What an error means to who decodes a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The stream is damaged; what comes behind may be decoded.
    Damage,
    /// No part of the stream can be decoded.
    Final,
    /// It is none of the stream's faults.
    Outside,
}

/// Shorthand used throughout the crate.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// What it means to who decodes a stream.
    pub fn severity(&self) -> Severity {
        match self {
            Self::Corrupt { .. }
            | Self::Truncated { .. }
            | Self::Limit { .. }
            | Self::Undecodable { .. } => Severity::Damage,
            Self::Unsupported { .. } | Self::Mismatch { .. } => Severity::Final,
            Self::InvalidArgument { .. } | Self::Io(_) => Severity::Outside,
            Self::Foreign { severity, .. } => *severity,
        }
    }

    /// Of a part of the stream that begins at this byte of it.
    pub(crate) fn within(self, start: u64) -> Self {
        match self {
            Self::Corrupt { offset, what } => Self::Corrupt { offset: start + offset, what },
            other => other,
        }
    }

    pub(crate) fn corrupt(offset: u64, what: impl Into<String>) -> Self {
        Self::Corrupt { offset, what: what.into() }
    }

    pub(crate) fn truncated(offset: u64, what: impl Into<String>) -> Self {
        Self::Truncated { offset, what: what.into() }
    }

    pub(crate) fn invalid(what: impl Into<String>) -> Self {
        Self::InvalidArgument { what: what.into() }
    }
}
