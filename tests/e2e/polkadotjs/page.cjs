// Checks that the published packages find in the chain's metadata what the Referenda page of polkadot.js Apps needs.
// Argument: the node's URL.
"use strict";

const { assert, run } = require("./common.cjs");

run(async (api) => {
	// The page is shown if these exist.
	for (const [pallet, call] of [
		["referenda", "submit"],
		["referenda", "placeDecisionDeposit"],
		["referenda", "refundDecisionDeposit"],
		["referenda", "refundSubmissionDeposit"],
		["convictionVoting", "vote"],
		["convictionVoting", "delegate"],
		["convictionVoting", "undelegate"],
		["convictionVoting", "removeVote"],
		["preimage", "notePreimage"],
	]) {
		assert.equal(typeof api.tx[pallet]?.[call], "function", `no ${pallet}.${call}`);
	}
	assert.equal(api.consts.convictionVoting.voteLockingPeriod.toNumber(), 0);

	// The list of tracks: pairs of number and info, with names as text.
	const tracks = api.consts.referenda.tracks.map(([id, info]) => {
		for (const field of ["maxDeciding", "decisionDeposit", "decisionPeriod", "minApproval", "minSupport"]) {
			assert.ok(info[field] !== undefined, `a track without ${field}`);
		}
		return [id.toNumber(), info.name.toUtf8 ? info.name.toUtf8() : info.name.toString()];
	});
	const names = tracks.map(([id, name]) => `${id} ${name.replace(/\0/g, "")}`);
	assert.deepEqual(names, ["0 upgrade", "1 parameters", "2 models", "3 treasury", "4 emergency"]);

	// The vote: polkadot.js recognises the runtime's type by its path.
	const vote = api.tx.convictionVoting.vote(3, {
		Standard: { balance: 1_000_000_000n, vote: { aye: true, conviction: "None" } },
	});
	const [index, account] = vote.args;
	assert.equal(index.toNumber(), 3);
	assert.ok(account.isStandard && account.asStandard.vote.isAye && account.asStandard.vote.conviction.isNone);
	const nay = api.tx.convictionVoting.vote(3, { Standard: { balance: 0, vote: { aye: false, conviction: "Locked1x" } } });
	assert.ok(!nay.args[1].asStandard.vote.isAye && nay.args[1].asStandard.vote.conviction.isLocked1x);
	const abstain = api.tx.convictionVoting.vote(3, { SplitAbstain: { aye: 0, nay: 0, abstain: 7 } });
	assert.ok(abstain.args[1].isSplitAbstain);
	const decoded = api.registry.createType("Call", vote.method.toHex());
	assert.equal(`${decoded.section}.${decoded.method}`, "convictionVoting.vote");

	// The tally: the page recognises this kind by `support`, and other kinds by `bareAyes`.
	const info = api.registry.lookup.getTypeDef(api.query.referenda.referendumInfoFor.creator.meta.type.asMap.value);
	const status = JSON.stringify(info.sub);
	assert.ok(status.includes("Ongoing"), "no ongoing referenda");
	const tally = api.registry.lookup.names.find((name) => name.endsWith("Tally"));
	assert.ok(tally, "no tally in the metadata");
	const fields = Object.keys(api.createType(tally).toJSON());
	for (const field of ["ayes", "nays", "support"]) {
		assert.ok(fields.includes(field), `a tally without ${field}: ${fields}`);
	}
	assert.ok(!fields.includes("bareAyes"));

	// Storage with these names would be taken for balances that votes lock.
	assert.equal(api.query.convictionVoting.votingFor, undefined);
	assert.equal(api.query.convictionVoting.classLocksFor, undefined);
	console.log(`tracks ${names.join(", ")}; tally ${fields.join(", ")}`);
});
