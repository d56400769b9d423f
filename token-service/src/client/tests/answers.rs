//! What answers mean.

use super::*;
use crate::Ended;

type Outcome = Result<(), LeaseError>;

/// Renews where every answer is `reply`, and says how often that was attempted.
async fn renew_at(reply: Reply) -> (Outcome, usize) {
    let server = Server::start(move |_, _| reply.clone()).await;
    let options = ClientOptions { fingerprint: Some(id_space(1).fingerprint()), ..options(vec![server.url()]) };
    let usage = Usage { used: 3, refused: 1 };
    let outcome = HttpLeases::new(options).unwrap().renew(LeaseId(9), OWNER, usage).await;
    (outcome, server.requests().len())
}

const OWNER: Owner = Owner(Uuid::from_u128(5));

/// Seen to fail when 4xx were repeated, and when a lease that is not held was said to be something else.
#[tokio::test]
async fn refusals_are_final_and_are_what_the_contract_says() {
    let (ours, theirs) = (id_space(1).fingerprint(), id_space(2).fingerprint());
    let said = |status, error: LeaseError| {
        (Reply::json(status, &ErrorAnswer { error: ErrorBody::of(&error) }), format!("{error:?}"))
    };
    let invalid = |status, code| (error(status, code), format!("{:?}", LeaseError::Invalid("it is so".to_owned())));
    let cases = [
        invalid(400, ErrorCode::BadRequest),
        invalid(413, ErrorCode::TooLarge),
        said(400, LeaseError::Invalid("it is so".to_owned())),
        said(401, LeaseError::Unauthorized),
        (Reply::text(401, "<html>"), format!("{:?}", LeaseError::Unauthorized)),
        said(409, LeaseError::NotHeld(LeaseId(9))),
        said(409, LeaseError::WrongIdSpace { ours, theirs }),
        said(429, LeaseError::TooManyUnused { owner: OWNER, unused: 12, max: 8 }),
        said(503, LeaseError::Exhausted),
    ];
    for (reply, expected) in cases {
        let (outcome, attempts) = renew_at(reply).await;
        assert_eq!((format!("{:?}", outcome.unwrap_err()), attempts), (expected, 1));
    }
}

#[tokio::test]
async fn what_may_pass_is_attempted_again_and_then_said() {
    let overloaded: fn(&Outcome) -> bool = |outcome| matches!(outcome, Err(LeaseError::Overloaded));
    let unavailable: fn(&Outcome) -> bool = |outcome| matches!(outcome, Err(LeaseError::Unavailable(_)));
    let of = |error: &LeaseError| Reply::json(503, &ErrorAnswer { error: ErrorBody::of(error) });
    for (reply, is_expected) in [
        (of(&LeaseError::Overloaded), overloaded),
        (Reply::text(429, ""), overloaded),
        (of(&LeaseError::Unavailable("10.1.2.3 is down".into())), unavailable),
        (Reply::text(403, "a gateway's"), unavailable),
        (error(404, ErrorCode::NotFound), unavailable),
        (error(405, ErrorCode::MethodNotAllowed), unavailable),
        (error(409, ErrorCode::WrongIdSpace), unavailable),
        (error(429, ErrorCode::TooManyUnused), unavailable),
    ] {
        let said = format!("{reply:?}");
        let (outcome, attempts) = renew_at(reply).await;
        assert!(is_expected(&outcome) && !said.contains("10.1.2.3"), "{said}: {outcome:?}");
        assert_eq!(attempts, ATTEMPTS_MAX, "{said}");
    }
}

#[tokio::test]
async fn usage_is_reported() {
    let server =
        Server::start(|n, _| Reply::text(if n == 0 { 200 } else { 204 }, if n == 0 { "{}" } else { "" })).await;
    let client = client(vec![server.url()]);
    let usage = Usage { used: 3, refused: 1 };
    client.renew(LeaseId(9), OWNER, usage).await.unwrap();
    client.give_back(LeaseId(9), OWNER, usage).await.unwrap();
    let seen = server.requests();
    let targets: Vec<_> = seen.iter().map(|request| (request.method.as_str(), request.target.as_str())).collect();
    assert_eq!(targets, [("POST", "/v1/leases/9/renew"), ("POST", "/v1/leases/9/return")]);
    for request in seen {
        assert_eq!(serde_json::from_str::<UsageCall>(&request.body).unwrap(), UsageCall { owner: OWNER, usage });
    }
}

/// A lease that cannot be: claiming its blocks would go wrong, or over the id space's end.
///
/// Seen to fail when the lease was taken as it came.
#[tokio::test]
async fn a_lease_that_cannot_be_is_refused() {
    let known = lease();
    for wrong in [
        Lease { blocks: 0, ..known.clone() },
        Lease { blocks: 3, ..known.clone() },
        Lease { first: Block(u32::MAX), ..known.clone() },
        Lease { first: Block(BLOCK_COUNT - 1), ..known.clone() },
    ] {
        let answer = LeaseAnswer { lease: wrong.clone(), id_space: IdSpaceAnswer::with_key(&id_space(1)) };
        let server = Server::start(move |_, _| Reply::ok(&answer)).await;
        let outcome = client(vec![server.url()]).lease(&request()).await;
        assert!(matches!(outcome, Err(LeaseError::Unavailable(_))), "{wrong:?}: {outcome:?}");
    }
}

