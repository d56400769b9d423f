//! Where an address is, by the operator's MMDB file, and by the country that a CDN named.

use std::{
    collections::HashMap,
    fs, io,
    net::IpAddr,
    path::{Path, PathBuf},
};

use maxminddb::{LookupResult, MaxMindDbError, Reader, path};
use quick_cache::unsync::Cache;

use super::continents::Country;
use crate::click::{Place, Text};

/// Records of the file that are kept decoded. Many addresses share one, and none is kept with its address. Beyond it, those
/// not seen for long are decoded again.
const CACHED_RECORDS: usize = 8192;

/// Why the file cannot serve; the start stops with this sentence.
#[derive(Debug, thiserror::Error)]
pub enum GeoipError {
    #[error("--geoip-db names {}, which cannot be read: {source}", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("--geoip-db names {}, which is not a MaxMind DB (.mmdb) file: {source}", path.display())]
    NotMmdb { path: PathBuf, source: MaxMindDbError },
    #[error(
        "--geoip-db names {}, a database of the type {database_type:?}: one of cities or countries is needed, such as \
         GeoLite2-City or DBIP-City-Lite",
        path.display()
    )]
    OtherType { path: PathBuf, database_type: String },
}

/// Tells places from addresses. The file is read whole, once: replacing it takes effect at the next start.
pub struct Places {
    file: Option<Reader<Vec<u8>>>,
    /// By the record's offset in the file.
    records: Cache<usize, Place>,
    /// Places of which only the country is known: as many at most as there are countries.
    countries: HashMap<Country, Place>,
}

impl Places {
    /// Reads the file, if there is one, in the layout of GeoIP2 and GeoLite2 (City, Country, Enterprise), which is DB-IP's as well.
    pub fn open(path: Option<&Path>) -> Result<Self, GeoipError> {
        let file = path.map(open).transpose()?;
        Ok(Places { file, records: Cache::new(CACHED_RECORDS), countries: HashMap::new() })
    }

    /// The place of an address. The country that a CDN `named` (ISO 3166-1 alpha-2; anything else is as good as nothing) wins over the
    /// file's, whose region and city then count only if it has the same country.
    pub fn place(&mut self, address: IpAddr, named: &[u8]) -> Place {
        let found = self.look_up(address);
        match Country::parse(named) {
            Some(country) if *found.country != *country.code() => {
                self.countries.entry(country).or_insert_with(|| of_country(country)).clone()
            }
            _ => found,
        }
    }

    fn look_up(&mut self, address: IpAddr) -> Place {
        let Some(file) = &self.file else { return Place::default() };
        if address.is_ipv6() && file.metadata().ip_version == 4 {
            return Place::default();
        }
        let looked_up = file.lookup(address).and_then(|record| {
            let Some(offset) = record.offset() else { return Ok(Place::default()) };
            if let Some(known) = self.records.get(&offset) {
                return Ok(known.clone());
            }
            metrics::counter!("septet_enrich_cache_misses_total", "cache" => "place").increment(1);
            let place = decode(&record)?;
            self.records.insert(offset, place.clone());
            Ok(place)
        });
        looked_up.unwrap_or_else(|_| {
            metrics::counter!("septet_enrich_geoip_failures_total").increment(1);
            Place::default()
        })
    }
}

fn open(path: &Path) -> Result<Reader<Vec<u8>>, GeoipError> {
    let path = path.to_owned();
    // In memory instead of mapped: a mapped file that someone truncates would kill the process.
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(source) => return Err(GeoipError::Unreadable { path, source }),
    };
    let reader = match Reader::from_source(bytes) {
        Ok(reader) => reader,
        Err(source) => return Err(GeoipError::NotMmdb { path, source }),
    };
    let database_type = reader.metadata().database_type.clone();
    match ["City", "Country", "Enterprise"].iter().any(|known| database_type.contains(known)) {
        true => Ok(reader),
        false => Err(GeoipError::OtherType { path, database_type }),
    }
}

fn of_country(country: Country) -> Place {
    Place { continent: country.continent().into(), country: country.code().into(), ..Place::default() }
}

/// A region needs a code, which not every file has: DB-IP's free one names regions only, and so has none here.
fn decode(record: &LookupResult<'_, Vec<u8>>) -> Result<Place, MaxMindDbError> {
    let text = |path: &[_]| record.decode_path::<&str>(path).map(Option::unwrap_or_default);
    let city = text(&path!["city", "names", "en"])?;
    let continent = text(&path!["continent", "code"])?;
    let Some(country) = Country::parse(text(&path!["country", "iso_code"])?.as_bytes()) else {
        return Ok(Place { continent: continent.into(), ..Place::default() });
    };
    let region = match text(&path!["subdivisions", 0, "iso_code"])? {
        "" => Text::default(),
        subdivision => format!("{}-{subdivision}", country.code()).into(),
    };
    let continent = if continent.is_empty() { country.continent() } else { continent };
    Ok(Place { continent: continent.into(), country: country.code().into(), region, city: city.into() })
}
