// A light client, smoldot, follows the chain over the network's own protocols, from genesis and from a checkpoint: it verifies
// BABE's headers across a change of session and GRANDPA's finality, and reads an account with a proof.
// Argument: the URL of a node that is the chain's only validator (docs/operators.md#light-clients says why).
"use strict";

const { assert, run } = require("./common.cjs");
const { start } = require("smoldot");

/** Number of blocks that the client follows: more than a session has. */
const FOLLOWED = 12;

run(async (api, keyring) => {
	const specification = (await api.rpc.syncstate.genSyncSpec(true)).toJSON();
	const addresses = (await api.rpc.system.localListenAddresses()).map(String);
	specification.bootNodes = addresses.filter((address) => /^\/ip4\/127\.0\.0\.1\/tcp\/\d+\/p2p\//.test(address));
	assert.ok(specification.bootNodes.length > 0, `no address of this machine among ${addresses}`);
	const genesis = { ...specification, lightSyncState: null };
	for (const [origin, chainSpec] of Object.entries({ genesis, checkpoint: specification })) {
		const client = start({ logCallback: (_, target, message) => console.log(`  ${target}: ${message}`), maxLogLevel: 2 });
		try {
			const chain = await client.addChain({ chainSpec: JSON.stringify(chainSpec) });
			await follow(api, keyring.addFromUri("//Alice").address, chain, origin);
		} finally {
			await client.terminate();
		}
	}
});

async function follow(api, address, chain, origin) {
	let last = 0;
	const send = (method, params) => chain.sendJsonRpc(JSON.stringify({ jsonrpc: "2.0", id: (last += 1), method, params }));
	const key = api.query.system.account.key(address);
	let subscription, first, read;
	send("chainHead_v1_follow", [false]);
	for await (const text of chain.jsonRpcResponses) {
		const { result, error, params } = JSON.parse(text);
		assert.equal(error, undefined);
		subscription ??= result;
		const event = params?.result;
		switch (event?.event) {
			case "initialized":
			case "finalized": {
				const block = event.finalizedBlockHashes.at(-1);
				const number = (await api.rpc.chain.getHeader(block)).number.toNumber();
				first ??= number;
				if (number < first + FOLLOWED || read) break;
				assert.equal((await api.rpc.chain.getBlockHash(number)).toHex(), block);
				assert.ok((await api.rpc.chain.getHeader(await api.rpc.chain.getFinalizedHead())).number.toNumber() >= number);
				read = { block, number };
				send("chainHead_v1_storage", [subscription, block, [{ key, type: "value" }], null]);
				break;
			}
			case "operationStorageItems":
				read.value = event.items[0].value;
				break;
			case "operationStorageDone":
				assert.equal(read.value, (await api.rpc.state.getStorage(key, read.block)).toHex());
				console.log(`from ${origin}: followed blocks ${first} to ${read.number}, and read ${read.value.slice(0, 34)}…`);
				return;
			case "stop":
			case "operationError":
			case "operationInaccessible":
				assert.fail(text);
		}
	}
}