/// Seen to fail when the first lease's fingerprint was not remembered, and when it was not sent.
#[tokio::test]
async fn the_id_space_is_learnt_and_then_held_to() {
    let server = Server::start(|n, request| {
        let id_space = if n < 2 { id_space(1) } else { id_space(2) };
        match request.method.as_str() {
            "GET" => Reply::ok(&IdSpaceAnswer::with_key(&id_space)),
            _ => Reply::ok(&LeaseAnswer { lease: lease(), id_space: IdSpaceAnswer::with_key(&id_space) }),
        }
    })
    .await;
    let client = client(vec![server.url()]);
    client.lease(&request()).await.unwrap();
    assert_eq!(client.id_space().await.unwrap(), id_space(1));
    let (ours, theirs) = (id_space(1).fingerprint(), id_space(2).fingerprint());
    for outcome in [client.lease(&request()).await.map(drop), client.id_space().await.map(drop)] {
        assert!(matches!(outcome, Err(LeaseError::WrongIdSpace { ours: o, theirs: t }) if (o, t) == (ours, theirs)));
    }
    let seen = server.requests();
    assert_eq!(seen[0].json().get("fingerprint"), None);
    assert_eq!(seen[2].json()["fingerprint"], ours.to_string());
}

#[tokio::test]
async fn an_id_space_that_is_pinned_is_held_to_from_the_start() {
    let server = Server::start(|_, _| {
        Reply::ok(&LeaseAnswer { lease: lease(), id_space: IdSpaceAnswer::without_key(&id_space(1)) })
    })
    .await;
    let pinned = |seed| {
        let options = ClientOptions { fingerprint: Some(id_space(seed).fingerprint()), ..options(vec![server.url()]) };
        HttpLeases::new(options).unwrap()
    };
    pinned(1).lease(&request()).await.unwrap();
    let outcome = pinned(2).lease(&request()).await;
    assert!(matches!(outcome, Err(LeaseError::WrongIdSpace { .. })), "{outcome:?}");
    assert_eq!(server.requests()[1].json()["fingerprint"], id_space(2).fingerprint().to_string());
}

/// Seen to fail when the key was not checked, and when the fingerprint beside a wrong key was remembered.
#[tokio::test]
async fn a_key_that_does_not_give_its_fingerprint_is_refused() {
    let wrong = |n: usize| IdSpaceAnswer {
        fingerprint: id_space(3).fingerprint(),
        key: match n % 4 {
            0 => Some(hex::encode(id_space(4).key())),
            1 => Some("00".to_owned()),
            2 => Some("no hexadecimal digits at all".to_owned()),
            _ => None,
        },
    };
    let server = Server::start(move |n, request| match (n, request.method.as_str()) {
        (0..8, "GET") => Reply::ok(&wrong(n)),
        (0..8, _) => Reply::ok(&LeaseAnswer { lease: lease(), id_space: wrong(n) }),
        _ => leased(),
    })
    .await;
    let client = client(vec![server.url()]);
    let said = client.id_space().await.unwrap_err().to_string();
    assert!(said.contains("fingerprint") && said.contains(&server.url().to_string()), "{said}");
    client.caller.fill_budget();
    client.lease(&request()).await.unwrap_err();
    assert_eq!(client.lease(&request()).await.unwrap(), lease(), "nothing was remembered of the wrong ones");
}

/// Seen to fail when the filter was left out.
#[tokio::test]
async fn the_record_is_asked_for_as_the_wire_has_it() {
    let row = LeaseRecord {
        lease: lease(),
        request_id: Uuid::new_v4(),
        owner: OWNER,
        usage: Usage { used: 1, refused: 0 },
        leased_at_ms: 1,
        renewed_at_ms: 2,
        ended_at_ms: Some(3),
        ended: Some(Ended::Returned),
    };
    let rows = vec![row.clone()];
    let server = Server::start(move |_, _| Reply::ok(&RecordsAnswer { leases: rows.clone(), next: None })).await;
    let client = client(vec![server.url()]);
    let filter = RecordFilter { state: Some(LeaseState::Returned), owner: Some(OWNER) };
    assert_eq!(client.records(filter, Some(LeaseId(3)), 5000).await.unwrap(), [row]);
    assert_eq!(client.records(filter, None, 0).await.unwrap(), []);
    client.records(RecordFilter::default(), None, 3).await.unwrap();
    let targets: Vec<_> = server.requests().into_iter().map(|request| request.target).collect();
    let owner = OWNER.0;
    let first = format!("/v1/leases?state=returned&owner={owner}&after=3&limit=1000");
    assert_eq!(targets, [first.as_str(), "/v1/leases?limit=3"]);
    for state in [LeaseState::Open, LeaseState::Returned, LeaseState::Expired] {
        assert_eq!(serde_json::to_value(state).unwrap(), state_name(state));
    }
}

#[tokio::test]
async fn the_account_is_read() {
    let account = Account { ever_leased: 4, handed_out: 4, in_use: 4, open_leases: 1, ..Account::default() };
    let answer = AccountAnswer { account, balanced: true, left: 1, total: 5, days_left: None };
    let server = Server::start(move |_, _| Reply::ok(&answer)).await;
    assert_eq!(client(vec![server.url()]).account().await.unwrap(), account);
    assert_eq!(server.requests()[0].target, "/v1/account");
}

#[tokio::test]
async fn without_a_url_there_is_no_client() {
    assert!(matches!(HttpLeases::new(options(Vec::new())), Err(ClientError::NoUrl)));
}
