//! Texts of clicks that are shared: few values recur in many clicks.

use foldhash::HashSet;

use crate::click::Text;

/// How many are kept; when one more comes, all are forgotten, and those that recur come again.
pub const TEXTS_MAX: usize = 16_384;

/// A longer one, in bytes, is not kept: no name of a place or a domain is.
pub const TEXT_BYTES_MAX: usize = 256;

/// Texts that were met before.
#[derive(Debug, Default)]
pub struct Texts {
    met: HashSet<Text>,
}

impl Texts {
    /// The same text.
    pub fn shared(&mut self, text: &str) -> Text {
        if let Some(met) = self.met.get(text) {
            return Text::clone(met);
        }
        let new = Text::from(text);
        if text.len() <= TEXT_BYTES_MAX {
            if self.met.len() == TEXTS_MAX {
                self.met.clear();
            }
            self.met.insert(Text::clone(&new));
        }
        new
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    /// Seen to fail when nothing was forgotten, and when the long ones were kept as well.
    #[test]
    fn what_recurs_is_shared_and_no_more_is_kept_than_there_is_room_for() {
        let mut texts = Texts::default();
        let one = texts.shared("DE");
        assert!(Arc::ptr_eq(&one, &texts.shared("DE")));
        let long = "x".repeat(TEXT_BYTES_MAX + 1);
        assert_eq!(*texts.shared(&long), *long);
        assert_eq!(texts.met.len(), 1);
        for n in 0..3 * TEXTS_MAX {
            assert_eq!(*texts.shared(&n.to_string()), n.to_string());
            assert!(texts.met.len() <= TEXTS_MAX);
        }
    }
}
