//! Sampled validation on real processes: wrong completions cost their host, and wrong findings cost their checker.
//!
//! One network serves the demo model, one of its three hosts with weights in 4 bits. The other network serves random
//! completions with the mock engine, and two of its five hosts report false findings.

mod audit {
	pub mod scenario;
}

use anyhow::{Context, Result, bail, ensure};
use audit::scenario::{COLLATERAL, Scenario};
use gonka::devnet::{Parachain, demo_model};
use gonka_e2e::{
	audit_events::AuditEvent,
	blocks::{Event, events},
	interruptible, step, until,
};
use gonka_primitives::{Balance, EpochIndex, audit::Outcome, check::Offence};
use std::env;

/// Requests to each network; `GONKA_AUDIT_REQUESTS` overrides it.
const REQUESTS: u32 = 160;
/// Completion tokens of a request to the demo model, few since each takes time.
const SHORT: u32 = 4;
/// Maximum number of epochs in which the hosts' pay is compared.
const EPOCHS: u32 = 6;

#[tokio::test(flavor = "multi_thread")]
async fn wrong_completions_cost_their_host_and_nobody_else() -> Result<()> {
	interruptible(wrong_completions(None)).await
}

/// They do so on the parachain, too.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs polkadot-omni-node: run by `make para`"]
async fn wrong_completions_cost_their_host_on_the_parachain() -> Result<()> {
	interruptible(wrong_completions(Some(Parachain::find_or_build(None)?))).await
}

#[tokio::test(flavor = "multi_thread")]
async fn checkers_with_wrong_findings_are_discredited_and_gain_nothing() -> Result<()> {
	interruptible(wrong_findings()).await
}

fn requests() -> Result<u32> {
	env::var("GONKA_AUDIT_REQUESTS").map_or(Ok(REQUESTS), |text| Ok(text.parse()?))
}

async fn wrong_completions(parachain: Option<Parachain>) -> Result<()> {
	let honest = ["Honest1", "Honest2"];
	let model = demo_model().context("the demo model is missing: run scripts/get-model")?;
	let roles = [(honest[0], None), (honest[1], None), ("Cheap", Some("cheapen"))];
	let mut scenario = Scenario::start(&roles, Some(&model), parachain.as_ref()).await?;

	step("weights in 4 bits are found, and arbiters rule against their host");
	println!("requests by host: {:?}", scenario.request(requests()? / 4, SHORT).await?);
	let convicted =
		scenario.request_until("a case to be closed", SHORT, |scenario| scenario.convicted("Cheap")).await?;
	let cheap = scenario.host("Cheap")?;
	let case = scenario.cases().into_iter().find(|(_, (_, outcome))| *outcome == Some(Outcome::Guilty));
	let case = case.context("no case was closed")?.0;
	let rulings: Vec<_> = scenario
		.events
		.iter()
		.filter(|(_, event)| matches!(event, AuditEvent::Ruled { case: of, .. } if *of == case))
		.collect();
	ensure!(rulings.len() == honest.len(), "{} rulings: {rulings:?}", rulings.len());
	let guilty = |event: &AuditEvent| matches!(event, AuditEvent::Ruled { outcome: Outcome::Guilty, .. });
	ensure!(rulings.iter().all(|(_, event)| guilty(event)), "{rulings:?}");

	step("a fifth of its collateral is slashed, and its reputation is 0");
	let slashes = scenario.slashes("Cheap");
	let at = slashes.iter().position(|(offence, _)| *offence == Offence::WrongInference);
	let at = at.with_context(|| format!("no slash for that: {slashes:?}"))?;
	// A busy machine may make it miss duties, too.
	let active = COLLATERAL - slashes.iter().take(at).map(|(_, amount)| amount).sum::<Balance>();
	ensure!(slashes[at].1 == active / 5, "{slashes:?}");
	let view = scenario.chain.reputation(&cheap).await?;
	ensure!(view.reputation == 0 && view.muted.is_some(), "{view:?}");

	step("the gateway dispatches nothing to it, and no request fails");
	while scenario.routed_hosts().await? != honest.len() {
		scenario.request(1, SHORT).await?;
	}
	let served = scenario.request(12, SHORT).await?;
	println!("requests by host: {served:?}");
	ensure!(!served.contains_key("Cheap"), "the convicted host served a request");

	step("its weight is 0 when the epoch is weighed");
	until("its weight to be 0", || async {
		let host = scenario.chain.host(&cheap).await?.context("it is not registered")?;
		ensure!(host.effective_weight == 0, "{}", host.effective_weight);
		Ok(())
	})
	.await?;

	step("its held fees are back with the developer, to the base unit");
	let mut owed = scenario.fees("Cheap", convicted).await?;
	// On a busy machine arbiters may miss an earlier case, which then ends without a judgement.
	let released = scenario.released_by("Cheap", convicted);
	owed.retain(|window, _| !released.contains(window));
	ensure!(!owed.is_empty(), "no fees of it were held");
	scenario
		.request_until("the refunds", SHORT, |scenario| {
			owed.keys().all(|window| scenario.refunded("Cheap").contains_key(window)).then_some(())
		})
		.await?;
	let refunded = scenario.refunded("Cheap");
	for (window, fee) in &owed {
		ensure!(refunded.get(window) == Some(fee), "window {window}: {fee} owed, {:?} refunded", refunded.get(window));
	}
	let back = scenario.came_back().await?;
	scenario.read_events().await?;
	let all = scenario.refunded("Cheap").values().sum::<Balance>();
	ensure!(back == all, "the developer got {back} base units back, {all} were refunded");

	step("the honest hosts have no case, a reputation, and their fees");
	let left = requests()?.saturating_sub(scenario.sent);
	println!("requests by host: {:?}", scenario.request(left, SHORT).await?);
	scenario.until_settled().await?;
	nothing_is_lost(&mut scenario, &honest).await?;
	let cases = scenario.cases();
	ensure!(cases.values().all(|(host, _)| *host == "Cheap"), "{cases:?}");
	ensure!(scenario.discredited().is_empty(), "discredited: {:?}", scenario.discredited());
	println!("{} requests, {} cases, all against the cheap host", scenario.sent, cases.len());
	scenario.stop();
	Ok(())
}

