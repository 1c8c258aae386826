//! Attacks with identities: hosts without compute, stolen worker keys, places in the draw, leftovers.

use super::{
	super::chain::{account, blocks, run, weigh},
	send, validate,
};
use crate::*;
use codec::Encode;
use frame_support::BoundedVec;
use gonka_primitives::{
	GNK, Hash, Signature,
	check::{DigestCommitment, OpeningRequest},
	hashing::{blake2_256, domain, signing_payload},
	host::{Commitment, Registration, SegmentCommitment},
	market::Totals,
	merkle_sum,
	traits::OnHostRemoved,
	validity,
};
use gonka_runtime_common::{MAX_CHECKERS, MAX_HOSTS as MAX, Time};
use pallet_poc::{
	CandidateCount, CurrentEpoch, Expired, FIRST_CANDIDATE, FIRST_NEW, Host, Hosts, KnownCount, NewCount, Participants,
	Standing, Standings, Workers,
};
use sp_core::{Pair, sr25519};
use sp_keyring::Sr25519Keyring::{Alice, Bob};
use sp_runtime::transaction_validity::{InvalidTransaction, TransactionValidityError};

const BITS: u32 = Time::THIS.registration_bits;

fn key(name: &str) -> sr25519::Pair {
	sr25519::Pair::from_string(&format!("//{name}"), None).unwrap()
}

fn of(pair: &sr25519::Pair) -> AccountId {
	pair.public().into()
}

fn sign(pair: &sr25519::Pair, domain: &[u8], body: &impl Encode) -> Signature {
	pair.sign(&signing_payload(domain, &Poc::genesis_hash(), body)).0
}

/// A registration for the terms that the chain names, with `bits` of work.
fn registration(host: &sr25519::Pair, worker: &sr25519::Pair, bits: u32) -> Registration {
	let terms = Poc::registration_terms(&of(host)).unwrap();
	let registration = Registration {
		host: host.public().0,
		worker: worker.public().0,
		url: b"http://203.0.113.7:9000".to_vec(),
		models: Vec::new(),
		epoch: terms.epoch,
		revision: terms.revision,
		work: 0,
	};
	registration.solve(&Poc::genesis_hash(), bits)
}

fn call(registration: Registration, host: &sr25519::Pair, worker: &sr25519::Pair) -> RuntimeCall {
	let signature = sign(host, domain::REGISTRATION, &registration);
	let worker_signature = sign(worker, domain::WORKER, &registration.host);
	pallet_poc::Call::<Runtime>::register { registration, signature, worker_signature }.into()
}

/// Registers as a host does: with the work that the chain asks for.
fn register(host: &sr25519::Pair, worker: &sr25519::Pair) -> Result<(), TransactionValidityError> {
	let bits = Poc::registration_terms(&of(host)).unwrap().bits;
	send(call(registration(host, worker, bits), host, worker)).map(|result| result.map(|_| ()).unwrap())
}

fn rejected(error: impl Into<u8>) -> TransactionValidityError {
	InvalidTransaction::Custom(error.into()).into()
}

fn commitment(host: &sr25519::Pair, worker: &sr25519::Pair, segment: u8) -> RuntimeCall {
	let epoch = Poc::running_epoch().unwrap().index;
	let commitment = Commitment { count: 1 << 20, root: [7; 32] };
	let commitment = SegmentCommitment { host: host.public().0, epoch, segment, commitment };
	let signature = sign(worker, domain::COMMITMENT, &commitment);
	pallet_poc::Call::<Runtime>::commit { commitment, signature }.into()
}

/// Identities that registered in `joined`, each with its own worker key. They have no weight.
fn identities(numbers: core::ops::Range<u32>, joined: u32) {
	for number in numbers {
		let bytes: Hash = blake2_256(&[&number.to_le_bytes()]);
		Workers::<Runtime>::insert(bytes, AccountId::from(bytes));
		let host = Host { worker: bytes, registered: joined, joined, ..Default::default() };
		Hosts::<Runtime>::insert(AccountId::from(bytes), host);
	}
}

