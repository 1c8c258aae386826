use super::*;
use crate::store::Store;
use gonka_primitives::{
	market::{Price, Totals},
	views::{MarketView, ModelView},
};
use subxt_signer::sr25519::dev;

fn ledger(dir: &tempfile::TempDir) -> Ledger {
	let (store, saved) = Store::open(&dir.path().join("ledger")).unwrap();
	let ledger = Ledger::new([0; 32], dev::alice(), store, saved);
	(0..10).for_each(|channel| ledger.with(channel, |record| record.in_step = true));
	ledger
}

fn snapshot(weights: &[u64], balance: Balance) -> Snapshot {
	of_models(&weights.iter().map(|weight| (*weight, 3)).collect::<Vec<_>>(), balance)
}

/// Hosts of these weights, each with one model: 3 is "m", 4 is "n".
fn of_models(hosts: &[(u64, u32)], balance: Balance) -> Snapshot {
	let model = |id, name: &str| ModelView {
		id,
		name: name.into(),
		weights_hash: [0; 32],
		tokenizer_hash: [0; 32],
		context_length: 100,
		price: Price::default(),
	};
	let hosts = hosts.iter().enumerate().map(|(index, (weight, model))| {
		let account = [index as u8; 32];
		let url = String::new();
		(account, Arc::new(Host { account, worker: [0; 32], url, models: vec![*model], weight: *weight }))
	});
	Snapshot {
		models: Model::by_name([model(3, "m"), model(4, "n")]),
		hosts: Arc::new(hosts.collect()),
		balance,
		market: Some(Arc::new(MarketView {
			window: 10,
			max_vouchers: 10,
			max_channels_per_call: 4,
			min_deposit: GNK,
			challenge_period: 10,
		})),
		..Snapshot::default()
	}
}

/// Both models are in use.
fn uses() -> Uses {
	uses_since(Duration::ZERO, Duration::ZERO)
}

fn uses_since(m: Duration, n: Duration) -> Uses {
	Uses { models: HashMap::from([("m".into(), m), ("n".into(), n)]), ..Uses::default() }
}

fn channel(id: ChannelId, host: u8, deposit: Balance, settled: Balance) -> Arc<ChannelView> {
	Arc::new(ChannelView {
		id,
		developer: [0; 32],
		host: [host; 32],
		gateway: [0; 32],
		deposit,
		settled: Totals { fee: settled, ..Totals::default() },
		closes: None,
	})
}

#[tokio::test]
async fn the_heaviest_hosts_get_channels_first() {
	let dir = tempfile::tempdir().unwrap();
	let ledger = ledger(&dir);
	let options = Options { max_channels: 2, ..Options::default() };
	let plan = plan(&snapshot(&[1, 9, 5], 100 * GNK), &ledger, &options, &HashMap::new(), &uses(), &Sent::default());
	assert_eq!(plan.open, [([1; 32], 10 * GNK), ([2; 32], 10 * GNK)]);
	assert!(plan.top_up.is_empty() && !plan.short);
	let mut uses = uses();
	uses.note_unreachable([1; 32]);
	let plan =
		super::plan(&snapshot(&[1, 9, 5], 100 * GNK), &ledger, &options, &HashMap::new(), &uses, &Sent::default());
	assert_eq!(plan.open, [([2; 32], 10 * GNK), ([0; 32], 10 * GNK)], "one that does not respond gets none");
}

#[tokio::test]
async fn balance_and_spending_limit_bound_the_number_of_channels() {
	let dir = tempfile::tempdir().unwrap();
	let ledger = ledger(&dir);
	let sent = Sent::default();
	assert_eq!(
		plan(&snapshot(&[1, 1], 15 * GNK), &ledger, &Options::default(), &HashMap::new(), &uses(), &sent).open.len(),
		1
	);
	let options = Options { spending_limit: Some(25 * GNK), ..Options::default() };
	assert_eq!(plan(&snapshot(&[1; 4], 1000 * GNK), &ledger, &options, &HashMap::new(), &uses(), &sent).open.len(), 2);
	let poor = plan(&snapshot(&[1], GNK), &ledger, &Options::default(), &HashMap::new(), &uses(), &sent);
	assert!(poor.open.is_empty() && poor.short);
}

