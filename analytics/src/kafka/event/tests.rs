//! Events against their schema file, and against bytes that were written once.

use std::path::Path;

use prost_reflect::{DescriptorPool, DynamicMessage};

use super::*;

fn click() -> Click {
    Click {
        log: LogId(0x0123_4567_89ab_cdef),
        offset: 4_711,
        at_ms: 1_795_000_000_123,
        link: 62_u64.pow(7) - 1,
        visitor: u64::MAX,
        bot: true,
        place: Place { continent: "EU".into(), country: "DE".into(), region: "DE-BE".into(), city: "Köpenick".into() },
        browser: "Firefox".into(),
        os: "Linux".into(),
        device: "Desktop".into(),
        referer: "example.org".into(),
    }
}

fn decode(bytes: &[u8]) -> Result<Event, EventError> {
    Event::decode(bytes, &mut Texts::default())
}

fn schema() -> DescriptorPool {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("proto");
    let compiled = protox::compile(["click.proto"], [folder]).expect("the schema compiles");
    DescriptorPool::from_file_descriptor_set(compiled).expect("the schema is whole")
}

/// What the schema file makes of the bytes of an event, as text.
fn by_the_schema(bytes: &[u8]) -> String {
    let event = schema().get_message_by_name("septet.clicks.v1.Event").expect("there are events");
    DynamicMessage::decode(event, bytes).expect("it is an event").to_string()
}

/// Seen to fail when two fields changed their numbers, and when a signed one was encoded as `sint64`.
#[test]
fn others_read_by_the_schema_what_is_written() {
    let text = by_the_schema(&Event::Click(click()).encode());
    let expected = "click{log:81985529216486895,offset:4711,at_ms:1795000000123,link:3521614606207,\
                    visitor:18446744073709551615,bot:true,continent:\"EU\",country:\"DE\",region:\"DE-BE\",\
                    city:\"K\\303\\266penick\",browser:\"Firefox\",os:\"Linux\",device:\"Desktop\",referer:\"example.org\"}";
    assert_eq!(text, expected);
    assert_eq!(by_the_schema(&Event::LogEnded(LogId(7)).encode()), "log_ended{log:7}");
}

#[test]
fn what_is_written_is_read_again() {
    for event in [Event::Click(click()), Event::LogEnded(LogId(7))] {
        assert_eq!(decode(&event.encode()).unwrap(), event);
    }
}

/// Topics hold events of every version that ever ran: these bytes are of version 0.1.
#[test]
fn what_was_written_once_is_read_for_ever() {
    let hex = "0a6509efcdab896745230110e72418fbbcd9f29e3420ffded984bf6629ffffffffffffffff30013a024555420244454a0544452d\
               424552094bc3b670656e69636b5a0746697265666f7862054c696e75786a074465736b746f70720b6578616d706c652e6f7267";
    let bytes: Vec<u8> =
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect();
    assert_eq!(decode(&bytes).unwrap(), Event::Click(click()));
}

/// A field that is new is passed over; a kind of event that is new is not.
#[test]
fn what_is_newer_is_passed_over_where_it_may_be() {
    let mut longer = ClickProto::from(&click()).encode_to_vec();
    longer.extend([0x80 | 0x7a, 0x01, 0x01, b'x']);
    let mut bytes = vec![0x0a, longer.len() as u8];
    bytes.extend(longer);
    assert_eq!(decode(&bytes).unwrap(), Event::Click(click()));
    assert!(matches!(decode(&[0x1a, 0x00]), Err(EventError::Unknown)));
    assert!(matches!(decode(&[0x7a, 0x01, b'x']), Err(EventError::Unknown)));
    assert!(matches!(decode(b"{\"log\":1}"), Err(EventError::Malformed(_))));
    assert!(matches!(decode(b""), Err(EventError::Nothing)));
    assert!(matches!(decode(&[0x18, 0x01]), Err(EventError::Nothing)), "a number is no kind of event");
    assert!(matches!(decode(&[0x0a, 0x00]), Err(EventError::Nameless)));
}

/// Such a click would be taken for one of all links, or set the beginning of all time.
///
/// Seen to fail when either was not looked at.
#[test]
fn what_no_shortener_writes_is_no_click() {
    let written = |click: Click| decode(&Event::Click(click).encode());
    assert!(matches!(written(Click { link: u64::MAX, ..click() }), Err(EventError::NoLink(u64::MAX))));
    assert!(matches!(written(Click { link: 62_u64.pow(7), ..click() }), Err(EventError::NoLink(_))));
    assert!(matches!(written(Click { at_ms: i64::MIN, ..click() }), Err(EventError::NoTime(i64::MIN))));
    assert!(matches!(written(Click { at_ms: -1, ..click() }), Err(EventError::NoTime(-1))));
}