/// Goes to `offset` of the running epoch or of the next one.
fn go_to(offset: u32) {
	let schedule = Time::THIS.schedule;
	let now = Poc::running_epoch().unwrap().offset(System::block_number());
	blocks((offset + schedule.length - now) % schedule.length);
}

#[test]
#[cfg_attr(not(feature = "fast-runtime"), ignore = "many thousand hosts and blocks with mainnet's times")]
fn ten_thousand_identities_cost_more_the_more_places_they_take() {
	run(|| {
		blocks(1);
		let (newcomer, worker) = (key("Newcomer"), key("NewcomerWorker"));
		let bits = || Poc::registration_terms(&of(&newcomer)).unwrap().bits;
		let mut asked = vec![bits()];
		for eighth in 1..8 {
			identities(MAX * (eighth - 1) / 8..MAX * eighth / 8, 0);
			asked.push(bits());
		}
		assert_eq!(asked, (0..8).map(|eighth| BITS + eighth).collect::<Vec<_>>(), "each eighth doubles the work");
		// What sufficed for the first place does not for the last ones.
		let mut cheap = (0..).map(|work| Registration { work, ..registration(&newcomer, &worker, 0) });
		let genesis = Poc::genesis_hash();
		let cheap = cheap.find(|one| (BITS..BITS + 7).contains(&one.work_bits(&genesis))).unwrap();
		let little = validate(&call(cheap, &newcomer, &worker)).unwrap_err();
		assert_eq!(little, rejected(validity::Poc::TooLittleWork));
		register(&newcomer, &worker).unwrap();
		assert_eq!(bits(), BITS + 2, "a registered host pays for its revision alone");
	});
}

#[test]
#[cfg_attr(not(feature = "fast-runtime"), ignore = "many thousand hosts and blocks with mainnet's times")]
fn identities_without_weight_hold_all_places_for_an_epoch_at_most() {
	run(|| {
		blocks(1);
		let (junk, junk_worker) = (key("Junk"), key("JunkWorker"));
		register(&junk, &junk_worker).unwrap();
		identities(1..MAX, 0);
		let (newcomer, worker) = (key("Newcomer"), key("NewcomerWorker"));
		let full = register(&newcomer, &worker).unwrap_err();
		assert_eq!(full, rejected(validity::Poc::TooManyHosts));

		// One of them commits to made-up leaves and registers again, which kept its place before.
		go_to(Time::THIS.schedule.length - 1);
		blocks(1);
		register(&junk, &junk_worker).unwrap();
		for segment in 0..Time::THIS.schedule.segments {
			go_to(Time::THIS.schedule.segment_end(segment));
			send(commitment(&junk, &junk_worker, segment)).unwrap().unwrap();
		}
		go_to(Time::THIS.schedule.length - 1);
		assert!(Hosts::<Runtime>::count() < MAX * 7 / 8 + 1, "an eighth of the places is free");
		register(&newcomer, &worker).unwrap();
		// The rest goes within seven epochs, with the host that committed to inventions.
		blocks(3 * Time::THIS.schedule.length);
		assert!(Hosts::<Runtime>::count() < MAX * 3 / 4);
		blocks(5 * Time::THIS.schedule.length);
		assert!(!Hosts::<Runtime>::contains_key(of(&junk)));
		assert_eq!((Hosts::<Runtime>::count(), Workers::<Runtime>::iter().count()), (0, 0));
	});
}

/// Makes `who` the participant with this number of epoch 0, the last so far of its kind.
fn enter(number: u32, who: &AccountId) {
	Standings::<Runtime>::insert(0, who, Standing { participant: number, ..Default::default() });
	Participants::<Runtime>::insert(0, number, who);
	pallet_poc::Commitments::<Runtime>::insert(0, who, BoundedVec::default());
	match number {
		FIRST_NEW.. => NewCount::<Runtime>::insert(0, number - FIRST_NEW + 1),
		FIRST_CANDIDATE.. => CandidateCount::<Runtime>::insert(0, number - FIRST_CANDIDATE + 1),
		_ => KnownCount::<Runtime>::insert(0, number + 1),
	}
}

