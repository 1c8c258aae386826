//! Settlements: the checks in the transaction pool, and the effects.
//!
//! No account signs a settlement, so everything that could be wrong with it is checked before it gets into a block, in the
//! order of cost: lengths, window and order; the worker's signature; channels, sums and the price of its block space; the
//! gateways' signatures.

use crate::{fees::Charge, *};
use alloc::vec::Vec;
use frame_support::{ensure, pallet_prelude::*, traits::Get};
use gonka_pallet_support::pool::{is_signed, urgent};
use gonka_primitives::{
	BlockNumber, Signature,
	hashing::domain,
	market::{SETTLEABLE_WINDOWS, Settlement, Totals, Voucher},
	traits::{HostRegistry, OnServed, OnSettlement},
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
		Self::check_charge(settlement)?;
		Self::check_gateway_signatures(settlement, &vouchers)?;
		let rank = T::Hosts::rank(&T::AccountId::from(settlement.host));
		Ok(urgent("gonka/settlement", [(settlement.host, settlement.window)], T::WindowLength::get(), rank))
	}

	/// Stores a settlement that `validate_settle` accepted, and holds its fees.
	pub(crate) fn apply_settlement(settlement: &Settlement) -> DispatchResult {
		let host = T::AccountId::from(settlement.host);
		let vouchers = Self::check_vouchers(settlement).map_err(|_| Error::<T>::InvalidSettlement)?;
		let charge = Self::check_charge(settlement).map_err(|_| Error::<T>::InvalidSettlement)?;
		let mut fees = Vec::with_capacity(vouchers.len());
		for CheckedVoucher { mut channel, voucher, growth } in vouchers {
			if growth.fee > 0 {
				let developer = channel.developer.clone();
				fees.push(HeldFee { channel: voucher.channel, developer, amount: growth.fee });
			}
			channel.settled = voucher.totals;
			Channels::<T>::insert(voucher.channel, channel);
		}
		let charge = Self::take_charge(&host, settlement.window, charge)?;
		Self::hold_fees(&host, settlement.window, charge, fees)?;
		let counted = Self::count_work(&host, &settlement.work, settlement.root.sum.fee);
		if counted > 0 {
			T::OnServed::on_served(&host, counted);
		}
		T::OnSettlement::on_settlement(&host, settlement.window, &settlement.root, &settlement.work);
		Self::keep_settlement(settlement, &host)?;
		Self::deposit_event(Event::Settled { host, window: settlement.window, totals: settlement.root.sum });
		Ok(())
	}

	fn check_form(settlement: &Settlement) -> Result<(), ValidityError> {
		let vouchers = &settlement.vouchers;
		ensure!(!vouchers.is_empty(), ValidityError::NoVouchers);
		ensure!(vouchers.len() <= T::MaxVouchers::get() as usize, ValidityError::TooManyVouchers);
		let ended = Self::running().checked_sub(settlement.window).filter(|ended| *ended > 0);
		let ended = ended.ok_or(ValidityError::WindowNotEnded)?;
		ensure!(ended <= SETTLEABLE_WINDOWS, ValidityError::WindowTooOld);
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

	/// The payer of a settlement's block space. What fills a block pays for it, or deposits would be enough to fill blocks
	/// with settlements between accounts of one's own.
	fn check_charge(settlement: &Settlement) -> Result<Charge, ValidityError> {
		let host = T::AccountId::from(settlement.host);
		if Self::is_exempt(&host, settlement) {
			return Ok(Charge::Account(0));
		}
		let fees = settlement.root.sum.fee;
		let amount = Self::settlement_fee(settlement.vouchers.len() as u32, settlement.work.len() as u32);
		let charge = Self::payer(&host, amount, fees).ok_or(ValidityError::FeeNotCovered)?;
		if let Charge::Fees(amount) = charge {
			let paid = Self::can_receive(&host, fees.saturating_sub(amount));
			ensure!(paid, ValidityError::HostCannotReceive);
		}
		Ok(charge)
	}

	/// Whether a settlement costs nothing: in the free period, one of a host with proven weight whose work is audited. Invented
	/// work is then found out, and costs the host its pay.
	fn is_exempt(host: &T::AccountId, settlement: &Settlement) -> bool {
		Self::is_free()
			&& T::Hosts::rank(host) > 0
			&& !settlement.work.is_empty()
			&& settlement.work.iter().all(|(model, _)| T::OnSettlement::is_audited(*model))
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
