//! The account and the side of each end.

use super::AccountId;
use crate::model::link::{End, NetnsId};
use std::collections::HashMap;

/// An account, and the side of it that an end is.
type AccountSide = (AccountId, usize);

/// The account and the side of each end that has an account.
#[derive(Debug, Default)]
pub(super) struct AccountIndex {
    of: HashMap<End, AccountSide>,
    /// The ifindex, the account and the side of each link of the last dump of the host, in the kernel's
    /// order, which stays the same as long as no link comes or goes. Empty once an account has changed.
    dumped: Vec<(u32, Option<AccountSide>)>,
}

impl AccountIndex {
    pub(super) fn get(&self, end: End) -> Option<AccountSide> {
        self.of.get(&end).copied()
    }

    pub(super) fn insert(&mut self, end: End, side: AccountSide) {
        self.dumped.clear();
        self.of.insert(end, side);
    }

    pub(super) fn remove(&mut self, end: End) -> Option<AccountSide> {
        self.dumped.clear();
        self.of.remove(&end)
    }

    /// Removes an end unless it has another account by now.
    pub(super) fn remove_from(&mut self, end: End, account: AccountId) {
        if self.get(end).is_some_and(|(at, _)| at == account) {
            self.remove(end);
        }
    }

    /// Returns the account and the side of the host's link that is at this position of a dump.
    pub(super) fn of_dumped(&mut self, position: usize, ifindex: u32) -> Option<AccountSide> {
        match self.dumped.get(position) {
            Some(&(known, side)) if known == ifindex => return side,
            // A link has come or gone before this one.
            Some(_) => self.dumped.truncate(position),
            None => {}
        }
        let side = self.get(End { netns: NetnsId::Host, ifindex });
        if self.dumped.len() == position {
            self.dumped.push((ifindex, side));
        }
        side
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(ifindex: u32) -> End {
        End { netns: NetnsId::Host, ifindex }
    }

    fn dump(index: &mut AccountIndex, links: &[u32]) -> Vec<Option<AccountSide>> {
        links.iter().enumerate().map(|(position, &link)| index.of_dumped(position, link)).collect()
    }

    #[test]
    fn a_dumped_link_has_the_account_of_its_end_whatever_has_changed_since_the_last() {
        let mut index = AccountIndex::default();
        index.insert(end(5), (0, 0));
        index.insert(end(7), (1, 1));
        assert_eq!(dump(&mut index, &[1, 5, 7]), [None, Some((0, 0)), Some((1, 1))]);
        assert_eq!(dump(&mut index, &[5, 7, 1]), [Some((0, 0)), Some((1, 1)), None]);
        index.insert(end(1), (2, 0));
        assert_eq!(dump(&mut index, &[5, 7, 1]), [Some((0, 0)), Some((1, 1)), Some((2, 0))]);
        index.remove_from(end(7), 2);
        assert_eq!(dump(&mut index, &[7]), [Some((1, 1))]);
        index.remove_from(end(7), 1);
        assert_eq!(dump(&mut index, &[5, 7]), [Some((0, 0)), None]);
        assert_eq!(index.remove(end(5)), Some((0, 0)));
        assert_eq!(dump(&mut index, &[7, 5, 1]), [None, None, Some((2, 0))]);
    }
}