#[test]
fn early_commitments_do_not_take_the_places_of_late_ones() {
	run(|| {
		blocks(1);
		// A draw with one host that is not new has 9 places for new ones. Forty identities commit before two hundred others.
		let (early, late) = (40, 200);
		let checker = account(Alice);
		for number in 0..early + late {
			enter(FIRST_NEW + number, &AccountId::from(blake2_256(&[&number.to_le_bytes()])));
		}
		enter(FIRST_CANDIDATE, &checker);
		pallet_poc::Candidates::<Runtime>::put(BoundedVec::truncate_from(vec![(checker, 100)]));
		go_to(Time::THIS.schedule.draw());
		let epoch = Poc::running_epoch().unwrap();
		let (mut of_early, mut of_late) = (0u32, 0u32);
		for beacon in 0..20u8 {
			let epoch = pallet_poc::Epoch { beacon: Some([beacon; 32]), ..epoch.clone() };
			for number in 0..early + late {
				let who = AccountId::from(blake2_256(&[&number.to_le_bytes()]));
				let count = if number < early { &mut of_early } else { &mut of_late };
				*count += u32::from(!Poc::committee(&epoch, &who).is_empty());
			}
		}
		// 9 places for 240 hosts: 4 %. First come, first served would give the early ones 22 %.
		let (early, late) = (of_early * 100 / (20 * early), of_late * 100 / (20 * late));
		assert!((2..7).contains(&early) && (2..7).contains(&late), "{early} % and {late} %");
	});
}

/// Makes the hosts with these numbers participants, and those with these weights candidates. Returns those of the numbers
/// that have a committee.
fn checked(weights: &[u64], numbers: impl Iterator<Item = u32> + Clone) -> Vec<u32> {
	let host = |number: u32| AccountId::from(blake2_256(&[&number.to_le_bytes()]));
	let candidates = (FIRST_CANDIDATE..).zip(weights);
	candidates.clone().map(|(number, _)| number).chain(numbers.clone()).for_each(|number| enter(number, &host(number)));
	let candidates = candidates.map(|(number, weight)| (host(number), *weight)).collect();
	pallet_poc::Candidates::<Runtime>::put(BoundedVec::truncate_from(candidates));
	go_to(Time::THIS.schedule.draw());
	let epoch = Poc::running_epoch().unwrap();
	numbers.step_by(2).filter(|number| !Poc::committee(&epoch, &host(*number)).is_empty()).collect()
}

/// A draw lists 1,024 hosts. In a larger network identities without weight leave no committee to the others, if these share
/// their places.
#[test]
fn identities_without_weight_take_no_place_of_a_host_that_the_draw_does_not_list() {
	run(|| {
		blocks(1);
		let (known, new) = (0..400, FIRST_NEW..FIRST_NEW + 5_000);
		let checked = checked(&[100; MAX_CHECKERS as usize], known.clone().chain(new));
		let number = checked.iter().filter(|number| known.contains(number)).count();
		assert_eq!(number, 400 / 2);
		// Some of the new hosts have one, too: 8, and as many as checkers can ask.
		assert!((600..780).contains(&(checked.len() - number)), "{}; 686 are expected", checked.len() - number);
	});
}

/// Twenty checkers of equal weight can check 1,280 hosts.
#[test]
fn identities_with_a_leaf_do_not_close_a_small_network_to_new_hosts() {
	run(|| {
		blocks(1);
		let weights = [&[1_000; 20][..], &[1; 1_000]].concat();
		let (known, new) = (0..500, FIRST_NEW..FIRST_NEW + 500);
		let checked = checked(&weights, known.clone().chain(new));
		let number = checked.iter().filter(|number| known.contains(number)).count();
		// Of those that the draw does not list, 8 new hosts and 252 known ones have a place.
		assert!((1..12).contains(&(checked.len() - number)), "{}; 4 are expected", checked.len() - number);
		assert!((95..160).contains(&number), "{number}; 126 are expected");
	});
}

