//! Settlements: the checks in the transaction pool, and the effects.
//!
//! A settlement carries no fee, so everything that could be wrong with it is checked before it gets into a block, in the
//! order of cost: lengths, window and order; the worker's signature; channels and sums; the gateways' signatures.

use crate::*;
use alloc::vec::Vec;
use frame_support::{ensure, pallet_prelude::*, traits::Get};
use gonka_pallet_support::pool::{is_signed, urgent};
use gonka_primitives::{
	BlockNumber, Signature,
	hashing::domain,
	market::{Settlement, Totals, Voucher},
	traits::{OnServed, OnSettlement},
};
use sp_runtime::SaturatedConversion;

/// A voucher with its channel, and what it adds to the channel's settled totals.
struct CheckedVoucher<AccountId> {
	channel: Channel<AccountId>,
	voucher: Voucher,
	growth: Totals,
}

impl<T: Config> Pallet<T> {
	/// The block's number as messages carry it.
	pub(crate) fn now() -> BlockNumber {
		frame_system::Pallet::<T>::block_number().saturated_into()
	}

	pub(crate) fn validate_settle(
		settlement: &Settlement,
		signature: &Signature,
	) -> Result<ValidTransaction, ValidityError> {
		Self::check_form(settlement)?;
		Self::check_worker_signature(settlement, signature)?;
		let vouchers = Self::check_vouchers(settlement)?;
		Self::check_gateway_signatures(settlement, &vouchers)?;
		Ok(urgent("gonka/settlement", [(settlement.host, settlement.window)], T::WindowLength::get()))
	}

	/// Stores a settlement that `validate_settle` accepted, and holds its fees.
	pub(crate) fn apply_settlement(settlement: &Settlement) -> DispatchResult {
		let host = T::AccountId::from(settlement.host);
		let vouchers = Self::check_vouchers(settlement).map_err(|_| Error::<T>::InvalidSettlement)?;
		let mut fees = Vec::with_capacity(vouchers.len());
		for CheckedVoucher { mut channel, voucher, growth } in vouchers {
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
		T::OnSettlement::on_settlement(&host, settlement.window, &settlement.root, &settlement.work);
		Self::keep_settlement(settlement, &host)?;
		Self::deposit_event(Event::Settled { host, window: settlement.window, totals: settlement.root.sum });
		Ok(())
	}

	fn check_form(settlement: &Settlement) -> Result<(), ValidityError> {
		let vouchers = &settlement.vouchers;
		ensure!(!vouchers.is_empty(), ValidityError::NoVouchers);
		ensure!(vouchers.len() <= T::MaxVouchers::get() as usize, ValidityError::TooManyVouchers);
		ensure!(settlement.window < Self::running(), ValidityError::WindowNotEnded);
		let ascending = vouchers.is_sorted_by(|a, b| a.voucher.channel < b.voucher.channel);
		ensure!(ascending, ValidityError::VouchersNotAscending);
		let last = SettledWindows::<T>::get(T::AccountId::from(settlement.host)).last().copied();
		ensure!(last.is_none_or(|last| settlement.window > last), ValidityError::WindowSettled);
		Self::check_work(settlement)
	}

	/// Checks the form of the work by model and that it sums to the root's. The split itself is the host's statement.
	fn check_work(settlement: &Settlement) -> Result<(), ValidityError> {
		let work = &settlement.work;
		ensure!(work.len() <= MAX_MODELS_PER_HOST as usize, ValidityError::TooManyModels);
		let ascending = work.is_sorted_by(|a, b| a.0 < b.0) && work.iter().all(|(_, work)| *work > 0);
		ensure!(ascending, ValidityError::WorkNotAscending);
		let sum = work.iter().try_fold(0u64, |sum, (_, work)| sum.checked_add(*work));
		ensure!(sum == Some(settlement.root.sum.work), ValidityError::WorkMismatch);
		let next = NextModelId::<T>::get();
		ensure!(work.iter().all(|(model, _)| *model < next), ValidityError::UnknownModel);
		Ok(())
	}

	fn check_worker_signature(settlement: &Settlement, signature: &Signature) -> Result<(), ValidityError> {
		let host = T::AccountId::from(settlement.host);
		let worker = T::Hosts::worker(&host).ok_or(ValidityError::HostNotRegistered)?;
		let signed = is_signed(&T::Genesis::get(), &worker, domain::SETTLEMENT, settlement, signature);
		ensure!(signed, ValidityError::BadWorkerSignature);
		Ok(())
	}

	fn check_vouchers(settlement: &Settlement) -> Result<Vec<CheckedVoucher<T::AccountId>>, ValidityError> {
		let host = T::AccountId::from(settlement.host);
		let mut sum = Totals::default();
		let mut vouchers = Vec::with_capacity(settlement.vouchers.len());
		for signed in &settlement.vouchers {
			let voucher = signed.voucher;
			let channel = Channels::<T>::get(voucher.channel).ok_or(ValidityError::ChannelNotFound)?;
			ensure!(channel.host == host, ValidityError::ForeignChannel);
			let growth = channel.growth(&voucher.totals)?;
			sum = sum.checked_add(&growth).ok_or(ValidityError::SumMismatch)?;
			vouchers.push(CheckedVoucher { channel, voucher, growth });
		}
		ensure!(sum == settlement.root.sum, ValidityError::SumMismatch);
		ensure!(Self::can_receive(&host, sum.fee), ValidityError::HostCannotReceive);
		Ok(vouchers)
	}

	fn check_gateway_signatures(
		settlement: &Settlement,
		vouchers: &[CheckedVoucher<T::AccountId>],
	) -> Result<(), ValidityError> {
		let genesis = T::Genesis::get();
		let mut signed = settlement.vouchers.iter().zip(vouchers);
		let all = signed.all(|(signed, voucher)| {
			is_signed(&genesis, &voucher.channel.gateway, domain::VOUCHER, &signed.voucher, &signed.signature)
		});
		ensure!(all, ValidityError::BadGatewaySignature);
		Ok(())
	}

	/// Stores the root. Drops the host's oldest root if there are `KeptSettlements` already.
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
}
