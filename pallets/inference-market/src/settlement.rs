//! A window's settlement: what makes it valid, and what it does.
//!
//! It carries no fee, so everything that could be wrong with it is looked at before it gets into a block, in the order of cost:
//! lengths, window and order; the worker's signature; channels and sums; the gateways' signatures.

use crate::*;
use alloc::vec::Vec;
use codec::Encode;
use frame_support::{
	ensure,
	pallet_prelude::*,
	traits::{
		fungible::{
			Inspect, Unbalanced,
			hold::{Mutate as _, Unbalanced as _},
		},
		tokens::{DepositConsequence, Precision, Provenance},
	},
};
use gonka_primitives::{
	BlockNumber, Hash, PublicKey, Signature,
	hashing::{domain, signing_payload},
	market::{Settlement, Totals, Voucher},
};
use sp_core::sr25519;
use sp_runtime::SaturatedConversion;

/// Above every transaction that pays: else whoever fills blocks until a channel's challenge period is over keeps the host's money.
/// A host has one settlement a window.
const PRIORITY: TransactionPriority = TransactionPriority::MAX / 2;

/// A voucher whose channel was found, and what it adds.
struct Claim<AccountId> {
	channel: Channel<AccountId>,
	voucher: Voucher,
	growth: Totals,
}

impl<T: Config> Pallet<T> {
	/// The block's number as the wire has it.
	pub(crate) fn now() -> BlockNumber {
		frame_system::Pallet::<T>::block_number().saturated_into()
	}

	pub(crate) fn authorize_settle(settlement: &Settlement, signature: &Signature) -> TransactionValidityWithRefund {
		Self::check_form(settlement)?;
		Self::check_worker_signature(settlement, signature)?;
		let claims = Self::check_claims(settlement)?;
		Self::check_gateway_signatures(settlement, &claims)?;
		let validity = ValidTransaction::with_tag_prefix("gonka-settlement")
			.and_provides((settlement.host, settlement.window))
			.priority(PRIORITY)
			.longevity(T::WindowLength::get().into())
			.propagate(true)
			.build()?;
		Ok((validity, Weight::zero()))
	}

	/// Pays the host and notes what is settled. Only what `authorize_settle` let through gets here.
	pub(crate) fn apply_settlement(settlement: &Settlement) -> DispatchResult {
		let host = T::AccountId::from(settlement.host);
		let claims = Self::check_claims(settlement).map_err(|_| Error::<T>::InvalidSettlement)?;
		let reason = HoldReason::ChannelDeposit.into();
		for Claim { mut channel, voucher, growth } in claims {
			if growth.fee > 0 {
				T::Currency::decrease_balance_on_hold(&reason, &channel.developer, growth.fee, Precision::Exact)?;
				T::Currency::done_transfer_on_hold(&reason, &channel.developer, &host, growth.fee);
			}
			channel.settled = voucher.totals;
			Channels::<T>::insert(voucher.channel, channel);
		}
		// One deposit instead of one per channel: an account that does not exist yet can take the sum, but not always each part.
		let fees = settlement.root.sum.fee;
		if fees > 0 {
			T::Currency::increase_balance(&host, fees, Precision::Exact)?;
		}
		Self::keep_settlement(settlement, &host)?;
		Self::deposit_event(Event::Settled { host, window: settlement.window, totals: settlement.root.sum });
		Ok(())
	}

	fn check_form(settlement: &Settlement) -> Result<(), Refusal> {
		let vouchers = &settlement.vouchers;
		ensure!(!vouchers.is_empty(), Refusal::NoVouchers);
		ensure!(vouchers.len() <= T::MaxVouchers::get() as usize, Refusal::TooManyVouchers);
		let running = Self::now().checked_div(T::WindowLength::get()).unwrap_or_default();
		ensure!(settlement.window < running, Refusal::WindowNotEnded);
		let ascending = vouchers.is_sorted_by(|a, b| a.voucher.channel < b.voucher.channel);
		ensure!(ascending, Refusal::VouchersNotAscending);
		let last = SettledWindows::<T>::get(T::AccountId::from(settlement.host)).last().copied();
		ensure!(last.is_none_or(|last| settlement.window > last), Refusal::WindowSettled);
		Ok(())
	}

	fn check_worker_signature(settlement: &Settlement, signature: &Signature) -> Result<(), Refusal> {
		let host = T::AccountId::from(settlement.host);
		let worker = T::Hosts::worker(&host).ok_or(Refusal::HostNotRegistered)?;
		ensure!(Self::is_signed(domain::SETTLEMENT, settlement, signature, &worker), Refusal::BadWorkerSignature);
		Ok(())
	}

	fn check_claims(settlement: &Settlement) -> Result<Vec<Claim<T::AccountId>>, Refusal> {
		let host = T::AccountId::from(settlement.host);
		let mut sum = Totals::default();
		let mut claims = Vec::with_capacity(settlement.vouchers.len());
		for signed in &settlement.vouchers {
			let voucher = signed.voucher;
			let channel = Channels::<T>::get(voucher.channel).ok_or(Refusal::ChannelNotFound)?;
			ensure!(channel.host == host, Refusal::ForeignChannel);
			let growth = channel.growth(&voucher.totals)?;
			sum = sum.checked_add(&growth).ok_or(Refusal::SumMismatch)?;
			claims.push(Claim { channel, voucher, growth });
		}
		ensure!(sum == settlement.root.sum, Refusal::SumMismatch);
		ensure!(Self::can_receive(&host, sum.fee), Refusal::HostCannotReceive);
		Ok(claims)
	}

	fn check_gateway_signatures(settlement: &Settlement, claims: &[Claim<T::AccountId>]) -> Result<(), Refusal> {
		let mut signed = settlement.vouchers.iter().zip(claims);
		let all = signed.all(|(signed, claim)| {
			Self::is_signed(domain::VOUCHER, &signed.voucher, &signed.signature, &claim.channel.gateway)
		});
		ensure!(all, Refusal::BadGatewaySignature);
		Ok(())
	}

	/// Whether `increase_balance` will succeed.
	fn can_receive(host: &T::AccountId, amount: Balance) -> bool {
		let free = T::Currency::balance(host);
		amount == 0
			|| (free.saturating_add(amount) >= T::Currency::minimum_balance()
				&& T::Currency::can_deposit(host, amount, Provenance::Extant) == DepositConsequence::Success)
	}

	/// Stores the root and drops the host's oldest, so that it never has more than `KeptSettlements`.
	fn keep_settlement(settlement: &Settlement, host: &T::AccountId) -> DispatchResult {
		SettledWindows::<T>::try_mutate(host, |windows| {
			if windows.is_full() && !windows.is_empty() {
				Settlements::<T>::remove(windows.remove(0), host);
			}
			windows.try_push(settlement.window).map_err(|_| Error::<T>::LimitExceeded)?;
			Settlements::<T>::insert(settlement.window, host, settlement.root);
			Ok(())
		})
	}

	fn is_signed(domain: &[u8], body: &impl Encode, signature: &Signature, key: &PublicKey) -> bool {
		let payload: Hash = signing_payload(domain, &T::Genesis::get(), body);
		sp_io::crypto::sr25519_verify(
			&sr25519::Signature::from_raw(*signature),
			&payload,
			&sr25519::Public::from_raw(*key),
		)
	}
}
