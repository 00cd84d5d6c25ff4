//! A file of used proofs that several processes write, one at a time.
//!
//! ```text
//! identity (128 bytes) | place (40 bytes, padded to 64) | slot | slot | …      each slot 64 bytes
//! ```
//!
//! Slots are filled one after the other. At the end of the file the next one is the first again, if
//! what it holds has ended; otherwise the file grows. So the file is about as long as the entries
//! that have not ended need. Entries are never moved, so a process that has read up to a place can
//! go on from there.
//!
//! When a process dies while it writes an entry, the place in the header stays as it was: the entry
//! does not count, and its request was not answered.

use std::{
    fs::{self, File, TryLockError},
    io,
    os::unix::fs::{FileExt as _, MetadataExt as _},
    path::Path,
};

use countersign_protocol::UnixTime;

use super::record::{self, Record, SLOT};

pub(super) const IDENTITY: usize = 128;
const HEADER: usize = IDENTITY + SLOT;
/// How many slots are read at a time.
const CHUNK: usize = 64;

/// Names one file that has lost nothing. A process that reads another identity than before starts
/// from nothing.
pub(super) type Identity = [u8; IDENTITY];

/// An open file, and how far it was read.
pub(super) struct Ring {
    file: File,
    /// The number by which the file system knows the file.
    inode: u64,
    seen: Option<Seen>,
}

#[derive(Clone, Copy)]
struct Seen {
    lap: u64,
    next: u64,
}

/// The part of the header about the slots.
#[derive(Clone, Copy, Default)]
struct Place {
    /// How often writing went on at the first slot after the last.
    lap: u64,
    /// The slot that is filled next.
    next: u64,
    /// How many slots there are.
    slots: u64,
    /// When all entries have ended.
    end: UnixTime,
    /// Entries that ended up to then may have been overwritten.
    forgotten_until: UnixTime,
}

impl Ring {
    /// The ring in `file`, with nothing read yet.
    pub(super) fn new(file: File) -> io::Result<Self> {
        let inode = file.metadata()?.ino();
        Ok(Self { file, inode, seen: None })
    }

    /// Takes the lock, if no other process has it, and reads the header. `path` is where the file
    /// should be.
    pub(super) fn try_lock(&mut self, path: &Path) -> io::Result<Attempt<'_>> {
        match self.file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(Attempt::Busy),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        let mut locked = Locked { ring: self, identity: [0; IDENTITY], place: Place::default() };
        let found = match fs::metadata(path) {
            Ok(found) if found.ino() == locked.ring.inode => found,
            Ok(_) => return Ok(Attempt::Elsewhere),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Attempt::Elsewhere),
            Err(error) => return Err(error),
        };
        locked.read_header(found.len())?;
        Ok(Attempt::Locked(locked))
    }
}

/// The result of trying the lock.
pub(super) enum Attempt<'a> {
    /// It was taken.
    Locked(Locked<'a>),
    /// Another process has it.
    Busy,
    /// Another file, or none, is at this file's path.
    Elsewhere,
}

/// A ring that no other process reads or writes, until this is dropped.
pub(super) struct Locked<'a> {
    ring: &'a mut Ring,
    /// All zeros where the file holds nothing that can be used.
    identity: Identity,
    place: Place,
}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        // A failure here is safe: other processes wait until this file is closed.
        drop(self.ring.file.unlock());
    }
}

