//! Reads the write-ahead log as a file, to find out how much of it SQLite recovers after a crash
//! and how much it silently ignores.
//!
//! SQLite reads the log up to the first frame whose checksum does not fit (file format, §4). After
//! a crash that is the end of what was written. But a damaged frame in the middle, or a write that
//! the disk lost, hides everything after it, and SQLite does not report that.

use std::{
    fs::File,
    io::{self, BufReader, Read},
    path::Path,
};

use super::files;

const HEADER_BYTES: usize = 32;
const FRAME_HEADER_BYTES: usize = 24;
/// The magic number of logs whose checksums use little-endian words. For big-endian words it is
/// greater by one.
const MAGIC: u32 = 0x377f_0682;
const PAGE_SIZES: std::ops::RangeInclusive<u32> = 512..=65_536;

/// What a log holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogReport {
    /// Frames that SQLite reads.
    pub frames: u64,
    /// Frames of the same run of the log that lie behind one that is damaged.
    pub dropped_frames: u64,
    /// Transactions that end in these frames. They may have been acknowledged.
    pub dropped_transactions: u64,
}

/// Reads the log of the database at `database`; an empty report when there is none.
///
/// # Errors
/// When the log cannot be read.
pub fn inspect(database: &Path) -> io::Result<LogReport> {
    match File::open(files::with_suffix(database, "-wal")) {
        Ok(log) => read(&mut BufReader::with_capacity(1 << 18, log)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(LogReport::default()),
        Err(error) => Err(error),
    }
}

fn read(log: &mut impl Read) -> io::Result<LogReport> {
    let mut report = LogReport::default();
    let mut header = [0; HEADER_BYTES];
    if !fill(log, &mut header)? {
        return Ok(report);
    }
    let little_endian = word(&header, 0) == MAGIC;
    let mut sum = checksum(&header[..24], (0, 0), little_endian);
    let mut whole = word(&header, 0) & !1 == MAGIC && sum == (word(&header, 24), word(&header, 28));
    let page_size = word(&header, 8);
    if !PAGE_SIZES.contains(&page_size) {
        return Ok(report);
    }
    // If the header is damaged, the first frame says which run of the log this is.
    let mut salts = whole.then(|| header[16..24].to_vec());
    let mut frame = vec![0; FRAME_HEADER_BYTES + page_size as usize];
    let mut since_commit = 0;
    while fill(log, &mut frame)? {
        if *salts.get_or_insert_with(|| frame[8..16].to_vec()) != frame[8..16] {
            // Frames left from an earlier run of the log.
            break;
        }
        let ends_transaction = word(&frame, 4) > 0;
        if whole {
            sum = checksum(&frame[..8], sum, little_endian);
            sum = checksum(&frame[FRAME_HEADER_BYTES..], sum, little_endian);
            whole = sum == (word(&frame, 16), word(&frame, 20));
        }
        if whole {
            since_commit += 1;
            if ends_transaction {
                report.frames += since_commit;
                since_commit = 0;
            }
        } else {
            report.dropped_frames += 1;
            report.dropped_transactions += u64::from(ends_transaction);
        }
    }
    Ok(report)
}

/// Fills `buffer`; `false` if less was left.
fn fill(log: &mut impl Read, buffer: &mut [u8]) -> io::Result<bool> {
    match log.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

/// The big-endian number at `at`.
fn word(bytes: &[u8], at: usize) -> u32 {
    bytes[at..at + 4].iter().fold(0, |number, byte| number << 8 | u32::from(*byte))
}

/// SQLite's checksum of `bytes`, a multiple of 8, going on from `sum`.
fn checksum(bytes: &[u8], (mut a, mut b): (u32, u32), little_endian: bool) -> (u32, u32) {
    let number = |at: usize| {
        let number = word(bytes, at);
        if little_endian { number.swap_bytes() } else { number }
    };
    for at in (0..bytes.len()).step_by(8) {
        a = a.wrapping_add(number(at)).wrapping_add(b);
        b = b.wrapping_add(number(at + 4)).wrapping_add(a);
    }
    (a, b)
}

#[cfg(test)]
mod tests {
    use std::{fs, path::PathBuf};

    use rusqlite::{Connection, config::DbConfig};

    use super::*;

    /// A database whose five transactions lie in its log alone.
    fn crashed() -> (tempfile::TempDir, PathBuf, Vec<u8>) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("db");
        let connection = Connection::open(&path).unwrap();
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).unwrap();
        connection.pragma_update(None, "journal_mode", "wal").unwrap();
        connection.execute_batch("CREATE TABLE t(number INTEGER)").unwrap();
        for number in 1..5 {
            connection.execute("INSERT INTO t VALUES (?)", [number]).unwrap();
        }
        drop(connection);
        let log = fs::read(files::with_suffix(&path, "-wal")).unwrap();
        (dir, path, log)
    }

    fn rows(path: &Path) -> i64 {
        let connection = Connection::open(path).unwrap();
        connection.query_row("SELECT count(*) FROM t", [], |row| row.get(0)).unwrap_or(-1)
    }

    #[test]
    fn a_whole_log_drops_nothing() {
        let (_dir, path, log) = crashed();
        let frames = (log.len() - HEADER_BYTES) / (FRAME_HEADER_BYTES + 4096);
        let report = LogReport { frames: frames as u64, ..LogReport::default() };
        assert_eq!(inspect(&path).unwrap(), report);
        assert_eq!(rows(&path), 4);
    }

    #[test]
    fn what_lies_behind_a_damaged_frame_is_counted() {
        let (_dir, path, mut log) = crashed();
        let frame = FRAME_HEADER_BYTES + 4096;
        let third_last = log.len() - 3 * frame + FRAME_HEADER_BYTES + 100;
        log[third_last] ^= 1;
        fs::write(files::with_suffix(&path, "-wal"), &log).unwrap();
        let report = inspect(&path).unwrap();
        assert_eq!((report.dropped_frames, report.dropped_transactions), (3, 3));
        assert_eq!(rows(&path), 1, "SQLite reads what is whole, and says nothing");
    }

    #[test]
    fn a_damaged_header_drops_everything() {
        let (_dir, path, mut log) = crashed();
        log[13] ^= 1;
        fs::write(files::with_suffix(&path, "-wal"), &log).unwrap();
        let report = inspect(&path).unwrap();
        assert_eq!((report.frames, report.dropped_transactions), (0, 5));
    }

    #[test]
    fn a_write_that_a_crash_cut_off_is_no_loss() {
        let (_dir, path, log) = crashed();
        fs::write(files::with_suffix(&path, "-wal"), &log[..log.len() - 1000]).unwrap();
        let report = inspect(&path).unwrap();
        assert_eq!(report.dropped_frames, 0);
        fs::write(files::with_suffix(&path, "-wal"), &log[..20]).unwrap();
        assert_eq!(inspect(&path).unwrap(), LogReport::default());
    }
}