async fn wrong_findings() -> Result<()> {
	let (honest, liars) = (["Honest1", "Honest2"], ["Approver", "Condemner"]);
	let roles = [
		(honest[0], None),
		(honest[1], None),
		("Cheap", Some("cheapen")),
		(liars[0], Some("approve")),
		(liars[1], Some("condemn")),
	];
	let mut scenario = Scenario::start(&roles, None, None).await?;

	step("a checker that finds everything right and one that finds everything wrong are discredited");
	let tokens = clear_length(&scenario).await?;
	println!("requests of {tokens} tokens by host: {:?}", scenario.request(requests()?, tokens).await?);
	let both = |scenario: &Scenario| {
		(scenario.discredited() == liars.into() && scenario.convicted("Cheap").is_some()).then_some(())
	};
	scenario.request_until("both to be discredited", tokens, both).await?;
	let epoch = scenario.chain.epoch().await?.index;
	for name in liars {
		let view = scenario.chain.reputation(&scenario.host(name)?).await?;
		ensure!(view.reputation == 0 && view.muted.is_some(), "{name}: {view:?}");
	}

	step("no host is found guilty but the one that cheated");
	scenario.until_settled().await?;
	nothing_is_lost(&mut scenario, &honest).await?;
	let guilty = |(host, outcome): &(&str, Option<Outcome>)| {
		*host != "Cheap" && !matches!(outcome, None | Some(Outcome::Innocent))
	};
	let cases = scenario.cases();
	ensure!(!cases.values().any(guilty), "{cases:?}");
	ensure!(scenario.discredited() == liars.into(), "discredited: {:?}", scenario.discredited());

	step("the discredited checkers are paid no more for their weight than the honest");
	let mut reason = String::new();
	for epoch in epoch..epoch + EPOCHS {
		match pay_is_no_higher(&scenario, epoch, &honest, &liars).await {
			Ok(()) => {
				scenario.stop();
				return Ok(());
			},
			// On a busy machine a host may miss segments of an epoch, and have no weight or less pay than it should.
			Err(error) => reason = format!("epoch {epoch}: {error:#}"),
		}
		println!("{reason}");
	}
	bail!("not in {EPOCHS} epochs: {reason}")
}

