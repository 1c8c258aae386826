// Helpers of the scripts: connect, send transactions, wait for conditions on the chain.
"use strict";

const assert = require("node:assert/strict");
const { ApiPromise, Keyring, WsProvider } = require("@polkadot/api");

/** Maximum number of blocks of every wait. A wait ends when its condition holds; this bound only ends one that hangs. */
const PATIENCE = 900;

/** Runs `main(api, keyring, ...arguments)`; the program's first argument is the node's URL. */
function run(main) {
	const [url, ...rest] = process.argv.slice(2);
	const go = async () => {
		const api = await ApiPromise.create({ provider: new WsProvider(url), throwOnConnect: true, noInitWarn: true });
		try {
			await main(api, new Keyring({ type: "sr25519" }), ...rest);
		} finally {
			await api.disconnect();
		}
	};
	go().then(
		() => process.exit(0),
		(error) => {
			console.error(error);
			process.exit(1);
		},
	);
}

/**
 * Signs and sends a transaction, and returns its events. Fails with the name of the chain's error. Options are those of
 * `signAndSend`.
 *
 * For a moment after a block, a node returns the nonce that the block used as the next one. It then rejects the transaction
 * as outdated, which changes nothing, and the next block brings another attempt.
 */
async function send(api, tx, signer, options = {}) {
	let rejection;
	const sent = await until(api, "the account's next nonce", async () => {
		try {
			return { events: await sendOnce(api, tx, signer, options) };
		} catch (error) {
			if (/Transaction is outdated/.test(error.message)) return false;
			rejection = error;
			return true;
		}
	});
	if (rejection) throw rejection;
	return sent.events;
}

function sendOnce(api, tx, signer, options) {
	return new Promise((resolve, reject) => {
		tx.signAndSend(signer, options, ({ status, dispatchError, events }) => {
			if (dispatchError) {
				const known = dispatchError.isModule && api.registry.findMetaError(dispatchError.asModule);
				reject(new Error(known ? `${known.section}.${known.name}` : dispatchError.toString()));
			} else if (status.isInBlock) {
				resolve(events.map(({ event }) => event));
			} else if (status.isInvalid || status.isDropped || status.isUsurped) {
				reject(new Error(`the transaction pool reports ${status.type}`));
			}
		}).catch(reject);
	});
}

/** Calls `check` at every new block until it returns a value. */
async function until(api, what, check) {
	const first = (await api.rpc.chain.getHeader()).number.toNumber();
	let unsubscribe = () => {};
	try {
		return await new Promise((resolve, reject) => {
			let busy = false;
			const each = async (header) => {
				if (busy) return;
				busy = true;
				const found = await check(header.number.toNumber());
				if (found !== undefined && found !== false) resolve(found);
				else if (header.number.toNumber() > first + PATIENCE) reject(new Error(`${what}: not within ${PATIENCE} blocks`));
				busy = false;
			};
			api.rpc.chain
				.subscribeNewHeads((header) => void each(header).catch(reject))
				.then((stop) => (unsubscribe = stop), reject);
		});
	} finally {
		unsubscribe();
	}
}

module.exports = { assert, run, send, until };
