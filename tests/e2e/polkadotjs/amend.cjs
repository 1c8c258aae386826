// A voter changes a parameter with polkadot.js: preimage, referendum, deposit, votes of unequal compute, tally,
// enactment, and the new value at the next epoch. Argument: the node's URL.
"use strict";

const { assert, run, send, until } = require("./common.cjs");

const GNK = 1_000_000_000n;
const KEY = { Market: { MinDeposit: null } };
const NEW = GNK / 2n;

run(async (api, keyring) => {
	const [alice, bob, charlie, dave] = ["//Alice", "//Bob", "//Charlie", "//Dave"].map((uri) => keyring.addFromUri(uri));
	const value = async () => {
		const stored = await api.query.parameters.parameters(KEY);
		return stored.isSome ? BigInt(stored.unwrap().asMarket.asMinDeposit.toString()) : undefined;
	};
	const referendum = async (index) => (await api.query.referenda.referendumInfoFor(index)).unwrap();
	const propose = async (amendment) => {
		const call = api.tx.amendments.amend(amendment);
		await send(api, api.tx.preimage.notePreimage(call.method.toHex()), dave);
		const proposal = { Lookup: { hash: call.method.hash.toHex(), len: call.method.encodedLength } };
		const submit = api.tx.referenda.submit({ ConvictionVoting: "Parameters" }, proposal, { After: 3 });
		const events = await send(api, submit, dave);
		const submitted = events.find((event) => api.events.referenda.Submitted.is(event));
		return submitted.data.index.toNumber();
	};
	assert.notEqual(await value(), NEW);

	const index = await propose({ Market: { MinDeposit: [null, NEW] } });
	await send(api, api.tx.referenda.placeDecisionDeposit(index), dave);
	console.log(`referendum ${index} submitted, with its deposit`);

	// Alice has about four sevenths of the compute, Bob two, Charlie one; Dave has none.
	const standard = (aye) => ({ Standard: { balance: 0, vote: { aye, conviction: "None" } } });
	await send(api, api.tx.convictionVoting.vote(index, standard(false)), alice);
	const changed = await Promise.all([
		send(api, api.tx.convictionVoting.vote(index, standard(true)), alice),
		send(api, api.tx.convictionVoting.vote(index, standard(false)), charlie),
		send(api, api.tx.convictionVoting.vote(index, { SplitAbstain: { aye: 0, nay: 0, abstain: 1 } }), bob),
	]);
	assert.equal(changed.length, 3);

	// Once it is approved, it has no tally any more.
	const { tally, track } = await until(api, "all votes in one block's state", async (number) => {
		const at = await api.at(await api.rpc.chain.getBlockHash(number));
		const info = (await at.query.referenda.referendumInfoFor(index)).unwrap();
		assert.ok(info.isOngoing, `it is ${info.type}`);
		return Number(info.asOngoing.tally.support) > Number(info.asOngoing.tally.ayes) && info.asOngoing;
	});
	const [ayes, nays, support, electorate] = ["ayes", "nays", "support", "electorate"].map((field) => Number(tally[field]));
	console.log(`tally: ${ayes} ayes, ${nays} nays, ${support} support of ${electorate}`);
	assert.equal(track.toNumber(), 1);
	const votes = async (who) => {
		const bytes = await api.rpc.state.call("GonkaApi_votes", api.createType("(u32, AccountId)", [index, who.address]).toHex());
		return Number(api.createType("Option<u128>", bytes.toU8a(true)).unwrap());
	};
	const [ofAlice, ofBob, ofCharlie, ofDave] = await Promise.all([alice, bob, charlie, dave].map(votes));
	assert.ok(ofAlice > ofBob && ofBob > ofCharlie && ofCharlie > 0 && ofDave === 0, `${[ofAlice, ofBob, ofCharlie, ofDave]}`);
	const all = ofAlice + ofBob + ofCharlie;
	for (const [what, part, due] of [["ayes", ayes, ofAlice], ["nays", nays, ofCharlie], ["support", support, ofAlice + ofBob]]) {
		assert.ok(Math.abs(part / electorate / (due / all) - 1) < 0.01, `${what}: ${part} of ${electorate}`);
	}

	await assert.rejects(send(api, api.tx.convictionVoting.vote(index, standard(true)), dave), /convictionVoting\./);

	// Four fifths of the decided votes approve at once.
	const approved = await until(api, "the referendum to be approved", async () => {
		const info = await referendum(index);
		assert.ok(info.isOngoing || info.isApproved, `it is ${info.type}`);
		return info.isApproved;
	});
	assert.ok(approved);
	const pending = await until(api, "the amendment to wait", async (number) => {
		const waiting = await api.query.amendments.pending();
		return (waiting.length > 0 || (await value()) === NEW) && number;
	});
	const start = (await api.query.poc.currentEpoch()).unwrap();
	console.log(`approved and enacted by block ${pending}, in epoch ${start.index}`);
	await until(api, "the new value", async () => {
		const epoch = (await api.query.poc.currentEpoch()).unwrap().index.toNumber();
		const now = await value();
		if (now !== NEW) assert.equal(epoch, start.index.toNumber(), "an epoch began without the new value");
		return now === NEW;
	});
	console.log(`the new value is in force in epoch ${(await api.query.poc.currentEpoch()).unwrap().index}`);

	// An account cannot amend by itself.
	await assert.rejects(
		send(api, api.tx.amendments.amend({ Market: { MinDeposit: [null, 0] } }), alice),
		/BadOrigin/,
	);
	await send(api, api.tx.referenda.refundDecisionDeposit(index), dave);
	console.log("the decision deposit is back");
});