#[test]
fn a_worker_key_cannot_be_registered_by_somebody_else_first() {
	run(|| {
		blocks(1);
		let (victim, worker, thief) = (key("Victim"), key("VictimWorker"), key("Thief"));
		// The thief has the worker's public key, and all signatures that were ever published.
		let registration = registration(&thief, &worker, BITS);
		let signature = sign(&thief, domain::REGISTRATION, &registration);
		let published = sign(&worker, domain::WORKER, &victim.public().0);
		let own = sign(&thief, domain::WORKER, &thief.public().0);
		for worker_signature in [published, own, signature] {
			let registration = registration.clone();
			let call = pallet_poc::Call::<Runtime>::register { registration, signature, worker_signature };
			assert_eq!(validate(&call.into()).unwrap_err(), rejected(validity::Poc::NoConsent));
		}
		register(&victim, &worker).unwrap();
		assert_eq!(Workers::<Runtime>::get(worker.public().0), Some(of(&victim)));
	});
}

#[test]
fn a_stolen_worker_key_is_replaced_at_once() {
	run(|| {
		blocks(1);
		let (host, stolen, fresh) = (key("Host"), key("Stolen"), key("Fresh"));
		register(&host, &stolen).unwrap();
		blocks(Time::THIS.schedule.segment_end(0));
		// The thief's message is in the pool when the host changes its key, in the same epoch.
		let forged = commitment(&host, &stolen, 0);
		validate(&forged).unwrap();
		register(&host, &fresh).unwrap();
		assert_eq!(validate(&forged).unwrap_err(), rejected(validity::Poc::BadSignature));
		send(commitment(&host, &fresh, 0)).unwrap().unwrap();
		assert!(!Workers::<Runtime>::contains_key(stolen.public().0));

		// Changes in one epoch get expensive, and end: nobody fills blocks with them.
		let bits: Vec<_> = (2..8)
			.map(|revision| {
				Hosts::<Runtime>::mutate(of(&host), |host| host.as_mut().unwrap().revision = revision - 1);
				Poc::registration_terms(&of(&host)).unwrap().bits
			})
			.collect();
		assert_eq!(bits, (2..8).map(|revision| BITS + 2 * revision).collect::<Vec<_>>());
		Hosts::<Runtime>::mutate(of(&host), |host| host.as_mut().unwrap().revision = 7);
		assert_eq!(Poc::registration_terms(&of(&host)), None);
	});
}

#[test]
fn an_outsider_cannot_have_the_pool_build_a_draw() {
	run(|| {
		blocks(1);
		let (host, worker) = (key("Host"), key("HostWorker"));
		register(&host, &worker).unwrap();
		for segment in 0..Time::THIS.schedule.segments {
			go_to(Time::THIS.schedule.segment_end(segment));
			send(commitment(&host, &worker, segment)).unwrap().unwrap();
		}
		go_to(Time::THIS.schedule.draw() + 1);
		// Without the worker key, in the name of a host that is no checker of that host: the signature is checked first.
		let checker = host.public().0;
		let digests = DigestCommitment { checker, epoch: 0, round: 0, hash: [1; 32] };
		let signature = sign(&key("Outsider"), domain::DIGEST, &digests);
		let digests = pallet_sprint_check::Call::<Runtime>::commit_digest { commitment: digests, signature };
		let request = OpeningRequest { checker, host: checker, epoch: 0, round: 0, positions: vec![(0, 1)] };
		let signature = sign(&key("Outsider"), domain::OPENING_REQUEST, &request);
		let request = pallet_sprint_check::Call::<Runtime>::request_openings { request, signature };
		for call in [RuntimeCall::from(digests), request.into()] {
			assert_eq!(validate(&call).unwrap_err(), rejected(validity::SprintCheck::BadSignature));
		}
	});
}

/// Stores what the market and sampled validation keep of a host that settled and was audited.
fn leave_traces(host: &AccountId) {
	use pallet_sampling_validation::{Record, Records, Suspicions, types::Suspicion};
	let windows: Vec<u32> = (0..8).collect();
	for window in &windows {
		let root = merkle_sum::SumNode::<Totals>::default();
		pallet_inference_market::Settlements::<Runtime>::insert(window, host, root);
	}
	pallet_inference_market::SettledWindows::<Runtime>::insert(host, BoundedVec::truncate_from(windows));
	Records::<Runtime>::insert(host, Record::default());
	Suspicions::<Runtime>::mutate(host, 0, |suspicion| *suspicion = Some(Suspicion::new(None)));
}

