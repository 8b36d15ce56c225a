//! A year of nights through the schedule: `just bench-year`, or `cargo bench --bench year -- [--customers N] [--nights N]
//! [--dir DIR] [--seed N] [--memory SIZE]`. In a debug build, 500 customers and 30 nights are a matter of minutes.
//!
//! The shop is two years old by its first night: what looks back a year has as much to look at in every night, and four in
//! five of the customers of the last night are known by night 60. (With thirty days of logs behind the first night, a night
//! at the end cost 1.6 times as much as one around night 60: the shop had grown as much.)
//!
//! A made-up shop's files of a day lie in `raw` half an hour after midnight, one in twenty of them up to five days later.
//! The real pipeline runs in a child process, by a real schedule with `extract`, `publish` and `gc`, on a clock that
//! jumps to whatever it waits for. The child is killed (SIGKILL) at random moments and started again; meanwhile
//! `current.json` is read over and over. In the end:
//!
//! - every `current.json` that was seen was whole: its files there, with the bytes that it says;
//! - each business day was published, in order;
//! - the rows read are those that the generator wrote, source by source, whatever became of them;
//! - the marts are, byte for byte, those of one full rebuild in a new lake (but for `run_log`, which tells of the runs);
//! - a night at the year's end costs at most 1.3 times the CPU of a night after two months, at equal daily volume.
//!
//! Equal volume: each undisturbed night of the last forty is compared with the one around night 60 that read the most
//! similar number of rows (at most 15 % off), and the median of these ratios counts. Forty nights, since a night's cost
//! grows with its month. Nights in which the child died are left out.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bazgasht::account::RunResults;
use bazgasht::config::Config;
use bazgasht::generate::{self, Options, Sink, SourceSummary};
use bazgasht::interrupt::Interrupt;
use bazgasht::lake::Digest;
use bazgasht::project::{Blueprint, Project};
use bazgasht::publish::Current;
use bazgasht::report::Silent;
use bazgasht::run::{self, Request, Surroundings};
use bazgasht::schedule::{Clock, Event, Holder, Keeper, Pipeline, Stage, Timetable, Verdict};
use bazgasht::snapshot::Snapshot;
use chrono::{DateTime, Days, NaiveDate, TimeDelta, Utc};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

type Result<T = (), E = Box<dyn Error + Send + Sync>> = std::result::Result<T, E>;

/// In the future: `gc` goes by the store's own times, and what it may delete must look old.
const FIRST_DAY: NaiveDate = NaiveDate::from_ymd_opt(2031, 3, 21).unwrap();
/// The shop has logs of so many days before its first night.
const HISTORY_DAYS: u64 = 730;
const SOURCES: [&str; 8] =
    ["orders", "order_items", "interactions", "customers", "products", "campaigns", "subscriptions", "identities"];
/// One file in so many comes late, by up to so many days.
const LATE_SHARE: u64 = 20;
const LATE_DAYS: u64 = 5;
/// Nights that are compared: so many at the end, and around night 60.
const WINDOW: usize = 40;
const NIGHT: usize = 60;
const DEARER: f64 = 1.3;
const SIMILAR: f64 = 0.15;

fn main() -> ExitCode {
    let ended = match Setup::from_arguments() {
        Ok((setup, true)) => child(&setup),
        Ok((setup, false)) => parent(&setup),
        Err(e) => Err(e),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("error: {e}");
            ExitCode::FAILURE
        }
    }
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread().enable_all().build()?)
}

struct Setup {
    dir: PathBuf,
    customers: u64,
    nights: u64,
    seed: u64,
    memory: String,
}

impl Setup {
    /// And whether this is the child.
    fn from_arguments() -> Result<(Self, bool)> {
        let mut setup =
            Self { dir: "target/year".into(), customers: 50_000, nights: 365, seed: 1, memory: "2GiB".to_owned() };
        let mut is_child = false;
        let mut arguments = std::env::args().skip(1);
        while let Some(name) = arguments.next() {
            let mut value = || arguments.next().ok_or(format!("{name} needs a value"));
            match name.as_str() {
                // Cargo's own.
                "--bench" => {}
                "--child" => is_child = true,
                "--dir" => setup.dir = value()?.into(),
                "--customers" => setup.customers = value()?.parse()?,
                "--nights" => setup.nights = value()?.parse()?,
                "--seed" => setup.seed = value()?.parse()?,
                "--memory" => setup.memory = value()?,
                other => return Err(format!("there is no option {other}").into()),
            }
        }
        Ok((setup, is_child))
    }

