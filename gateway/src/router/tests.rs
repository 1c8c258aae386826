use super::*;
use gonka_client::worker_api::HealthModel;
use gonka_primitives::views::ModelView;

#[test]
fn draws_follow_the_weights() {
	let mut counts = [0u32; 3];
	for _ in 0..30_000 {
		counts[draw(vec![1.0, 3.0, 6.0]).unwrap()] += 1;
	}
	for (count, share) in counts.iter().zip([0.1, 0.3, 0.6]) {
		assert!((f64::from(*count) / 30_000.0 - share).abs() < 0.02, "{counts:?}");
	}
	assert_eq!(draw(vec![]), None);
}

fn health(models: &[(&str, u32)], load: u32) -> Health {
	let model =
		|(name, context_length): &(&str, u32)| HealthModel { name: (*name).into(), context_length: *context_length };
	Health {
		version: String::new(),
		host: String::new(),
		models: models.iter().map(model).collect(),
		block: 1,
		load,
		capacity: 8,
		outdated: None,
	}
}

/// The number of times of 1,000 that each host is chosen.
fn choices(router: &Router, weights: &[u64], need: Need<'_>) -> Vec<u32> {
	let host = |(index, weight): (usize, &u64)| Host {
		account: [index as u8; 32],
		worker: [0; 32],
		url: String::new(),
		models: vec![1],
		weight: *weight,
	};
	let hosts: Vec<Host> = weights.iter().enumerate().map(host).collect();
	let hosts: Vec<&Host> = hosts.iter().collect();
	let mut states = router.lock();
	for host in &hosts {
		states.hosts.entry(host.account).or_default();
	}
	let mut counts = vec![0; weights.len()];
	for _ in 0..1_000 {
		counts[states.choose(&hosts, need).unwrap()] += 1;
	}
	counts
}

fn need(beginnings: &Beginnings) -> Need<'_> {
	Need { prompt: 100, completion: 100, max_fee: 0, beginnings }
}

#[test]
fn load_slowness_and_weight_decide() {
	let (router, none) = (Router::default(), Beginnings::default());
	let model = Model::by_name([view(1, "m")]).remove("m").unwrap();
	let counts = choices(&router, &[1, 3], need(&none));
	assert!((650..850).contains(&counts[1]), "{counts:?}");
	for index in 0..3u8 {
		let time = Duration::from_millis(if index == 2 { 500 } else { 100 });
		router.began(&model, &[index; 32], need(&none), time);
		router.succeeded(&[index; 32], Some(time));
	}
	let counts = choices(&router, &[1, 1, 1], need(&none));
	assert!(counts[2] < 60 && counts[0] > 350, "a host that takes five times as long gets little: {counts:?}");
	router.learn(&[0; 32], health(&[], 7), 0);
	let counts = choices(&router, &[1, 1], need(&none));
	assert!((50..200).contains(&counts[0]), "others load it: {counts:?}");
}

#[test]
fn a_prompt_goes_to_the_host_that_read_its_beginning_unless_it_is_busy() {
	let router = Router::default();
	let model = Model::by_name([view(1, "m")]).remove("m").unwrap();
	let beginnings = router.beginnings(&model, &[5; 200]);
	router.began(&model, &[1; 32], need(&beginnings), Duration::from_millis(1));
	assert_eq!(choices(&router, &[1, 1, 1], need(&beginnings)), [0, 1_000, 0]);
	router.learn(&[1; 32], health(&[], 5), 0);
	let counts = choices(&router, &[1, 1, 1], need(&beginnings));
	assert!(counts[0] > 200 && counts[2] > 200, "{counts:?}");
}

#[test]
fn a_host_that_read_the_beginning_is_left_when_it_is_far_slower_or_often_fails() {
	let model = Model::by_name([view(1, "m")]).remove("m").unwrap();
	let none = Beginnings::default();
	let begun = || {
		let router = Router::default();
		let beginnings = router.beginnings(&model, &[5; 200]);
		for index in [0, 2] {
			router.began(&model, &[index; 32], need(&none), Duration::from_millis(100));
		}
		router.began(&model, &[1; 32], need(&beginnings), Duration::from_millis(100));
		(router, beginnings)
	};
	let (router, beginnings) = begun();
	router.lagged(&[1; 32], 100, Duration::from_millis(900));
	assert_eq!(choices(&router, &[1, 1, 1], need(&beginnings)), [0, 1_000, 0], "to read it again takes as long");
	router.lagged(&[1; 32], 100, Duration::from_secs(9));
	assert!(choices(&router, &[1, 1, 1], need(&beginnings))[1] < 60);
	let (router, beginnings) = begun();
	for _ in 0..30 {
		router.rejected_alone(&[1; 32]);
	}
	// One of ten dispatches is expected to succeed, so these 0.2 s count as 2 s.
	router.lagged(&[1; 32], 100, Duration::from_millis(200));
	assert!(choices(&router, &[1, 1, 1], need(&beginnings))[1] < 60);
}