fn traces(host: &AccountId) -> usize {
	use pallet_sampling_validation::{Records, Suspicions};
	pallet_inference_market::Settlements::<Runtime>::iter_keys().filter(|(_, of)| of == host).count()
		+ pallet_inference_market::SettledWindows::<Runtime>::get(host).len()
		+ usize::from(Records::<Runtime>::contains_key(host))
		+ Suspicions::<Runtime>::iter_prefix(host).count()
}

#[test]
#[cfg_attr(not(feature = "fast-runtime"), ignore = "epochs take thousands of blocks with mainnet's times")]
fn identities_that_come_and_go_leave_nothing_behind() {
	run(|| {
		blocks(1);
		identities(0..20, 0);
		let hosts: Vec<_> = Hosts::<Runtime>::iter_keys().collect();
		hosts.iter().for_each(leave_traces);
		assert!(hosts.iter().all(|host| traces(host) == 18));
		blocks(9 * Time::THIS.schedule.length);
		assert_eq!(Hosts::<Runtime>::count(), 0);
		assert!(hosts.iter().all(|host| traces(host) == 0));
		assert!(Expired::<Runtime>::iter().next().is_none());
	});
}

#[test]
#[cfg_attr(not(feature = "fast-runtime"), ignore = "epochs take thousands of blocks with mainnet's times")]
fn a_convicted_host_cannot_have_its_record_forgotten_before_the_developers_have_their_fees() {
	run(|| {
		blocks(1);
		identities(0..1, 0);
		let host = Hosts::<Runtime>::iter_keys().next().unwrap();
		leave_traces(&host);
		// Its fees are held, by which nobody but the list of windows keeps it from settling the window again.
		let fee = pallet_inference_market::HeldFee { channel: 0, developer: account(Bob), amount: GNK };
		let held =
			pallet_inference_market::Held { since: 1, due: 3, charge: 0, fees: BoundedVec::truncate_from(vec![fee]) };
		pallet_inference_market::HeldFees::<Runtime>::insert(&host, 0, held);
		let removed = <Runtime as pallet_poc::Config>::OnHostRemoved::is_done;
		assert!(!removed(&host));
		pallet_inference_market::HeldFees::<Runtime>::remove(&host, 0);
		assert!(removed(&host));
		// And while it is muted, its record stays.
		let until = 12;
		pallet_sampling_validation::Records::<Runtime>::mutate(&host, |record| {
			record.as_mut().unwrap().muted = Some(until);
		});
		assert!(!removed(&host));
		blocks(9 * Time::THIS.schedule.length);
		assert!(!Hosts::<Runtime>::contains_key(&host) && traces(&host) == 18);
		assert!(Expired::<Runtime>::contains_key(&host));
		let rest = until + 1 - CurrentEpoch::<Runtime>::get().unwrap().index;
		blocks(rest * Time::THIS.schedule.length + 1);
		assert!(traces(&host) == 0 && !Expired::<Runtime>::contains_key(&host));
	});
}

#[test]
#[cfg_attr(not(feature = "fast-runtime"), ignore = "epochs take thousands of blocks with mainnet's times")]
fn a_host_with_weight_is_not_pushed_out_by_identities() {
	run(|| {
		blocks(1);
		weigh(&[(Alice, 5_000)]);
		let host = Host { worker: Alice.public().0, ..Default::default() };
		Workers::<Runtime>::insert(host.worker, account(Alice));
		Hosts::<Runtime>::insert(account(Alice), host);
		identities(1..MAX, 0);
		blocks(Time::THIS.schedule.length + Time::THIS.schedule.work_start());
		// It was offline for the sprint of epoch 1.
		assert!(Hosts::<Runtime>::contains_key(account(Alice)));
		assert!(Hosts::<Runtime>::count() < MAX);
	});
}
