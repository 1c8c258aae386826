// Sends transactions with the hash of the metadata, as offline signers make them (RFC 78). An independent program computes the
// hash from the node's metadata. Argument: the node's URL.
"use strict";

const { merkleizeMetadata } = require("@polkadot-api/merkleize-metadata");
const { u8aToHex } = require("@polkadot/util");
const { assert, run, send } = require("./common.cjs");

/** The version of metadata whose hash is signed. */
const VERSION = 15;

run(async (api, keyring) => {
	const dave = keyring.addFromUri("//Dave");
	const metadata = (await api.call.metadata.metadataAtVersion(VERSION)).unwrap();
	const [tokenSymbol] = api.registry.chainTokens;
	const [decimals] = api.registry.chainDecimals;
	const hash = (info) => u8aToHex(merkleizeMetadata(metadata.toU8a(true), info).digest());
	const remark = (options) => send(api, api.tx.system.remarkWithEvent("a remark"), dave, options);

	const truth = hash({ tokenSymbol, decimals });
	const events = await remark({ mode: 1, metadataHash: truth });
	assert.ok(events.some((event) => api.events.system.Remarked.is(event)), "accepted, without an effect");
	console.log(`accepted with the hash ${truth}`);

	// Signers that were told other decimals or another symbol would show other amounts.
	for (const metadataHash of [hash({ tokenSymbol, decimals: decimals + 1 }), hash({ tokenSymbol: "DOT", decimals })]) {
		await assert.rejects(remark({ mode: 1, metadataHash }), /bad signature/);
	}
	// Nor is a signature without the hash one with it, and the other way round.
	await assert.rejects(remark({ mode: 1 }), /bad signature/);
	await assert.rejects(remark({ mode: 0, metadataHash: truth }), /bad signature/);
	console.log("wrong and missing hashes are rejected");
});
