//! Which earlier contents of an online keyring go, so that there is room for another one.

use std::cmp::Reverse;

use countersign_protocol::UnixTime;

use super::keyring::{Keeping, Leave, Revision};

/// An earlier content, as far as it matters for who goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Earlier {
    /// Its number.
    pub revision: Revision,
    /// Since when it was the content.
    pub updated_at: UnixTime,
    /// Until when it was the content.
    pub replaced_at: UnixTime,
    /// The length of its ciphertext in bytes.
    pub bytes: u64,
}

/// How room is made for earlier contents.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    /// How many are kept.
    pub keeping: Keeping,
    /// Whether one may go that was replaced lately.
    pub leave: Leave,
    /// This one stays.
    pub spared: Option<Revision>,
    /// Up to which moment things may be forgotten. It is not after the present, and stays behind a clock
    /// that has just jumped.
    pub forgets_up_to: UnixTime,
}

impl Room {
    /// Which of `kept`, the oldest first, must go until the rest fits. `None` if that takes one that may
    /// not go.
    ///
    /// The oldest of those that were replaced long ago go first. Then, with the leave of the owner, as few
    /// as possible go, and those first that were the content for the shortest time. None goes that turns
    /// out to have room.
    #[must_use]
    pub fn surplus(&self, mut kept: Vec<Earlier>) -> Option<Vec<Revision>> {
        let mut gone = Vec::new();
        while !self.fits(&kept) {
            let next = self.oldest(&kept).or_else(|| self.briefest(&kept))?;
            kept.retain(|own| own.revision != next.revision);
            gone.push(next);
        }
        let fits_too = |kept: &[Earlier], own: &Earlier| self.fits(&[kept, &[*own]].concat());
        while let Some(place) = gone.iter().rposition(|own| fits_too(&kept, own)) {
            kept.push(gone.remove(place));
        }
        Some(gone.into_iter().map(|own| own.revision).collect())
    }

    fn fits(&self, kept: &[Earlier]) -> bool {
        let bytes: u64 = kept.iter().map(|own| own.bytes).sum();
        kept.len() <= self.most() && bytes <= self.keeping.bytes
    }

    fn most(&self) -> usize {
        usize::try_from(self.keeping.revisions).unwrap_or(usize::MAX)
    }

    /// The oldest that was replaced long ago.
    fn oldest(&self, kept: &[Earlier]) -> Option<Earlier> {
        let is_old =
            |own: &Earlier| self.forgets_up_to.since(own.replaced_at) >= self.keeping.at_least;
        kept.iter().find(|own| Some(own.revision) != self.spared && is_old(own)).copied()
    }

    /// The one that was the content for the shortest time, of those that are long enough. Of two that were
    /// there for equally long the newer goes, because a script can make many quickly.
    fn briefest(&self, kept: &[Earlier]) -> Option<Earlier> {
        match self.leave {
            Leave::Lacking => return None,
            Leave::Given => {}
        }
        let may_go = || kept.iter().filter(|own| Some(own.revision) != self.spared);
        let least = self.least_bytes(kept, may_go().map(|own| own.bytes).collect())?;
        let lasted = |own: &&Earlier| own.replaced_at.since(own.updated_at);
        let long_enough = may_go().filter(|own| own.bytes >= least);
        long_enough.min_by_key(|own| (lasted(own), Reverse(own.revision))).copied()
    }

    /// How many bytes the next one that goes must free at least, so that as few as possible go: the others
    /// are the longest then. `sizes` are the lengths of those that may go.
    fn least_bytes(&self, kept: &[Earlier], mut sizes: Vec<u64>) -> Option<u64> {
        sizes.sort_unstable_by_key(|bytes| Reverse(*bytes));
        let by_number = kept.len().saturating_sub(self.most()).max(1);
        let bytes: u64 = kept.iter().map(|own| own.bytes).sum();
        let excess = bytes.saturating_sub(self.keeping.bytes);
        let longest = |number: usize| sizes.iter().take(number).sum::<u64>();
        let fewest = (by_number..=sizes.len()).find(|number| longest(*number) >= excess)?;
        Some(excess.saturating_sub(longest(fewest - 1)))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Earlier contents, by how many bytes they have and for how many seconds they were the content.
    fn kept(contents: &[(u64, u64)]) -> Vec<Earlier> {
        let start = UnixTime::from_secs(1_000_000);
        let earlier = |(revision, (bytes, secs)): (u64, &(u64, u64))| Earlier {
            revision: Revision(revision),
            updated_at: start,
            replaced_at: start + Duration::from_secs(*secs),
            bytes: *bytes,
        };
        (1..).zip(contents).map(earlier).collect()
    }

    fn gone(room: Room, contents: &[(u64, u64)]) -> Option<Vec<u64>> {
        let gone = room.surplus(kept(contents))?;
        Some(gone.into_iter().map(|Revision(number)| number).collect())
    }

    fn room(revisions: u32, bytes: u64, leave: Leave) -> Room {
        let keeping = Keeping { revisions, bytes, at_least: Duration::from_hours(24) };
        let forgets_up_to = UnixTime::from_secs(1_000_000);
        Room { keeping, leave, spared: None, forgets_up_to }
    }

    #[test]
    fn small_ones_do_not_go_for_bytes_that_only_a_large_one_frees() {
        let contents = [(10, 1), (10, 2), (50, 9), (50, 7), (50, 8)];
        assert_eq!(gone(room(9, 150, Leave::Lacking), &contents), None);
        assert_eq!(gone(room(9, 150, Leave::Given), &contents), Some(vec![4]));
        // One small one is enough, and the briefest.
        assert_eq!(gone(room(9, 160, Leave::Given), &contents), Some(vec![1]));
        // Two must go: the briefest of those with which two are enough, and so again.
        assert_eq!(gone(room(9, 110, Leave::Given), &contents), Some(vec![1, 4]));
        assert_eq!(gone(room(9, 70, Leave::Given), &contents), Some(vec![4, 5]));
    }

    #[test]
    fn too_many_lose_the_briefest_whatever_its_length() {
        let contents = [(10, 3), (90, 2), (20, 1)];
        assert_eq!(gone(room(2, 1000, Leave::Given), &contents), Some(vec![3]));
        assert_eq!(gone(room(1, 1000, Leave::Given), &contents), Some(vec![3, 2]));
        assert_eq!(gone(room(2, 40, Leave::Given), &contents), Some(vec![2]));
        assert_eq!(gone(room(0, 0, Leave::Given), &contents), Some(vec![3, 2, 1]));
    }

    #[test]
    fn old_ones_go_from_the_oldest_and_none_that_has_room() {
        let long_ago = Room {
            forgets_up_to: UnixTime::from_secs(1_000_000) + Duration::from_hours(48),
            ..room(9, 40, Leave::Lacking)
        };
        // The first two do not make enough room. After the third the second has room again.
        assert_eq!(gone(long_ago, &[(30, 1), (20, 1), (50, 1), (10, 1)]), Some(vec![1, 3]));
        let spared = Room { spared: Some(Revision(1)), ..long_ago };
        assert_eq!(gone(spared, &[(10, 1), (20, 1), (20, 1)]), Some(vec![2]));
        assert_eq!(gone(spared, &[(70, 1), (20, 1)]), None);
    }

    #[test]
    fn what_fits_stays() {
        assert_eq!(gone(room(2, 30, Leave::Lacking), &[(10, 1), (20, 1)]), Some(vec![]));
    }
}
