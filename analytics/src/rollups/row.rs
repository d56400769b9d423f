//! The rows: a day of a subject, and its totals for ever; and how a day's parts are written.
//!
//! Each part of a day is a blob of its own, so that a question reads only the one it needs. A blob is empty, or a version
//! byte and then: for clicks and values, postcard's encoding of the sparse slots, that of the links clicked most with their weights; for
//! visitors, the sketch's.

use serde::{Serialize, de::DeserializeOwned};

use crate::{
    click::{Click, Text},
    query::{Dimension, OTHER},
    rollups::{Day, Part, Subject, Wanted, slots::Slots, top_links::TopLinks, values::Values, visitors::Visitors},
};

/// The first byte of a blob that is not empty.
const VERSION: u8 = 1;

/// The same of the links clicked most: version 1 had those that came first, as values.
const LINKS_VERSION: u8 = 2;

/// Dimensions whose [`Values`] are kept: all but that of links, which comes last.
const VALUED: usize = Dimension::ALL.len() - 1;
const _: () = assert!(Dimension::Link as usize == VALUED);

/// A day (UTC) of one subject, from one source.
#[derive(Debug, Clone, Default)]
pub struct DayRow {
    pub watermark: u64,
    pub clicks: Slots,
    pub visitors: Visitors,
    values: [Values; VALUED],
    /// Only of all links together.
    links: Option<Box<TopLinks>>,
    unwritten: Parts,
}

/// Some parts of a row, a bit for each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Parts(u16);

impl Parts {
    const ALL: Parts = Parts((1 << Part::ALL.len()) - 1);

    fn insert(&mut self, part: Part) {
        self.0 |= 1 << part.place();
    }

    fn contains(self, part: Part) -> bool {
        self.0 >> part.place() & 1 == 1
    }
}

/// All that was ever counted of one subject, from one source.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TotalRow {
    pub watermark: u64,
    pub clicks: u64,
    pub bots: u64,
    pub last_ms: Option<i64>,
    /// The earliest day of a click of anybody.
    pub first_day: Option<Day>,
}

/// A blob that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    #[error("a rollup is of version {0}, which this program does not know")]
    Version(u8),
    #[error("a rollup's slots are malformed: {0}")]
    Slots(#[from] postcard::Error),
    #[error("a rollup's visitors are malformed: {0}")]
    Visitors(#[from] datasketches::error::Error),
}

/// What a click counts under, in each dimension: made once for all the rows it touches.
pub(crate) struct Grouped<'a> {
    click: &'a Click,
    slot: u8,
    city: Text,
}

impl<'a> Grouped<'a> {
    pub(crate) fn new(click: &'a Click) -> Self {
        let place = &click.place;
        // A city without a name is unknown, even where its country is known.
        let city = match &*place.city {
            "" => place.city.clone(),
            name => format!("{}/{}/{}", place.country, place.region, name).into(),
        };
        Grouped { click, slot: Day::slot_of(click.at_ms), city }
    }

    /// What it counts under of each dimension that has [`Values`], in their order.
    fn values(&self) -> [&Text; VALUED] {
        let Grouped { click, city, .. } = self;
        let place = &click.place;
        [
            &place.continent,
            &place.country,
            &place.region,
            city,
            &click.device,
            &click.browser,
            &click.os,
            &click.referer,
        ]
    }
}

impl DayRow {
    /// One that was read: it has counted up to `watermark`, and its parts are to be [decoded](DayRow::decode). Whoever changes it writes it
    /// whole: how many replicas have what was read is not known.
    pub fn at(watermark: u64) -> DayRow {
        DayRow { watermark, unwritten: Parts::ALL, ..DayRow::default() }
    }

    /// Whether a part was changed since all of it [was written](DayRow::set_written).
    pub fn is_unwritten(&self, part: Part) -> bool {
        self.unwritten.contains(part)
    }

    /// All of it is durable.
    pub fn set_written(&mut self) {
        self.unwritten = Parts::default();
    }

