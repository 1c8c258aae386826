//! A short calibration with the demo model: cheats are found, honest hosts are not, and nothing is measured twice.

use gonka_calibration::{
	observe::{Store, Workload},
	plan::{CHUNK, HOSTS},
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

#[test]
fn a_short_calibration_tells_cheats_from_honest_hosts() {
	let out = tempfile::tempdir().unwrap();
	let texts = ["Once upon a time there was", "The capital of France is", "1 2 3 4 5"];
	let workload = Workload { prompts: texts.map(str::to_owned).into(), length: LENGTH as u32 };
	let open = |workload: &Workload| Store::open(out.path().join("measurements"), &model(), workload);
	let store = open(&workload).unwrap();
	let wanted: Vec<(usize, usize)> = ["f32-batch8", "bf16-batch8", "int4", "own-tape", "early-end"]
		.iter()
		.map(|name| (HOSTS.iter().position(|host| host.name == *name).unwrap(), 0))
		.collect();
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
	let (profile, scale) = profile(&measurements, LENGTH, 1_000);
	assert!(profile.is_well_formed() && scale.tape > 0.05 && scale.fingerprint > 0.05, "{profile:?} {scale:?}");
	let found = report("the demo model", LENGTH, &profile, Some(scale), &measurements);
	println!("{}", found.text);
	assert_eq!(found.honest_tokens, 2 * 2 * CHUNK * LENGTH);
	assert_eq!(found.false_alarms, 0);
	assert!(!found.missed.iter().any(|name| name == "int4" || name == "cut off"), "{:?}", found.missed);
	// The profile survives as JSON, the form in which governance reads it.
	let json = serde_json::to_string(&profile).unwrap();
	assert_eq!(serde_json::from_str::<gonka_primitives::audit::CalibrationProfile>(&json).unwrap(), profile);
}