impl Locked<'_> {
    fn read_header(&mut self, length: u64) -> io::Result<()> {
        let mut header = [0; HEADER];
        if self.ring.file.read_at(&mut header, 0)? < HEADER {
            return Ok(());
        }
        let (identity, place) = header.split_at(IDENTITY);
        let place = Place::read(place);
        if length >= offset(place.slots) && place.next <= place.slots {
            self.identity.copy_from_slice(identity);
            self.place = place;
        }
        Ok(())
    }

    /// The number by which the file system knows the file.
    pub(super) const fn inode(&self) -> u64 {
        self.ring.inode
    }

    /// The identity of the file; all zeros for an empty file.
    pub(super) const fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Forgets how far the ring was read, because it is another ring now.
    pub(super) const fn read_anew(&mut self) {
        self.ring.seen = None;
    }

    /// Makes it an empty ring with this identity.
    pub(super) fn begin(&mut self, identity: Identity) -> io::Result<()> {
        self.ring.file.set_len(0)?;
        self.ring.seen = None;
        (self.identity, self.place) = (identity, Place::default());
        let mut header = [0; HEADER];
        header[..IDENTITY].copy_from_slice(&identity);
        self.place.write(&mut header[IDENTITY..]);
        self.ring.file.write_all_at(&header, 0)
    }

    /// Passes on the entries that others have written since the last call. `false` if they cannot
    /// be read.
    pub(super) fn unseen(&mut self, mut each: impl FnMut(&Record)) -> io::Result<bool> {
        let Place { lap, next, slots, .. } = self.place;
        let ranges = match self.ring.seen {
            Some(seen) if seen.lap == lap => [seen.next..next, 0..0],
            // Entries that were overwritten in the meantime have ended.
            Some(seen) if seen.lap + 1 == lap && next <= seen.next => [seen.next..slots, 0..next],
            Some(_) | None => [0..slots, 0..0],
        };
        for range in ranges {
            let mut from = range.start;
            while from < range.end {
                let mut chunk = [0; CHUNK * SLOT];
                let count = (range.end - from).min(CHUNK as u64);
                for slot in self.read(from, count, &mut chunk)? {
                    let Some(record) = Record::read(slot) else { return Ok(false) };
                    each(&record);
                }
                from += count;
            }
        }
        self.ring.seen = Some(Seen { lap, next });
        Ok(true)
    }

    /// Adds `record`, at `now`, to a ring of at most `capacity` slots.
    pub(super) fn append(
        &mut self,
        record: &Record,
        capacity: u64,
        now: UnixTime,
    ) -> io::Result<Appended> {
        if record.entry.forget_at <= self.place.forgotten_until {
            return Ok(Appended::Forgotten);
        }
        if self.place.slots > 0 && self.place.end <= now {
            self.clear()?;
        }
        let Some(slot) = self.free_slot(capacity, now)? else { return Ok(Appended::Full) };
        let mut bytes = [0; SLOT];
        record.write(&mut bytes);
        self.ring.file.write_all_at(&bytes, offset(slot))?;
        self.place.next = slot + 1;
        self.place.slots = self.place.slots.max(slot + 1);
        self.place.end = self.place.end.max(record.entry.forget_at);
        self.write_place()?;
        self.ring.seen = Some(Seen { lap: self.place.lap, next: self.place.next });
        Ok(Appended::Recorded)
    }

    /// Frees the memory of a ring whose entries have all ended.
    fn clear(&mut self) -> io::Result<()> {
        let Place { lap, end, forgotten_until, .. } = self.place;
        let forgotten_until = forgotten_until.max(end);
        self.place = Place { lap: lap + 1, forgotten_until, ..Place::default() };
        self.write_place()?;
        self.ring.file.set_len(HEADER as u64)
    }

    /// A slot whose entry has ended, or a new one.
    fn free_slot(&mut self, capacity: u64, now: UnixTime) -> io::Result<Option<u64>> {
        if let Some(slot) = self.ended_slot(self.place.next..self.place.slots, now)? {
            return Ok(Some(slot));
        }
        // A ring that may grow is searched for only a few slots.
        let may_grow = self.place.slots < capacity;
        let search = if may_grow { self.place.slots.min(CHUNK as u64) } else { self.place.slots };
        if let Some(slot) = self.ended_slot(0..search, now)? {
            self.place.lap += 1;
            return Ok(Some(slot));
        }
        Ok(may_grow.then_some(self.place.slots))
    }

    fn ended_slot(
        &mut self,
        range: std::ops::Range<u64>,
        now: UnixTime,
    ) -> io::Result<Option<u64>> {
        let mut from = range.start;
        while from < range.end {
            let mut chunk = [0; CHUNK * SLOT];
            let count = (range.end - from).min(CHUNK as u64);
            for (slot, bytes) in (from..).zip(self.read(from, count, &mut chunk)?) {
                let end = record::end(bytes);
                if end <= now {
                    self.place.forgotten_until = self.place.forgotten_until.max(end);
                    return Ok(Some(slot));
                }
            }
            from += count;
        }
        Ok(None)
    }

    fn read<'c>(
        &self,
        from: u64,
        count: u64,
        chunk: &'c mut [u8; CHUNK * SLOT],
    ) -> io::Result<impl Iterator<Item = &'c [u8; SLOT]> + use<'c>> {
        let count = usize::try_from(count).unwrap_or(CHUNK).min(CHUNK);
        let bytes = &mut chunk[..count * SLOT];
        self.ring.file.read_exact_at(bytes, offset(from))?;
        Ok(bytes.as_chunks().0.iter())
    }

    fn write_place(&self) -> io::Result<()> {
        let mut bytes = [0; SLOT];
        self.place.write(&mut bytes);
        self.ring.file.write_all_at(&bytes, IDENTITY as u64)
    }
}

/// The result of adding an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Appended {
    /// It is in the file.
    Recorded,
    /// Every slot holds an entry that has not ended.
    Full,
    /// The clock has gone back, so an entry of the same proof may have been overwritten already.
    Forgotten,
}

impl Place {
    fn read(bytes: &[u8]) -> Self {
        let mut numbers = bytes.as_chunks().0.iter().map(|number| u64::from_le_bytes(*number));
        let mut next = || numbers.next().unwrap_or_default();
        Self {
            lap: next(),
            next: next(),
            slots: next(),
            end: UnixTime::from_millis(next()),
            forgotten_until: UnixTime::from_millis(next()),
        }
    }

    fn write(&self, bytes: &mut [u8]) {
        let Self { lap, next, slots, end, forgotten_until } = *self;
        let numbers = [lap, next, slots, end.as_millis(), forgotten_until.as_millis()];
        for (place, number) in bytes.as_chunks_mut().0.iter_mut().zip(numbers) {
            *place = number.to_le_bytes();
        }
    }
}

const fn offset(slot: u64) -> u64 {
    HEADER as u64 + slot.saturating_mul(SLOT as u64)
}
