//! Attacks by free transactions, fees and prices.

use super::{send, validate};
use crate::{
	configs::{
		money::{AdaptiveFees, LengthToFee},
		parameters::{RuntimeParameters, dynamic::market},
		system::{RuntimeBlockLength, RuntimeBlockWeights},
	},
	tests::chain::*,
	*,
};
use codec::Encode;
use frame_support::{
	BoundedVec, assert_ok,
	dispatch::{DispatchClass, DispatchInfo, GetDispatchInfo},
	traits::OnFinalize,
	weights::{Weight, WeightToFee},
};
use gonka_primitives::{
	ModelId,
	hashing::{domain, signing_payload},
	host::{Commitment, Registration, SegmentCommitment},
	market::{Price, SETTLEABLE_WINDOWS, Settlement, SignedVoucher, Totals, Voucher},
	merkle_sum::SumNode,
	validity::InferenceMarket as ValidityError,
};
use gonka_runtime_common::{EXISTENTIAL_DEPOSIT, MIN_WORK, Time};
use pallet_inference_market::{Event, Models, PriceRule, WindowWork};
use pallet_transaction_payment::{ChargeTransactionPayment, Multiplier, MultiplierUpdate, NextFeeMultiplier};
use sp_core::{Pair, sr25519};
use sp_keyring::Sr25519Keyring::{self, Alice, Bob, Charlie, Dave};
use sp_runtime::{
	FixedPointNumber,
	traits::{Convert, One},
	transaction_validity::{InvalidTransaction, TransactionPriority, TransactionValidityError},
};

const ALL_MONEY: Balance = gonka_primitives::TOTAL_SUPPLY;
/// The lowest priority of free transactions with a deadline.
const PRIORITY: TransactionPriority = TransactionPriority::MAX / 2;

fn sign(key: Sr25519Keyring, domain: &[u8], body: &impl Encode) -> [u8; 64] {
	key.pair().sign(&signing_payload(domain, &Poc::genesis_hash(), body)).0
}

/// Adds a host to the registry, which is its own worker.
fn register(host: Sr25519Keyring, models: &[ModelId]) {
	let worker = host.public().0;
	let models = BoundedVec::truncate_from(models.to_vec());
	let entry = pallet_poc::Host { worker, url: Default::default(), models, ..Default::default() };
	pallet_poc::Workers::<Runtime>::insert(worker, account(host));
	pallet_poc::Hosts::<Runtime>::insert(account(host), entry);
}

/// Opens `count` channels of one account, which is also their gateway for the first one. Returns the first id.
fn open(developer: Sr25519Keyring, host: Sr25519Keyring, count: u8, deposit: Balance) -> u64 {
	let first = pallet_inference_market::NextChannelId::<Runtime>::get();
	for number in 0..count {
		let channels = BoundedVec::truncate_from(vec![(account(host), deposit)]);
		let gateway = gateway(number).public().0;
		assert_ok!(InferenceMarket::open_channels(RuntimeOrigin::signed(account(developer)), gateway, channels));
	}
	first
}

fn gateway(number: u8) -> sp_core::sr25519::Pair {
	sp_core::sr25519::Pair::from_seed(&[number; 32])
}

/// A settlement of the window, signed by everybody who must, in which each channel grows by `growth`.
fn settlement(
	host: Sr25519Keyring,
	window: u32,
	channels: impl IntoIterator<Item = u64>,
	model: ModelId,
	growth: Totals,
) -> RuntimeCall {
	let mut sum = Totals::default();
	let vouchers: Vec<_> = (0..)
		.zip(channels)
		.map(|(number, channel)| {
			let settled = InferenceMarket::channel(channel).unwrap().settled;
			let voucher = Voucher { channel, totals: settled.checked_add(&growth).unwrap() };
			sum = sum.checked_add(&growth).unwrap();
			let payload = signing_payload(domain::VOUCHER, &Poc::genesis_hash(), &voucher);
			SignedVoucher { voucher, signature: gateway(number).sign(&payload).0 }
		})
		.collect();
	let (root, work) = (SumNode { hash: [7; 32], sum }, vec![(model, sum.work)]);
	let settlement = Settlement { host: host.public().0, window, root, work, vouchers };
	let signature = sign(host, domain::SETTLEMENT, &settlement);
	pallet_inference_market::Call::settle { settlement, signature }.into()
}