    fn command(&self) -> io::Result<Command> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("--child").arg("--dir").arg(&self.dir);
        command.args(["--customers", &self.customers.to_string(), "--nights", &self.nights.to_string()]);
        command.args(["--seed", &self.seed.to_string(), "--memory", &self.memory]);
        Ok(command)
    }

    fn path(&self, relative: &str) -> PathBuf {
        self.dir.join(relative)
    }

    fn last_day(&self) -> NaiveDate {
        FIRST_DAY + Days::new(self.nights - 1)
    }

    /// The project, over this lake and these marts.
    fn project(&self, lake: &str, marts: &str) -> Result<Project> {
        let mut toml = format!(
            "[project]\ntimezone = \"Asia/Tehran\"\ncalendar = \"jalali\"\ncurrency = \"IRR\"\n\
             [storage]\nlake = \"./{lake}\"\nmarts = \"./{marts}\"\nscratch = \"./scratch\"\n\
             [engine]\nmemory_limit = \"{}\"\n[publish]\nkeep_days = 3\n\
             [schedule]\nextract = \"0 */6 * * *\"\npublish = \"30 2 * * *\"\ngc = \"0 5 * * *\"\ncatch_up = \"all\"\n",
            self.memory
        );
        for source in SOURCES {
            // Lines whose orders come late are rejected until then.
            let table = format!("[sources.{source}]\nlocation = \"./raw/{source}\"\nmax_rejected = 0.5\n");
            toml.push_str(&table);
        }
        let dir = std::path::absolute(&self.dir)?;
        let config = Config::parse("bazgasht.toml", &dir, &toml, &|_| None).map_err(|e| e.render(false))?;
        Ok(Blueprint::draw(config)?.open()?)
    }
}

// --- The files, and when they come ---------------------------------------------------------------------------------

/// Where the generator's files wait for their day.
struct Staging(PathBuf);

impl Sink for Staging {
    fn put(&mut self, path: &str, content: Vec<u8>) -> io::Result<()> {
        let file = self.0.join(path);
        fs::create_dir_all(file.parent().unwrap_or(&self.0))?;
        fs::write(file, content)
    }
}

/// Every file under a folder, by relative path.
fn files(root: &Path) -> io::Result<Vec<String>> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            match path.is_dir() {
                true => folders.push(path),
                false => found.push(path.strip_prefix(root).unwrap_or(&path).display().to_string()),
            }
        }
    }
    found.sort();
    Ok(found)
}

/// The day on whose night a file comes: that of its folder, or a few days later.
fn arrival(path: &str, last_day: NaiveDate) -> Result<NaiveDate> {
    let (_, rest) = path.split_once("dt=").ok_or(format!("{path} is of no day"))?;
    let day: NaiveDate = rest.get(..10).unwrap_or_default().parse()?;
    let drawn = u64::from_str_radix(&Digest::of(path.as_bytes()).hex()[..8], 16)?;
    let is_late = drawn.is_multiple_of(LATE_SHARE) && day > FIRST_DAY;
    let delay = if is_late { 1 + drawn / LATE_SHARE % LATE_DAYS } else { 0 };
    Ok((day + Days::new(delay)).clamp(FIRST_DAY, last_day))
}

/// What is still to come, by the moment when it does.
struct Deliveries {
    from: PathBuf,
    to: PathBuf,
    coming: Mutex<BTreeMap<DateTime<Utc>, Vec<String>>>,
}

impl Deliveries {
    fn new(setup: &Setup) -> Result<Self> {
        let (from, to) = (setup.path("staging"), setup.path("raw"));
        let mut coming: BTreeMap<_, Vec<String>> = BTreeMap::new();
        for path in files(&from)? {
            let at = midnight(arrival(&path, setup.last_day())? + Days::new(1)) + TimeDelta::minutes(30);
            coming.entry(at).or_default().push(path);
        }
        Ok(Self { from, to, coming: Mutex::new(coming) })
    }

