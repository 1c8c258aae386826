// Read a parameter that governance controls, and submit a signed transaction, with polkadot.js.
//
// Start a network with `make devnet`. In another terminal, with Node.js 20 or newer:
//
//     npm --prefix examples ci                          # `make devnet` has done this already
//     node examples/polkadotjs/propose.cjs              # Dave writes a remark
//     node examples/polkadotjs/propose.cjs 3            # Alice votes aye in referendum 3
//
// GONKA_NODE chooses another node. `gonka gov propose` opens a referendum to vote in.
"use strict";

const { ApiPromise, Keyring, WsProvider } = require("@polkadot/api");

/** Signs and sends `transaction`; resolves to the hash of the block that includes it. */
function submit(api, transaction, signer) {
	return new Promise((resolve, reject) => {
		transaction
			.signAndSend(signer, ({ status, dispatchError }) => {
				if (dispatchError?.isModule) {
					const { section, name, docs } = api.registry.findMetaError(dispatchError.asModule);
					reject(new Error(`${section}.${name}: ${docs.join(" ")}`));
				} else if (dispatchError) {
					reject(new Error(dispatchError.toString()));
				} else if (status.isInBlock) {
					resolve(status.asInBlock.toHex());
				} else if (status.isInvalid || status.isDropped || status.isUsurped) {
					reject(new Error(`the transaction pool reports ${status.type}`));
				}
			})
			.catch(reject);
	});
}

async function main(referendum) {
	const provider = new WsProvider(process.env.GONKA_NODE ?? "ws://127.0.0.1:9944");
	const api = await ApiPromise.create({ provider, throwOnConnect: true, noInitWarn: true });
	const keyring = new Keyring({ type: "sr25519" });

	// Storage holds a parameter only once governance has changed it.
	const stored = await api.query.parameters.parameters({ Market: { MinDeposit: null } });
	const value = stored.isSome ? `${stored.unwrap().asMarket.asMinDeposit} base units` : "its default";
	console.log(`Market.MinDeposit is ${value}`);

	if (referendum === undefined) {
		const block = await submit(api, api.tx.system.remark("Hello from polkadot.js"), keyring.addFromUri("//Dave"));
		console.log(`the remark is in block ${block}`);
	} else {
		// An account votes with its effective weight; `balance` is ignored.
		const aye = { Standard: { balance: 0, vote: { aye: true, conviction: "None" } } };
		const block = await submit(api, api.tx.convictionVoting.vote(referendum, aye), keyring.addFromUri("//Alice"));
		console.log(`the vote in referendum ${referendum} is in block ${block}`);
	}
	await api.disconnect();
}

main(process.argv[2]).then(
	() => process.exit(0),
	(error) => {
		console.error(error);
		process.exit(1);
	},
);
