//! A small network that takes the requested steps, takes part in sprints by itself, and counts money.

use gonka_load::{
	chain::{Chain, Gonka, assert_invariants, general, signed},
	network::{self, Developer, Host, Pair},
};
use gonka_primitives::{
	Balance, ChannelId, GNK, Hash, TOTAL_SUPPLY,
	check::Offence,
	hashing::domain,
	host::{Commitment, Registration, SegmentCommitment},
	market::Totals,
	merkle_sum,
	traits::OnOffence,
};
use gonka_runtime::{
	AccountId, Balances, BlockNumber, Emission, InferenceMarket, Poc, Runtime, RuntimeCall, RuntimeEvent,
	RuntimeHoldReason, System,
};
use gonka_runtime_common::Time;
use pallet_inference_market::Call as Market;
use polkadot_sdk::{frame_support::traits::fungible::Inspect, sp_core::Pair as _, *};

pub const HOSTS: usize = 3;
pub const DEVELOPERS: usize = 3;
/// Index of a party with money that only helps.
pub const BANK: usize = HOSTS + DEVELOPERS;

pub struct World {
	pub chain: Chain<Gonka>,
	pub genesis: Hash,
	/// One host more than take part from the start.
	pub hosts: Vec<Host>,
	pub developers: Vec<Developer>,
	bank: Pair,
	takes_part: bool,
	/// Amount burnt in finished blocks.
	burnt: Balance,
}

impl World {
	/// Makes a network with all hosts registered and an open block.
	pub fn new() -> Self {
		let hosts = network::hosts(HOSTS + 1);
		let developers = network::developers(DEVELOPERS);
		let rich = hosts.iter().map(|host| &host.account).chain(developers.iter().map(|one| &one.account));
		let bank = network::pair("bank", 0);
		let rich = rich.cloned().chain([bank.public().into()]);
		let balances = rich.map(|account| (account, 1_000_000 * GNK)).collect();
		let chain = Chain::new(network::genesis(&hosts[..HOSTS], balances), 0);
		let genesis = chain.head().0;
		let mut world = Self::from(chain, genesis);
		for host in 0..HOSTS {
			assert!(world.register(host));
		}
		world
	}

	/// Continues a chain in a new block.
	pub fn from(mut chain: Chain<Gonka>, genesis: Hash) -> Self {
		chain.begin();
		let (hosts, developers) = (network::hosts(HOSTS + 1), network::developers(DEVELOPERS));
		Self { chain, genesis, hosts, developers, bank: network::pair("bank", 0), takes_part: true, burnt: 0 }
	}

	/// Returns the account and the key of a party: hosts come first, then developers, then the bank.
	pub fn party(&self, index: usize) -> (AccountId, Pair) {
		let pair = match index.checked_sub(HOSTS) {
			None => &self.hosts[index].pair,
			Some(developer) => self.developers.get(developer).map_or(&self.bank, |one| &one.pair),
		};
		(pair.public().into(), pair.clone())
	}

	/// Sends an extrinsic, and returns whether it was valid and succeeded.
	pub fn send(&mut self, bytes: &[u8]) -> bool {
		matches!(self.chain.apply(bytes), Ok(Ok(())))
	}

	pub fn signed(&mut self, by: usize, call: impl Into<RuntimeCall>) -> Vec<u8> {
		let (account, pair) = self.party(by);
		let nonce = self.chain.with(|| System::account_nonce(account));
		signed(&pair, nonce, self.genesis, call)
	}

	/// Signs a call that the party pays for, sends it, and returns whether it succeeded.
	pub fn sign(&mut self, by: usize, call: impl Into<RuntimeCall>) -> bool {
		let bytes = self.signed(by, call);
		self.send(&bytes)
	}

	pub fn register(&mut self, host: usize) -> bool {
		let bytes = self.registration(host);
		self.send(&bytes)
	}