    /// Brings all that has come by a moment. Interrupted, it goes on another time.
    fn bring(&self, moment: DateTime<Utc>) {
        let mut coming = self.coming.lock().expect("no panic");
        while let Some(first) = coming.first_entry().filter(|entry| *entry.key() <= moment) {
            for path in first.remove() {
                let to = self.to.join(&path);
                fs::create_dir_all(to.parent().expect("a folder")).expect("created");
                fs::rename(self.from.join(&path), to).expect("moved");
            }
        }
    }
}

/// In Tehran, which has had no summer time since 2022.
fn midnight(day: NaiveDate) -> DateTime<Utc> {
    day.and_time(chrono::NaiveTime::MIN).and_utc() - TimeDelta::minutes(210)
}

// --- The child -----------------------------------------------------------------------------------------------------

/// Jumps to what is waited for; while the pipeline works, time passes as outside. Kept in a file for the next child.
struct YearClock {
    deliveries: Deliveries,
    file: PathBuf,
    started: Instant,
    /// What is added to the time since `started`.
    shown: Mutex<(DateTime<Utc>, Duration)>,
    is_working: AtomicBool,
}

impl YearClock {
    fn jump(&self, moment: DateTime<Utc>) {
        self.deliveries.bring(moment);
        *self.shown.lock().expect("no panic") = (moment, self.started.elapsed());
        fs::write(&self.file, moment.to_rfc3339()).expect("written");
    }
}

impl Clock for YearClock {
    fn now(&self) -> DateTime<Utc> {
        let (moment, since) = *self.shown.lock().expect("no panic");
        moment + TimeDelta::from_std(self.started.elapsed() - since).expect("short")
    }

    fn elapsed(&self) -> Duration {
        (self.now() - DateTime::UNIX_EPOCH).to_std().expect("after 1970")
    }

    async fn sleep_until(&self, moment: DateTime<Utc>) {
        if self.now() < moment {
            self.jump(moment);
        }
    }

    async fn sleep(&self, duration: Duration) {
        match self.is_working.load(Ordering::SeqCst) {
            true => tokio::time::sleep(duration).await,
            false => self.jump(self.now() + TimeDelta::from_std(duration).expect("short")),
        }
    }
}

/// CPU seconds of this process so far.
fn cpu_seconds() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // After the name, which may hold anything: user and system time are the 12th and 13th, in hundredths.
    let fields: Vec<&str> = stat.rsplit_once(") ").map_or(vec![], |(_, rest)| rest.split(' ').collect());
    let ticks = |index: usize| fields.get(index).and_then(|text| text.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) / 100.0
}

/// One line of `nights.tsv`: the day, the CPU seconds since the night before (extracting and `gc` among them), rows that
/// are new since then; whether one process has seen all of it.
#[derive(Debug, Clone)]
struct Night {
    as_of: NaiveDate,
    cpu_s: f64,
    rows: u64,
    is_whole: bool,
}

impl Night {
    fn parse(line: &str) -> Option<Self> {
        let mut fields = line.split('\t');
        Some(Self {
            as_of: fields.next()?.parse().ok()?,
            cpu_s: fields.next()?.parse().ok()?,
            rows: fields.next()?.parse().ok()?,
            is_whole: fields.next()?.parse().ok()?,
        })
    }
}

fn nights(setup: &Setup) -> Vec<Night> {
    let text = fs::read_to_string(setup.path("nights.tsv")).unwrap_or_default();
    text.lines().filter_map(Night::parse).collect()
}

