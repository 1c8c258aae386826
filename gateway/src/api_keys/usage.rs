//! The usage of keys, by day and month, in memory and on disk.
//!
//! The file has a line for each key and period with the sums as of its writing, so of two lines the later one holds. The
//! gateway appends the lines that changed about once a second, and writes the file anew when it has grown. A program that
//! reads the file needs no lock: it takes the lines that are complete.

use super::{
	calendar::{DateError, Day, Month},
	units,
};
use gonka_primitives::Balance;
use serde::{Deserialize, Serialize};
use std::{
	collections::{BTreeMap, HashMap},
	fmt, fs,
	io::{self, Write},
	path::{Path, PathBuf},
	str::FromStr,
};

/// Number of days of which the usage is kept. They cover every month that has not ended.
pub const DAYS: u32 = 31;
/// Number of months of which the usage is kept.
pub const MONTHS: u32 = 12;
/// Size of the file in bytes below which it is not written anew.
const SMALL: u64 = 1 << 20;

/// Numbers that say how much was used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
	/// Requests, but for those beyond the rate of the key.
	pub requests: u64,
	/// Tokens of prompts.
	pub prompt_tokens: u64,
	/// Tokens of completions.
	pub completion_tokens: u64,
	/// Fees, in base units.
	#[serde(with = "units")]
	pub cost: Balance,
}

impl Counts {
	/// Tokens of prompts and completions.
	pub fn tokens(&self) -> u128 {
		u128::from(self.prompt_tokens).saturating_add(self.completion_tokens.into())
	}

	/// Adds what was used.
	pub fn add(&mut self, more: &Self) {
		self.requests = self.requests.saturating_add(more.requests);
		self.prompt_tokens = self.prompt_tokens.saturating_add(more.prompt_tokens);
		self.completion_tokens = self.completion_tokens.saturating_add(more.completion_tokens);
		self.cost = self.cost.saturating_add(more.cost);
	}
}

/// A day or a month.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Period {
	/// A day.
	Day(Day),
	/// A month.
	Month(Month),
}

impl fmt::Display for Period {
	fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
		match self {
			Self::Day(day) => day.fmt(formatter),
			Self::Month(month) => month.fmt(formatter),
		}
	}
}

impl FromStr for Period {
	type Err = DateError;

	fn from_str(text: &str) -> Result<Self, DateError> {
		text.parse().map(Self::Day).or_else(|_| text.parse().map(Self::Month))
	}
}

/// The usage of a key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Usage {
	/// By day.
	pub days: BTreeMap<Day, Counts>,
	/// By month.
	pub months: BTreeMap<Month, Counts>,
}

impl Usage {
	/// The usage of a day.
	pub fn day(&self, day: Day) -> Counts {
		self.days.get(&day).copied().unwrap_or_default()
	}

	/// The usage of a month.
	pub fn month(&self, month: Month) -> Counts {
		self.months.get(&month).copied().unwrap_or_default()
	}

	/// Adds to the present day and month, and forgets those that are too long ago.
	pub fn add(&mut self, counts: &Counts, now: u64) {
		self.days.entry(Day::of(now)).or_default().add(counts);
		self.months.entry(Month::of(now)).or_default().add(counts);
		self.forget(now);
	}

	/// Forgets what is too long ago.
	pub fn forget(&mut self, now: u64) {
		let (day, month) = (Day::of(now).minus(DAYS.saturating_sub(1)), Month::of(now).minus(MONTHS.saturating_sub(1)));
		if self.days.first_key_value().is_some_and(|(first, _)| *first < day) {
			self.days = self.days.split_off(&day);
		}
		if self.months.first_key_value().is_some_and(|(first, _)| *first < month) {
			self.months = self.months.split_off(&month);
		}
	}

	/// Adds all of another usage.
	pub fn merge(&mut self, other: &Self) {
		other.days.iter().for_each(|(day, counts)| self.days.entry(*day).or_default().add(counts));
		other.months.iter().for_each(|(month, counts)| self.months.entry(*month).or_default().add(counts));
	}

	/// The lines for the days and months from a time on.
	pub fn rows_since<'a>(&'a self, key: &'a str, since: u64) -> impl Iterator<Item = Row> + 'a {
		let days = self.days.range(Day::of(since)..).map(|(day, counts)| (Period::Day(*day), counts));
		let months = self.months.range(Month::of(since)..).map(|(month, counts)| (Period::Month(*month), counts));
		days.chain(months).map(|(period, counts)| Row::new(key, period, *counts))
	}
}

/// A line of the file: the usage of a key in a period.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
	key: String,
	period: String,
	#[serde(flatten)]
	counts: Counts,
}

impl Row {
	fn new(key: &str, period: Period, counts: Counts) -> Self {
		Self { key: key.to_owned(), period: period.to_string(), counts }
	}
}

/// Reads a file of usage, by key; nothing if there is none. A last line that is incomplete, and lines that cannot be read,
/// are skipped.
pub fn read(path: &Path) -> io::Result<HashMap<String, Usage>> {
	let bytes = match fs::read(path) {
		Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(HashMap::new()),
		bytes => bytes?,
	};
	let complete = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end.saturating_add(1));
	let mut all: HashMap<String, Usage> = HashMap::new();
	let mut skipped = 0u64;
	for line in bytes.get(..complete).unwrap_or_default().split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
		#[expect(clippy::disallowed_methods, reason = "the file is the gateway's own")]
		let row = serde_json::from_slice::<Row>(line).ok();
		match row.and_then(|row| Some((row.period.parse().ok()?, row))) {
			Some((Period::Day(day), row)) => {
				all.entry(row.key).or_default().days.insert(day, row.counts);
			},
			Some((Period::Month(month), row)) => {
				all.entry(row.key).or_default().months.insert(month, row.counts);
			},
			None => skipped = skipped.saturating_add(1),
		}
	}
	if skipped > 0 {
		tracing::warn!(path = %path.display(), lines = skipped, "lines of the keys' usage cannot be read");
	}
	Ok(all)
}

