//! The account, for a person to read.

use std::fmt;

use crate::{Account, BLOCK_COUNT, BLOCK_IDS};

/// Shows what is out, what was wasted, how much is left and for how long.
#[derive(Debug)]
pub struct AccountReport<'a>(pub &'a Account);

impl fmt::Display for AccountReport<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let account = self.0;
        let total = u64::from(BLOCK_COUNT);
        writeln!(f, "A block is {BLOCK_IDS} ids; the id space has {total} of them.\n")?;
        writeln!(f, "handed out   {:>12}  (a block that is leased again counts again)", account.handed_out)?;
        writeln!(f, "  used       {:>12}", account.used)?;
        writeln!(f, "  in use     {:>12}  in {} open leases", account.in_use, account.open_leases)?;
        writeln!(f, "  lost       {:>12}  claimed by others, or not answered", account.lost)?;
        writeln!(f, "  returned   {:>12}  unused", account.returned)?;
        writeln!(f, "  expired    {:>12}  not renewed in time", account.expired)?;
        writeln!(f, "left         {:>12}  {:.4} %", account.left(), 100.0 * account.left() as f64 / total as f64)?;
        writeln!(f, "  never out  {:>12}", total.saturating_sub(account.ever_leased))?;
        writeln!(f, "  came back  {:>12}", account.free)?;
        match account.days_left() {
            Some(days) => {
                write!(f, "lasts {days} days at the rate of the last one: {}", account.first_leased_last_day)?
            }
            None => write!(f, "lasts for ever at the rate of the last day: 0")?,
        }
        write!(f, " blocks a day")?;
        if !account.is_balanced() {
            write!(f, "\n\nTHE SUMS DO NOT AGREE")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seen to fail when the balance was not looked at.
    #[test]
    fn it_says_what_is_out_and_whether_the_sums_agree() {
        let account = Account {
            ever_leased: 40,
            handed_out: 40,
            used: 30,
            in_use: 10,
            open_leases: 2,
            first_leased_last_day: 40,
            ..Account::default()
        };
        let report = AccountReport(&account).to_string();
        assert!(report.contains("10  in 2 open leases"), "{report}");
        let days = account.left() / 40;
        assert!(
            report.ends_with(&format!("lasts {days} days at the rate of the last one: 40 blocks a day")),
            "{report}"
        );
        let unbalanced = AccountReport(&Account { used: 31, ..account }).to_string();
        assert!(unbalanced.ends_with("THE SUMS DO NOT AGREE"), "{unbalanced}");
    }
}