fn child(setup: &Setup) -> Result {
    let project = Arc::new(setup.project("lake", "marts")?);
    let schedule = project.config.schedule.clone().ok_or("no schedule")?;
    let file = setup.path("clock");
    let begun = midnight(FIRST_DAY + Days::new(1)) + TimeDelta::minutes(45);
    let now = fs::read_to_string(&file).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(begun);
    let clock = Arc::new(YearClock {
        deliveries: Deliveries::new(setup)?,
        file,
        started: Instant::now(),
        shown: Mutex::new((now, Duration::ZERO)),
        is_working: AtomicBool::new(false),
    });
    // A machine takes a moment to start.
    clock.jump(now + TimeDelta::seconds(90));
    let stop = Interrupt::default();
    let ledger = Ledger { file: setup.path("nights.tsv"), last_day: setup.last_day(), ..Ledger::default() };
    let tell = |event: &Event<'_>| match event {
        Event::Began(_) => clock.is_working.store(true, Ordering::SeqCst),
        Event::Ended { job, result, verdict, .. } => {
            clock.is_working.store(false, Ordering::SeqCst);
            if let Err(e) = result {
                eprintln!("{} as of {}: {e}", job.stage, job.as_of);
                stop.raise(15);
            }
            if job.stage == Stage::Publish && *verdict == Verdict::Done && ledger.close(job.as_of) {
                stop.raise(15);
            }
        }
        Event::Unreachable(e) => eprintln!("{e}"),
        _ => {}
    };
    let shown = Arc::clone(&clock);
    let rows = Arc::clone(&ledger.rows);
    let work = Pipeline {
        project: Arc::clone(&project),
        now: Arc::new(move || shown.now()),
        progress: Arc::new(Silent),
        ended: Arc::new(move |results: &RunResults| {
            *rows.lock().expect("no panic") = results.sources.iter().map(|source| source.rows_read).sum();
        }),
    };
    let timetable = Timetable::new(&schedule, project.config.project.timezone, "bench");
    let keeper = Keeper {
        timetable: &timetable,
        lake: &project.lake,
        holder: Holder::new("bench"),
        lease: schedule.lease,
        clock: clock.as_ref(),
        work: &work,
        stop: &stop,
        tell: &tell,
    };
    let runtime = runtime()?;
    match runtime.block_on(keeper.keep()) {
        Err(bazgasht::error::Error::Interrupted(_)) if ledger.is_over() => Ok(()),
        Err(e) => Err(e.into()),
        Ok(()) => Err("the schedule ended by itself".into()),
    }
}

/// Writes a line for each night.
#[derive(Default)]
struct Ledger {
    file: PathBuf,
    last_day: NaiveDate,
    /// Of the run that ended last.
    rows: Arc<Mutex<u64>>,
    /// CPU seconds when the night before was published by this process.
    before: Mutex<Option<f64>>,
    is_over: AtomicBool,
}

impl Ledger {
    /// Closes a night; `true` after the last one.
    fn close(&self, as_of: NaiveDate) -> bool {
        let now = cpu_seconds();
        let before = self.before.lock().expect("no panic").replace(now);
        let rows = *self.rows.lock().expect("no panic");
        let line = format!("{as_of}\t{:.2}\t{rows}\t{}\n", now - before.unwrap_or(0.0), before.is_some());
        let mut file = fs::File::options().create(true).append(true).open(&self.file).expect("opened");
        file.write_all(line.as_bytes()).expect("written");
        let is_over = as_of >= self.last_day;
        self.is_over.store(is_over, Ordering::SeqCst);
        is_over
    }

    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::SeqCst)
    }
}

// --- The parent ----------------------------------------------------------------------------------------------------

fn parent(setup: &Setup) -> Result {
    let begun = Instant::now();
    let generated = prepare(setup)?;
    let is_over = Arc::new(AtomicBool::new(false));
    let reader = {
        let (marts, is_over) = (setup.path("marts"), Arc::clone(&is_over));
        std::thread::spawn(move || read_on(&marts, &is_over))
    };
    let lived = live(setup);
    is_over.store(true, Ordering::SeqCst);
    let reads = reader.join().map_err(|_| "the reader panicked")??;
    let deaths = lived?;
    let nights = nights(setup);
    println!("{} nights, {deaths} deaths, {:.0} min", setup.nights, begun.elapsed().as_secs_f64() / 60.0);
    println!("current.json: read {} times, {} of them for the first time, each whole", reads.times, reads.snapshots);
    in_order(setup, &nights)?;
    let project = setup.project("lake", "marts")?;
    let rows = conserved(&project, &generated)?;
    println!("rows: {rows} written, {rows} read");
    let files = rebuilt(setup, begun)?;
    println!("marts: {files} files, each as one full rebuild has it");
    costs(setup, &nights)
}

