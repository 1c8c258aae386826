//! Benchmarks of the calls, their authorisation and the hooks.

use super::*;
use crate::{
	judgements::Money,
	types::{
		Appeal, Arbiter, Assignment, ClearFinding, Draw, Hearing, Judgement, RecentFinding, Record, Reviewed, Row,
	},
};
use alloc::{vec, vec::Vec};
use codec::Encode;
use frame_system::{Pallet as System, RawOrigin, pallet_prelude::BlockNumberFor};
use gonka_pallet_support::benchmarking;
use gonka_primitives::{
	MAX_MODELS_PER_HOST, Signature,
	audit::{Counts, FRESH, Finding, MAX_FINDINGS, MAX_REVIEWED, MAX_SCOPE, MAX_SEATS, Pick, Scope},
	hashing::domain,
	market::Totals,
	merkle_sum::SumNode,
};
use pallet_poc::{
	BenchmarkHelper, CurrentEpoch, EpochWeights, Host, Hosts, LastWeighed, Standing, Standings, WeighedEpochs, Workers,
};
use polkadot_sdk::{
	frame_benchmarking::v2::*,
	frame_support::traits::{
		EnsureOrigin, Hooks,
		fungible::{Inspect, Mutate, MutateHold},
	},
	sp_core::sr25519,
};

/// The running window in all benchmarks.
const WINDOW: u32 = 20;

fn sign<T: Config>(key: &sr25519::Public, domain: &[u8], body: &impl Encode) -> Result<Signature, BenchmarkError> {
	benchmarking::sign(key, &Poc::<T>::genesis_hash(), domain, body)
}

fn host<T: Config>(index: u32) -> T::AccountId {
	account("host", index, 0)
}

/// A profile by which every finding opens a case.
fn profile() -> CalibrationProfile {
	CalibrationProfile {
		margins: [1, 2, 3, 4, 5, 6],
		tape: [-1; 8],
		distances: [1, 2, 3, 4, 5, 6, 7],
		fingerprint: [1 << 16; 8],
		alarm: 8 << 16,
		clamp: 8 << 16,
		min_worker_version: 0,
	}
}

/// The most expensive finding.
fn finding() -> Finding {
	Finding::Checked(Counts::new([u16::MAX; 8], [u16::MAX; 8]))
}

/// `count` models with profiles, in the second block of a window of the third epoch. Hosts took part in the first one, so that
/// their standings are looked for in three.
fn models<T: Config>(count: u32) -> Vec<ModelId> {
	System::<T>::set_block_number(1u32.into());
	Poc::<T>::on_initialize(1u32.into());
	CurrentEpoch::<T>::mutate(|epoch| epoch.iter_mut().for_each(|epoch| epoch.index = 2));
	let block = WINDOW.saturating_mul(T::WindowLength::get()).saturating_add(1);
	System::<T>::set_block_number(BlockNumberFor::<T>::from(block));
	let models = <T as pallet_poc::Config>::BenchmarkHelper::register_models(count);
	models.iter().for_each(|model| Profiles::<T>::insert(model, profile()));
	models
}

/// A registered participant that serves these models, with its worker key.
fn worker<T: Config>(index: u32, models: &[ModelId]) -> sr25519::Public {
	let (key, account) = (benchmarking::new_key(), host::<T>(index));
	let models = BoundedVec::truncate_from(models.to_vec());
	let new = Host { worker: key.0, url: Default::default(), models, ..Default::default() };
	Workers::<T>::insert(key.0, &account);
	Hosts::<T>::insert(&account, new);
	let standing = Standing::of_weight(index, 10);
	Standings::<T>::insert(0, account, standing);
	key
}

/// Settlement number `index` of host 0, of 10,000 receipts.
fn batch(index: u32, models: &[ModelId], receipts: u64) -> Batch {
	let each = 1_000_000u64;
	let work: Vec<_> = models.iter().map(|model| (*model, each)).collect();
	let sum = Totals { fee: 1, work: each.saturating_mul(work.len() as u64), receipts };
	let root = SumNode { hash: [index as u8; 32], sum };
	let posted = WINDOW.saturating_sub(1);
	Batch { posted, root, work: BoundedVec::truncate_from(work), drawn: false, pending: 0 }
}

/// The settlements of a case's host, one in each window.
fn settle<T: Config>(count: u32, models: &[ModelId], receipts: u64) {
	for index in 0..count {
		Batches::<T>::insert(host::<T>(0), index, batch(index, models, receipts));
		Posted::<T>::insert(WINDOW.saturating_sub(1), (host::<T>(0), index), ());
	}
}