    /// The values of a dimension that are kept, and [`OTHER`].
    pub fn values(&self, dimension: Dimension) -> Vec<(Text, &Slots)> {
        match self.values.get(dimension as usize) {
            Some(values) => values.iter().map(|(value, slots)| (value.clone(), slots)).collect(),
            None => self.links.iter().flat_map(|links| values_of(links)).collect(),
        }
    }

    /// Counts a click. Returns in how many dimensions its value was capped.
    pub(crate) fn add(&mut self, subject: Subject, grouped: &Grouped<'_>) -> u64 {
        let Grouped { click, slot, .. } = *grouped;
        self.clicks.add(slot, click.bot);
        self.unwritten.insert(Part::Clicks);
        if !click.bot {
            self.visitors.add(click.visitor);
            self.unwritten.insert(Part::Visitors);
        }
        let mut capped = 0;
        for (dimension, (values, value)) in Dimension::ALL.into_iter().zip(self.values.iter_mut().zip(grouped.values()))
        {
            self.unwritten.insert(Part::Values(dimension));
            capped += u64::from(values.add(value, slot, click.bot));
        }
        if subject == Subject::All {
            self.unwritten.insert(Part::Values(Dimension::Link));
            capped += self.links.get_or_insert_default().add(click.link, slot, click.bot);
        }
        capped
    }

    /// The blob of a part.
    pub fn encode(&self, part: Part) -> Vec<u8> {
        match part {
            Part::Clicks => of_clicks(&self.clicks),
            Part::Values(Dimension::Link) => self.links.as_deref().map(of_links).unwrap_or_default(),
            Part::Values(dimension) => of_values(&self.values[dimension as usize]),
            Part::Visitors => match self.visitors.to_bytes() {
                bytes if bytes.is_empty() => bytes,
                mut bytes => {
                    bytes.insert(0, VERSION);
                    bytes
                }
            },
        }
    }

    /// The blob of a part in the sum of the day, which is left of it once its quarter-hours have ended: the same, with all clicks in the first
    /// quarter-hour of the day. Counting may go on from it: nothing but the quarter-hours of earlier clicks is missing.
    pub fn encode_daily(&self, part: Part) -> Vec<u8> {
        match part {
            Part::Clicks => of_clicks(&self.clicks.daily()),
            Part::Values(Dimension::Link) => {
                self.links.as_ref().map(|links| of_links(&links.daily())).unwrap_or_default()
            }
            Part::Values(dimension) => of_values(&self.values[dimension as usize].daily()),
            Part::Visitors => self.encode(part),
        }
    }

    /// Fills in a part from its blob.
    pub fn decode(&mut self, part: Part, blob: &[u8]) -> Result<(), DecodeError> {
        let Some((version, bytes)) = blob.split_first() else { return Ok(()) };
        match (part, *version) {
            (Part::Clicks, VERSION) => self.clicks = from_bytes(bytes)?,
            (Part::Values(Dimension::Link), VERSION) => {
                let entries: Vec<(&str, Slots)> = postcard::from_bytes(bytes)?;
                let entries = entries.into_iter().map(|(link, slots)| (link.parse().ok(), slots));
                self.links = Some(Box::new(entries.collect()));
            }
            (Part::Values(Dimension::Link), LINKS_VERSION) => self.links = Some(from_bytes(bytes)?),
            (Part::Values(dimension), VERSION) => {
                let entries: Vec<(&str, Slots)> = postcard::from_bytes(bytes)?;
                let entries = entries.into_iter().map(|(value, slots)| (Text::from(value), slots));
                self.values[dimension as usize] = entries.collect();
            }
            (Part::Visitors, VERSION) => self.visitors = Visitors::from_bytes(bytes)?,
            (_, version) => return Err(DecodeError::Version(version)),
        }
        Ok(())
    }

