//! Measures the speed of `countersign serve`: `scripts/bench` builds and runs it, and
//! `docs/performance.md` says what is measured and how.

#![expect(clippy::disallowed_methods, reason = "measuring time is what this program is for")]

mod bench;
mod figures;
mod floors;
mod identity;
mod load;
mod machine;
mod passkey;
mod postgres;
mod process;
mod product;
mod seed;
mod table;

use std::{
    ffi::OsString,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    rc::Rc,
    time::Instant,
};

use anyhow::Context as _;
use clap::{Parser, Subcommand, ValueEnum as _};

use crate::{
    bench::{Bench, Effort},
    figures::Group,
    postgres::Postgres,
    process::Cores,
    table::Table,
};

/// Measures the speed of Countersign, and prints a table.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    part: Option<Part>,

    /// The binary to measure
    #[arg(long, value_name = "FILE", default_value = "target/release/countersign")]
    countersign: PathBuf,

    /// Where databases are made; must be on the kind of disk that a server has
    #[arg(long, value_name = "DIRECTORY", default_value = "target/bench")]
    directory: PathBuf,

    /// Only this group of figures; may be given more than once
    #[arg(long, value_name = "NAME")]
    only: Vec<Group>,

    /// Measure peers too, with this Python, which has what bench/peers/requirements.txt lists
    #[arg(long, value_name = "FILE")]
    python: Option<PathBuf>,

    /// Compare with this binary of an earlier version too
    #[arg(long, value_name = "FILE")]
    before: Option<PathBuf>,

    /// Measure many nodes too, on this PostgreSQL server, as a user who may do anything; databases called
    /// `bench_…` are made there
    #[arg(long, value_name = "URL")]
    postgres: Option<String>,

    /// Fewer and smaller rounds
    #[arg(long)]
    quick: bool,

    /// A few requests of each kind, without judgement: shows that everything still runs
    #[arg(long, conflicts_with = "quick")]
    smoke: bool,
}

/// What the program starts itself as.
#[derive(Subcommand)]
enum Part {
    /// The server of the floors
    #[command(hide = true)]
    Floor {
        /// Where to listen
        #[arg(long)]
        listen: SocketAddr,
    },
    /// Becomes another program, which ends with the one that started it
    #[command(hide = true)]
    Attached {
        /// The program and its arguments
        #[arg(required = true, trailing_var_arg = true)]
        command: Vec<OsString>,
    },
    /// The replay log under a flood
    #[command(hide = true)]
    ReplayFlood {
        /// How many proofs
        count: u64,
    },
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    match arguments.part {
        None => measure(&arguments),
        Some(Part::Floor { listen }) => floors::serve(listen),
        Some(Part::Attached { command }) => process::become_attached(&command),
        Some(Part::ReplayFlood { count }) => figures::flood_replay_log(count),
    }
}

#[expect(clippy::print_stdout, reason = "the result")]
fn measure(arguments: &Arguments) -> anyhow::Result<()> {
    let begun = Instant::now();
    let bench = prepare(arguments)?;
    let groups = if arguments.only.is_empty() { Group::value_variants() } else { &*arguments.only };
    let wanted = |group: &&Group| group.can_be_measured(&bench);
    println!("{}", machine::description(&bench.cores));
    println!("load before: {}, effort: {:?}\n", machine::load(), bench.effort);
    let mut rows = Vec::new();
    for group in groups.iter().filter(wanted) {
        bench.say(&format!("{group:?}"));
        rows.extend(group.measure(&bench).with_context(|| format!("{group:?}"))?);
    }
    fs::remove_dir_all(&bench.run_dir)?;
    let judged = bench.effort != Effort::Smoke;
    print!("{}", Table { rows: &rows, judged });
    let missed = rows.iter().filter(|row| row.is_met() == Some(false)).count();
    println!("\n{} figures in {:.0} s", rows.len(), begun.elapsed().as_secs_f64());
    if judged {
        println!("{missed} targets missed");
    }
    Ok(())
}

fn prepare(arguments: &Arguments) -> anyhow::Result<Bench> {
    let cores = Cores::available()?;
    cores.enter_generator()?;
    let binary = |path: &Path| {
        path.canonicalize().with_context(|| format!("there is no binary {}", path.display()))
    };
    let countersign = binary(&arguments.countersign)?;
    let before = arguments.before.as_deref().map(binary).transpose()?;
    fs::create_dir_all(&arguments.directory)?;
    let cache_dir = arguments.directory.canonicalize()?;
    let run_dir = cache_dir.join("run");
    if run_dir.exists() {
        fs::remove_dir_all(&run_dir)?;
    }
    fs::create_dir_all(&run_dir)?;
    let effort = match (arguments.quick, arguments.smoke) {
        (true, _) => Effort::Quick,
        (_, true) => Effort::Smoke,
        _ => Effort::Full,
    };
    let postgres = arguments.postgres.as_deref().map(Postgres::at).transpose()?.map(Rc::new);
    let python = arguments.python.clone();
    Ok(Bench { countersign, run_dir, cache_dir, cores, effort, python, before, postgres })
}