/// A full list of checker 1 about hosts from 2 on, each with a settlement of its own; and the report on the first `n`.
fn report<T: Config>(n: u32) -> Result<(sr25519::Public, AuditReport), BenchmarkError> {
	let models = models::<T>(1);
	let model = *models.first().ok_or("no model is registered")?;
	let key = worker::<T>(1, &models);
	let max = T::MaxAssigned::get();
	let list = (0..max).map(|index| {
		let of = host::<T>(index.saturating_add(2));
		// Those with findings settled in as many windows as a case looks at.
		for window in 0..if index < n { MAX_SCOPE } else { 1 } {
			let batch = Batch { drawn: true, pending: 1, ..batch(window, &models, 9) };
			Batches::<T>::insert(&of, window, batch);
		}
		Assignment { host: of, window: 0, model, pick: Pick::Work(index.into()), done: false }
	});
	Assigned::<T>::insert(WINDOW, host::<T>(1), BoundedVec::truncate_from(list.collect()));
	let findings = (0..n.min(max) as u16).map(|index| (index, finding())).collect();
	Ok((key, AuditReport { checker: host::<T>(1).into(), window: WINDOW, findings }))
}

/// A full case against host 100 · `index`, with as many arbiters as a case may have, from 1 on. All but the first `missing`
/// ruled.
fn case<T: Config>(index: u32, model: ModelId, missing: u32) -> CaseOf<T> {
	let of = host::<T>(index.saturating_mul(100));
	let reviewed = (0..MAX_REVIEWED).map(|number| Reviewed {
		finding: RecentFinding {
			checker: host::<T>(number.saturating_add(10)),
			window: 0,
			pick: Pick::Work(0),
			clear: ClearFinding::Right,
		},
		root: SumNode::default(),
	});
	let scope = (0..MAX_SCOPE).map(|window| Scope { window, root: SumNode::default(), first: 0, work: 1_000 });
	let arbiters = (1..MAX_SEATS.saturating_add(1)).map(|number| {
		let reviewed = BoundedVec::truncate_from(vec![Some(ClearFinding::Wrong); MAX_REVIEWED as usize]);
		let ruled = (number > missing).then_some((Outcome::Guilty, reviewed));
		Arbiter { who: host::<T>(number), seats: 1, ruled }
	});
	let case = Case {
		id: index,
		model,
		profile: profile(),
		sum: 8 << 16,
		opened: 1,
		deadline: Pallet::<T>::now(),
		seed: Some([1; 32]),
		reviewed: BoundedVec::truncate_from(reviewed.collect()),
		scope: BoundedVec::truncate_from(scope.collect()),
		arbiters: BoundedVec::truncate_from(arbiters.collect()),
		judgement: None,
	};
	Cases::<T>::insert(&of, &case);
	NextCase::<T>::put(index.saturating_add(1));
	OpenCases::<T>::mutate(|open| {
		let _ = open.try_push(Hearing { host: of, next: Pallet::<T>::now(), weight: 0, appeal: false });
	});
	case
}

/// Number of hosts with rows in a table: more than a draw of arbiters has tickets.
const LISTED: u32 = 256;

/// A table of 2^14 rows, of which a search reads 14. Hosts from 1 on have them in turn, and are registered.
fn table<T: Config>(model: ModelId) {
	let hosts: Vec<_> = (1..=LISTED).map(host::<T>).collect();
	(1..=LISTED).for_each(|index| {
		let _ = worker::<T>(index, &[model]);
	});
	let rows = 1u32 << 14;
	for (index, host) in (0..rows).zip(hosts.iter().cycle()) {
		let row = Row { host: host.clone(), cumulative: u64::from(index).saturating_add(1) };
		TableRows::<T>::insert((0, model, index), row);
	}
	Tables::<T>::insert(0, model, (rows, u64::from(rows)));
	TableEpoch::<T>::put(0);
}

/// Arbiter 1's ruling in the case against host 0.
fn ruling<T: Config>() -> Result<(sr25519::Public, Ruling), BenchmarkError> {
	let models = models::<T>(1);
	let key = worker::<T>(1, &models);
	let case = case::<T>(0, *models.first().ok_or("no model is registered")?, 1);
	let (reviewed, mut fresh) = (vec![finding(); MAX_REVIEWED as usize], vec![Finding::Inconclusive; FRESH as usize]);
	if let Some(last) = fresh.last_mut() {
		*last = finding();
	}
	Ok((key, Ruling { arbiter: host::<T>(1).into(), host: host::<T>(0).into(), case: case.id, reviewed, fresh }))
}

#[benchmarks(where <T as pallet_inference_market::Config>::Currency: Mutate<T::AccountId>)]
mod benchmarks {
	use super::*;

