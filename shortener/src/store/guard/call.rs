//! The calls of a link store, as guards see them.

/// A method of the seam.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    Create,
    ByKey,
    ById,
    ByIds,
    ByExternalId,
    List,
    Count,
    Replace,
    Delete,
    Claim,
    HandBack,
    PinIdSpace,
    IdSpace,
    PutApiKey,
    PutFirstApiKey,
    ApiKey,
    VisitorSalt,
}

impl Call {
    pub const ALL: [Call; 17] = [
        Call::Create,
        Call::ByKey,
        Call::ById,
        Call::ByIds,
        Call::ByExternalId,
        Call::List,
        Call::Count,
        Call::Replace,
        Call::Delete,
        Call::Claim,
        Call::HandBack,
        Call::PinIdSpace,
        Call::IdSpace,
        Call::PutApiKey,
        Call::PutFirstApiKey,
        Call::ApiKey,
        Call::VisitorSalt,
    ];

    /// The label of a metric.
    pub fn name(self) -> &'static str {
        match self {
            Call::Create => "create",
            Call::ByKey => "by_key",
            Call::ById => "by_id",
            Call::ByIds => "by_ids",
            Call::ByExternalId => "by_external_id",
            Call::List => "list",
            Call::Count => "count",
            Call::Replace => "replace",
            Call::Delete => "delete",
            Call::Claim => "claim",
            Call::HandBack => "hand_back",
            Call::PinIdSpace => "pin_id_space",
            Call::IdSpace => "id_space",
            Call::PutApiKey => "put_api_key",
            Call::PutFirstApiKey => "put_first_api_key",
            Call::ApiKey => "api_key",
            Call::VisitorSalt => "visitor_salt",
        }
    }

    pub fn kind(self) -> Kind {
        match self {
            Call::ByKey => Kind::LookUp,
            Call::ById | Call::ByIds | Call::ByExternalId | Call::ApiKey => Kind::Read,
            Call::Create | Call::Replace | Call::Delete => Kind::Write,
            Call::List | Call::Count => Kind::Scan,
            Call::Claim
            | Call::HandBack
            | Call::PinIdSpace
            | Call::IdSpace
            | Call::PutApiKey
            | Call::PutFirstApiKey
            | Call::VisitorSalt => Kind::Background,
        }
    }
}

/// Whom a call serves, and so how long it may take and what it may not stand in the way of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A link by its key: a redirect waits for it. The API's reads by key are the same read, and count as one.
    LookUp,
    /// Any other read of one request to the API, its API key included.
    Read,
    /// A change that a request to the API waits for.
    Write,
    /// A listing or a count: it costs as much as there is to go through.
    Scan,
    /// What an instance does for itself, a few at a time, and with no request waiting: claims, the id space, the API key it
    /// starts with, visitor salts.
    Background,
}

impl Kind {
    /// The label of a metric.
    pub fn name(self) -> &'static str {
        match self {
            Kind::LookUp => "look_up",
            Kind::Read => "read",
            Kind::Write => "write",
            Kind::Scan => "scan",
            Kind::Background => "background",
        }
    }
}
