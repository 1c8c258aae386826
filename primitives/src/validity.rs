//! Validity errors: the reasons for which the transaction pool rejects a free transaction.
//!
//! A pallet returns one as `InvalidTransaction::Custom(code)`. This module is the only list of the codes: pallets
//! re-export their enum, clients call [`describe`], and a test writes `docs/errors.md` from [`ALL`]. A code keeps its
//! meaning for ever and is never used again.

use core::ops::RangeInclusive;

/// A validity error in words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code {
	/// The pallet's name in the runtime.
	pub pallet: &'static str,
	/// The error's name in the pallet.
	pub name: &'static str,
	/// The number in `InvalidTransaction::Custom`.
	pub code: u8,
	/// The fault of the transaction.
	pub meaning: &'static str,
	/// What the sender should do.
	pub advice: &'static str,
}

/// The description of a code; `None` if no pallet uses it.
pub fn describe(code: u8) -> Option<&'static Code> {
	ALL.iter().find(|entry| entry.code == code)
}

macro_rules! validity_errors {
	($($pallet:ident: [$($range:expr),+], { $($name:ident = $code:literal, $meaning:literal, $advice:literal;)* })*) => {
		$(
			#[doc = concat!("Validity errors of the pallet `", stringify!($pallet), "`.")]
			#[derive(Clone, Copy, Debug, PartialEq, Eq)]
			#[repr(u8)]
			pub enum $pallet {
				$(#[doc = concat!($meaning, ".")] $name = $code,)*
			}

			impl From<$pallet> for u8 {
				fn from(error: $pallet) -> Self {
					error as Self
				}
			}
		)*

		/// The codes that each pallet may use.
		pub const RANGES: &[(&str, &[RangeInclusive<u8>])] = &[$((stringify!($pallet), &[$($range),+])),*];

		/// All validity errors, by pallet.
		pub const ALL: &[Code] = &[$($(Code {
			pallet: stringify!($pallet),
			name: stringify!($name),
			code: $code,
			meaning: $meaning,
			advice: $advice,
		},)*)*];
	};
}

validity_errors! {
	Poc: [1..=49], {
		Malformed = 1,
			"A length, the URL, the order of the models, the revision or a count is not allowed",
			"Use an `http://` or `https://` URL of at most 128 characters, at most 16 models, ascending, a revision below 8, and 1 to 2⁴⁰ leaves";
		OutOfPhase = 2,
			"The message is for another epoch, or its segment takes no commitments now",
			"Wait for the next epoch or segment. If it happens every time, the node is behind or its clock is wrong";
		SlotUsed = 3,
			"The host has already registered with this revision or a higher one in this epoch, or has already committed to this segment",
			"Register with the next revision, if the registration on chain is not the wanted one; otherwise do nothing";
		TooLittleWork = 4,
			"The proof of work has too few leading zero bits",
			"Read `registration_terms` again and continue to solve: the work rises with the number of hosts";
		BadSignature = 5,
			"The signature does not match",
			"Sign with the right key, over this chain's genesis hash";
		UnknownHost = 6,
			"The host is not registered",
			"Register the host first";
		WorkerTaken = 7,
			"The worker key belongs to another host",
			"Use a separate worker key for each host";
		UnknownModel = 8,
			"A declared model is not registered",
			"Declare only models that `gonka status` lists";
		TooManyHosts = 9,
			"The network has its maximum number of hosts",
			"Try again in the next epoch: hosts without weight will have expired by then";
		NotAParticipant = 10,
			"The host did not take part in the sprint that this confirmation segment belongs to",
			"Do nothing: take part in the next sprint";
		NoConsent = 11,
			"The worker key has not signed the host's account for this chain",
			"Give the signature that the worker logs at its start, for exactly this host and worker key";
	}
	SprintCheck: [50..=69], {
		Malformed = 50,
			"A length, an order or a number is out of its range",
			"Correct the message and sign it again";
		OutOfPhase = 51,
			"The message is for another epoch or another part of this one",
			"Wait for the right phase of the next epoch";
		SlotUsed = 52,
			"The digests, the request, its response, the claim or the sender's refutation are on chain already",
			"Do nothing: the first message counts";
		BadSignature = 53,
			"The message is not signed by the sender's worker key for this chain",
			"Sign with the worker key, over this chain's genesis hash";
		UnknownHost = 54,
			"The sender is not registered",
			"Register the host first";
		NotAssigned = 55,
			"The sender has no such duty, or the two hosts are not partners in that leaf set",
			"Read the committees of this epoch again";
		NotCommitted = 56,
			"The commitment, digest, tag or request that the message is about does not exist",
			"Read the chain's state again and send only messages about what is there";
		BadProof = 57,
			"Tags, digests, openings, nodes or bytes do not match what was committed to",
			"Send the data behind the commitment, unchanged";
		TooLate = 58,
			"The deadline has passed",
			"Do nothing: the message can no longer be sent";
		TooEarly = 59,
			"The deadline has not passed yet, a refutation of the claim is under way, or its refuters are not drawn yet",
			"Wait for the draw, or until the deadline has passed and the refutations are over";
		UnknownClaim = 60,
			"There is no such claim or game; a game begins with a `Pick`",
			"Read the open claims again: this one may be over";
		WrongTurn = 61,
			"It is the other player's turn, another kind of turn is due, or the turn was taken before",
			"Read the game's state again and take the turn that it waits for";
		NotAParticipant = 62,
			"The sender did not take part in that epoch's sprint",
			"Do nothing: only participants may dispute";
		Convicted = 63,
			"The sender or its opponent is already convicted in that epoch",
			"Do nothing: the dispute is settled";
		NothingToDispute = 64,
			"The leaf is right, the tags are equal or zero, or both sides are the same host",
			"Recompute the leaf before accusing or challenging";
		TooManyClaims = 65,
			"This host has its maximum number of open claims, or the chain has, and none of a lighter host gives way",
			"Try again when a claim is closed";
		TooManyGames = 66,
			"The claim's open places are taken",
			"Try again when one is free. The accused host and appointed refuters have places of their own";
		TooManyRequests = 67,
			"The checker has requested openings of its maximum number of hosts of this kind, new ones or others, in this round",
			"Check the other hosts with the openings that they serve";
		NoStake = 68,
			"The sender lost its pay of that epoch, so it has nothing at stake",
			"Do nothing: it may still defend itself and refute where it is appointed";
	}
	Emission: [70..=99], {
		NothingVested = 70,
			"Nothing has vested for the host since its last payout",
			"Wait for the next epoch";
	}
	InferenceMarket: [100..=119, 140..=149], {
		NoVouchers = 100,
			"The settlement has no vouchers",
			"Settle when there are vouchers";
		TooManyVouchers = 101,
			"The settlement has more than 256 vouchers",
			"Settle some of the channels in the next window";
		WindowNotEnded = 102,
			"The window has not ended",
			"Wait for its end";
		WindowSettled = 103,
			"The host has settled this window or a later one",
			"Add these receipts to the settlement of a later window";
		VouchersNotAscending = 104,
			"The vouchers are not in ascending order of channels, or a channel has two",
			"Send one voucher for each channel, in ascending order";
		HostNotRegistered = 105,
			"The host is not registered",
			"Register the host first";
		BadWorkerSignature = 106,
			"The settlement is not signed by the host's worker key for this chain",
			"Sign with the worker key, over this chain's genesis hash";
		ChannelNotFound = 107,
			"A channel does not exist or was withdrawn",
			"Leave its voucher out";
		ForeignChannel = 108,
			"A channel pays another host",
			"Leave its voucher out";
		TotalsBelowSettled = 109,
			"A voucher's fee, work or number of receipts is below what its channel has settled",
			"Send the channel's newest voucher";
		NothingNew = 110,
			"A voucher adds no receipt to what its channel has settled",
			"Leave the voucher out";
		DepositExceeded = 111,
			"A voucher promises more than its channel's deposit",
			"Send an older voucher that the deposit covers";
		SumMismatch = 112,
			"The growth of the vouchers does not sum to the root's total",
			"Build the tree from exactly those receipts that the vouchers add";
		HostCannotReceive = 113,
			"The host's account does not exist, and the fees are below the existential deposit",
			"Send the account some GNK, or settle this window together with a later one";
		BadGatewaySignature = 114,
			"A voucher is not signed by its channel's gateway key",
			"Leave the voucher out";
		TooManyModels = 115,
			"The settlement names the work of more than 16 models",
			"Settle some of the channels in the next window";
		WorkNotAscending = 116,
			"The work is not in ascending order of models, a model has two entries, or an entry is 0",
			"Send one entry for each model that did work, in ascending order";
		WorkMismatch = 117,
			"The work of the models does not sum to the root's work",
			"Count the work again from the receipts under the root";
		UnknownModel = 118,
			"A model in the list of work was never registered",
			"Name only registered models; retired ones are allowed";
		WindowTooOld = 119,
			"The window ended too long ago",
			"Add these receipts to the settlement of the window that ended last";
		FeeNotCovered = 140,
			"Neither the host's account nor the settled fees cover what a transaction of this size costs",
			"Settle these receipts together with later ones, or send the host's account some GNK";
	}
	SamplingValidation: [120..=139], {
		Malformed = 120,
			"A length or an order of the findings is not allowed",
			"Correct the message and sign it again";
		UnknownHost = 121,
			"The sender is not registered",
			"Register the host first";
		BadSignature = 122,
			"The message is not signed by the sender's worker key for this chain",
			"Sign with the worker key, over this chain's genesis hash";
		OutOfWindow = 123,
			"No audits are drawn in that window yet, or the deadline for reports has passed",
			"Do nothing if the window is over; otherwise wait for the draw";
		NotAssigned = 124,
			"The sender has no such audit",
			"Read the assigned audits from the chain again";
		SlotUsed = 125,
			"The sender has already reported on the audit, or has already ruled",
			"Do nothing: the first message counts";
		UnknownCase = 126,
			"There is no such case",
			"Do nothing: the case is closed";
		NotArbiter = 127,
			"The sender is not an arbiter of the case, or the arbiters are not drawn yet",
			"Wait until the arbiters are drawn, and rule only in your own cases";
		TooLate = 128,
			"The case's deadline has passed",
			"Do nothing: the ruling can no longer be sent";
		Undecided = 129,
			"The test needs more fresh findings",
			"Check more of the fresh receipts and rule then";
	}
}