/// The file of usage, as the gateway writes it.
#[derive(Debug)]
pub struct UsageLog {
	path: PathBuf,
	/// Open at its end; `None` if the file has to be written anew.
	file: Option<fs::File>,
	/// Its length in bytes.
	length: u64,
	/// Its length when it was written anew.
	rewritten: u64,
}

impl UsageLog {
	/// A file that is written anew before the first line is appended.
	pub fn new(path: PathBuf) -> Self {
		Self { path, file: None, length: 0, rewritten: 0 }
	}

	/// Whether [`UsageLog::rewrite`] is due, since the file has grown or the last write failed.
	pub fn is_rewrite_due(&self) -> bool {
		self.file.is_none() || self.length > self.rewritten.saturating_mul(2).max(SMALL)
	}

	/// Appends lines. They are on disk when it returns.
	pub fn append(&mut self, rows: &[Row]) -> io::Result<()> {
		let text = lines(rows)?;
		// A write that fails may leave a part of a line, so the file is then written anew.
		let mut file = self.file.take().ok_or_else(|| io::Error::other("the file has to be written anew"))?;
		file.write_all(&text)?;
		file.sync_data()?;
		self.length = self.length.saturating_add(text.len() as u64);
		self.file = Some(file);
		Ok(())
	}

	/// Replaces the file by these lines. A crash leaves the former file or the new one.
	pub fn rewrite(&mut self, rows: &[Row]) -> io::Result<()> {
		self.file = None;
		let text = lines(rows)?;
		self.file = Some(super::file::replace(&self.path, &text)?);
		(self.length, self.rewritten) = (text.len() as u64, text.len() as u64);
		Ok(())
	}
}

fn lines(rows: &[Row]) -> io::Result<Vec<u8>> {
	let mut text = Vec::new();
	for row in rows {
		serde_json::to_writer(&mut text, row)?;
		text.push(b'\n');
	}
	Ok(text)
}

#[cfg(test)]
mod tests {
	use super::*;
	use crate::api_keys::calendar::DAY;

	fn counts(number: u64) -> Counts {
		Counts {
			requests: number,
			prompt_tokens: 2 * number,
			completion_tokens: 3 * number,
			cost: u128::from(number) << 64,
		}
	}

	#[test]
	fn days_and_months_are_summed_and_forgotten() {
		let start = "2026-01-15".parse::<Day>().unwrap().start();
		let mut usage = Usage::default();
		for day in 0..800 {
			usage.add(&counts(1), start + day * DAY);
		}
		assert_eq!((usage.days.len(), usage.months.len()), (31, 12));
		let now = start + 799 * DAY;
		assert_eq!(usage.day(Day::of(now)), counts(1));
		assert_eq!(usage.month(Month::of(now).minus(1)), counts(29), "February of a leap year");
		assert_eq!(usage.month(Month::of(now).minus(12)), Counts::default());
	}

	#[test]
	fn the_file_has_the_last_sums_whatever_was_cut_off() {
		let folder = tempfile::tempdir().unwrap();
		let path = folder.path().join("usage");
		assert!(read(&path).unwrap().is_empty());
		let mut log = UsageLog::new(path.clone());
		assert!(log.is_rewrite_due() && log.append(&[]).is_err());
		let (mut usage, now) = (Usage::default(), 1_800_000_000);
		log.rewrite(&[]).unwrap();
		for number in 1..4 {
			usage.add(&counts(number), now);
			log.append(&usage.rows_since("a", now).collect::<Vec<_>>()).unwrap();
		}
		log.append(&usage.rows_since("b", now).collect::<Vec<_>>()).unwrap();
		let read_back = read(&path).unwrap();
		assert_eq!((&read_back["a"], &read_back["b"]), (&usage, &usage));
		assert_eq!(read_back["a"].day(Day::of(now)), counts(6));

		// A power cut in the middle of a line, and one that left zeros.
		let whole = fs::read(&path).unwrap();
		for cut in 0..whole.len() {
			fs::write(&path, &whole[..cut]).unwrap();
			let read_back = read(&path).unwrap();
			let lines = whole[..cut].iter().filter(|byte| **byte == b'\n').count();
			let expected = [0, 1, 1, 3, 3, 6, 6, 6, 6][lines];
			assert_eq!(read_back.get("a").map_or(0, |usage| usage.day(Day::of(now)).requests), expected);
		}
		fs::write(&path, [&whole[..], &[0; 100], b"\n"].concat()).unwrap();
		assert_eq!(read(&path).unwrap()["a"], usage);
	}

	#[test]
	fn a_file_that_has_grown_is_written_anew() {
		let folder = tempfile::tempdir().unwrap();
		let mut log = UsageLog::new(folder.path().join("usage"));
		let mut usage = Usage::default();
		usage.add(&counts(1), 0);
		log.rewrite(&[]).unwrap();
		let rows: Vec<Row> = (0..1000).flat_map(|_| usage.rows_since("a", 0)).collect();
		let mut appended = 0;
		while !log.is_rewrite_due() {
			log.append(&rows).unwrap();
			appended += 1;
			assert!(appended < 100);
		}
		log.rewrite(&usage.rows_since("a", 0).collect::<Vec<_>>()).unwrap();
		assert!(!log.is_rewrite_due() && log.length < 1000);
		assert_eq!(read(&log.path).unwrap()["a"], usage);
	}
}
