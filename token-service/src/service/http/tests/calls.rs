use futures::future::join_all;

use super::*;
use crate::Lease;

/// Seen to fail when the fingerprint was compared after the lease.
#[actix_web::test]
async fn an_instance_of_another_id_space_gets_no_lease() {
    let served = Served::new().await;
    let before = served.recorded().await;
    let mut call = lease_call(Uuid::new_v4(), Uuid::new_v4(), 4);
    call["fingerprint"] = json!("00000000000000000000000000000000");
    let answer = served.post("/v1/leases", call).await;
    assert_eq!((answer.status.as_u16(), answer.code()), (409, "wrong_id_space"));
    assert_eq!(served.recorded().await, before);
}

/// Seen to fail when the key was always sent.
#[actix_web::test]
async fn the_key_comes_with_the_first_lease_alone() {
    let served = Served::new().await;
    let id_space = served.api.leases.id_space().await.unwrap();
    let first = served.post("/v1/leases", lease_call(Uuid::new_v4(), Uuid::new_v4(), 4)).await;
    assert_eq!(first.body["id_space"]["key"], hex::encode(id_space.key()));
    assert_eq!(first.body["id_space"], served.get("/v1/id-space").await.body);

    let mut call = lease_call(Uuid::new_v4(), Uuid::new_v4(), 4);
    call["fingerprint"] = first.body["id_space"]["fingerprint"].clone();
    let second = served.post("/v1/leases", call).await;
    assert_eq!(second.status, 200);
    assert!(second.body["id_space"].get("key").is_none());
}

/// Seen to fail when the service made request ids of its own.
#[actix_web::test]
async fn a_repeated_call_gets_the_same_lease() {
    let served = Served::new().await;
    let call = lease_call(Uuid::new_v4(), Uuid::new_v4(), Lease::BLOCKS_MAX);
    let answers = join_all((0..8).map(|_| served.post("/v1/leases", call.clone()))).await;
    for answer in &answers {
        assert_eq!((answer.status.as_u16(), &answer.body), (200, &answers[0].body));
    }
    assert_eq!(served.recorded().await.0.handed_out, 256);
}

/// Seen to fail when usage was not handed on, and when a return was a renewal.
#[actix_web::test]
async fn a_lease_is_renewed_and_returned() {
    let served = Served::new().await;
    let owner = Uuid::new_v4();
    let lease = served.post("/v1/leases", lease_call(Uuid::new_v4(), owner, 4)).await.body["lease"]["id"].clone();
    let renewed = served.post(&format!("/v1/leases/{lease}/renew"), usage_call(owner, 1, 0)).await;
    assert_eq!((renewed.status.as_u16(), renewed.body), (204, Value::Null));
    assert_eq!(served.recorded().await.0.used, 1);
    for _ in 0..2 {
        let returned = served.post(&format!("/v1/leases/{lease}/return"), usage_call(owner, 1, 1)).await;
        assert_eq!((returned.status.as_u16(), returned.body), (204, Value::Null));
    }
    let ended = served.post(&format!("/v1/leases/{lease}/renew"), usage_call(owner, 2, 1)).await;
    assert_eq!((ended.status.as_u16(), ended.code()), (409, "not_held"));

    let account = served.get("/v1/account").await.body;
    assert_eq!(
        [&account["used"], &account["lost"], &account["returned"], &account["open_leases"], &account["balanced"]],
        [&json!(1), &json!(1), &json!(2), &json!(0), &json!(true)]
    );
}

/// Seen to fail when `next` was the last lease of every page, the last one too, and when a filter was dropped.
#[actix_web::test]
async fn the_record_is_read_page_by_page() {
    let served = Served::new().await;
    let (ours, theirs) = (Uuid::new_v4(), Uuid::new_v4());
    for owner in [ours, theirs, ours, theirs, ours] {
        let lease = served.post("/v1/leases", lease_call(Uuid::new_v4(), owner, 1)).await.body["lease"]["id"].clone();
        if owner == theirs {
            served.post(&format!("/v1/leases/{lease}/return"), usage_call(owner, 1, 0)).await;
        }
    }
    let mut pages = Vec::new();
    let mut path = "/v1/leases?limit=2".to_owned();
    loop {
        let page = served.get(&path).await.body;
        pages.push(page["leases"].as_array().unwrap().iter().map(|record| record["id"].clone()).collect::<Vec<_>>());
        match &page["next"] {
            Value::Null => break,
            next => path = format!("/v1/leases?limit=2&after={next}"),
        }
    }
    assert_eq!(pages, [vec![json!(1), json!(2)], vec![json!(3), json!(4)], vec![json!(5)]]);

    let count = async |query: &str| served.get(query).await.body["leases"].as_array().unwrap().len();
    assert_eq!(count("/v1/leases").await, 5);
    assert_eq!(count("/v1/leases?state=open").await, 3);
    assert_eq!(count("/v1/leases?state=returned").await, 2);
    assert_eq!(count("/v1/leases?state=expired").await, 0);
    assert_eq!(count(&format!("/v1/leases?owner={ours}&after=1")).await, 2);
    assert_eq!(count(&format!("/v1/leases?owner={ours}&state=returned")).await, 0);
}