	pub fn registration(&mut self, host: usize) -> Vec<u8> {
		let host = &self.hosts[host];
		let registration = Registration {
			host: host.account.clone().into(),
			worker: host.worker.public().0,
			url: b"http://host".to_vec(),
			models: vec![0, 1],
			epoch: self.chain.with(|| Poc::running_epoch().unwrap().index),
			revision: 0,
			work: 0,
		};
		let registration = registration.solve(&self.genesis, Time::THIS.registration_bits);
		let signature = network::sign(&host.pair, domain::REGISTRATION, &self.genesis, &registration);
		let worker_signature = network::sign(&host.worker, domain::WORKER, &self.genesis, &registration.host);
		general(pallet_poc::Call::register { registration, signature, worker_signature })
	}

	pub fn offend(&mut self, host: usize, offence: Offence) {
		let account = &self.hosts[host].account;
		self.chain.with(|| <Runtime as pallet_poc::Config>::OnOffence::on_offence(account, 0, offence));
	}

	pub fn open(&mut self, developer: usize, host: usize, deposit: Balance) -> Option<ChannelId> {
		let id = self.chain.with(pallet_inference_market::NextChannelId::<Runtime>::get);
		let channels = vec![(self.hosts[host].account.clone(), deposit)].try_into().unwrap();
		let gateway = self.developers[developer].gateway.public().0;
		self.sign(HOSTS + developer, Market::open_channels { gateway, channels }).then_some(id)
	}

	/// Returns the channel of a developer and a host.
	pub fn channel(&mut self, developer: usize, host: usize) -> ChannelId {
		let Developer { account, gateway, .. } = &self.developers[developer];
		let parties = (account, &self.hosts[host].account, gateway.public().0);
		self.chain.with(|| {
			let all = pallet_inference_market::Channels::<Runtime>::iter();
			let of = |channel: &pallet_inference_market::Channel<AccountId>| {
				(&channel.developer, &channel.host, channel.gateway) == parties
			};
			all.filter(|(_, channel)| of(channel)).map(|(id, _)| id).min().unwrap()
		})
	}

	/// Closes a channel, by its host or its developer.
	pub fn close(&mut self, id: ChannelId, by_host: bool) -> bool {
		let Some(channel) = self.chain.with(|| InferenceMarket::channel(id)) else { return false };
		let who = AccountId::from(if by_host { channel.host } else { channel.developer });
		let by = (0..BANK).find(|index| self.party(*index).0 == who).unwrap();
		self.sign(by, Market::close_channel { id })
	}

	/// Makes a settlement of the last window in which each channel's voucher grows by `parts` 250ths of what is left in
	/// the channel; a part above 250 exceeds it. Returns `None` if nothing grows.
	pub fn settlement(&mut self, host: usize, parts: &[u8]) -> Option<Vec<u8>> {
		let account = self.hosts[host].account.clone();
		let (window, mut channels) = self.chain.with(|| {
			let window = (System::block_number() / Time::THIS.window).checked_sub(1);
			let ids = pallet_inference_market::HostChannels::<Runtime>::iter_key_prefix(&account);
			(window, ids.filter_map(InferenceMarket::channel).collect::<Vec<_>>())
		});
		channels.sort_by_key(|channel| channel.id);
		let (mut leaves, mut vouchers) = (Vec::new(), Vec::new());
		for (channel, part) in channels.iter().zip(parts.iter().cycle()).filter(|(_, part)| **part > 0) {
			let fee = (channel.deposit - channel.settled.fee) / 250 * Balance::from(*part) + Balance::from(part % 2);
			let growth = Totals { fee, work: 1_000 * u64::from(*part), receipts: 1 };
			let by =
				self.developers.iter().find(|one| <[u8; 32]>::from(one.account.clone()) == channel.developer).unwrap();
			let totals = channel.settled.checked_add(&growth).unwrap();
			vouchers.push(network::voucher(&by.gateway, &self.genesis, channel.id, totals));
			leaves.push(merkle_sum::leaf(b"", growth));
		}
		let root = merkle_sum::root(&leaves).filter(|_| !leaves.is_empty())?;
		Some(network::settlement(&self.hosts[host], &self.genesis, window?, 0, root, vouchers))
	}