fn refused<T>(code: ValidityError) -> Result<T, TransactionValidityError> {
	Err(InvalidTransaction::Custom(code.into()).into())
}

/// The window that ended last, for the block after this one, in which the pool validates.
fn ended() -> u32 {
	(System::block_number() + 1) / Time::THIS.window - 1
}

/// Runs to the second block of the next window.
fn next_window() {
	let length = Time::THIS.window;
	blocks((System::block_number() / length + 1) * length + 1 - System::block_number());
}

fn unpaid(work: u64) -> Totals {
	Totals { fee: 0, work, receipts: 1 }
}

#[test]
fn windows_replayed_from_the_past_get_no_block_space() {
	run(|| {
		register(Alice, &[0]);
		let channel = open(Alice, Alice, 1, GNK);
		blocks(20 * Time::THIS.window);
		let last = ended();
		for window in 0..=last {
			let call = settlement(Alice, window, [channel], 0, unpaid(1));
			if last - window < SETTLEABLE_WINDOWS {
				assert_ok!(send(call).unwrap());
			} else {
				assert_eq!(validate(&call), refused(ValidityError::WindowTooOld), "window {window}");
			}
		}
	});
}

#[test]
fn settlements_without_fees_between_ones_own_accounts_pay_for_their_space() {
	run(|| {
		register(Alice, &[0]);
		let first = open(Alice, Alice, 64, GNK);
		next_window();
		let call = settlement(Alice, ended(), first..first + 64, 0, unpaid(1));
		let (issued, before) = (Balances::total_issuance(), Balances::free_balance(account(Alice)));
		assert_ok!(send(call.clone()).unwrap());
		let paid = before - Balances::free_balance(account(Alice));
		assert_eq!(Balances::total_issuance(), issued - paid, "it is burnt");
		// As much as somebody who signs a transaction of this size and weight.
		let info = DispatchInfo { pays_fee: Default::default(), ..call.get_dispatch_info() };
		let weight = info.call_weight.saturating_add(frame_support::traits::Authorize::weight_of_authorize(&call));
		let info = DispatchInfo { call_weight: weight, ..info };
		let signed = TransactionPayment::compute_fee(call.encoded_size() as u32, &info, 0);
		assert!(paid.abs_diff(signed) < signed / 100, "{paid} instead of {signed} base units");
		assert!(paid > 8_000_000, "0.008 GNK for 64 vouchers: {paid}");
	});
}

#[test]
fn a_settlement_that_nobody_pays_for_is_refused() {
	run(|| {
		register(Alice, &[0]);
		let channel = open(Dave, Alice, 1, GNK);
		let rest = Balances::free_balance(account(Alice)) - EXISTENTIAL_DEPOSIT;
		assert_ok!(Balances::transfer_keep_alive(RuntimeOrigin::signed(account(Alice)), account(Bob).into(), rest));
		next_window();
		let price = InferenceMarket::settlement_fee(1, 1);
		let with = |fee| settlement(Alice, ended(), [channel], 0, Totals { fee, work: 10, receipts: 1 });
		assert_eq!(validate(&with(0)), refused(ValidityError::FeeNotCovered));
		assert_eq!(validate(&with(price - 1)), refused(ValidityError::FeeNotCovered));
		// A poor host settles out of what it has earned.
		assert_ok!(send(with(price + 7)).unwrap());
		(0..3).for_each(|_| next_window());
		assert_eq!(Balances::free_balance(account(Alice)), EXISTENTIAL_DEPOSIT + 7);
		let burnt = System::events()
			.into_iter()
			.any(|record| record.event == Event::Charged { host: account(Alice), window: 0, amount: price }.into());
		assert!(burnt);
	});
}

