//! A window's settlement: what makes it valid, and what it does.
//!
//! It carries no fee, so everything that could be wrong with it is looked at before it gets into a block, in the order of cost:
//! lengths, window and order; the worker's signature; channels and sums; the gateways' signatures.

use crate::*;
use alloc::vec::Vec;
use codec::Encode;
use frame_support::{ensure, pallet_prelude::*, traits::Get};
use gonka_primitives::{
	BlockNumber, Hash, PublicKey, Signature,
	hashing::{domain, signing_payload},
	market::{Settlement, Totals, Voucher},
	traits::{OnServed, OnSettled},
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

	/// Notes what is settled and holds the fees. Only what `authorize_settle` let through gets here.
	pub(crate) fn apply_settlement(settlement: &Settlement) -> DispatchResult {
		let host = T::AccountId::from(settlement.host);
		let claims = Self::check_claims(settlement).map_err(|_| Error::<T>::InvalidSettlement)?;
		let mut fees = Vec::with_capacity(claims.len());
		for Claim { mut channel, voucher, growth } in claims {
			if growth.fee > 0 {
				let developer = channel.developer.clone();
				fees.push(HeldFee { channel: voucher.channel, developer, amount: growth.fee });
			}
			channel.settled = voucher.totals;
			Channels::<T>::insert(voucher.channel, channel);
		}
		Self::hold_fees(&host, settlement.window, fees)?;
		Self::count_work(&settlement.work);
		T::OnServed::on_served(&host, settlement.root.sum.work);
		T::OnSettled::on_settled(&host, settlement.window, &settlement.root, &settlement.work);
		Self::keep_settlement(settlement, &host)?;
		Self::deposit_event(Event::Settled { host, window: settlement.window, totals: settlement.root.sum });
		Ok(())
	}

	fn check_form(settlement: &Settlement) -> Result<(), Refusal> {
		let vouchers = &settlement.vouchers;
		ensure!(!vouchers.is_empty(), Refusal::NoVouchers);
		ensure!(vouchers.len() <= T::MaxVouchers::get() as usize, Refusal::TooManyVouchers);
		ensure!(settlement.window < Self::running(), Refusal::WindowNotEnded);
		let ascending = vouchers.is_sorted_by(|a, b| a.voucher.channel < b.voucher.channel);
		ensure!(ascending, Refusal::VouchersNotAscending);
		let last = SettledWindows::<T>::get(T::AccountId::from(settlement.host)).last().copied();
		ensure!(last.is_none_or(|last| settlement.window > last), Refusal::WindowSettled);
		Self::check_work(settlement)
	}

	/// Which model did which work is the host's word; only the sum is backed by vouchers.
	fn check_work(settlement: &Settlement) -> Result<(), Refusal> {
		let work = &settlement.work;
		ensure!(work.len() <= MAX_MODELS_PER_HOST as usize, Refusal::TooManyModels);
		let ascending = work.is_sorted_by(|a, b| a.0 < b.0) && work.iter().all(|(_, work)| *work > 0);
		ensure!(ascending, Refusal::WorkNotAscending);
		let sum = work.iter().try_fold(0u64, |sum, (_, work)| sum.checked_add(*work));
		ensure!(sum == Some(settlement.root.sum.work), Refusal::WorkMismatch);
		let next = NextModelId::<T>::get();
		ensure!(work.iter().all(|(model, _)| *model < next), Refusal::UnknownModel);
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
