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

	// Alice has four sevenths of the compute, Bob two, Charlie one; Dave has none.
	const standard = (aye) => ({ Standard: { balance: 0, vote: { aye, conviction: "None" } } });
	await send(api, api.tx.convictionVoting.vote(index, standard(false)), alice);
	const changed = await Promise.all([
		send(api, api.tx.convictionVoting.vote(index, standard(true)), alice),
		send(api, api.tx.convictionVoting.vote(index, standard(false)), charlie),
		send(api, api.tx.convictionVoting.vote(index, { SplitAbstain: { aye: 0, nay: 0, abstain: 1 } }), bob),
	]);
	assert.equal(changed.length, 3);
	await assert.rejects(send(api, api.tx.convictionVoting.vote(index, standard(true)), dave), /convictionVoting\./);

	const { tally, track } = (await referendum(index)).asOngoing;
	const [ayes, nays, support, electorate] = ["ayes", "nays", "support", "electorate"].map((field) => Number(tally[field]));
	console.log(`tally: ${ayes} ayes, ${nays} nays, ${support} support of ${electorate}`);
	assert.equal(track.toNumber(), 1);
	for (const [what, part, share] of [["ayes", ayes, 4 / 7], ["nays", nays, 1 / 7], ["support", support, 6 / 7]]) {
		assert.ok(Math.abs(part / electorate / share - 1) < 0.2, `${what}: ${part} of ${electorate}`);
	}

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
