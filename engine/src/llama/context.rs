//! Sequences of a model, computed by llama.cpp.

use std::{ptr::NonNull, slice, sync::Arc};

use llama_cpp_sys_2 as sys;

use super::{CachePrecision, LlamaOptions};
use crate::{
	EngineError,
	local::{EachRow, LOGIT_ROWS, LocalConfig, Model, Span},
};
use gonka_tokenizer::llama::File;

/// A model with its sequences. A slot's number is its sequence's.
pub struct LlamaModel {
	context: NonNull<sys::llama_context>,
	batch: sys::llama_batch,
	/// Maximum number of tokens in a batch, and of those with logits.
	batch_size: usize,
	rows: usize,
	context_length: usize,
	width: usize,
	/// Whether the model makes embeddings, and no logits.
	embeds: bool,
	reads_whole: bool,
	/// Freed after the context.
	file: Arc<File>,
}

/// A token to read.
#[derive(Clone, Copy)]
struct Item {
	token: u32,
	position: usize,
	slot: usize,
}

impl LlamaModel {
	/// Reserves memory for the slots that `config` asks for.
	///
	/// # Errors
	/// [`EngineError::InvalidRequest`] for a number that is too large, [`EngineError::Compute`] when memory is short or
	/// the options do not fit the model.
	pub fn new(
		file: Arc<File>,
		config: &LocalConfig,
		options: LlamaOptions,
		embeds: bool,
	) -> Result<Self, EngineError> {
		// SAFETY: the model is loaded.
		let (trained, width) =
			unsafe { (sys::llama_model_n_ctx_train(file.model()), sys::llama_model_n_embd_out(file.model())) };
		let (trained, width) = (trained.max(0) as usize, width.max(0) as usize);
		let context_length = config.context_length.min(trained);
		if context_length == 0 || width == 0 {
			return Err(EngineError::Model("the context or the width of the model is 0".into()));
		}
		let mut rows = config.slots.max(LOGIT_ROWS);
		let mut batch_size = config.prefill_chunk.max(rows);
		let mut context = context(&file, config, options, (context_length, batch_size, rows))?;
		// SAFETY: the context is valid. A model without keys and values to keep looks at all tokens of a text at once.
		let reads_whole = embeds
			&& unsafe {
				let context = context.as_ptr();
				!sys::llama_get_causal_attn(context) || sys::llama_get_memory(context).is_null()
			};
		if reads_whole && batch_size.min(rows) < context_length {
			// SAFETY: nothing uses it any more.
			unsafe { sys::llama_free(context.as_ptr()) };
			(rows, batch_size) = (rows.max(context_length), batch_size.max(context_length));
			context = self::context(&file, config, options, (context_length, batch_size, rows))?;
		}
		// SAFETY: the batch has room for `batch_size` tokens of one sequence each.
		let batch = unsafe { sys::llama_batch_init(size(batch_size, "the prefill chunk")?, 0, 1) };
		Ok(Self { context, batch, batch_size, rows, context_length, width, embeds, reads_whole, file })
	}

	/// Reads tokens, at most as many as fit the batch. Either all of them have logits and hidden states, or none has:
	/// with hidden states asked for, llama.cpp computes the outputs of all tokens.
	fn decode(&mut self, items: &[Item], wanted: bool) -> Result<(), EngineError> {
		debug_assert!(items.len() <= if wanted { self.rows } else { self.batch_size });
		self.batch.n_tokens = items.len() as i32;
		// SAFETY: the batch has room for the items, each with one sequence.
		let result = unsafe {
			for (at, item) in items.iter().enumerate() {
				*self.batch.token.add(at) = item.token.cast_signed();
				*self.batch.pos.add(at) = item.position as i32;
				*self.batch.n_seq_id.add(at) = 1;
				**self.batch.seq_id.add(at) = item.slot as i32;
				*self.batch.logits.add(at) = wanted.into();
			}
			sys::llama_set_embeddings(self.context.as_ptr(), wanted);
			sys::llama_decode(self.context.as_ptr(), self.batch)
		};
		match result {
			0 => Ok(()),
			1 => Err(EngineError::Compute("the cache of keys and values is full".into())),
			error => Err(EngineError::Compute(format!("llama.cpp: error {error}"))),
		}
	}

	/// Returns the hidden state and the logits of a token in the last batch: no logits of a model that makes embeddings.
	fn row(&self, at: usize) -> Result<(&[f32], &[f32]), EngineError> {
		// SAFETY: the pointers are null or lead to as many numbers, which stay until the next call of `decode`.
		unsafe {
			let hidden = sys::llama_get_embeddings_ith(self.context.as_ptr(), at as i32);
			let missing = || EngineError::Compute("llama.cpp has no logits or hidden states for a token".into());
			if hidden.is_null() {
				return Err(missing());
			}
			let hidden = slice::from_raw_parts(hidden, self.width);
			if self.embeds {
				return Ok((hidden, &[]));
			}
			let logits = sys::llama_get_logits_ith(self.context.as_ptr(), at as i32);
			if logits.is_null() {
				return Err(missing());
			}
			Ok((hidden, slice::from_raw_parts(logits, self.file.vocab_size())))
		}
	}
}

