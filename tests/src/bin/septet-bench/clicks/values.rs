//! What clicks say of people, in the variety that people have: a few values are frequent, several hundred are there.

use analytics::click::{Place, Text};
use rand::{
    distr::{Distribution, weighted::WeightedIndex},
    rngs::SmallRng,
};

const COUNTRIES: usize = 80;
const REGIONS: usize = 320;
/// Fewer than are kept of a dimension in a day: nothing is counted as `(other)`.
const CITIES: usize = 800;
const REFERERS: usize = 400;

const CONTINENTS: [&str; 6] = ["EU", "NA", "AS", "SA", "AF", "OC"];
const BROWSERS: [&str; 8] =
    ["Chrome", "Mobile Safari", "Chrome Mobile", "Safari", "Edge", "Firefox", "Samsung Internet", "Opera"];
const SYSTEMS: [&str; 6] = ["Android", "iOS", "Windows", "Mac OS X", "Linux", "Chrome OS"];
const DEVICES: [&str; 3] = ["Mobile", "Desktop", "Tablet"];

/// Weights of `len` things, the k-th of them 1/k of the first's: Zipf's law with an exponent of 1.
pub fn zipf(len: usize) -> WeightedIndex<f64> {
    WeightedIndex::new((1..=len).map(|rank| 1.0 / rank as f64)).expect("there are some, and each has a weight")
}

/// Values, by Zipf's law in their order.
pub struct Values<T> {
    values: Vec<T>,
    law: WeightedIndex<f64>,
}

impl<T: Clone> Values<T> {
    fn new(values: impl IntoIterator<Item = T>) -> Self {
        let values: Vec<_> = values.into_iter().collect();
        Values { law: zipf(values.len()), values }
    }

    pub fn draw(&self, random: &mut SmallRng) -> T {
        self.values[self.law.sample(random)].clone()
    }
}

/// What a click may say.
pub struct Vocabulary {
    pub places: Values<Place>,
    pub browsers: Values<Text>,
    pub systems: Values<Text>,
    pub devices: Values<Text>,
    /// The most frequent is none.
    pub referers: Values<Text>,
}

impl Vocabulary {
    pub fn new() -> Self {
        let referer = |n| if n == 0 { "".into() } else { format!("site-{n}.example").into() };
        Vocabulary {
            places: Values::new((0..CITIES).map(place)),
            browsers: Values::new(BROWSERS.map(Text::from)),
            systems: Values::new(SYSTEMS.map(Text::from)),
            devices: Values::new(DEVICES.map(Text::from)),
            referers: Values::new((0..REFERERS).map(referer)),
        }
    }
}

/// The n-th city: in a region, which is in a country, which is on a continent.
fn place(n: usize) -> Place {
    let region = n % REGIONS;
    let country = region % COUNTRIES;
    let letter = |n: usize| char::from(b'A' + n as u8);
    let code: String = [letter(country / 26), letter(country % 26)].into_iter().collect();
    Place {
        continent: CONTINENTS[country % CONTINENTS.len()].into(),
        region: format!("{code}-{:02}", region / COUNTRIES).into(),
        city: format!("Some Town {n}").into(),
        country: code.into(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    /// Seen to fail when regions of two countries had one name.
    #[test]
    fn every_city_is_in_one_region_of_one_country() {
        let places: Vec<_> = (0..CITIES).map(place).collect();
        let distinct = |of: fn(&Place) -> Text| places.iter().map(of).collect::<HashSet<_>>().len();
        assert_eq!(distinct(|place| place.country.clone()), COUNTRIES);
        assert_eq!(distinct(|place| place.region.clone()), REGIONS);
        assert_eq!(distinct(|place| place.city.clone()), CITIES);
        assert!(places.iter().all(|place| place.region.starts_with(&*place.country)));
    }
}