#[tokio::test]
async fn a_channel_is_topped_up_for_a_request_that_it_cannot_pay() {
	let dir = tempfile::tempdir().unwrap();
	let ledger = ledger(&dir);
	let mut snapshot = snapshot(&[1], 100 * GNK);
	snapshot.channels = vec![channel(7, 0, 10 * GNK, GNK)];
	let demands = HashMap::from([(7, 25 * GNK)]);
	let filled = plan(&snapshot, &ledger, &Options::default(), &demands, &uses(), &Sent::default());
	assert_eq!((filled.top_up, filled.short), (vec![(7, 16 * GNK)], false));
	ledger.unsync(7);
	let astray = plan(&snapshot, &ledger, &Options::default(), &demands, &uses(), &Sent::default());
	assert_eq!(astray.top_up, [], "its host does not say what it is owed");
	ledger.with(7, |record| record.in_step = true);
	let options = Options { spending_limit: Some(12 * GNK), ..Options::default() };
	assert!(plan(&snapshot, &ledger, &options, &demands, &uses(), &Sent::default()).short);
}

#[tokio::test]
async fn a_half_used_channel_is_topped_up_once() {
	let dir = tempfile::tempdir().unwrap();
	let ledger = ledger(&dir);
	let mut snapshot = snapshot(&[1], 100 * GNK);
	snapshot.channels = vec![channel(7, 0, 10 * GNK, 6 * GNK)];
	let mut sent = Sent::default();
	let plan_of =
		|snapshot: &Snapshot, sent: &Sent| plan(snapshot, &ledger, &Options::default(), &HashMap::new(), &uses(), sent);
	assert_eq!(plan_of(&snapshot, &sent).top_up, [(7, 6 * GNK)]);
	sent.topped_up.insert(7, (10 * GNK, Instant::now()));
	sent.forget_old(&snapshot);
	assert_eq!(plan_of(&snapshot, &sent), Plan::default());
	snapshot.channels = vec![channel(7, 0, 16 * GNK, 6 * GNK)];
	sent.forget_old(&snapshot);
	assert_eq!(plan_of(&snapshot, &sent), Plan::default());
	assert!(sent.topped_up.is_empty());
}

#[tokio::test]
async fn no_model_starves_behind_the_heavier_hosts_of_another() {
	let dir = tempfile::tempdir().unwrap();
	let ledger = ledger(&dir);
	let mut snapshot = of_models(&[(9, 3), (8, 3), (7, 3), (1, 4), (2, 4)], 1_000 * GNK);
	let options = Options { max_channels: 3, ..Options::default() };
	let of =
		|snapshot: &Snapshot, uses: &Uses| plan(snapshot, &ledger, &options, &HashMap::new(), uses, &Sent::default());
	let hosts = |plan: Plan| plan.open.into_iter().map(|(host, _)| host[0]).collect::<Vec<_>>();
	assert_eq!(hosts(of(&snapshot, &uses())), [0, 4, 1]);
	// A model out of use keeps one channel.
	assert_eq!(hosts(of(&snapshot, &uses_since(Duration::ZERO, OUT_OF_USE))), [0, 1, 2]);
	assert_eq!(hosts(of(&snapshot, &uses_since(OUT_OF_USE, OUT_OF_USE))), [0, 4]);
	// One that comes into use gets a channel of another.
	snapshot.channels = vec![channel(0, 0, 10 * GNK, 0), channel(1, 1, 10 * GNK, 0), channel(2, 2, 10 * GNK, 0)];
	let mut uses = uses();
	uses.idle = HashMap::from([([0; 32], Duration::from_secs(5)), ([1; 32], Duration::from_secs(9))]);
	let replacing = of(&snapshot, &uses);
	assert_eq!((replacing.close, replacing.open), (vec![(1, Reason::Replaced)], vec![]));
	let mut closing = (*snapshot.channels[1]).clone();
	closing.closes = Some(100);
	snapshot.channels[1] = Arc::new(closing);
	assert_eq!(hosts(of(&snapshot, &uses)), [4]);
}