    /// About how many bytes it takes in memory.
    pub fn bytes(&self) -> usize {
        let values: usize = self.values.iter().map(Values::heap_bytes).sum();
        let links = self.links.as_ref().map_or(0, |links| size_of::<TopLinks>() + links.heap_bytes());
        size_of::<DayRow>() + self.clicks.heap_bytes() + self.visitors.heap_bytes() + values + links
    }
}

/// What was counted; not what of it is written.
impl PartialEq for DayRow {
    fn eq(&self, other: &Self) -> bool {
        let DayRow { watermark, clicks, visitors, values, links, unwritten: _ } = self;
        (watermark, clicks, visitors, values, links)
            == (&other.watermark, &other.clicks, &other.visitors, &other.values, &other.links)
    }
}

impl TotalRow {
    /// Counts a click.
    pub(crate) fn add(&mut self, click: &Click) {
        let day = Day::of(click.at_ms);
        self.first_day = Some(self.first_day.map_or(day, |first| first.min(day)));
        if click.bot {
            self.bots += 1;
        } else {
            self.clicks += 1;
            self.last_ms = self.last_ms.max(Some(click.at_ms));
        }
    }
}

impl Wanted {
    /// The parts that it is about.
    pub fn parts(self) -> impl Iterator<Item = Part> {
        let (part, another) = match self {
            Wanted::Part(part) => (part, None),
            Wanted::ClicksAndVisitors => (Part::Clicks, Some(Part::Visitors)),
            Wanted::WholeDays(dimension) => (Part::Values(dimension), None),
        };
        [Some(part), another].into_iter().flatten()
    }
}

impl Part {
    /// Every part of a day's row, the ones that may be large last.
    pub const ALL: [Part; 2 + Dimension::ALL.len()] = [
        Part::Clicks,
        Part::Visitors,
        Part::Values(Dimension::Continent),
        Part::Values(Dimension::Device),
        Part::Values(Dimension::Os),
        Part::Values(Dimension::Browser),
        Part::Values(Dimension::Country),
        Part::Values(Dimension::Region),
        Part::Values(Dimension::Referer),
        Part::Values(Dimension::City),
        Part::Values(Dimension::Link),
    ];

    /// A number of its own, below that of all parts.
    fn place(self) -> usize {
        match self {
            Part::Clicks => 0,
            Part::Visitors => 1,
            Part::Values(dimension) => 2 + dimension as usize,
        }
    }
}

fn of_clicks(clicks: &Slots) -> Vec<u8> {
    if clicks.is_empty() { Vec::new() } else { to_blob(VERSION, clicks, clicks.encoded_bytes()) }
}

fn of_values(values: &Values) -> Vec<u8> {
    if values.is_empty() { Vec::new() } else { to_blob(VERSION, &Entries(values), values.encoded_bytes()) }
}

fn of_links(links: &TopLinks) -> Vec<u8> {
    if links.is_empty() { Vec::new() } else { to_blob(LINKS_VERSION, links, links.encoded_bytes()) }
}

fn values_of(links: &TopLinks) -> impl Iterator<Item = (Text, &Slots)> {
    let other = links.other();
    let other = (!other.is_empty()).then(|| (Text::from(OTHER), other));
    links.iter().map(|(id, slots)| (id.to_string().into(), slots)).chain(other)
}

/// Serialises values as a sequence of (value, slots).
struct Entries<'a>(&'a Values);

impl Serialize for Entries<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeSeq;
        let mut sequence = serializer.serialize_seq(Some(self.0.len()))?;
        for entry in self.0.iter() {
            sequence.serialize_element(&entry)?;
        }
        sequence.end()
    }
}

/// `bytes` is a guess at its size, for large blobs not to be copied as they grow.
fn to_blob(version: u8, content: &impl Serialize, bytes: usize) -> Vec<u8> {
    let blob = Vec::with_capacity(1 + bytes);
    postcard::to_extend(&(version, content), blob).expect("slots of a known length always serialise")
}

fn from_bytes<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, postcard::Error> {
    postcard::from_bytes(bytes)
}

#[cfg(test)]
mod tests;