	pub fn settle(&mut self, host: usize, parts: &[u8]) -> bool {
		self.settlement(host, parts).is_some_and(|bytes| self.send(&bytes))
	}

	/// Refunds the oldest held fees of a host, as a conviction would. Returns whether there were any.
	pub fn refund(&mut self, host: usize) -> bool {
		let account = self.hosts[host].account.clone();
		self.chain.with(|| {
			let windows = pallet_inference_market::HeldFees::<Runtime>::iter_key_prefix(&account);
			windows.min().is_some_and(|window| InferenceMarket::refund(&account, window).is_ok())
		})
	}

	/// Returns the number of base units that vest.
	pub fn vesting(&mut self) -> Balance {
		self.chain.with(|| Balances::balance(&Emission::pot()))
	}

	/// Finishes the block and begins the next.
	fn block(&mut self) {
		if self.takes_part {
			self.commit();
		}
		self.chain.end();
		self.burnt += self.chain.with(burnt);
		self.chain.begin();
	}

	pub fn blocks(&mut self, count: BlockNumber) {
		(0..count).for_each(|_| self.block());
	}

	/// Runs to the start of an epoch.
	pub fn epochs(&mut self, count: u32) {
		let until = self.epoch() + count;
		while self.epoch() < until {
			self.block();
		}
	}

	fn epoch(&mut self) -> u32 {
		self.chain.with(|| Poc::running_epoch().unwrap().index)
	}

	/// Commits to every segment as soon as it is over. The first host reveals its digests, the others reveal none.
	fn commit(&mut self) {
		let (epoch, offset) = self.chain.with(|| {
			let epoch = Poc::running_epoch().unwrap();
			let offset = epoch.offset(System::block_number());
			if offset == epoch.schedule.reveal_start() {
				Poc::note_digests(epoch.index, &self.hosts[0].account, 10, 10);
			}
			(epoch, offset)
		});
		let segments = epoch.schedule.segments + epoch.confirmations.len() as u8;
		for segment in (0..segments).filter(|one| epoch.schedule.takes_commitment(*one, &epoch.confirmations, offset)) {
			for (index, host) in self.hosts.clone().iter().enumerate() {
				let commitment = Commitment { count: 1_000 * (index as u64 + 1), root: [segment; 32] };
				let host_id = host.account.clone().into();
				let commitment = SegmentCommitment { host: host_id, epoch: epoch.index, segment, commitment };
				let signature = network::sign(&host.worker, domain::COMMITMENT, &self.genesis, &commitment);
				self.send(&general(pallet_poc::Call::commit { commitment, signature }));
			}
		}
	}

	/// Asserts that every base unit is where it should be, for each account and in total.
	pub fn check(&mut self) {
		let burnt = self.burnt + self.chain.with(burnt);
		self.chain.with(|| {
			let issued = Balances::total_issuance();
			assert_eq!(issued + pallet_emission::Unmined::<Runtime>::get() + burnt, TOTAL_SUPPLY);
			let accounts = frame_system::Account::<Runtime>::iter_values().map(|account| account.data);
			assert_eq!(accounts.map(|data| data.free + data.reserved).sum::<Balance>(), issued);
			let (mut pledged, mut deposited) = (0, 0);
			for (account, holds) in pallet_balances::Holds::<Runtime>::iter() {
				let mut sum = 0;
				for hold in holds {
					sum += hold.amount;
					match hold.id {
						RuntimeHoldReason::Collateral(_) => pledged += hold.amount,
						RuntimeHoldReason::InferenceMarket(_) => deposited += hold.amount,
						other => panic!("unexpected hold {other:?}"),
					}
				}
				assert_eq!(System::account(account).data.reserved, sum, "nothing is held without a reason");
			}
			let ledgers = pallet_collateral::Ledgers::<Runtime>::iter_values();
			assert_eq!(pledged, ledgers.map(|ledger| ledger.total()).sum::<Balance>());
			let rests = pallet_inference_market::Channels::<Runtime>::iter_values().map(|channel| channel.rest());
			let fees = pallet_inference_market::HeldFees::<Runtime>::iter_values().map(|held| held.sum().unwrap());
			assert_eq!(deposited, rests.chain(fees).sum::<Balance>());
			let vesting = pallet_emission::Vestings::<Runtime>::iter_values();
			let owed = vesting.map(|vesting| vesting.unvested() + vesting.vested).sum::<Balance>();
			assert_eq!(Balances::balance(&Emission::pot()), owed);
			assert_invariants();
		});
	}