#[test]
fn hedges_are_a_small_part_of_all_requests() {
	let router = Router::default();
	let model = Model::by_name([view(1, "m")]).remove("m").unwrap();
	let hedged = (0..1_000).filter(|_| {
		let mut states = router.lock();
		states.hedges += 1.0 / HEDGE_EVERY;
		drop(states);
		router.may_hedge()
	});
	assert!((90..=100).contains(&hedged.count()));
	assert_eq!(router.late(&model, 9), None, "nothing is known");
	for _ in 0..100 {
		router.began(&model, &[1; 32], need(&Beginnings::default()), Duration::from_secs(1));
	}
	assert!(
		router.late(&model, 100).is_some_and(|late| late.abs_diff(Duration::from_secs(1)) < Duration::from_millis(1))
	);
	assert!(!router.may_hedge(), "few are saved up");
}

fn view(id: u32, name: &str) -> ModelView {
	ModelView {
		id,
		name: name.into(),
		weights_hash: [0; 32],
		tokenizer_hash: [0; 32],
		context_length: 100,
		price: Default::default(),
	}
}

#[test]
fn the_context_of_a_host_is_that_of_its_registration() {
	let models = Model::by_name([view(1, "m"), view(2, "m@fast")]);
	let host = |id| Host { account: [1; 32], worker: [0; 32], url: String::new(), models: vec![id], weight: 1 };
	let router = Router::default();
	assert_eq!(router.context(&models["m"], &host(2)), None);
	router.learn(&[1; 32], health(&[("m", 30), ("m@fast", 50)], 0), 0);
	assert_eq!(router.context(&models["m"], &host(1)), Some(30));
	assert_eq!(router.context(&models["m"], &host(2)), Some(50));
	assert_eq!(router.context(&models["m@fast"], &host(1)), None);
}

#[test]
fn a_host_is_paused_after_a_failure_until_it_succeeds_but_after_a_wrong_receipt_longer() {
	let router = Router::default();
	assert!(router.is_healthy(&[1; 32]));
	for _ in 0..=MAX_DOUBLINGS {
		router.failed(&[1; 32], "a is gone".into());
	}
	assert!(!router.is_healthy(&[1; 32]), "it is paused for 64 s");
	let host = |id| Host { account: [id; 32], worker: [0; 32], url: String::new(), models: vec![], weight: 1 };
	let trouble = |hosts: &[u8]| router.trouble(hosts.iter().map(|id| Arc::new(host(*id))).collect::<Vec<_>>().iter());
	assert_eq!(trouble(&[1, 2]).as_deref(), Some("a is gone"));
	router.learn(&[2; 32], health(&[], 0), 0);
	assert_eq!(trouble(&[1, 2]), None, "another one can be used");
	router.succeeded(&[1; 32], None);
	assert!(router.is_healthy(&[1; 32]));
	router.distrust(&[1; 32]);
	router.succeeded(&[1; 32], None);
	assert!(!router.is_healthy(&[1; 32]));
}

#[test]
fn a_host_rejects_all_on_a_channel_only_while_it_neither_serves_nor_is_paid() {
	let router = Router::default();
	let (settled, account) = (Default::default(), [1; 32]);
	let channel = |id| {
		Arc::new(ChannelView {
			id,
			developer: account,
			host: account,
			gateway: account,
			deposit: 1,
			settled,
			closes: None,
		})
	};
	let open = [channel(1), channel(2)];
	let open: Vec<_> = open.iter().collect();
	router.note_refused(1);
	std::thread::sleep(Duration::from_millis(2));
	assert_eq!(router.refused(&open)[&1], Duration::ZERO, "once says nothing about the time since");
	router.note_refused(1);
	router.note_refused(2);
	assert!(router.refused(&open)[&1] >= Duration::from_millis(2));
	router.note_served(1);
	assert_eq!(router.refused(&open).into_keys().collect::<Vec<_>>(), [2]);
	assert!(router.refused(&open[..1]).is_empty(), "the channel is closed");
}

#[test]
fn a_host_that_fails_often_gets_less() {
	let router = Router::default();
	for _ in 0..20 {
		router.failed(&[0; 32], String::new());
		router.succeeded(&[0; 32], None);
	}
	router.failed(&[1; 32], String::new());
	router.failed(&[1; 32], String::new());
	let counts = choices(&router, &[1, 1], need(&Beginnings::default()));
	assert!(counts[1] > 550, "what fails at once is one failure: {counts:?}");
}