#[test]
fn invented_work_of_a_host_without_weight_is_not_settled_for_nothing_in_the_free_period() {
	run(|| {
		let free = RuntimeParameters::Market(market::Parameters::FreeEpochs(market::FreeEpochs, Some(1_000)));
		blocks(1);
		assert_ok!(Amendments::amend(RuntimeOrigin::root(), free));
		blocks(Time::THIS.schedule.length);
		assert!(InferenceMarket::models().iter().all(|model| model.price == Price::default()));
		for host in [Alice, Bob] {
			register(host, &[0]);
		}
		let (of_alice, of_bob) = (open(Dave, Alice, 1, GNK), open(Dave, Bob, 1, GNK));
		next_window();
		weigh(&[(Alice, 100)]);
		let settle = |host, channel| settlement(host, ended(), [channel], 0, unpaid(1_000));
		// Bob has no weight: he pays. Alice has weight, and her work is audited.
		let money = |host| Balances::free_balance(account(host));
		let (alice, bob) = (money(Alice), money(Bob));
		assert_ok!(send(settle(Alice, of_alice)).unwrap());
		assert_ok!(send(settle(Bob, of_bob)).unwrap());
		assert_eq!((money(Alice), money(Bob)), (alice, bob - InferenceMarket::settlement_fee(1, 1)));
		// Nobody audits a model without a profile.
		assert_ok!(SamplingValidation::set_profile(RuntimeOrigin::root(), 0, None));
		next_window();
		weigh(&[(Alice, 100)]);
		let alice = money(Alice);
		assert_ok!(send(settle(Alice, of_alice)).unwrap());
		assert_eq!(money(Alice), alice - InferenceMarket::settlement_fee(1, 1));
	});
}

fn commitment(host: Sr25519Keyring) -> RuntimeCall {
	let epoch = Poc::running_epoch().unwrap().index;
	let commitment = Commitment { count: 10, root: [1; 32] };
	let commitment = SegmentCommitment { host: host.public().0, epoch, segment: 0, commitment };
	let signature = sign(host, domain::COMMITMENT, &commitment);
	pallet_poc::Call::commit { commitment, signature }.into()
}

fn registration(host: Sr25519Keyring, more_bits: u32) -> RuntimeCall {
	let worker_key = sr25519::Pair::from_seed(&[host as u8 + 1; 32]);
	let (host_id, worker) = (host.public().0, worker_key.public().0);
	let (url, models) = (b"http://host".to_vec(), vec![0]);
	let epoch = Poc::running_epoch().unwrap().index;
	let registration = Registration { host: host_id, worker, url, models, epoch, revision: 0, work: 0 };
	let registration = registration.solve(&Poc::genesis_hash(), Time::THIS.registration_bits + more_bits);
	let signature = sign(host, domain::REGISTRATION, &registration);
	let worker_signature = worker_key.sign(&signing_payload(domain::WORKER, &Poc::genesis_hash(), &host_id)).0;
	pallet_poc::Call::register { registration, signature, worker_signature }.into()
}

fn priority(call: &RuntimeCall) -> TransactionPriority {
	validate(call).unwrap().priority
}

/// The priority of each of `count` equal transactions that fill a block together and pay all the money there is as tips.
fn richest(call: &RuntimeCall, count: u64, room: u32) -> TransactionPriority {
	let info = call.get_dispatch_info();
	let (length, tip) = ((room / count as u32).max(100) as usize, ALL_MONEY / Balance::from(count));
	let fee = TransactionPayment::compute_fee(length as u32, &info, tip);
	ChargeTransactionPayment::<Runtime>::get_priority(&info, length, tip, fee)
}

#[test]
fn sixteen_blocks_of_remarks_keep_no_commitment_out_whatever_tips_they_pay() {
	run(|| {
		let schedule = Time::THIS.schedule;
		// The pool validates in the next block: the first after the first segment.
		blocks(schedule.init + schedule.segment);
		register(Alice, &[0]);
		let commitment = priority(&commitment(Alice));
		assert!(commitment >= PRIORITY, "a host without weight, too");
		let (weights, lengths) = (RuntimeBlockWeights::get(), RuntimeBlockLength::get());
		let remark: RuntimeCall = frame_system::Call::remark { remark: vec![] }.into();
		// A call that fails, of the class for which blocks reserve room.
		let operational: RuntimeCall = frame_system::Call::set_heap_pages { pages: 1 }.into();
		for call in [remark, operational] {
			let class = call.get_dispatch_info().class;
			let limit = weights.get(class);
			let most = limit.max_total.unwrap().ref_time() / limit.base_extrinsic.ref_time();
			for count in (0..).map(|power| 1 << power).take_while(|count| *count < most).chain([most]) {
				let tipped = richest(&call, count, *lengths.max.get(class));
				assert!(tipped < commitment, "{count} {class:?} transactions of a block: {tipped}");
			}
		}
	});
}

