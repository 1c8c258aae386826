use super::mock::*;
use gonka_primitives::market::Price;
use polkadot_sdk::{frame_support::assert_ok, sp_core::Pair};

#[test]
fn the_views_show_models_and_the_rules_of_the_market() {
	build_and_execute(|| {
		let models = Market::models();
		assert_eq!(models.len(), 1);
		assert_eq!((models[0].id, models[0].name.as_slice()), (0, &b"genesis"[..]));
		assert_eq!(models[0].price, Price { input: 1, output: 2 });
		let market = Market::market();
		assert_eq!((market.window, market.challenge_period), (WINDOW, CHALLENGE));
		assert_eq!((market.max_vouchers, market.max_channels_per_call), (MAX_VOUCHERS, 4));
		assert_eq!(market.min_deposit, MIN_DEPOSIT);
	});
}

#[test]
fn pages_cover_all_channels_of_a_developer() {
	build_and_execute(|| {
		for key in 0..7 {
			let list = vec![(host(0), MIN_DEPOSIT), (host(1), MIN_DEPOSIT)].try_into().unwrap();
			assert_ok!(Market::open_channels(RuntimeOrigin::signed(developer(1)), [key; 32], list));
		}
		open(&[(host(0), MIN_DEPOSIT)]);

		let (mut seen, mut after) = (Vec::new(), None);
		loop {
			let page = Market::channels(&developer(1), after, 4);
			assert!(page.len() <= 4);
			assert!(page.iter().all(|channel| channel.developer == <[u8; 32]>::from(developer(1))));
			let Some(last) = page.last() else { break };
			after = Some(last.id);
			seen.extend(page.iter().map(|channel| channel.id));
		}
		seen.sort();
		assert_eq!(seen, (0..14).collect::<Vec<_>>());
		assert!(Market::channels(&developer(2), None, 4).is_empty());
		assert!(Market::channels(&developer(1), None, 0).is_empty());
	});
}

#[test]
fn the_view_of_a_channel_shows_its_state() {
	build_and_execute(|| {
		let id = open(&[(host(1), MIN_DEPOSIT)]);
		assert_ok!(Market::close_channel(RuntimeOrigin::signed(host(1)), id));
		let channel = Market::channel(id).unwrap();
		assert_eq!((channel.id, channel.deposit, channel.closes), (id, MIN_DEPOSIT, Some(WINDOW + CHALLENGE)));
		assert_eq!((channel.host, channel.gateway), (host(1).into(), gateway(0).public().0));
		assert!(Market::channel(id + 1).is_none());
	});
}