#[tokio::test]
async fn channels_of_no_use_are_closed_and_their_rest_is_withdrawn() {
	let dir = tempfile::tempdir().unwrap();
	let ledger = ledger(&dir);
	let mut snapshot = of_models(&[(9, 3), (8, 3), (7, 4), (6, 5)], 1_000 * GNK);
	snapshot.channels = (0..4).map(|id| channel(id, id as u8, 10 * GNK, 0)).collect();
	let of = |snapshot: &Snapshot, uses: &Uses, sent: &Sent| {
		plan(snapshot, &ledger, &Options::default(), &HashMap::new(), uses, sent)
	};
	let ago = |time: Duration| Instant::now().checked_sub(time).unwrap();
	let mut uses = uses();
	uses.idle = (0..3).map(|host| ([host; 32], OUT_OF_USE)).collect();
	assert_eq!(of(&snapshot, &uses, &Sent::default()).close, []);
	uses.models = HashMap::from([("m".into(), OUT_OF_USE), ("n".into(), OUT_OF_USE)]);
	uses.dead.insert([2; 32], Instant::now());
	uses.silent.insert([2; 32], DEAD + Duration::from_secs(1));
	uses.useless = HashMap::from([(3, ago(USELESS))]);
	let closing = of(&snapshot, &uses, &Sent::default());
	assert_eq!(closing.close, [(1, Reason::Unused), (2, Reason::Dead), (3, Reason::Useless)]);
	assert_eq!(
		(closing.open, closing.top_up),
		(vec![], vec![]),
		"nothing is opened to a host that is dead or out of use"
	);
	let closed = (1..4).map(|id| (id, Instant::now())).collect();
	assert_eq!(of(&snapshot, &uses, &Sent { closed, ..Sent::default() }).close, []);

	uses = super::tests::uses();
	uses.refused = HashMap::from([(0, REFUSED), (1, REFUSED + Duration::from_secs(1))]);
	uses.astray = HashMap::from([(2, ago(DEAD + Duration::from_secs(1))), (3, ago(DEAD / 2))]);
	let closing = of(&snapshot, &uses, &Sent::default()).close;
	assert_eq!(closing, [(1, Reason::Refused), (2, Reason::Dead)]);

	let mut over = (*snapshot.channels[2]).clone();
	over.closes = Some(50);
	snapshot.channels[2] = Arc::new(over);
	for (block, expected) in [(49, vec![]), (50, vec![2])] {
		snapshot.block = block;
		assert_eq!(of(&snapshot, &uses, &Sent::default()).withdraw, expected);
	}
}

#[tokio::test]
async fn a_channel_that_another_gateway_uses_is_not_idle() {
	let dir = tempfile::tempdir().unwrap();
	let (ledger, router) = (ledger(&dir), Router::default());
	let mut snapshot = of_models(&[(9, 3), (8, 3)], 1_000 * GNK);
	snapshot.channels = (0..2).map(|id| channel(id, id as u8, 10 * GNK, 0)).collect();
	let mut uses = Uses::default();
	let ago = Instant::now().checked_sub(OUT_OF_USE).unwrap();
	uses.active = snapshot.channels.iter().map(|channel| (channel.id, (channel.settled, ago))).collect();
	snapshot.channels[1] = channel(1, 1, 10 * GNK, GNK);
	uses.update(&snapshot, &ledger, &router);
	let since = |id: ChannelId| uses.active[&id].1;
	assert!(since(0) == ago && since(1) > ago, "its host was paid");
}
