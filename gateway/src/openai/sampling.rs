//! The parameters that choose tokens, from the names that OpenAI and vLLM give them.

use super::{errors::ApiError, fields::Fields};
use gonka_client::worker_api::{InferenceRequest, MAX_STOP_BYTES, MAX_STOP_TOKEN_IDS, MAX_STOPS};
use serde_json::Value;
use std::collections::BTreeMap;

/// Maximum number of completions of a request.
pub const MAX_COMPLETIONS: usize = 64;
/// Maximum number of tokens with a bias.
const MAX_BIASES: usize = 1024;
/// Maximum number of likeliest tokens whose log probabilities are reported.
pub const MAX_TOP: i128 = 20;

/// The parameters that choose tokens.
#[derive(Clone, Debug)]
pub struct Sampling {
	/// The body for a worker without its prompt and its grammar.
	pub body: InferenceRequest,
	/// Number of completions of each prompt.
	pub n: usize,
	/// The seed, if the client sent one.
	pub seed: Option<u64>,
}

impl Sampling {
	/// Reads the parameters that all endpoints share.
	///
	/// # Errors
	/// 400 with the name of the field that is wrong.
	pub fn read(fields: &Fields) -> Result<Self, ApiError> {
		let number = |name, range| Ok::<_, ApiError>(fields.number(name, range)?.map(|number| number as f32));
		let top_p = number("top_p", 0.0..=1.0)?.unwrap_or(1.0);
		let body = InferenceRequest {
			temperature: number("temperature", 0.0..=2.0)?.unwrap_or(1.0),
			// A `top_p` of 0 keeps the likeliest token only, as the smallest positive one does.
			top_p: if top_p == 0.0 { f32::MIN_POSITIVE } else { top_p },
			// −1 stands for all, as in vLLM.
			top_k: fields.integer("top_k", -1..=u32::MAX.into())?.map_or(0, |top_k| top_k.max(0) as u32),
			min_p: number("min_p", 0.0..=1.0)?.unwrap_or(0.0),
			repetition_penalty: number("repetition_penalty", 0.01..=100.0)?.unwrap_or(1.0),
			presence_penalty: number("presence_penalty", -2.0..=2.0)?.unwrap_or(0.0),
			frequency_penalty: number("frequency_penalty", -2.0..=2.0)?.unwrap_or(0.0),
			logit_bias: biases(fields)?,
			stop: stops(fields)?,
			stop_token_ids: stop_token_ids(fields)?,
			min_tokens: fields.integer("min_tokens", 0..=u32::MAX.into())?.unwrap_or(0) as u32,
			ignore_eos: fields.flag("ignore_eos")?.unwrap_or(false),
			..InferenceRequest::new(Vec::new())
		};
		let n = fields.integer("n", 1..=MAX_COMPLETIONS as i128)?.unwrap_or(1) as usize;
		// Every 64-bit seed is valid, also a negative one.
		let seed = fields.integer("seed", i64::MIN.into()..=u64::MAX.into())?.map(|seed| seed as u64);
		Ok(Self { body, n, seed })
	}

	/// Checks the token ids in it against the number of the model's ids.
	///
	/// # Errors
	/// 400 with the name of the field that has another id.
	pub fn check_ids(&self, vocab_size: usize) -> Result<(), ApiError> {
		let biased = self.body.logit_bias.keys().map(|id| ("logit_bias", *id));
		let stopping = self.body.stop_token_ids.iter().map(|id| ("stop_token_ids", *id));
		match biased.chain(stopping).find(|(_, id)| *id as usize >= vocab_size) {
			Some((param, id)) => Err(unknown_id(param, id.into(), vocab_size)),
			None => Ok(()),
		}
	}
}

/// The error for a token id that the model does not have.
pub fn unknown_id(param: &str, id: u64, vocab_size: usize) -> ApiError {
	let message = format!("Token id {id} does not exist: the model has the ids 0 to {}.", vocab_size.saturating_sub(1));
	ApiError::invalid_value(param, message)
}

fn biases(fields: &Fields) -> Result<BTreeMap<u32, f32>, ApiError> {
	const NAME: &str = "logit_bias";
	let wrong =
		|| fields.wrong(NAME, format!("an object with up to {MAX_BIASES} numbers from -100 to 100 by token id"));
	match fields.value(NAME)? {
		None => Ok(BTreeMap::new()),
		Some(Value::Object(map)) if map.len() <= MAX_BIASES => {
			let bias = |(id, bias): (&String, &Value)| {
				let bias = bias.as_f64().filter(|bias| (-100.0..=100.0).contains(bias))?;
				Some((id.parse().ok()?, bias as f32))
			};
			let biases = map.iter().map(bias).collect::<Option<BTreeMap<_, _>>>().ok_or_else(wrong)?;
			Ok(biases.into_iter().filter(|(_, bias)| *bias != 0.0).collect())
		},
		Some(_) => Err(wrong()),
	}
}

