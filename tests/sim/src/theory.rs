//! Closed forms with which the measurements must agree, written without the simulation's code.

/// Returns the probability that a fabricator escapes a committee of `k` different hosts around a ring, of which a
/// random `blind` of all `hosts` report nothing, if a leaf set is clean with probability `clean`.
///
/// A set escapes if both of its checkers are blind, otherwise if it is clean. So the probability is the trace of T^k
/// with `T[a][b] = z·(clean if not both are blind, else 1)` for blind b, where the power of z counts the blind, and
/// each choice of m blind members has the probability `C(hosts − k, blind − m) / C(hosts, blind)`.
pub fn escape(k: usize, hosts: usize, blind: usize, clean: f64) -> f64 {
	if k == 0 {
		return 1.0;
	}
	let mut ways = vec![0.0; k + 1];
	for first in [false, true] {
		// Weights of the members so far: by the number of blind ones, and by whether the last one is blind.
		let mut path = [vec![0.0; k + 1], vec![0.0; k + 1]];
		path[usize::from(first)][usize::from(first)] = 1.0;
		for step in 1..=k {
			let closing = step == k;
			let mut next = [vec![0.0; k + 1], vec![0.0; k + 1]];
			for (last, counts) in path.iter().enumerate() {
				for (member, to) in next.iter_mut().enumerate().filter(|(to, _)| !closing || *to == usize::from(first))
				{
					let factor = if last == 1 && member == 1 { 1.0 } else { clean };
					let more = if closing { 0 } else { member };
					for (count, weight) in counts.iter().enumerate().take(k + 1 - more) {
						to[count + more] += weight * factor;
					}
				}
			}
			path = next;
		}
		for (ways, weight) in ways.iter_mut().zip(&path[usize::from(first)]) {
			*ways += weight;
		}
	}
	ways.iter().enumerate().map(|(m, ways)| ways * exactly(m, k, hosts, blind)).sum()
}

/// Returns the probability that of `k` given hosts `m` given ones are blind and the others are not.
fn exactly(m: usize, k: usize, hosts: usize, blind: usize) -> f64 {
	(0..k).fold(1.0, |probability, i| {
		let left = if i < m { blind.saturating_sub(i) } else { (hosts - blind).saturating_sub(i - m) };
		probability * left as f64 / (hosts - i) as f64
	})
}

/// Returns [`escape`] if each member were blind with probability `share`, independently: an endless population.
pub fn escape_independent(k: usize, share: f64, clean: f64) -> f64 {
	let t = [[(1.0 - share) * clean, share * clean], [(1.0 - share) * clean, share]];
	let mut power = [[1.0, 0.0], [0.0, 1.0]];
	for _ in 0..k {
		power = std::array::from_fn(|row| {
			std::array::from_fn(|column| power[row][0] * t[0][column] + power[row][1] * t[1][column])
		});
	}
	power[0][0] + power[1][1]
}

/// Averages `escape` over committee sizes: `sizes[k]` committees have k members.
pub fn average(sizes: &[u64], escape: impl Fn(usize) -> f64) -> f64 {
	let total: u64 = sizes.iter().sum();
	sizes.iter().enumerate().map(|(k, count)| *count as f64 * escape(k)).sum::<f64>() / total.max(1) as f64
}

/// Returns the probability that a set of 32 leaves has no fabricated one.
pub fn clean(share: f64) -> f64 {
	(1.0 - share).powi(32)
}

/// Returns the design's figures: the probability of detection with 288 leaves, each seen by one checker of its own.
pub fn independent_leaves(share: f64, dishonest: f64) -> f64 {
	1.0 - (1.0 - share * (1.0 - dishonest)).powi(288)
}

#[cfg(test)]
mod tests {
	use super::*;

	/// Enumerates all labellings of all hosts.
	fn by_hand(k: usize, hosts: usize, blind: usize, clean: f64) -> f64 {
		let labellings = (0u32..1 << hosts).filter(|labels| labels.count_ones() as usize == blind);
		let (mut sum, mut number) = (0.0, 0.0);
		for labels in labellings {
			let is_blind = |member: usize| labels >> (member % k) & 1 == 1;
			let seen = (0..k).filter(|set| !(is_blind(*set) && is_blind(set + 1))).count();
			sum += clean.powi(seen as i32);
			number += 1.0;
		}
		sum / number
	}

	#[test]
	fn the_transfer_matrix_agrees_with_enumerating_all_labellings() {
		for k in 1..=9 {
			for (hosts, blind) in [(12, 0), (12, 5), (10, 4), (9, 9), (11, 10)] {
				for clean in [0.0, 0.3, 0.9, 1.0] {
					let (matrix, hand) = (escape(k, hosts, blind, clean), by_hand(k, hosts, blind, clean));
					assert!((matrix - hand).abs() < 1e-12, "{k} of {blind}/{hosts}, {clean}: {matrix} {hand}");
				}
			}
		}
		assert_eq!(escape(0, 10, 0, 0.0), 1.0);
	}

	#[test]
	fn a_large_population_is_independent() {
		let (large, endless) = (escape(9, 1_000_000, 400_000, 0.7), escape_independent(9, 0.4, 0.7));
		assert!((large - endless).abs() < 1e-5, "{large} {endless}");
	}

	#[test]
	fn independent_leaves_give_the_designs_figures() {
		let rounded = [0.01, 0.02, 0.05].map(|share| (independent_leaves(share, 0.4) * 1e4).round() / 100.0);
		assert_eq!(rounded, [82.33, 96.91, 99.98]);
	}
}
