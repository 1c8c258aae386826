//! Embeddings: one vector of the hidden states of a text's tokens.

use gonka_tokenizer::{
	Pooling,
	embedding::{are_alike, is_embedding, numbers},
};

use super::scheduler::Task;
use crate::{FinishReason, TokenCheck, TokenEvent, sampler::Sampler};

/// The hidden states that were read of a text so far.
pub struct Pool {
	pooling: Pooling,
	/// Their sum, or the one state that counts.
	sum: Vec<f64>,
}

impl Pool {
	pub fn new(pooling: Pooling) -> Self {
		Self { pooling, sum: Vec::new() }
	}

	/// Returns whether the states of all tokens are wanted, and not that of the last one only.
	pub fn wants_all(&self) -> bool {
		self.pooling != Pooling::Last
	}

	/// Adds the hidden state of the next token.
	pub fn add(&mut self, hidden: &[f32]) {
		match self.pooling {
			_ if self.sum.is_empty() => self.sum.extend(hidden.iter().copied().map(f64::from)),
			Pooling::Mean => self.sum.iter_mut().zip(hidden).for_each(|(sum, &number)| *sum += f64::from(number)),
			Pooling::First => (),
			Pooling::Last => self.sum = hidden.iter().copied().map(f64::from).collect(),
		}
	}

	/// Returns the vector, of length 1.
	fn vector(&self) -> Vec<f32> {
		let length = self.sum.iter().map(|number| number * number).sum::<f64>().sqrt();
		self.sum.iter().map(|number| (number / length) as f32).collect()
	}

	/// Sends the embedding, or compares it with the one that is checked.
	pub fn finish(&self, sampler: &Sampler, task: &mut Task) -> FinishReason {
		let vector = self.vector();
		let fingerprint = sampler.fingerprint(&vector);
		match task {
			Task::Generate(events) => {
				let event = match is_embedding(&vector) {
					true => TokenEvent::Embedding { vector, fingerprint },
					false => TokenEvent::Error { message: "the model computes no numbers of this text".into() },
				};
				// This fails only when the receiver was dropped; then nobody needs the vector.
				let _ = events.try_send(event);
				FinishReason::Stop
			},
			Task::Check(check) => {
				let shown = numbers(&check.output);
				check.is_permitted = is_embedding(&shown) && are_alike(&shown, &vector);
				check.found = vec![TokenCheck { margin: 0, fingerprint }];
				check.claimed
			},
		}
	}
}

#[cfg(test)]
mod tests {
	use super::*;

	fn vector(pooling: Pooling, states: &[[f32; 2]]) -> Vec<f32> {
		let mut pool = Pool::new(pooling);
		states.iter().for_each(|state| pool.add(state));
		pool.vector()
	}

	#[test]
	fn states_become_one_vector_of_length_one() {
		let states = [[3.0, 0.0], [3.0, 4.0], [0.0, 4.0]];
		assert_eq!(vector(Pooling::Mean, &states), [0.6, 0.8]);
		assert_eq!(vector(Pooling::First, &states), [1.0, 0.0]);
		assert_eq!(vector(Pooling::Last, &states), [0.0, 1.0]);
	}
}
