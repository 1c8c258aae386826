//! How fast hosts are: averages by host, and the time by which a first token usually comes.
//!
//! Times to the first token grow with the prompt, so they are compared per unit of reading: the prompt's tokens and a fixed
//! part.

use std::{
	collections::VecDeque,
	time::{Duration, Instant},
};

/// The fixed part of the work before a first token, in tokens of a prompt.
const FIXED: f64 = 256.0;
/// The share of a new value in an average.
const GAIN: f64 = 0.2;
/// Time after which an average counts for half of what it did: a host that was slow gets another chance.
const HALF_LIFE: Duration = Duration::from_secs(60);
/// Number of times that are kept to tell the usual one.
const KEPT: usize = 256;
/// Minimum number of them.
const MIN_KEPT: usize = 32;
/// The share of times that are usual.
const USUAL: f64 = 0.95;

/// Units of reading of a prompt.
fn units(prompt: u32) -> f64 {
	(FIXED + f64::from(prompt)) / FIXED
}

/// An average that follows slowdowns at once and speedups slowly, and fades with time.
#[derive(Clone, Copy, Debug)]
struct Average {
	seconds: f64,
	at: Instant,
}

impl Average {
	fn add(average: &mut Option<Self>, seconds: f64, now: Instant) {
		let seconds = match average {
			Some(known) if seconds < known.seconds => known.seconds + GAIN * (seconds - known.seconds),
			_ => seconds,
		};
		*average = Some(Self { seconds, at: now });
	}

	/// The average as a factor of `typical`; it fades to 1.
	fn relative(average: Option<Self>, typical: f64, now: Instant) -> f64 {
		let Some(known) = average.filter(|_| typical > 0.0) else { return 1.0 };
		let age = now.duration_since(known.at).as_secs_f64() / HALF_LIFE.as_secs_f64();
		(known.seconds / typical).powf(0.5f64.powf(age))
	}
}

/// The speed of a host.
#[derive(Clone, Copy, Debug, Default)]
pub struct Speed {
	/// Seconds to the first token per unit of reading.
	first: Option<Average>,
	/// Seconds from token to token.
	token: Option<Average>,
}

impl Speed {
	/// Notes the time to the first token after a prompt.
	pub fn add_first(&mut self, prompt: u32, time: Duration) {
		Average::add(&mut self.first, time.as_secs_f64() / units(prompt), Instant::now());
	}

	/// Notes the time from token to token.
	pub fn add_token(&mut self, time: Duration) {
		Average::add(&mut self.token, time.as_secs_f64(), Instant::now());
	}
}

/// The time that each host is expected to take for a completion, in seconds. A host of which nothing is known is typical; if
/// nothing is known of any, all take a second.
pub fn expected(speeds: &[Speed], prompt: u32, completion: u32) -> Vec<f64> {
	expected_at(Instant::now(), speeds, prompt, completion)
}

fn expected_at(now: Instant, speeds: &[Speed], prompt: u32, completion: u32) -> Vec<f64> {
	let first = typical(speeds.iter().filter_map(|speed| speed.first));
	let token = typical(speeds.iter().filter_map(|speed| speed.token));
	let (reading, writing) = (first * units(prompt), token * f64::from(completion));
	let seconds = |speed: &Speed| {
		if reading + writing <= 0.0 {
			return 1.0;
		}
		let first = Average::relative(speed.first, first, now);
		let token = Average::relative(speed.token, token, now);
		reading * first + writing * token
	};
	speeds.iter().map(seconds).collect()
}

/// The median, or 0 if there is none.
fn typical(averages: impl Iterator<Item = Average>) -> f64 {
	let mut all: Vec<f64> = averages.map(|average| average.seconds).collect();
	all.sort_by(f64::total_cmp);
	all.get(all.len() / 2).copied().unwrap_or(0.0)
}

/// The latest times to the first token of a model, over all hosts.
#[derive(Debug, Default)]
pub struct FirstTokens(VecDeque<f64>);

impl FirstTokens {
	/// Notes the time to the first token after a prompt.
	pub fn add(&mut self, prompt: u32, time: Duration) {
		if self.0.len() >= KEPT {
			self.0.pop_front();
		}
		self.0.push_back(time.as_secs_f64() / units(prompt));
	}

	/// The time within which 95 of 100 first tokens come after such a prompt; `None` while too few are known.
	pub fn usual(&self, prompt: u32) -> Option<Duration> {
		if self.0.len() < MIN_KEPT {
			return None;
		}
		let mut all: Vec<f64> = self.0.iter().copied().collect();
		all.sort_by(f64::total_cmp);
		let index = (all.len() as f64 * USUAL) as usize;
		let seconds = all.get(index).or(all.last())? * units(prompt);
		Duration::try_from_secs_f64(seconds).ok()
	}
}

#[cfg(test)]
mod tests {
	use super::*;

	fn speed(first: u64, token: u64) -> Speed {
		let mut speed = Speed::default();
		speed.add_first(0, Duration::from_millis(first));
		speed.add_token(Duration::from_millis(token));
		speed
	}

	#[test]
	fn a_slow_host_takes_as_much_longer_as_its_tokens_do() {
		let now = Instant::now();
		let hosts = [speed(100, 10), speed(100, 10), speed(100, 40), Speed::default()];
		let long = expected_at(now, &hosts, 0, 10_000);
		assert!(
			(long[0] - 100.1).abs() < 1.0 && (long[2] - 400.1).abs() < 10.0 && (long[3] - 100.1).abs() < 1.0,
			"{long:?}"
		);
		let short = expected_at(now, &hosts, 0, 1);
		assert!(short[2] < 1.4 * short[0], "one token does not matter: {short:?}");
		assert_eq!(expected(&[Speed::default(); 2], 9, 9), [1.0, 1.0]);
	}

	#[test]
	fn slowdowns_count_at_once_and_fade() {
		let now = Instant::now();
		let mut average = None;
		Average::add(&mut average, 1.0, now);
		Average::add(&mut average, 8.0, now);
		assert_eq!(Average::relative(average, 1.0, now), 8.0);
		Average::add(&mut average, 1.0, now);
		assert!(Average::relative(average, 1.0, now) > 6.0);
		let later = now + 2 * HALF_LIFE;
		assert!((1.0..2.0).contains(&Average::relative(average, 1.0, later)));
	}

	#[test]
	fn the_usual_time_follows_the_prompt() {
		let mut times = FirstTokens::default();
		for index in 0..100 {
			assert_eq!(times.usual(0).is_some(), index >= MIN_KEPT);
			times.add(0, Duration::from_millis(index as u64));
		}
		let short = times.usual(0).unwrap();
		assert!((94..=96).contains(&short.as_millis()), "{short:?}");
		let long = times.usual(2560).unwrap();
		assert!(long > 10 * short && long < 12 * short);
		for _ in 0..KEPT {
			times.add(2560, Duration::from_millis(11));
		}
		assert_eq!(times.usual(0), Some(Duration::from_millis(1)));
	}
}