/// Completion tokens with which a right completion is clearly right: half as many again as the calibration profile needs.
async fn clear_length(scenario: &Scenario) -> Result<u32> {
	let profile = scenario.chain.calibration_profile(0).await?.context("the demo model has no calibration profile")?;
	let clear = scenario.chain.audit_rules().await?.clear.min(profile.clamp);
	let token = profile.tape[0].saturating_add(profile.fingerprint[0]).unsigned_abs();
	ensure!(profile.tape[0] <= 0 && profile.fingerprint[0] < 0, "equal tokens count against a host: {profile:?}");
	Ok(clear.saturating_mul(3) / 2 / token + 1)
}

/// Waits until the honest hosts are paid all fees they settled, and checks that they lost nothing.
async fn nothing_is_lost(scenario: &mut Scenario, honest: &[&str]) -> Result<()> {
	let last = scenario.chain.best().await?.number;
	for name in honest {
		let owed = scenario.fees(name, last).await?;
		ensure!(!owed.is_empty(), "{name} settled nothing");
		scenario.until_released(name, owed.keys().copied().max().unwrap_or_default()).await?;
		ensure!(scenario.released(name) == owed, "{name}: {owed:?} owed, {:?} paid", scenario.released(name));
		ensure!(scenario.refunded(name).is_empty(), "{name}: {:?} was refunded", scenario.refunded(name));
		let account = scenario.host(name)?;
		let view = until("the epoch to end", || async {
			let view = scenario.chain.reputation(&account).await?;
			ensure!(view.reputation > 0, "{name}: {view:?}");
			Ok(view)
		})
		.await?;
		ensure!(view.muted.is_none(), "{name}: {view:?}");
		let active = scenario.chain.collateral(&account).await?.active;
		scenario.read_events().await?;
		let slashes = scenario.slashes(name);
		let lost: Balance = slashes.iter().map(|(_, amount)| amount).sum();
		ensure!(active + lost >= COLLATERAL, "{name}: {active} of {COLLATERAL} left, after {slashes:?}");
		// A busy machine may make it miss duties.
		ensure!(slashes.iter().all(|(offence, _)| *offence == Offence::MissedDuties), "{name}: {slashes:?}");
		println!("{name}: reputation {} millionths, {} windows paid", view.reputation, owed.len());
	}
	Ok(())
}

/// Waits until `epoch` is paid. Fails if a host had no weight, or a liar got more for its weight than every honest host.
async fn pay_is_no_higher(scenario: &Scenario, epoch: EpochIndex, honest: &[&str], liars: &[&str]) -> Result<()> {
	let (from, to) = until("the epoch to be paid", || async {
		let view = scenario.chain.epoch().await?;
		let weighed = view.start + view.schedule.weigh_start() + view.schedule.weigh;
		ensure!(view.index > epoch && view.block > weighed, "block {} of epoch {}", view.block, view.index);
		// The hosts of an epoch are paid in the weigh phase of the next one.
		let next = view.start.saturating_sub((view.index - epoch - 1) * view.schedule.length);
		Ok((next + view.schedule.weigh_start(), next + view.schedule.length))
	})
	.await?;
	let best = scenario.chain.best().await?.number;
	let paid = events(&scenario.node, from, to.min(best)).await?;
	let mut shares = Vec::new();
	for name in honest.iter().chain(liars) {
		let host = scenario.host(name)?;
		let standing = scenario.chain.standing(epoch, &host).await?.with_context(|| format!("{name} took no part"))?;
		let pay: Balance = paid
			.iter()
			.map(|event| match event {
				Event::Paid { epoch: of, host: account, amount } if (*of, *account) == (epoch, host) => *amount,
				_ => 0,
			})
			.sum();
		let weight =
			standing.effective_weight.filter(|weight| *weight > 0).with_context(|| format!("{name} has no weight"))?;
		println!("{name}: {pay} base units for a weight of {weight}");
		shares.push((name, pay / Balance::from(weight)));
	}
	let most =
		shares.iter().filter(|(name, _)| honest.contains(name)).map(|(_, share)| *share).max().unwrap_or_default();
	ensure!(most > 0 && shares.iter().all(|(_, share)| *share <= most + most / 1_000), "{shares:?} base units a leaf");
	Ok(())
}