	#[benchmark]
	fn set_profile() -> Result<(), BenchmarkError> {
		let models = models::<T>(1);
		let model = *models.first().ok_or("no model is registered")?;
		let origin = <T as pallet_inference_market::Config>::RegisterOrigin::try_successful_origin()
			.map_err(|()| BenchmarkError::Weightless)?;
		#[extrinsic_call]
		_(origin as T::RuntimeOrigin, model, Some(profile()));
		assert_eq!(Profiles::<T>::get(model), Some(profile()));
		Ok(())
	}

	#[benchmark]
	fn authorize_submit_report(n: Linear<1, MAX_FINDINGS>) -> Result<(), BenchmarkError> {
		let (key, new) = report::<T>(n)?;
		let signature = sign::<T>(&key, domain::AUDIT_REPORT, &new)?;
		let call = Call::<T>::submit_report { report: new, signature };
		#[block]
		{
			benchmarking::authorize(&call)?;
		}
		Ok(())
	}

	#[benchmark]
	fn submit_report(n: Linear<1, MAX_FINDINGS>, c: Linear<0, { T::MaxCases::get() }>) -> Result<(), BenchmarkError> {
		let (_, mut new) = report::<T>(n)?;
		// The others count and open no case.
		new.findings.iter_mut().skip(c as usize).for_each(|(_, finding)| *finding = Finding::Unavailable);
		let cases = new.findings.len().min(c as usize);
		#[extrinsic_call]
		_(RawOrigin::Authorized, new, [0; 64]);
		assert_eq!(OpenCases::<T>::get().len(), cases);
		Ok(())
	}

	#[benchmark]
	fn authorize_rule() -> Result<(), BenchmarkError> {
		let (key, new) = ruling::<T>()?;
		let signature = sign::<T>(&key, domain::RULING, &new)?;
		let call = Call::<T>::rule { ruling: new, signature };
		#[block]
		{
			benchmarking::authorize(&call)?;
		}
		Ok(())
	}

	#[benchmark]
	fn rule() -> Result<(), BenchmarkError> {
		let (_, new) = ruling::<T>()?;
		#[extrinsic_call]
		_(RawOrigin::Authorized, new, [0; 64]);
		let case = Cases::<T>::get(host::<T>(0)).ok_or("the case is not open")?;
		assert!(case.arbiters.iter().all(|arbiter| arbiter.ruled.is_some()));
		Ok(())
	}

	#[benchmark]
	fn appeal() -> Result<(), BenchmarkError> {
		let models = models::<T>(1);
		let model = *models.first().ok_or("no model is registered")?;
		table::<T>(model);
		let (of, until) = (host::<T>(0), Pallet::<T>::now());
		// The other places are taken, so that one gives way.
		for index in 0..T::MaxCases::get().saturating_add(1) {
			case::<T>(index, model, 0);
		}
		OpenCases::<T>::mutate(|open| open.retain(|hearing| hearing.host != of));
		OpenCases::<T>::mutate(|open| {
			let last = host::<T>(T::MaxCases::get().saturating_mul(100));
			let _ = open.try_push(Hearing { host: last, next: until, weight: 0, appeal: false });
		});
		let judgement = Some(Judgement { outcome: Outcome::Guilty, window: 0, until, appeal: None });
		let judged = Case { judgement, ..Cases::<T>::get(&of).ok_or("the case is not open")? };
		let id = judged.id;
		Cases::<T>::insert(&of, judged);
		Terms::<T>::insert(until, &of, ());
		let (deposit, rest) = (T::AppealDeposit::get(), Money::<T>::minimum_balance());
		Money::<T>::mint_into(&of, deposit.saturating_add(rest))?;
		#[extrinsic_call]
		_(RawOrigin::Signed(of.clone()), id);
		assert!(Cases::<T>::get(of).is_some_and(|case| case.appeal().is_some()));
		Ok(())
	}

	#[benchmark]
	fn build(
		h: Linear<1, { T::TableBatch::get() }>,
		r: Linear<0, { T::TableBatch::get() * MAX_MODELS_PER_HOST }>,
	) -> Result<(), BenchmarkError> {
		let models = models::<T>(MAX_MODELS_PER_HOST);
		let each = r.checked_div(h).unwrap_or(0).min(models.len() as u32) as usize;
		for index in 0..h {
			worker::<T>(index, models.get(..each).unwrap_or_default());
		}
		WeighedEpochs::<T>::insert(0, EpochWeights::of_total(1, h));
		LastWeighed::<T>::put(0);
		#[block]
		{
			Pallet::<T>::build_table();
		}
		let rows = models.iter().map(|model| Tables::<T>::get(0, model).0).sum::<u32>();
		assert_eq!(rows as usize, each.saturating_mul(h as usize));
		Ok(())
	}