/// The generator's files in `staging`; nothing else is left of an earlier time.
fn prepare(setup: &Setup) -> Result<generate::Summary> {
    let mark = setup.path("is-a-year");
    if setup.dir.exists() && !mark.exists() {
        return Err(format!("{} is there, and not from here: name another --dir", setup.dir.display()).into());
    }
    if setup.dir.exists() {
        fs::remove_dir_all(&setup.dir)?;
    }
    fs::create_dir_all(setup.path("raw"))?;
    fs::write(mark, "")?;
    for source in SOURCES {
        fs::create_dir_all(setup.path("raw").join(source))?;
    }
    eprintln!("making {} days of a shop with {} customers", setup.nights + HISTORY_DAYS, setup.customers);
    let options = Options {
        customers: setup.customers,
        days: u32::try_from(setup.nights + HISTORY_DAYS)?,
        seed: setup.seed,
        first_day: FIRST_DAY - Days::new(HISTORY_DAYS),
        ..Options::default()
    };
    Ok(generate::generate(&options, &mut Staging(setup.path("staging")))?)
}

/// Lets children live until the last night is over. How many were killed.
fn live(setup: &Setup) -> Result<u64> {
    let mut random = ChaCha8Rng::seed_from_u64(setup.seed);
    let (mut deaths, mut worked) = (0, Duration::ZERO);
    loop {
        let done = nights(setup).len();
        // On average one in ten nights ends before its time; before the first, nobody knows how long one takes.
        let usual = worked.as_secs_f64() / (done as f64).max(1.0);
        let most = Duration::from_secs_f64(usual.clamp(1.0, 600.0) * random.random_range(0.0..20.0));
        let started = Instant::now();
        let mut child = setup.command()?.spawn()?;
        let ended = wait(&mut child, most)?;
        worked += started.elapsed();
        match ended {
            Some(status) if status.success() => return Ok(deaths),
            Some(status) => return Err(format!("the schedule ended by itself: {status}").into()),
            None => deaths += 1,
        }
        eprintln!("night {} of {}; {deaths} deaths", nights(setup).len(), setup.nights);
    }
}

