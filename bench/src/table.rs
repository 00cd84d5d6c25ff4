//! The table: one line for each figure.

use std::fmt;

/// What a number counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    Micros,
    Millis,
    PerSecond,
    Mib,
    Seconds,
}

/// What a figure must be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Target {
    /// At most so many times the floor.
    Ratio(f64),
    /// At most so much.
    AtMost(f64),
    /// At least so much.
    AtLeast(f64),
    /// It has none; it is there to be known.
    None,
}

/// One figure.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) figure: String,
    pub(crate) unit: Unit,
    pub(crate) floor: Option<f64>,
    pub(crate) ours: f64,
    pub(crate) target: Target,
}

impl Row {
    /// Ours against a floor that was measured in turn with it.
    pub(crate) fn against(
        figure: impl Into<String>,
        unit: Unit,
        (floor, ours): (f64, f64),
        target: Target,
    ) -> Self {
        Self { figure: figure.into(), unit, floor: Some(floor), ours, target }
    }

    /// A figure that stands for itself.
    pub(crate) fn alone(figure: impl Into<String>, unit: Unit, ours: f64, target: Target) -> Self {
        Self { figure: figure.into(), unit, floor: None, ours, target }
    }

    fn ratio(&self) -> Option<f64> {
        self.floor.map(|floor| self.ours / floor)
    }

    /// Whether the target is met; `None` without one.
    pub(crate) fn is_met(&self) -> Option<bool> {
        match self.target {
            Target::Ratio(most) => Some(self.ratio().is_some_and(|ratio| ratio <= most)),
            Target::AtMost(most) => Some(self.ours <= most),
            Target::AtLeast(least) => Some(self.ours >= least),
            Target::None => None,
        }
    }
}

/// The rows as a table in Markdown. `judged`: whether to say which targets are met.
pub(crate) struct Table<'a> {
    pub(crate) rows: &'a [Row],
    pub(crate) judged: bool,
}

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = ["figure", "floor", "ours", "ratio", "target", "met"];
        let mut lines = vec![head.map(str::to_owned)];
        lines.extend(self.rows.iter().map(|row| row.cells(self.judged)));
        let width = |column: usize| {
            lines.iter().map(|line| line[column].chars().count()).max().unwrap_or_default()
        };
        let widths: [usize; 6] = std::array::from_fn(width);
        for (number, line) in lines.iter().enumerate() {
            for (cell, width) in line.iter().zip(widths) {
                write!(f, "| {cell:<width$} ")?;
            }
            writeln!(f, "|")?;
            if number == 0 {
                widths.iter().try_for_each(|width| write!(f, "|{:-<1$}", "", width + 2))?;
                writeln!(f, "|")?;
            }
        }
        Ok(())
    }
}

impl Row {
    fn cells(&self, judged: bool) -> [String; 6] {
        let unit = self.unit;
        let target = match self.target {
            Target::Ratio(most) => format!("≤ {most:.2} ×"),
            Target::AtMost(most) => format!("≤ {}", unit.show(most)),
            Target::AtLeast(least) => format!("≥ {}", unit.show(least)),
            Target::None => String::new(),
        };
        let met = match self.is_met().filter(|_| judged) {
            Some(true) => "yes",
            Some(false) => "**no**",
            None => "",
        };
        [
            self.figure.clone(),
            self.floor.map(|floor| unit.show(floor)).unwrap_or_default(),
            unit.show(self.ours),
            self.ratio().map(|ratio| format!("{ratio:.2}")).unwrap_or_default(),
            target,
            met.to_owned(),
        ]
    }
}

impl Unit {
    fn show(self, value: f64) -> String {
        match self {
            Self::Micros => format!("{value:.1} µs"),
            Self::Millis => format!("{value:.2} ms"),
            Self::PerSecond => format!("{value:.0}/s"),
            Self::Mib => format!("{value:.0} MiB"),
            Self::Seconds => format!("{value:.2} s"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_met_up_to_its_very_value() {
        let ratio = |ours| Row::against("x", Unit::Micros, (10.0, ours), Target::Ratio(1.25));
        assert_eq!(ratio(12.5).is_met(), Some(true));
        assert_eq!(ratio(12.6).is_met(), Some(false));
        let most = |ours| Row::alone("x", Unit::Mib, ours, Target::AtMost(30.0)).is_met();
        assert_eq!((most(30.0), most(30.1)), (Some(true), Some(false)));
        let least = |ours| Row::alone("x", Unit::PerSecond, ours, Target::AtLeast(5e3)).is_met();
        assert_eq!((least(5e3), least(4999.0)), (Some(true), Some(false)));
    }

    #[test]
    fn a_number_that_could_not_be_measured_meets_nothing() {
        let row = Row::against("x", Unit::Micros, (f64::NAN, 1.0), Target::Ratio(1.25));
        assert_eq!(row.is_met(), Some(false));
        assert_eq!(Row::alone("x", Unit::Mib, f64::NAN, Target::AtMost(1.0)).is_met(), Some(false));
    }

    #[test]
    fn the_table_is_markdown_with_aligned_columns() {
        let rows = [
            Row::against("whoami", Unit::Micros, (80.0, 100.0), Target::Ratio(1.25)),
            Row::alone("memory", Unit::Mib, 31.0, Target::AtMost(30.0)),
        ];
        let expected = "\
| figure | floor   | ours     | ratio | target   | met    |
|--------|---------|----------|-------|----------|--------|
| whoami | 80.0 µs | 100.0 µs | 1.25  | ≤ 1.25 × | yes    |
| memory |         | 31 MiB   |       | ≤ 30 MiB | **no** |
";
        assert_eq!(Table { rows: &rows, judged: true }.to_string(), expected);
    }
}