#[test]
fn hosts_without_weight_come_after_those_with_weight() {
	run(|| {
		let schedule = Time::THIS.schedule;
		blocks(schedule.init + schedule.segment);
		weigh(&[(Alice, 400), (Bob, 100)]);
		for host in [Alice, Bob, Charlie] {
			register(host, &[0]);
		}
		let [alice, bob, charlie] = [Alice, Bob, Charlie].map(|host| priority(&commitment(host)));
		assert_eq!([alice, bob, charlie], [PRIORITY + 400, PRIORITY + 100, PRIORITY]);
	});
}

#[test]
fn a_registration_outbids_remarks_by_work_and_hosts_with_weight_need_none() {
	run(|| {
		blocks(1);
		weigh(&[(Alice, 400)]);
		let remark: RuntimeCall = frame_system::Call::remark { remark: vec![] }.into();
		let tipped = |tip| {
			let info = remark.get_dispatch_info();
			ChargeTransactionPayment::<Runtime>::get_priority(&info, 100, tip, 0)
		};
		let [alice, bob] = [Alice, Bob].map(|host| priority(&registration(host, 0)));
		assert!(alice > tipped(1_000_000 * GNK) / 1_000 && alice < PRIORITY, "below what has a deadline");
		assert!(bob < alice);
		let harder = priority(&registration(Bob, 4));
		assert!(harder >= 16 * (1 << Time::THIS.registration_bits));
		// Registrations alone keep nobody out who pays a tip, which a flood of them would have to outbid by work.
		assert!(bob < tipped(GNK / 1_000));
	});
}

/// Ends a block that is as full as said.
fn end_block(class: DispatchClass, weight: u64, length: u32) {
	System::set_block_consumed_resources(Weight::zero(), length as usize);
	if weight > 0 {
		System::register_extra_weight_unchecked(Weight::from_parts(weight, 0), class);
	}
	TransactionPayment::on_finalize(System::block_number());
}

#[test]
fn blocks_full_of_remarks_become_expensive() {
	run(|| {
		blocks(1);
		let fee = || {
			let info: DispatchInfo =
				frame_system::Call::<Runtime>::remark { remark: vec![0; 1_000_000] }.get_dispatch_info();
			TransactionPayment::compute_fee(1_000_000, &info, 0)
		};
		let lowest = fee();
		let length = *RuntimeBlockLength::get().max.get(DispatchClass::Normal);
		// By length, with hardly any computation: a multiplier of the weight's fee alone would not see it.
		(0..16).for_each(|_| end_block(DispatchClass::Normal, 0, length));
		assert!(fee() > lowest * 125 / 100, "16 blocks: {} instead of {lowest}", fee());
		(16..600).for_each(|_| end_block(DispatchClass::Normal, 0, length));
		assert!(fee() > 7_000 * lowest, "an hour of mainnet: {} instead of {lowest}", fee());
		// The price comes down by itself, and settlements have kept theirs.
		(0..2_000).for_each(|_| end_block(DispatchClass::Normal, 0, 0));
		assert_eq!(fee(), lowest);
	});
}

#[test]
fn blocks_full_of_computation_or_of_failing_operational_calls_become_expensive_too() {
	let room = RuntimeBlockWeights::get().get(DispatchClass::Normal).max_total.unwrap().ref_time();
	for class in [DispatchClass::Normal, DispatchClass::Operational] {
		run(|| {
			blocks(1);
			let price = InferenceMarket::settlement_fee(1, 1);
			end_block(class, room / 4, 0);
			assert_eq!(NextFeeMultiplier::<Runtime>::get(), Multiplier::one(), "fees rest at the target");
			(0..16).for_each(|_| end_block(class, room, 0));
			assert!(NextFeeMultiplier::<Runtime>::get() > Multiplier::from_rational(125, 100));
			(0..2_000).for_each(|_| end_block(class, room, 0));
			assert_eq!(NextFeeMultiplier::<Runtime>::get(), AdaptiveFees::max());
			assert_eq!(InferenceMarket::settlement_fee(1, 1), price, "nobody prices hosts out of settling");
			let bytes = LengthToFee::weight_to_fee(&Weight::from_parts(7, 0));
			assert_eq!(bytes, AdaptiveFees::max().saturating_mul_int(700u128));
			assert!(AdaptiveFees::convert(AdaptiveFees::max()) <= AdaptiveFees::max());
		});
	}
}

