//! Which continent a country lies on, and so which country codes there are.

/// ISO 3166-1 alpha-2, parsed: one of the codes in [`CONTINENTS`], upper-case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Country {
    index: u8,
}

impl Country {
    /// Reads a code in either case. `None` for anything else, and so for `XX` (unknown) and `T1` (Tor), which CDNs send.
    pub fn parse(code: &[u8]) -> Option<Self> {
        let code: [u8; 2] = code.trim_ascii().to_ascii_uppercase().try_into().ok()?;
        let index = CONTINENTS.binary_search_by_key(&code, |&(country, _)| country).ok()?;
        u8::try_from(index).ok().map(|index| Country { index })
    }

    pub fn code(&self) -> &'static str {
        let (code, _) = &CONTINENTS[usize::from(self.index)];
        std::str::from_utf8(code).expect("the table holds ASCII letters")
    }

    /// Two letters: `AF`, `AN`, `AS`, `EU`, `NA`, `OC` or `SA`.
    pub fn continent(&self) -> &'static str {
        CONTINENTS[usize::from(self.index)].1
    }
}

/// Every country and its continent, sorted by country.
///
/// Codes: ISO 3166-1, as in the tz database's `iso3166.tab`, and `XK` (Kosovo), which MaxMind's and DB-IP's files use. Continents: npm
/// package `countries-list` 3.4.1 (MIT), except that Russia lies in Europe, as it does in those files: a country must not
/// change its continent with the way in which it was found.
#[rustfmt::skip]
const CONTINENTS: &[([u8; 2], &str)] = &[
    (*b"AD", "EU"), (*b"AE", "AS"), (*b"AF", "AS"), (*b"AG", "NA"), (*b"AI", "NA"), (*b"AL", "EU"),
    (*b"AM", "AS"), (*b"AO", "AF"), (*b"AQ", "AN"), (*b"AR", "SA"), (*b"AS", "OC"), (*b"AT", "EU"),
    (*b"AU", "OC"), (*b"AW", "NA"), (*b"AX", "EU"), (*b"AZ", "AS"), (*b"BA", "EU"), (*b"BB", "NA"),
    (*b"BD", "AS"), (*b"BE", "EU"), (*b"BF", "AF"), (*b"BG", "EU"), (*b"BH", "AS"), (*b"BI", "AF"),
    (*b"BJ", "AF"), (*b"BL", "NA"), (*b"BM", "NA"), (*b"BN", "AS"), (*b"BO", "SA"), (*b"BQ", "NA"),
    (*b"BR", "SA"), (*b"BS", "NA"), (*b"BT", "AS"), (*b"BV", "AN"), (*b"BW", "AF"), (*b"BY", "EU"),
    (*b"BZ", "NA"), (*b"CA", "NA"), (*b"CC", "AS"), (*b"CD", "AF"), (*b"CF", "AF"), (*b"CG", "AF"),
    (*b"CH", "EU"), (*b"CI", "AF"), (*b"CK", "OC"), (*b"CL", "SA"), (*b"CM", "AF"), (*b"CN", "AS"),
    (*b"CO", "SA"), (*b"CR", "NA"), (*b"CU", "NA"), (*b"CV", "AF"), (*b"CW", "NA"), (*b"CX", "AS"),
    (*b"CY", "EU"), (*b"CZ", "EU"), (*b"DE", "EU"), (*b"DJ", "AF"), (*b"DK", "EU"), (*b"DM", "NA"),
    (*b"DO", "NA"), (*b"DZ", "AF"), (*b"EC", "SA"), (*b"EE", "EU"), (*b"EG", "AF"), (*b"EH", "AF"),
    (*b"ER", "AF"), (*b"ES", "EU"), (*b"ET", "AF"), (*b"FI", "EU"), (*b"FJ", "OC"), (*b"FK", "SA"),
    (*b"FM", "OC"), (*b"FO", "EU"), (*b"FR", "EU"), (*b"GA", "AF"), (*b"GB", "EU"), (*b"GD", "NA"),
    (*b"GE", "AS"), (*b"GF", "SA"), (*b"GG", "EU"), (*b"GH", "AF"), (*b"GI", "EU"), (*b"GL", "NA"),
    (*b"GM", "AF"), (*b"GN", "AF"), (*b"GP", "NA"), (*b"GQ", "AF"), (*b"GR", "EU"), (*b"GS", "AN"),
    (*b"GT", "NA"), (*b"GU", "OC"), (*b"GW", "AF"), (*b"GY", "SA"), (*b"HK", "AS"), (*b"HM", "AN"),
    (*b"HN", "NA"), (*b"HR", "EU"), (*b"HT", "NA"), (*b"HU", "EU"), (*b"ID", "AS"), (*b"IE", "EU"),
    (*b"IL", "AS"), (*b"IM", "EU"), (*b"IN", "AS"), (*b"IO", "AS"), (*b"IQ", "AS"), (*b"IR", "AS"),
    (*b"IS", "EU"), (*b"IT", "EU"), (*b"JE", "EU"), (*b"JM", "NA"), (*b"JO", "AS"), (*b"JP", "AS"),
    (*b"KE", "AF"), (*b"KG", "AS"), (*b"KH", "AS"), (*b"KI", "OC"), (*b"KM", "AF"), (*b"KN", "NA"),
    (*b"KP", "AS"), (*b"KR", "AS"), (*b"KW", "AS"), (*b"KY", "NA"), (*b"KZ", "AS"), (*b"LA", "AS"),
    (*b"LB", "AS"), (*b"LC", "NA"), (*b"LI", "EU"), (*b"LK", "AS"), (*b"LR", "AF"), (*b"LS", "AF"),
    (*b"LT", "EU"), (*b"LU", "EU"), (*b"LV", "EU"), (*b"LY", "AF"), (*b"MA", "AF"), (*b"MC", "EU"),
    (*b"MD", "EU"), (*b"ME", "EU"), (*b"MF", "NA"), (*b"MG", "AF"), (*b"MH", "OC"), (*b"MK", "EU"),
    (*b"ML", "AF"), (*b"MM", "AS"), (*b"MN", "AS"), (*b"MO", "AS"), (*b"MP", "OC"), (*b"MQ", "NA"),
    (*b"MR", "AF"), (*b"MS", "NA"), (*b"MT", "EU"), (*b"MU", "AF"), (*b"MV", "AS"), (*b"MW", "AF"),
    (*b"MX", "NA"), (*b"MY", "AS"), (*b"MZ", "AF"), (*b"NA", "AF"), (*b"NC", "OC"), (*b"NE", "AF"),
    (*b"NF", "OC"), (*b"NG", "AF"), (*b"NI", "NA"), (*b"NL", "EU"), (*b"NO", "EU"), (*b"NP", "AS"),
    (*b"NR", "OC"), (*b"NU", "OC"), (*b"NZ", "OC"), (*b"OM", "AS"), (*b"PA", "NA"), (*b"PE", "SA"),
    (*b"PF", "OC"), (*b"PG", "OC"), (*b"PH", "AS"), (*b"PK", "AS"), (*b"PL", "EU"), (*b"PM", "NA"),
    (*b"PN", "OC"), (*b"PR", "NA"), (*b"PS", "AS"), (*b"PT", "EU"), (*b"PW", "OC"), (*b"PY", "SA"),
    (*b"QA", "AS"), (*b"RE", "AF"), (*b"RO", "EU"), (*b"RS", "EU"), (*b"RU", "EU"), (*b"RW", "AF"),
    (*b"SA", "AS"), (*b"SB", "OC"), (*b"SC", "AF"), (*b"SD", "AF"), (*b"SE", "EU"), (*b"SG", "AS"),
    (*b"SH", "AF"), (*b"SI", "EU"), (*b"SJ", "EU"), (*b"SK", "EU"), (*b"SL", "AF"), (*b"SM", "EU"),
    (*b"SN", "AF"), (*b"SO", "AF"), (*b"SR", "SA"), (*b"SS", "AF"), (*b"ST", "AF"), (*b"SV", "NA"),
    (*b"SX", "NA"), (*b"SY", "AS"), (*b"SZ", "AF"), (*b"TC", "NA"), (*b"TD", "AF"), (*b"TF", "AN"),
    (*b"TG", "AF"), (*b"TH", "AS"), (*b"TJ", "AS"), (*b"TK", "OC"), (*b"TL", "OC"), (*b"TM", "AS"),
    (*b"TN", "AF"), (*b"TO", "OC"), (*b"TR", "AS"), (*b"TT", "NA"), (*b"TV", "OC"), (*b"TW", "AS"),
    (*b"TZ", "AF"), (*b"UA", "EU"), (*b"UG", "AF"), (*b"UM", "OC"), (*b"US", "NA"), (*b"UY", "SA"),
    (*b"UZ", "AS"), (*b"VA", "EU"), (*b"VC", "NA"), (*b"VE", "SA"), (*b"VG", "NA"), (*b"VI", "NA"),
    (*b"VN", "AS"), (*b"VU", "OC"), (*b"WF", "OC"), (*b"WS", "OC"), (*b"XK", "EU"), (*b"YE", "AS"),
    (*b"YT", "AF"), (*b"ZA", "AF"), (*b"ZM", "AF"), (*b"ZW", "AF"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_names_seven_continents() {
        assert!(CONTINENTS.is_sorted_by(|a, b| a.0 < b.0));
        assert!(CONTINENTS.len() <= usize::from(u8::MAX));
        for (_, continent) in CONTINENTS {
            assert!(["AF", "AN", "AS", "EU", "NA", "OC", "SA"].contains(continent));
        }
    }

    #[test]
    fn codes_are_read_in_either_case_and_unknown_ones_are_refused() {
        let country = |code: &str| Country::parse(code.as_bytes()).map(|country| (country.code(), country.continent()));
        assert_eq!(country("DE"), Some(("DE", "EU")));
        assert_eq!(country(" us "), Some(("US", "NA")));
        assert_eq!(country("XK"), Some(("XK", "EU")));
        for unknown in ["", "XX", "T1", "ZZ", "D", "DEU", "D E", "Ü", "\u{130}"] {
            assert_eq!(country(unknown), None, "{unknown:?}");
        }
    }
}
