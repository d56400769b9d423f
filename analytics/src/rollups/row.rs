//! The rows: a day of a subject, and its totals for ever; and how a day's parts are written.
//!
//! Each part of a day is a blob of its own, so that a question reads only the one it needs. A blob is empty, or a version
//! byte and then: for clicks and values, postcard's encoding of the sparse slots; for visitors, the sketch's.

use serde::{Serialize, de::DeserializeOwned};

use crate::{
    click::{Click, Text},
    query::Dimension,
    rollups::{Day, Part, Subject, slots::Slots, values::Values, visitors::Visitors},
};

/// The first byte of a blob that is not empty.
const VERSION: u8 = 1;

/// A day (UTC) of one subject, from one source.
#[derive(Debug, Clone, Default)]
pub struct DayRow {
    pub watermark: u64,
    pub clicks: Slots,
    pub visitors: Visitors,
    values: [Values; Dimension::ALL.len()],
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
    link: Text,
}

impl<'a> Grouped<'a> {
    pub(crate) fn new(click: &'a Click) -> Self {
        let place = &click.place;
        // A city without a name is unknown, even where its country is known.
        let city = match &*place.city {
            "" => place.city.clone(),
            name => format!("{}/{}/{}", place.country, place.region, name).into(),
        };
        Grouped { click, slot: Day::slot_of(click.at_ms), city, link: click.link.to_string().into() }
    }

    fn value(&self, dimension: Dimension) -> &Text {
        match dimension {
            Dimension::Continent => &self.click.place.continent,
            Dimension::Country => &self.click.place.country,
            Dimension::Region => &self.click.place.region,
            Dimension::City => &self.city,
            Dimension::Device => &self.click.device,
            Dimension::Browser => &self.click.browser,
            Dimension::Os => &self.click.os,
            Dimension::Referer => &self.click.referer,
            Dimension::Link => &self.link,
        }
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

    /// The values of a dimension.
    pub fn values(&self, dimension: Dimension) -> &Values {
        &self.values[dimension as usize]
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
        for dimension in Dimension::ALL {
            if dimension == Dimension::Link && subject != Subject::All {
                continue;
            }
            self.unwritten.insert(Part::Values(dimension));
            let values = &mut self.values[dimension as usize];
            capped += u64::from(values.add(grouped.value(dimension), dimension.values_max(), slot, click.bot));
        }
        capped
    }

    /// The blob of a part.
    pub fn encode(&self, part: Part) -> Vec<u8> {
        match part {
            Part::Clicks if self.clicks.is_empty() => Vec::new(),
            Part::Clicks => to_blob(&self.clicks, self.clicks.encoded_bytes()),
            Part::Values(dimension) => match self.values(dimension) {
                values if values.is_empty() => Vec::new(),
                values => to_blob(&Entries(values), values.encoded_bytes()),
            },
            Part::Visitors => match self.visitors.to_bytes() {
                bytes if bytes.is_empty() => bytes,
                mut bytes => {
                    bytes.insert(0, VERSION);
                    bytes
                }
            },
        }
    }

    /// Fills in a part from its blob.
    pub fn decode(&mut self, part: Part, blob: &[u8]) -> Result<(), DecodeError> {
        let bytes = match blob {
            [] => return Ok(()),
            [VERSION, bytes @ ..] => bytes,
            [version, ..] => return Err(DecodeError::Version(*version)),
        };
        match part {
            Part::Clicks => self.clicks = from_bytes(bytes)?,
            Part::Values(dimension) => {
                let entries: Vec<(&str, Slots)> = postcard::from_bytes(bytes)?;
                let entries = entries.into_iter().map(|(value, slots)| (Text::from(value), slots));
                self.values[dimension as usize] = entries.collect();
            }
            Part::Visitors => self.visitors = Visitors::from_bytes(bytes)?,
        }
        Ok(())
    }

    /// About how many bytes it takes in memory.
    pub fn bytes(&self) -> usize {
        let values: usize = self.values.iter().map(Values::heap_bytes).sum();
        size_of::<DayRow>() + self.clicks.heap_bytes() + self.visitors.heap_bytes() + values
    }
}

/// What was counted; not what of it is written.
impl PartialEq for DayRow {
    fn eq(&self, other: &Self) -> bool {
        let DayRow { watermark, clicks, visitors, values, unwritten: _ } = self;
        (watermark, clicks, visitors, values) == (&other.watermark, &other.clicks, &other.visitors, &other.values)
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
fn to_blob(content: &impl Serialize, bytes: usize) -> Vec<u8> {
    let blob = Vec::with_capacity(1 + bytes);
    postcard::to_extend(&(VERSION, content), blob).expect("slots of a known length always serialise")
}

fn from_bytes<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, postcard::Error> {
    postcard::from_bytes(bytes)
}
