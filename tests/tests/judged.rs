//! Wrong answers do not pay, nor do wrong verdicts: sampled validation on real processes.
//!
//! One network has the demo model, which one of three hosts serves with weights in 4 bits. The other one makes its answers
//! up, as its checkers do their findings.

mod judged {
	pub mod world;
}

use anyhow::{Context, Result, ensure};
use gonka::devnet::demo_model;
use gonka_e2e::{
	blocks::{Event, events},
	interruptible,
	judgements::Judgement,
	step, until,
};
use gonka_primitives::{Balance, check::Offence, sampling::Outcome};
use judged::world::{COLLATERAL, PATIENCE, World};
use std::env;

/// Requests to each network; `GONKA_JUDGED_REQUESTS` overrules it.
const REQUESTS: u32 = 160;
/// Completion tokens of a real answer: these cost time.
const SHORT: u32 = 4;

#[tokio::test(flavor = "multi_thread")]
async fn wrong_answers_cost_their_host_and_nobody_else() -> Result<()> {
	interruptible(wrong_answers()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn checkers_that_lie_are_struck_and_gain_nothing() -> Result<()> {
	interruptible(wrong_verdicts()).await
}

fn requests() -> Result<u32> {
	env::var("GONKA_JUDGED_REQUESTS").map_or(Ok(REQUESTS), |text| Ok(text.parse()?))
}

async fn wrong_answers() -> Result<()> {
	let honest = ["Honest1", "Honest2"];
	let model = demo_model().context("the demo model is not there: run scripts/get-model")?;
	let roles = [(honest[0], None), (honest[1], None), ("Cheap", Some("cheapen"))];
	let mut world = World::start(&roles, Some(&model)).await?;

	step("weights in 4 bits are found, and the host that serves them is judged");
	println!("who was asked: {:?}", world.ask(requests()? / 4, SHORT).await?);
	let convicted = world.ask_until("a verdict on the cheap host", SHORT, |world| world.convicted("Cheap")).await?;
	let cheap = world.host("Cheap")?;
	let case = world.cases().into_iter().find(|(_, (_, outcome))| *outcome == Some(Outcome::Guilty));
	let case = case.context("no case was closed")?.0;
	let rulings: Vec<_> = world
		.events
		.iter()
		.filter(|(_, event)| matches!(event, Judgement::Ruled { case: of, .. } if *of == case))
		.collect();
	ensure!(rulings.len() == honest.len(), "who ruled: {rulings:?}");
	let guilty = |event: &Judgement| matches!(event, Judgement::Ruled { outcome: Outcome::Guilty, .. });
	ensure!(rulings.iter().all(|(_, event)| guilty(event)), "{rulings:?}");

	step("its collateral is slashed by a fifth, and its name is gone");
	let mut slashed = world.events.iter().filter_map(|(_, event)| match event {
		Judgement::Slashed { host, offence, amount } if *host == cheap => Some((*offence, *amount)),
		_ => None,
	});
	let slashed = slashed.next();
	ensure!(slashed == Some((Offence::WrongInference, COLLATERAL / 5)), "{slashed:?}");
	let standing = world.chain.sampling(&cheap).await?;
	ensure!(standing.reputation == 0 && standing.muted.is_some(), "{standing:?}");

	step("its traffic is gone, and no request fails");
	while world.asked_hosts().await? != honest.len() {
		world.ask(1, SHORT).await?;
	}
	let answered = world.ask(12, SHORT).await?;
	println!("who was asked: {answered:?}");
	ensure!(!answered.contains_key("Cheap"), "it was asked again");

	step("its weight is gone when the epoch is settled");
	until("its weight", PATIENCE, || async {
		let host = world.chain.host(&cheap).await?.context("it is registered")?;
		ensure!(host.weight == 0, "{}", host.weight);
		Ok(())
	})
	.await?;

	step("what was held for it is back with the developer, to the base unit");
	let owed = world.fees("Cheap", convicted).await?;
	ensure!(!owed.is_empty(), "it had settled nothing");
	world
		.ask_until("the refunds", SHORT, |world| {
			owed.keys().all(|window| world.refunded("Cheap").contains_key(window)).then_some(())
		})
		.await?;
	let refunded = world.refunded("Cheap");
	for (window, fee) in &owed {
		ensure!(refunded.get(window) == Some(fee), "window {window}: {fee} owed, {:?} back", refunded.get(window));
	}
	let back = world.came_back().await?;
	world.read().await?;
	let all = world.refunded("Cheap").values().sum::<Balance>();
	ensure!(back == all, "{back} base units are back, {all} were refunded");

	step("the honest ones have no case, a name, and their fees");
	let left = requests()?.saturating_sub(world.asked);
	println!("who was asked: {:?}", world.ask(left, SHORT).await?);
	world.until_settled().await?;
	untouched(&mut world, &honest).await?;
	let cases = world.cases();
	ensure!(cases.values().all(|(host, _)| *host == "Cheap"), "{cases:?}");
	ensure!(world.struck().is_empty(), "struck: {:?}", world.struck());
	println!("{} requests, {} cases, all against the cheap host", world.asked, cases.len());
	world.stop();
	Ok(())
}

/// Waits until hosts have been paid all they settled; they must not have lost anything.
async fn untouched(world: &mut World, honest: &[&str]) -> Result<()> {
	let last = world.chain.best().await?.number;
	for name in honest {
		let owed = world.fees(name, last).await?;
		ensure!(!owed.is_empty(), "{name} settled nothing");
		until_paid(world, name, owed.keys().copied().max().unwrap_or_default()).await?;
		ensure!(world.released(name) == owed, "{name}: {owed:?} owed, {:?} paid", world.released(name));
		ensure!(world.refunded(name).is_empty(), "{name}: {:?} was refunded", world.refunded(name));
		let account = world.host(name)?;
		let standing = until("the epoch to end", PATIENCE, || async {
			let standing = world.chain.sampling(&account).await?;
			ensure!(standing.reputation > 0, "{name}: {standing:?}");
			Ok(standing)
		})
		.await?;
		ensure!(standing.muted.is_none(), "{name}: {standing:?}");
		let collateral = world.chain.collateral(&account).await?;
		ensure!(collateral.active == COLLATERAL, "{name}: {collateral:?}");
		println!("{name}: reputation {} millionths, {} windows paid", standing.reputation, owed.len());
	}
	Ok(())
}

async fn until_paid(world: &mut World, name: &str, window: u32) -> Result<()> {
	let deadline = tokio::time::Instant::now() + PATIENCE;
	let mut blocks = world.chain.best_blocks().await;
	while !world.released(name).contains_key(&window) {
		ensure!(tokio::time::Instant::now() < deadline, "window {window} of {name} is not paid");
		futures::StreamExt::next(&mut blocks).await.context("no more blocks")?;
		world.read().await?;
	}
	Ok(())
}

/// Completion tokens of an answer that is clearly right when it is: half as many again as the profile wants.
async fn clear_answer(world: &World) -> Result<u32> {
	let profile = world.chain.sampling_profile(0).await?.context("the demo model has a profile")?;
	let clear = world.chain.sampling_rules().await?.clear.min(profile.clamp);
	let token = profile.tape[0].saturating_add(profile.fingerprint[0]).unsigned_abs();
	ensure!(profile.tape[0] <= 0 && profile.fingerprint[0] < 0, "the same tokens speak against a host: {profile:?}");
	Ok(clear.saturating_mul(3) / 2 / token + 1)
}

async fn wrong_verdicts() -> Result<()> {
	let (honest, liars) = (["Honest1", "Honest2"], ["Approver", "Condemner"]);
	let roles = [
		(honest[0], None),
		(honest[1], None),
		("Cheap", Some("cheapen")),
		(liars[0], Some("approve")),
		(liars[1], Some("condemn")),
	];
	let mut world = World::start(&roles, None).await?;

	step("who finds everything right, and who finds everything wrong, is struck");
	let tokens = clear_answer(&world).await?;
	println!("who was asked for {tokens} tokens: {:?}", world.ask(requests()?, tokens).await?);
	let both = |world: &World| (world.struck() == liars.into() && world.convicted("Cheap").is_some()).then_some(());
	world.ask_until("both to be struck", tokens, both).await?;
	let epoch = world.chain.epoch().await?;
	for name in liars {
		let standing = world.chain.sampling(&world.host(name)?).await?;
		ensure!(standing.reputation == 0 && standing.muted.is_some(), "{name}: {standing:?}");
	}

	step("nobody is found guilty but the host that cheated");
	world.until_settled().await?;
	untouched(&mut world, &honest).await?;
	let guilty = |(host, outcome): &(&str, Option<Outcome>)| {
		*host != "Cheap" && !matches!(outcome, None | Some(Outcome::Innocent))
	};
	let cases = world.cases();
	ensure!(!cases.values().any(guilty), "{cases:?}");
	ensure!(world.struck() == liars.into(), "struck: {:?}", world.struck());

	step("the liars are paid no more than the honest");
	let settle = epoch.start + epoch.schedule.length + epoch.schedule.settle_start();
	let paid = until("the epoch to be paid", PATIENCE, || async {
		let now = world.chain.best().await?.number;
		ensure!(now > settle + epoch.schedule.settle, "block {now}, not yet {}", settle + epoch.schedule.settle);
		events(&world.node, settle, now).await
	})
	.await?;
	let mut shares = Vec::new();
	for name in honest.into_iter().chain(liars) {
		let host = world.host(name)?;
		let standing = world.chain.standing(epoch.index, &host).await?.context("it raced")?;
		let pay: Balance = paid
			.iter()
			.map(|event| match event {
				Event::Paid { epoch: of, host: who, amount } if (*of, *who) == (epoch.index, host) => *amount,
				_ => 0,
			})
			.sum();
		let weight =
			standing.effective.filter(|weight| *weight > 0).with_context(|| format!("{name} has no weight"))?;
		println!("{name}: {pay} base units for a weight of {weight}");
		shares.push((name, pay / Balance::from(weight)));
	}
	let most =
		shares.iter().filter(|(name, _)| honest.contains(name)).map(|(_, share)| *share).max().unwrap_or_default();
	ensure!(most > 0 && shares.iter().all(|(_, share)| *share <= most + most / 1_000), "{shares:?} base units a leaf");
	world.stop();
	Ok(())
}
