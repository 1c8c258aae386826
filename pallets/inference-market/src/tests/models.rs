use super::mock::*;
use crate::{Error, Event, GenesisModel, Model, Models, NextModelId, PriceRule};
use gonka_primitives::{market::Price, traits::ModelRegistry};
use polkadot_sdk::{
	frame_support::{assert_noop, assert_ok},
	sp_runtime::{BuildStorage, DispatchError, DispatchResult},
};

fn register(name: &[u8]) -> DispatchResult {
	register_with(RuntimeOrigin::root(), name, b"BF16", 1)
}

fn register_with(origin: RuntimeOrigin, name: &[u8], quantisation: &[u8], context: u32) -> DispatchResult {
	let (name, quantisation) = (name.to_vec().try_into().unwrap(), quantisation.to_vec().try_into().unwrap());
	let price = Price { input: 3, output: 4 };
	Market::register_model(origin, name, [2; 32], [3; 32], quantisation, context, price, 5, 6, PriceRule::default())
}

#[test]
fn genesis_models_have_the_first_ids() {
	build_and_execute(|| {
		assert!(Market::is_registered(0));
		assert!(!Market::is_registered(1));
		assert_eq!(Models::<Test>::get(0), genesis_model("genesis").model());
	});
}

#[test]
fn ids_of_retired_models_are_never_reused() {
	build_and_execute(|| {
		assert_ok!(register(b"llama"));
		assert_eq!(last_event(), Event::ModelRegistered { model: 1, name: b"llama".to_vec().try_into().unwrap() });
		let Model { context_length, price, memory_mb, min_worker_version, .. } = Models::<Test>::get(1).unwrap();
		assert_eq!((context_length, memory_mb, min_worker_version), (1, 5, 6));
		assert_eq!(price, Price { input: 3, output: 4 });

		assert_ok!(Market::retire_model(RuntimeOrigin::root(), 1));
		assert_eq!(last_event(), Event::ModelRetired { model: 1 });
		assert!(!Market::is_registered(1));
		assert_ok!(register(b"llama"));
		assert!(Market::is_registered(2) && !Market::is_registered(1));
	});
}

#[test]
fn the_model_origin_sets_a_price() {
	build_and_execute(|| {
		let price = Price { input: 7, output: 9 };
		assert_ok!(Market::set_price(RuntimeOrigin::root(), 0, price));
		assert_eq!(last_event(), Event::PriceSet { model: 0, price });
		assert_eq!(Models::<Test>::get(0).unwrap().price, price);
		assert_noop!(Market::set_price(RuntimeOrigin::root(), 9, price), Error::<Test>::NotFound);
		let free = Price { input: 0, output: 9 };
		assert_noop!(Market::set_price(RuntimeOrigin::root(), 0, free), Error::<Test>::PriceOutOfBounds);
	});
}

#[test]
fn invalid_models_are_rejected() {
	build_and_execute(|| {
		assert_noop!(register(b"genesis"), Error::<Test>::AlreadyExists);
		assert_noop!(register(b""), Error::<Test>::Malformed);
		assert_noop!(register(b"two words"), Error::<Test>::Malformed);
		assert_noop!(register(b"\xff"), Error::<Test>::Malformed);
		assert_noop!(register_with(RuntimeOrigin::root(), b"a", b"\n", 1), Error::<Test>::Malformed);
		assert_noop!(register_with(RuntimeOrigin::root(), b"a", b"BF16", 0), Error::<Test>::Malformed);
		assert_noop!(Market::retire_model(RuntimeOrigin::root(), 7), Error::<Test>::NotFound);
		assert_ok!(register(b"a"));
		assert_ok!(register(b"b"));
		assert_noop!(register(b"c"), Error::<Test>::LimitExceeded);
		assert_ok!(Market::retire_model(RuntimeOrigin::root(), 0));
		NextModelId::<Test>::put(u32::MAX);
		assert_noop!(register(b"c"), Error::<Test>::Overflow);
	});
}

#[test]
fn only_the_register_origin_changes_models() {
	build_and_execute(|| {
		let signed = || RuntimeOrigin::signed(developer(0));
		assert_noop!(register_with(signed(), b"a", b"BF16", 1), DispatchError::BadOrigin);
		assert_noop!(Market::retire_model(signed(), 0), DispatchError::BadOrigin);
		assert_noop!(Market::set_price(signed(), 0, Price::default()), DispatchError::BadOrigin);
		assert_noop!(Market::set_price_rule(signed(), 0, PriceRule::default()), DispatchError::BadOrigin);
	});
}

#[test]
fn genesis_models_are_written_as_json() {
	let json = r#"{"name":"tiny","weightsHash":"0x0202020202020202020202020202020202020202020202020202020202020202",
		"tokenizerHash":"0x0303030303030303030303030303030303030303030303030303030303030303",
		"quantisation":"F32","contextLength":512,"inputPrice":1,"outputPrice":2,"memoryMb":10,"minWorkerVersion":1000}"#;
	let model: GenesisModel = serde_json::from_str(json).unwrap();
	let registered = model.model().unwrap();
	assert_eq!((registered.weights_hash, registered.tokenizer_hash), ([2; 32], [3; 32]));
	assert_eq!(model.model().unwrap().rule, PriceRule::default());
	assert!(GenesisModel { input_price: 0, ..model.clone() }.model().is_none());
	assert!(GenesisModel { min_output_price: 3, ..model.clone() }.model().is_none());
	assert!(GenesisModel { max_input_price: 0, ..model.clone() }.model().is_none());
	assert_eq!(serde_json::from_str::<GenesisModel>(&serde_json::to_string(&model).unwrap()).unwrap(), model);
	assert!(GenesisModel { name: "n".repeat(65), ..model.clone() }.model().is_none());
	assert!(GenesisModel { quantisation: "q".repeat(17), ..model }.model().is_none());
}

#[test]
#[should_panic(expected = "bad model in the genesis configuration")]
fn a_genesis_with_the_same_model_twice_is_rejected() {
	let models = vec![genesis_model("a"), genesis_model("a")];
	let market = crate::GenesisConfig { models, ..Default::default() };
	let _ = RuntimeGenesisConfig { market, ..Default::default() }.build_storage();
}