	#[benchmark]
	fn draw(
		b: Linear<1, { T::MaxBatches::get() }>,
		p: Linear<1, { T::MaxLookups::get() }>,
	) -> Result<(), BenchmarkError> {
		let models = models::<T>(1);
		let model = *models.first().ok_or("no model is registered")?;
		table::<T>(model);
		let receipts = p.checked_div(b).unwrap_or(0).max(1).min(T::AuditRules::get().max_audits);
		settle::<T>(b, &models, receipts.into());
		Drawing::<T>::put(Draw { window: WINDOW, seed: [1; 32], epoch: 0, after: None });
		#[block]
		{
			Pallet::<T>::draw_audits();
		}
		assert!(Assigned::<T>::iter_prefix(WINDOW).next().is_some());
		Ok(())
	}

	#[benchmark]
	fn close(n: Linear<1, { T::CloseBatch::get() }>) -> Result<(), BenchmarkError> {
		let models = models::<T>(1);
		let model = *models.first().ok_or("no model is registered")?;
		let window = WINDOW.saturating_sub(T::AuditRules::get().report_windows).saturating_sub(1);
		for index in 0..n {
			worker::<T>(index, &models);
			let one = Assignment { host: host::<T>(n), window: 0, model, pick: Pick::Work(0), done: false };
			let list = vec![one; T::MaxAssigned::get() as usize];
			Assigned::<T>::insert(window, host::<T>(index), BoundedVec::truncate_from(list));
		}
		OldestAssigned::<T>::put(window);
		#[block]
		{
			Pallet::<T>::close_lists();
		}
		assert_eq!(Assigned::<T>::iter_prefix(window).count(), 0);
		Ok(())
	}

	/// No ticket's host may be an arbiter, so that all tickets are drawn.
	#[benchmark]
	fn draw_arbiters() -> Result<(), BenchmarkError> {
		let models = models::<T>(1);
		let model = *models.first().ok_or("no model is registered")?;
		table::<T>(model);
		for index in 1..=LISTED {
			Records::<T>::insert(host::<T>(index), Record { muted: Some(u32::MAX), ..Default::default() });
		}
		let new = Case { seed: None, arbiters: Default::default(), ..case::<T>(0, model, 0) };
		Cases::<T>::insert(host::<T>(0), new);
		#[block]
		{
			Pallet::<T>::advance_cases();
		}
		assert!(OpenCases::<T>::get().is_empty());
		Ok(())
	}

	/// An appeal is lost, and its arbiters contradict all checkers and all arbiters of the case.
	#[benchmark]
	fn close_case() -> Result<(), BenchmarkError> {
		let models = models::<T>(1);
		let model = *models.first().ok_or("no model is registered")?;
		table::<T>(model);
		worker::<T>(0, &models);
		let (of, case) = (host::<T>(0), case::<T>(0, model, 0));
		let before =
			case.arbiters.iter().zip(100u32..).take(MAX_SEATS.div_euclid(4) as usize).map(|(arbiter, index)| {
				let reviewed = BoundedVec::truncate_from(vec![Some(ClearFinding::Right); MAX_REVIEWED as usize]);
				Arbiter { who: host::<T>(index), ruled: Some((Outcome::Guilty, reviewed)), ..arbiter.clone() }
			});
		let (deposit, rest) = (T::AppealDeposit::get(), Money::<T>::minimum_balance());
		Money::<T>::mint_into(&of, deposit.saturating_add(rest))?;
		Money::<T>::hold(&HoldReason::Appeal.into(), &of, deposit)?;
		let lost = Appeal { deposit, before: BoundedVec::truncate_from(before.collect()) };
		let until = Pallet::<T>::now();
		let judgement = Some(Judgement { outcome: Outcome::Guilty, window: 0, until, appeal: Some(lost) });
		Cases::<T>::insert(&of, Case { judgement, ..case });
		#[block]
		{
			Pallet::<T>::advance_cases();
		}
		assert!(!Cases::<T>::contains_key(of) && OpenCases::<T>::get().is_empty());
		Ok(())
	}

	#[benchmark]
	fn prune() {
		let models = models::<T>(1);
		settle::<T>(1, &models, 1);
		let (of, posted) = (host::<T>(0), WINDOW.saturating_sub(1));
		#[block]
		{
			Batches::<T>::remove(&of, 0);
			Posted::<T>::remove(posted, (&of, 0));
		}
		assert!(!Batches::<T>::contains_key(of, 0));
	}
}
