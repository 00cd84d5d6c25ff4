//! Lines for people.

use std::fmt::{self, Write};

use countersign_protocol::ports::Clock;
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    fmt::{FmtContext, FormatEvent, FormatFields, format::Writer},
    registry::LookupSpan,
};

use crate::time::in_utc;

/// The initial capacity for a line, in bytes. Most lines are shorter.
const USUAL_LENGTH: usize = 384;

/// Writes events as `tracing_subscriber` does, with a coloured level on a terminal. Control
/// characters are escaped in all values, so that none can forge a line or move a terminal's cursor.
///
/// Every request writes a line. With the general formatter that would be a tenth of the request's
/// cost.
pub(super) struct Human<C> {
    clock: C,
}

impl<C: Clock> Human<C> {
    /// With the time that `clock` shows.
    pub(super) const fn new(clock: C) -> Self {
        Self { clock }
    }
}

/// There are no spans in this program, so their context is not written.
impl<C, S, N> FormatEvent<S, N> for Human<C>
where
    C: Clock,
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        write!(writer, "{:.3}Z", in_utc(self.clock.now()))?;
        let (level, colour) = match *event.metadata().level() {
            Level::ERROR => (" ERROR", 31),
            Level::WARN => ("  WARN", 33),
            Level::INFO => ("  INFO", 32),
            Level::DEBUG => (" DEBUG", 34),
            Level::TRACE => (" TRACE", 35),
        };
        if writer.has_ansi_escapes() {
            write!(writer, "\u{1b}[{colour}m{level}\u{1b}[0m")?;
        } else {
            writer.write_str(level)?;
        }
        let mut line = String::with_capacity(USUAL_LENGTH);
        let mut values = Values { out: &mut line, written: Ok(()) };
        event.record(&mut values);
        values.written?;
        line.push('\n');
        writer.write_str(&line)
    }
}

/// Writes the values of an event.
struct Values<'a, W> {
    out: &'a mut W,
    written: fmt::Result,
}

impl<W: Write> Values<'_, W> {
    /// Writes a value by `write`, unless an earlier one failed.
    fn value(&mut self, field: &Field, write: impl FnOnce(&mut W) -> fmt::Result) {
        let begin = |out: &mut W| match field.name() {
            "message" => out.write_char(' '),
            name => {
                out.write_char(' ')?;
                out.write_str(name)?;
                out.write_char('=')
            }
        };
        if self.written.is_ok() {
            self.written = begin(self.out).and_then(|()| write(self.out));
        }
    }
}

impl<W: Write> Visit for Values<'_, W> {
    fn record_str(&mut self, field: &Field, value: &str) {
        let plain = |byte: u8| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\';
        self.value(field, |out| {
            if !value.bytes().all(plain) {
                return write!(out, "{value:?}");
            }
            out.write_char('"')?;
            out.write_str(value)?;
            out.write_char('"')
        });
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.value(field, |out| write!(out, "{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.value(field, |out| write!(Escaped(out), "{value:?}"));
    }
}

/// Passes text on with its control characters escaped.
struct Escaped<'a, W>(&'a mut W);

impl<W: Write> Write for Escaped<'_, W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
            return self.0.write_str(text);
        }
        text.chars().try_for_each(|char| {
            if char.is_control() {
                write!(self.0, "{}", char.escape_default())
            } else {
                self.0.write_char(char)
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io,
        net::Ipv4Addr,
        sync::{Arc, Mutex},
    };

    use countersign_protocol::UnixTime;
    use tracing::{error, info, subscriber::with_default, warn};
    use tracing_subscriber::fmt;

    use super::*;

    struct Fixed;

    impl Clock for Fixed {
        fn now(&self) -> UnixTime {
            UnixTime::from_millis(1_700_000_000_250)
        }

        fn monotonic(&self) -> std::time::Duration {
            std::time::Duration::ZERO
        }
    }

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Sink {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(line);
            Ok(line.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(work: impl FnOnce()) -> String {
        logged_in(false, work)
    }

    fn logged_in(colours: bool, work: impl FnOnce()) -> String {
        let sink = Sink::default();
        let writer = sink.clone();
        let format = fmt::fmt().with_ansi(colours).event_format(Human::new(Fixed));
        with_default(format.with_writer(move || writer.clone()).finish(), work);
        let bytes = sink.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_line_has_time_level_message_and_values() {
        let line = logged(|| {
            let (method, status) = ("GET", 200_u16);
            info!(method, status, client = %Ipv4Addr::LOCALHOST, found = ?Some(1), "request");
        });
        let expected = "2023-11-14T22:13:20.250Z  INFO request method=\"GET\" status=200 \
                        client=127.0.0.1 found=Some(1)\n";
        assert_eq!(line, expected);
    }

    #[test]
    fn nothing_in_a_value_begins_a_line() {
        let forged = "no\n2023-11-14T22:13:20.250Z  INFO\u{1b}[2J";
        let lines = logged(|| {
            warn!(forged, "one");
            error!(%forged, "two");
            error!("three {forged}");
        });
        assert_eq!(lines.lines().count(), 3, "{lines}");
        assert!(!lines.contains('\u{1b}'), "{lines}");
        assert!(lines.contains(r" ERROR two forged=no\n2023-11-14T22:13:20.250Z"), "{lines}");
    }

    #[test]
    fn on_a_terminal_the_level_has_its_colour_and_values_have_none() {
        let line = logged_in(true, || warn!(cause = %"\u{1b}[31mred", "two"));
        let level = "\u{1b}[33m  WARN\u{1b}[0m";
        assert_eq!(line, format!("2023-11-14T22:13:20.250Z{level} two cause=\\u{{1b}}[31mred\n"));
    }

    #[test]
    fn quotes_in_texts_are_escaped() {
        assert!(logged(|| info!(name = r#"a"b\"#)).ends_with("INFO name=\"a\\\"b\\\\\"\n"));
    }
}
