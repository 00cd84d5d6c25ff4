//! Servers in processes of their own, and what they use of the machine.

use std::{
    env,
    ffi::OsString,
    fs::{self, File},
    io,
    net::{SocketAddr, TcpListener},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use nix::{
    sched::{CpuSet, sched_getaffinity, sched_setaffinity},
    sys::{
        prctl::set_pdeathsig,
        signal::{Signal, kill},
    },
    time::{ClockId, clock_gettime},
    unistd::Pid,
};

const START_WITHIN: Duration = Duration::from_mins(1);
const SETTLE_WITHIN: Duration = Duration::from_secs(20);
const STOP_WITHIN: Duration = Duration::from_secs(15);

/// The cores that this program shares out.
#[derive(Clone)]
pub(crate) struct Cores {
    all: Vec<usize>,
}

/// Where a server runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// On a core of its own, away from the generator, if there are two.
    OneCore,
    /// On all cores, as it would without us.
    AllCores,
}

impl Cores {
    /// Those that this process may use.
    pub(crate) fn available() -> anyhow::Result<Self> {
        let set = sched_getaffinity(THIS_THREAD)?;
        let all = (0..CpuSet::count()).filter(|&core| set.is_set(core).unwrap_or(false));
        Ok(Self { all: all.collect() })
    }

    pub(crate) fn count(&self) -> usize {
        self.all.len()
    }

    /// Puts the calling thread, and what it spawns from now on, where servers are.
    pub(crate) fn enter_server(&self, place: Place) -> nix::Result<()> {
        match place {
            Place::OneCore => bind(&self.all[..1]),
            Place::AllCores => self.leave(),
        }
    }

    /// Puts the calling thread where the generator is.
    pub(crate) fn enter_generator(&self) -> nix::Result<()> {
        bind(&self.all[self.all.len().min(2) - 1..self.all.len().min(2)])
    }

    /// Lets the calling thread run everywhere.
    pub(crate) fn leave(&self) -> nix::Result<()> {
        bind(&self.all)
    }
}

const THIS_THREAD: Pid = Pid::from_raw(0);

fn bind(cores: &[usize]) -> nix::Result<()> {
    let mut set = CpuSet::new();
    for &core in cores {
        set.set(core)?;
    }
    sched_setaffinity(THIS_THREAD, &set)
}

/// A server that runs until it is dropped.
pub(crate) struct Server {
    child: Child,
    clock: ClockId,
    pub(crate) address: SocketAddr,
    /// When its process was started.
    pub(crate) begun: Instant,
    /// From the start of the process until it said that it listens.
    pub(crate) started_in: Duration,
    /// Whether the generator has a core to itself.
    pub(crate) leaves_a_core: bool,
    log: PathBuf,
}

impl Server {
    /// Starts `command` with `--listen ADDRESS` and waits until it says `listening` on standard
    /// error, which goes to the file `log`.
    pub(crate) fn start(
        command: &Command,
        place: Place,
        cores: &Cores,
        log: &Path,
    ) -> anyhow::Result<Self> {
        let address = free_address()?;
        let mut command = attached(command)?;
        command.args(["--listen", &address.to_string()]);
        let errors = File::create(log).with_context(|| format!("{}", log.display()))?;
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(errors);
        cores.enter_server(place)?;
        let begun = Instant::now();
        let child = command.spawn();
        cores.enter_generator()?;
        let child = child.with_context(|| format!("cannot start {command:?}"))?;
        let clock = ClockId::pid_cpu_clock_id(pid(&child)?)?;
        let leaves_a_core = place == Place::OneCore && cores.count() > 1;
        let (started_in, log) = (Duration::ZERO, log.to_owned());
        let mut server = Self { child, clock, address, begun, started_in, leaves_a_core, log };
        loop {
            if fs::read_to_string(&server.log)?.contains("listening on http://") {
                server.started_in = begun.elapsed();
                return Ok(server);
            }
            if server.child.try_wait()?.is_some() || begun.elapsed() > START_WITHIN {
                bail!("{command:?} does not start: {}", fs::read_to_string(&server.log)?);
            }
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// User and system time of all its threads so far, also of those that have ended.
    pub(crate) fn cpu_time(&self) -> anyhow::Result<Duration> {
        Ok(clock_gettime(self.clock)?.into())
    }

    /// Waits until it has done what it does after its start without being asked, such as making
    /// keys that somebody may want.
    pub(crate) fn settle(&self) -> anyhow::Result<()> {
        let begun = Instant::now();
        let mut before = self.cpu_time()?;
        while begun.elapsed() < SETTLE_WITHIN {
            thread::sleep(Duration::from_millis(300));
            let now = self.cpu_time()?;
            if now.saturating_sub(before) < Duration::from_millis(3) {
                break;
            }
            before = now;
        }
        Ok(())
    }

    /// Resident memory, in bytes.
    pub(crate) fn resident(&self) -> anyhow::Result<u64> {
        resident(&self.child.id().to_string())
    }
}

impl Drop for Server {
    /// Ends it, and removes what it has logged.
    fn drop(&mut self) {
        let asked = Instant::now();
        let _ = pid(&self.child).map(|pid| kill(pid, Signal::SIGTERM));
        while matches!(self.child.try_wait(), Ok(None)) {
            if asked.elapsed() > STOP_WITHIN {
                let _ = self.child.kill();
            }
            thread::sleep(Duration::from_millis(1));
        }
        let _ = fs::remove_file(&self.log);
    }
}

/// `command`, run so that it ends when this program does, however that ends.
fn attached(command: &Command) -> io::Result<Command> {
    let mut attached = Command::new(env::current_exe()?);
    attached.arg("attached").arg("--").arg(command.get_program()).args(command.get_args());
    attached.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    if let Some(directory) = command.get_current_dir() {
        attached.current_dir(directory);
    }
    Ok(attached)
}

/// Becomes the program that `command` begins with.
///
/// # Errors
/// When that cannot be started.
pub(crate) fn become_attached(command: &[OsString]) -> anyhow::Result<()> {
    let (program, arguments) = command.split_first().context("no program")?;
    set_pdeathsig(Signal::SIGTERM)?;
    Err(Command::new(program).args(arguments).exec()).context("it does not start")
}

/// The user and system time of the calling thread so far.
pub(crate) fn thread_cpu_time() -> anyhow::Result<Duration> {
    Ok(clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)?.into())
}

/// The resident memory, in bytes, of a process: its number, or `self`.
pub(crate) fn resident(process: &str) -> anyhow::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    let kib: u64 = line.trim().trim_end_matches("kB").trim_end().parse()?;
    Ok(kib << 10)
}

fn pid(child: &Child) -> anyhow::Result<Pid> {
    Ok(Pid::from_raw(i32::try_from(child.id())?))
}

/// An address that nobody listens on.
fn free_address() -> io::Result<SocketAddr> {
    TcpListener::bind("127.0.0.1:0")?.local_addr()
}