	/// Lets all parties leave: they close, withdraw, wait and claim. Only free balances may remain.
	pub fn wind_down(&mut self) {
		self.takes_part = false;
		// A party that gave everything away gets enough for fees.
		for index in 0..BANK {
			let dest = self.party(index).0.into();
			assert!(self.sign(BANK, pallet_balances::Call::transfer_allow_death { dest, value: GNK }));
		}
		let channels: Vec<_> = self.chain.with(|| pallet_inference_market::Channels::<Runtime>::iter_keys().collect());
		for id in &channels {
			let closing = self.chain.with(|| InferenceMarket::channel(*id).unwrap().closes.is_some());
			assert!(closing || self.close(*id, false));
		}
		for host in 0..HOSTS {
			let amount = self.chain.with(|| gonka_runtime::Collateral::view(&self.hosts[host].account).active);
			assert!(amount == 0 || self.sign(host, pallet_collateral::Call::withdraw { amount }));
		}
		// Wait for challenges, for held fees, and for the pay of the last epochs.
		self.blocks(Time::THIS.challenge_period);
		self.epochs(3);
		for id in channels {
			assert!(self.sign(BANK, Market::withdraw { id }));
		}
		assert!(self.chain.with(pallet_emission::Pending::<Runtime>::get).is_empty(), "all epochs are paid");
		self.check();
		// 180 epochs and a few more, of one block each: nobody takes part any more.
		for _ in 0..190 {
			self.chain.with(|| {
				pallet_poc::CurrentEpoch::<Runtime>::mutate(|epoch| epoch.as_mut().unwrap().schedule.length = 1)
			});
			self.block();
		}
		// The last validators keep their power, so collateral is free only after the longest wait.
		for host in 0..HOSTS {
			let account = &self.hosts[host].account;
			let is_empty = self.chain.with(|| pallet_collateral::Ledgers::<Runtime>::get(account).total() == 0);
			assert!(is_empty || self.sign(host, pallet_collateral::Call::release {}));
		}
		self.check();
		self.chain.with(|| {
			assert_eq!(pallet_balances::Holds::<Runtime>::iter().count(), 0, "nothing is held");
			assert_eq!(pallet_inference_market::HeldFees::<Runtime>::iter().count(), 0, "all fees are decided");
			let vesting: Vec<_> = pallet_emission::Vestings::<Runtime>::iter_values().collect();
			assert!(vesting.iter().all(|vesting| vesting.locked == 0), "everything has vested");
			// An amount below the existential deposit cannot be paid out alone; it waits for more.
			let minimum = <Balances as Inspect<AccountId>>::minimum_balance();
			assert!(vesting.iter().all(|vesting| vesting.vested < minimum), "everything is paid out: {vesting:?}");
		});
	}
}

/// Returns the amount burnt in a block, by its events: fees, block space of settlements, slashes, dust.
fn burnt() -> Balance {
	let amount = |event| match event {
		RuntimeEvent::TransactionPayment(pallet_transaction_payment::Event::TransactionFeePaid {
			actual_fee,
			tip,
			..
		}) => actual_fee + tip,
		RuntimeEvent::Balances(pallet_balances::Event::DustLost { amount, .. }) => amount,
		RuntimeEvent::Collateral(pallet_collateral::Event::Slashed { amount, .. }) => amount,
		RuntimeEvent::InferenceMarket(pallet_inference_market::Event::Charged { amount, .. }) => amount,
		RuntimeEvent::Emission(pallet_emission::Event::Burnt { amount, .. }) => amount,
		_ => 0,
	};
	System::events().into_iter().map(|record| amount(record.event)).sum()
}