/// Waits for so long, then kills it.
fn wait(child: &mut Child, most: Duration) -> io::Result<Option<std::process::ExitStatus>> {
    let started = Instant::now();
    while started.elapsed() < most {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    child.kill()?;
    child.wait()?;
    Ok(None)
}

#[derive(Default)]
struct Reads {
    times: u64,
    snapshots: u64,
}

/// Reads `current.json` over and over; where it is new, every byte that it names.
fn read_on(marts: &Path, is_over: &AtomicBool) -> Result<Reads> {
    let mut reads = Reads::default();
    let mut newest = 0;
    while !is_over.load(Ordering::SeqCst) {
        std::thread::sleep(Duration::from_millis(200));
        let Ok(text) = fs::read(marts.join("current.json")) else { continue };
        let current: Current = serde_json::from_slice(&text)?;
        reads.times += 1;
        let is_new = current.snapshot != newest;
        newest = current.snapshot;
        reads.snapshots += u64::from(is_new);
        for file in current.marts.values().flat_map(|mart| &mart.files) {
            let path = marts.join(&file.path);
            let size = fs::metadata(&path).map_err(|e| format!("torn: {}: {e}", path.display()))?.len();
            let is_same = size == file.size_bytes && (!is_new || Digest::of(&fs::read(&path)?) == file.digest);
            if !is_same {
                return Err(format!("torn: {} isn't what current.json says", path.display()).into());
            }
        }
    }
    Ok(reads)
}

/// Each day once, one after the other; a night that was killed between publishing and writing that down, twice.
fn in_order(setup: &Setup, nights: &[Night]) -> Result {
    let mut days: Vec<NaiveDate> = nights.iter().map(|night| night.as_of).collect();
    days.dedup();
    let expected: Vec<NaiveDate> = FIRST_DAY.iter_days().take(usize::try_from(setup.nights)?).collect();
    if days != expected {
        return Err(format!("the days that were published are {days:?}").into());
    }
    Ok(())
}

/// All rows that were written were read: once more, from what the newest snapshot says of each file. How many.
fn conserved(project: &Project, generated: &generate::Summary) -> Result<u64> {
    let snapshot = runtime()?.block_on(Snapshot::newest(&project.lake))?.ok_or("no snapshot")?;
    let lines = |source: &SourceSummary| source.rows + source.broken + source.redelivered_lines;
    let written = [
        lines(&generated.orders),
        lines(&generated.order_items),
        lines(&generated.interactions),
        lines(&generated.customers),
        lines(&generated.products),
        lines(&generated.campaigns),
        lines(&generated.subscriptions),
        lines(&generated.identities),
    ];
    for (name, written) in SOURCES.iter().zip(written) {
        let state = snapshot.sources.get(*name).ok_or(format!("{name} is unknown"))?;
        let read: u64 = state.objects.values().map(|object| state.extracts[&object.extract].read).sum();
        if read != written {
            return Err(format!("{name}: {written} rows were written, {read} read").into());
        }
    }
    Ok(written.iter().sum())
}

/// Runs the whole year at once in a new lake and compares. How many files.
fn rebuilt(setup: &Setup, begun: Instant) -> Result<usize> {
    eprintln!("after {:.0} min: one full rebuild", begun.elapsed().as_secs_f64() / 60.0);
    let project = setup.project("lake-anew", "marts-anew")?;
    let request = Request { as_of: Some(setup.last_day()), ..Request::default() };
    let now = || midnight(setup.last_day() + Days::new(1)) + TimeDelta::hours(3);
    let interrupt = Interrupt::default();
    let around = Surroundings { now: &now, interrupt: &interrupt, progress: &Silent };
    runtime()?.block_on(run::run(&project, &request, &around))?;
    let [ours, anew] = ["marts/current", "marts-anew/current"].map(|folder| setup.path(folder));
    let names = files(&anew)?;
    if names != files(&ours)? {
        return Err(format!("other files than a full rebuild: {:?} instead of {names:?}", files(&ours)?).into());
    }
    let compared: Vec<&String> = names.iter().filter(|name| *name != "run_log.parquet").collect();
    for name in &compared {
        if fs::read(ours.join(name))? != fs::read(anew.join(name))? {
            return Err(format!("{name} has other bytes than a full rebuild").into());
        }
    }
    Ok(compared.len())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Prints what nights cost, and compares those at the end with those around night 60.
fn costs(setup: &Setup, nights: &[Night]) -> Result {
    println!("\n  nights      median CPU s   median rows");
    for (index, month) in nights.chunks(30).enumerate() {
        let whole = || month.iter().filter(|night| night.is_whole);
        let (cpu, rows) =
            (median(whole().map(|n| n.cpu_s).collect()), median(whole().map(|n| n.rows as f64).collect()));
        println!("  {:>3} to {:>3}  {cpu:>13.2}  {rows:>12.0}", index * 30 + 1, index * 30 + month.len());
    }
    if (setup.nights as usize) < NIGHT + 2 * WINDOW {
        println!("\ntoo few nights to compare what they cost");
        return Ok(());
    }
    let whole = |nights: &[Night]| nights.iter().filter(|night| night.is_whole).cloned().collect::<Vec<_>>();
    let early = whole(&nights[NIGHT - WINDOW / 2..NIGHT + WINDOW / 2]);
    let late = whole(&nights[nights.len() - WINDOW..]);
    let apart = |a: &Night, b: &Night| (a.rows as f64 / (b.rows as f64).max(1.0) - 1.0).abs();
    let nearest = |night: &Night| early.iter().min_by(|a, b| apart(a, night).total_cmp(&apart(b, night))).cloned();
    let pairs: Vec<(Night, Night)> = late
        .iter()
        .filter_map(|night| Some((nearest(night)?, night.clone())))
        .filter(|(a, b)| apart(a, b) <= SIMILAR)
        .collect();
    let plain = median(late.iter().map(|n| n.cpu_s).collect()) / median(early.iter().map(|n| n.cpu_s).collect());
    println!("\nthe last {WINDOW} nights cost {plain:.2} times those around night {NIGHT}, whatever their volume");
    if pairs.len() < 5 {
        return Err(format!("only {} nights of equal volume: nothing can be said", pairs.len()).into());
    }
    let ratio = median(pairs.iter().map(|(a, b)| b.cpu_s / a.cpu_s).collect());
    println!("and {ratio:.2} times at equal volume ({} pairs)", pairs.len());
    if ratio > DEARER {
        return Err(format!("nights have grown dearer by more than {DEARER} times").into());
    }
    Ok(())
}