fn stops(fields: &Fields) -> Result<Vec<String>, ApiError> {
	const NAME: &str = "stop";
	let wrong = || {
		fields.wrong(NAME, format!("a string or a list of up to {MAX_STOPS} strings of up to {MAX_STOP_BYTES} bytes"))
	};
	let stops = match fields.value(NAME)? {
		None => Vec::new(),
		Some(Value::String(text)) => vec![text],
		Some(Value::Array(list)) => {
			let text = |item: Value| if let Value::String(text) = item { Ok(text) } else { Err(wrong()) };
			list.into_iter().map(text).collect::<Result<_, _>>()?
		},
		Some(_) => return Err(wrong()),
	};
	let stops: Vec<_> = stops.into_iter().filter(|stop| !stop.is_empty()).collect();
	let fits = stops.len() <= MAX_STOPS && stops.iter().all(|stop| stop.len() <= MAX_STOP_BYTES);
	if fits { Ok(stops) } else { Err(wrong()) }
}

fn stop_token_ids(fields: &Fields) -> Result<Vec<u32>, ApiError> {
	const NAME: &str = "stop_token_ids";
	let wrong = || fields.wrong(NAME, format!("a list of up to {MAX_STOP_TOKEN_IDS} token ids"));
	match fields.value(NAME)? {
		None => Ok(Vec::new()),
		Some(Value::Array(list)) if list.len() <= MAX_STOP_TOKEN_IDS => {
			let ids = list.iter().map(|id| id.as_u64().and_then(|id| u32::try_from(id).ok()));
			ids.collect::<Option<_>>().ok_or_else(wrong)
		},
		Some(_) => Err(wrong()),
	}
}

#[cfg(test)]
mod tests {
	use super::*;
	use serde_json::json;

	fn read(fields: Value) -> Result<Sampling, ApiError> {
		Sampling::read(&Fields::parse(fields.to_string().as_bytes()).unwrap())
	}

	#[test]
	fn parameters_reach_the_workers_body() {
		let sampling = read(json!({
			"stop": ["a", ""], "temperature": 0, "top_k": -1, "top_p": 0, "n": 2.0, "seed": -3, "min_p": 0.1,
			"presence_penalty": -0.5, "frequency_penalty": 2, "repetition_penalty": 1.1, "stop_token_ids": [7],
			"logit_bias": {"5": -100, "6": 0}, "min_tokens": 4, "ignore_eos": true,
		}))
		.unwrap();
		let expected = InferenceRequest {
			temperature: 0.0,
			top_p: f32::MIN_POSITIVE,
			min_p: 0.1,
			presence_penalty: -0.5,
			frequency_penalty: 2.0,
			repetition_penalty: 1.1,
			logit_bias: [(5, -100.0)].into(),
			stop: vec!["a".into()],
			stop_token_ids: vec![7],
			min_tokens: 4,
			ignore_eos: true,
			..InferenceRequest::new(Vec::new())
		};
		assert_eq!((sampling.body.clone(), sampling.n, sampling.seed), (expected, 2, Some(-3i64 as u64)));
		assert!(sampling.check_ids(8).is_ok());
		assert_eq!(sampling.check_ids(7).unwrap_err().body().error.param.as_deref(), Some("stop_token_ids"));
		assert_eq!(sampling.check_ids(5).unwrap_err().body().error.param.as_deref(), Some("logit_bias"));
		assert_eq!(read(json!({})).unwrap().body, InferenceRequest::new(Vec::new()));
	}

	#[test]
	fn a_value_out_of_range_is_rejected_by_name() {
		for (fields, param) in [
			(json!({"temperature": 2.5}), "temperature"),
			(json!({"top_p": -0.1}), "top_p"),
			(json!({"top_k": -2}), "top_k"),
			(json!({"n": 0}), "n"),
			(json!({"stop": vec!["x"; MAX_STOPS + 1]}), "stop"),
			(json!({"stop": 5}), "stop"),
			(json!({"stop": "x".repeat(MAX_STOP_BYTES + 1)}), "stop"),
			(json!({"logit_bias": {"x": 1}}), "logit_bias"),
			(json!({"logit_bias": {"1": 101}}), "logit_bias"),
			(json!({"stop_token_ids": [-1]}), "stop_token_ids"),
			(json!({"presence_penalty": 3}), "presence_penalty"),
		] {
			assert_eq!(read(fields).unwrap_err().body().error.param.as_deref(), Some(param));
		}
	}
}
