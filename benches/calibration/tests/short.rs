//! A short calibration with the demo model: cheats are found, honest hosts are not, and nothing is measured twice.

use gonka_calibration::{
	observe::{Store, Workload},
	plan::{CHUNK, EngineKind, HOSTS},
	profile,
	report::report,
};
use std::{
	path::{Path, PathBuf},
	sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

const LENGTH: usize = 16;

fn model() -> PathBuf {
	let home = std::env::var_os("GONKA_HOME").map_or_else(
		|| PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cache/gonka"),
		PathBuf::from,
	);
	let model = home.join("models/SmolLM2-135M-Instruct.Q4_1.gguf");
	assert!(model.exists(), "{} is missing: run scripts/setup", model.display());
	model
}

/// Returns the first chunk of each of these hosts.
fn first_chunks(names: &[&str]) -> Vec<(usize, usize)> {
	let chosen = HOSTS.iter().enumerate().filter(|(_, host)| names.contains(&host.name));
	chosen.map(|(index, _)| (index, 0)).collect()
}

#[test]
fn a_short_calibration_tells_cheats_from_honest_hosts() {
	let out = tempfile::tempdir().unwrap();
	let texts = ["Once upon a time there was", "The capital of France is", "1 2 3 4 5"];
	let workload = Workload { prompts: texts.map(str::to_owned).into(), length: LENGTH as u32 };
	let open = |workload: &Workload| Store::open(out.path().join("measurements"), &model(), workload, None);
	let store = open(&workload).unwrap();
	let wanted = first_chunks(&["f32-batch8", "bf16-batch8", "int4", "own-tape", "early-end"]);
	let done = AtomicUsize::new(0);
	let progress = || _ = done.fetch_add(1, Relaxed);
	store.measure(&model(), &workload, &wanted, 1, progress).unwrap();
	assert_eq!(done.load(Relaxed), wanted.len());
	// Measured chunks are not measured again, so the missing model goes unnoticed.
	store.measure(Path::new("/nowhere"), &workload, &wanted, 2, progress).unwrap();
	let missing = [(wanted[0].0, 1)];
	assert!(store.measure(Path::new("/nowhere"), &workload, &missing, 2, progress).is_err());
	assert!(
		open(&Workload { length: 7, ..workload.clone() }).is_err(),
		"measurements of other completions are kept apart"
	);

	let measurements = store.load(&wanted).unwrap();
	let (profile, scale) = profile(&measurements, LENGTH, EngineKind::Torch, 1_000);
	assert!(profile.is_well_formed() && scale.tape > 0.05 && scale.fingerprint > 0.05, "{profile:?} {scale:?}");
	let found = report(("the demo model", EngineKind::Torch), LENGTH, &profile, Some(scale), &measurements);
	println!("{}", found.text);
	assert_eq!(found.honest_tokens, 2 * 2 * CHUNK * LENGTH);
	assert_eq!(found.false_alarms, 0);
	assert!(!found.missed.iter().any(|name| name == "int4" || name == "cut off"), "{:?}", found.missed);
	// The profile survives as JSON, the form in which governance reads it.
	let json = serde_json::to_string(&profile).unwrap();
	assert_eq!(serde_json::from_str::<gonka_primitives::audit::CalibrationProfile>(&json).unwrap(), profile);
}

#[test]
fn hosts_of_one_class_agree_exactly_and_all_others_are_seen_at_once() {
	let out = tempfile::tempdir().unwrap();
	let texts = ["Once upon a time there was", "The capital of France is"];
	let workload = Workload { prompts: texts.map(str::to_owned).into(), length: LENGTH as u32 };
	let open = |class| Store::open(out.path().join("measurements"), &model(), &workload, Some(class));
	let store = open("one").unwrap();
	assert!(open("two").is_err(), "measurements of another class are kept apart");
	let cheats = ["llama-q8_0", "llama-cache8", "llama-by-torch", "llama-own-tape", "llama-early-end"];
	let honest = ["llama-batch8", "llama-long", "llama-batch8-threads2"];
	let wanted = first_chunks(&[&honest[..], &cheats].concat());
	store.measure(&model(), &workload, &wanted, 1, || ()).unwrap();

	let measurements = store.load(&wanted).unwrap();
	for name in honest {
		let mut tokens = measurements[name].iter().flatten().flatten().flat_map(|audit| &audit.tokens);
		assert!(tokens.all(|token| token.margin == 0 && token.distance == 0), "{name}");
	}
	let (profile, scale) = profile(&measurements, LENGTH, EngineKind::Llama, 1_000);
	let found = report(("the demo model", EngineKind::Llama), LENGTH, &profile, Some(scale), &measurements);
	println!("{}", found.text);
	assert_eq!(found.false_alarms, 0);
	for name in ["llama-q8_0", "llama-cache8", "llama-by-torch", "cut off", "a false end"] {
		assert!(!found.missed.iter().any(|missed| missed == name), "{:?}", found.missed);
	}
}