/// A price that use moves, and a host that serves model 0 with a channel of its own.
fn own_channel() -> u64 {
	let price = InferenceMarket::models()[0].price;
	let rule = PriceRule { capacity: 1_000_000, min: price, ..Default::default() };
	assert_ok!(InferenceMarket::set_price_rule(RuntimeOrigin::root(), 0, rule));
	register(Alice, &[0]);
	open(Alice, Alice, 1, 1_000 * GNK)
}

fn price() -> Balance {
	Models::<Runtime>::get(0).unwrap().price.input
}

#[test]
fn a_price_that_unpaid_work_would_raise_stays() {
	run(|| {
		end_free_period();
		let (channel, before) = (own_channel(), price());
		next_window();
		assert_ok!(send(settlement(Alice, ended(), [channel], 0, unpaid(u64::MAX / 2))).unwrap());
		assert_eq!(WindowWork::<Runtime>::iter().count(), 0);
		next_window();
		assert_eq!(price(), before);
		// A thousandth of the price counts a thousandth: far from the use that raises it.
		let little = Totals { fee: before * 1_000, work: 1_000_000, receipts: 1 };
		assert_ok!(send(settlement(Alice, ended(), [channel], 0, little)).unwrap());
		assert_eq!(WindowWork::<Runtime>::get(0), 1_000);
		next_window();
		assert_eq!(price(), before);
		let paid = Totals { fee: before * 1_000_000, work: 1_000_000, receipts: 1 };
		assert_ok!(send(settlement(Alice, ended(), [channel], 0, paid)).unwrap());
		next_window();
		assert_eq!(price(), before * 102 / 100, "paid work raises it");
	});
}

#[test]
fn paid_work_of_a_model_without_a_profile_or_not_declared_moves_no_price() {
	run(|| {
		end_free_period();
		let channel = own_channel();
		let paid = Totals { fee: price() * 1_000_000, work: 1_000_000, receipts: 1 };
		let settle = || {
			next_window();
			assert_ok!(send(settlement(Alice, ended(), [channel], 0, paid)).unwrap());
			WindowWork::<Runtime>::get(0)
		};
		let profile = SamplingValidation::profile(0);
		assert_ok!(SamplingValidation::set_profile(RuntimeOrigin::root(), 0, None));
		assert_eq!(settle(), 0);
		assert_ok!(SamplingValidation::set_profile(RuntimeOrigin::root(), 0, profile));
		register(Alice, &[]);
		assert_eq!(settle(), 0);
		register(Alice, &[0]);
		assert_eq!(settle(), 1_000_000);
	});
}

/// Charlie's pay, after Alice and Bob settled as much invented work as hosts of their weight do in a day.
fn pay_of_an_honest_host_beside(growth: Totals, before: impl FnOnce()) -> u64 {
	let mut pay = 0;
	run(|| {
		end_free_period();
		weigh(&[(Alice, 400), (Bob, 300), (Charlie, 300)]);
		for host in [Alice, Bob, Charlie] {
			register(host, &[0]);
		}
		let channels = [Alice, Bob].map(|host| (host, open(Dave, host, 1, 100 * GNK)));
		next_window();
		weigh(&[(Alice, 400), (Bob, 300), (Charlie, 300)]);
		before();
		for (host, channel) in channels {
			assert_ok!(send(settlement(host, ended(), [channel], 0, growth)).unwrap());
		}
		pay = paid()[&account(Charlie)];
	});
	pay
}

#[test]
fn unpaid_work_takes_no_pay_from_hosts_that_invent_none() {
	let work = 4 * MIN_WORK;
	let paid = Totals { fee: Balance::from(work) * 1_000, work, receipts: 1 };
	assert_eq!(pay_of_an_honest_host_beside(paid, || ()), 0, "real work does");
	assert_eq!(pay_of_an_honest_host_beside(unpaid(work), || ()), 300);
}

#[test]
fn work_of_a_retired_model_takes_no_pay_from_others() {
	let work = 4 * MIN_WORK;
	let paid = Totals { fee: Balance::from(work) * 1_000, work, receipts: 1 };
	let retire = || InferenceMarket::retire_model(RuntimeOrigin::root(), 0).unwrap();
	assert_eq!(pay_of_an_honest_host_beside(paid, retire), 300);
}
