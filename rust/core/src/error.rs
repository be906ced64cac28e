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
    /// The caller passed something that makes no sense.
    #[error("{what}")]
    InvalidArgument { what: String },
    /// The operating system said no.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// Shorthand used throughout the crate.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
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