/// Makes a context with room for so many tokens in each slot, tokens in a batch, and tokens with outputs in it.
fn context(
	file: &File,
	config: &LocalConfig,
	options: LlamaOptions,
	(context_length, batch_size, rows): (usize, usize, usize),
) -> Result<NonNull<sys::llama_context>, EngineError> {
	let cells = context_length.saturating_mul(config.slots);
	let (keys, values) = match options.cache {
		CachePrecision::F32 => (sys::GGML_TYPE_F32, sys::GGML_TYPE_F32),
		// With equal types, llama.cpp sums attention in other orders where there are 64 tokens or one.
		CachePrecision::F16 => (sys::GGML_TYPE_F16, sys::GGML_TYPE_BF16),
		CachePrecision::Q8_0 => (sys::GGML_TYPE_Q8_0, sys::GGML_TYPE_Q8_0),
	};
	// SAFETY: the parameters are the library's own.
	let context = unsafe {
		let mut params = sys::llama_context_default_params();
		params.n_ctx = size(cells, "the context of all slots")?.cast_unsigned();
		params.n_batch = size(batch_size, "the prefill chunk")?.cast_unsigned();
		params.n_ubatch = params.n_batch;
		params.n_outputs_max = size(rows, "the number of outputs")?.cast_unsigned();
		params.n_seq_max = size(config.slots, "the number of slots")?.cast_unsigned();
		params.n_threads = size(config.threads, "the number of threads")?;
		params.n_threads_batch = params.n_threads;
		params.pooling_type = sys::LLAMA_POOLING_TYPE_NONE;
		params.embeddings = true;
		params.kv_unified = false;
		params.type_k = keys;
		params.type_v = values;
		params.flash_attn_type = match options.flash_attention {
			true => sys::LLAMA_FLASH_ATTN_TYPE_ENABLED,
			false => sys::LLAMA_FLASH_ATTN_TYPE_DISABLED,
		};
		params.no_perf = true;
		sys::llama_init_from_model(file.model(), params)
	};
	NonNull::new(context).ok_or_else(|| {
		let what = "llama.cpp cannot make a context: memory is short, or the options do not fit the model";
		EngineError::Compute(what.into())
	})
}

/// Returns a number as llama.cpp takes it.
fn size(n: usize, what: &str) -> Result<i32, EngineError> {
	i32::try_from(n).map_err(|_| EngineError::InvalidRequest(format!("{what} is too large: {n}")))
}

impl Model for LlamaModel {
	fn context_length(&self) -> usize {
		self.context_length
	}

	fn width(&self) -> usize {
		self.width
	}

	fn can_rewind(&self) -> bool {
		// SAFETY: the model is loaded.
		let keeps_states = unsafe {
			sys::llama_model_is_recurrent(self.file.model()) || sys::llama_model_is_hybrid(self.file.model())
		};
		!keeps_states
	}

	fn reads_whole(&self) -> bool {
		self.reads_whole
	}

	fn step(&mut self, tokens: &[u32], spans: &[Span], each: &mut EachRow<'_>) -> Result<(), EngineError> {
		let (mut silent, mut wanted) = (Vec::new(), Vec::new());
		let mut tokens = tokens.iter();
		for span in spans {
			// SAFETY: the context is valid; removing what is not there does nothing.
			let forgotten = unsafe {
				let memory = sys::llama_get_memory(self.context.as_ptr());
				sys::llama_memory_seq_rm(memory, span.slot as i32, span.start as i32, -1)
			};
			if !forgotten {
				return Err(EngineError::Compute("the model cannot forget a part of a sequence".into()));
			}
			let first_wanted = span.start + span.length - span.wanted;
			for (position, &token) in (span.start..span.start + span.length).zip(&mut tokens) {
				let item = Item { token, position, slot: span.slot };
				if position < first_wanted && !self.reads_whole { silent.push(item) } else { wanted.push(item) }
			}
		}
		// llama.cpp computes sequences together whose numbers follow one another in the batch.
		silent.sort_by_key(|item: &Item| item.slot);
		wanted.sort_by_key(|item: &Item| item.slot);
		for part in silent.chunks(self.batch_size) {
			self.decode(part, false)?;
		}
		let (rows, whole) = (self.rows, self.reads_whole);
		// A text that is read whole is read by itself.
		for part in wanted.chunk_by(|a, b| !whole || a.slot == b.slot).flat_map(|items| items.chunks(rows)) {
			self.decode(part, true)?;
			for (row, item) in part.iter().enumerate() {
				let (hidden, logits) = self.row(row)?;
				each(item.slot, item.position, hidden, logits);
			}
		}
		Ok(())
	}
}

impl Drop for LlamaModel {
	fn drop(&mut self) {
		// SAFETY: both were made by `new`, and nothing uses them any more.
		unsafe {
			sys::llama_batch_free(self.batch);
			sys::llama_free(self.context.as_ptr());
		}
	}
}
