//! Runs the commands of the command line.

use crate::{
	chain_spec, checkpoint,
	cli::{Cli, Command},
	service::{self, Parts},
};
use gonka_runtime::{BlockNumber, opaque::Block};
use polkadot_sdk::*;
use sc_cli::{Result, SubstrateCli};
use sc_client_api::BlockBackend;
use std::sync::Arc;

impl SubstrateCli for Cli {
	fn impl_name() -> String {
		"Gonka node".into()
	}

	/// `<version>-<commit> (runtime gonka-<spec version>)`. The commit is there if the build had `GONKA_COMMIT` in its
	/// environment: reading it from git would link the node again after every commit.
	fn impl_version() -> String {
		let commit = option_env!("GONKA_COMMIT").map(|commit| format!("-{commit}")).unwrap_or_default();
		let runtime = gonka_runtime::VERSION;
		let (spec_name, spec_version) = (&runtime.spec_name, runtime.spec_version);
		format!("{}{commit} (runtime {spec_name}-{spec_version})", env!("CARGO_PKG_VERSION"))
	}

	fn description() -> String {
		"Gonka node: a chain that pays computers for running AI models. BABE authors its blocks and \
		GRANDPA finalises them, both weighted by proven compute."
			.into()
	}

	fn author() -> String {
		"the Gonka on Substrate developers".into()
	}

	fn support_url() -> String {
		"the issue tracker of the repository that this node was built from".into()
	}

	fn copyright_start_year() -> i32 {
		2026
	}

	fn load_spec(&self, id: &str) -> std::result::Result<Box<dyn sc_service::ChainSpec>, String> {
		let mut spec = if self.opens_chain() { chain_spec::load_with_state(id) } else { chain_spec::load(id) }?;
		chain_spec::use_prefix(&spec);
		checkpoint::require(&mut spec).map_err(|error| error.to_string())?;
		Ok(Box::new(spec))
	}
}

impl Cli {
	/// Whether the node runs, or the command executes blocks or reads them.
	fn opens_chain(&self) -> bool {
		use Command::{CheckBlock, ExportBlocks, ExportState, ImportBlocks, Revert};
		matches!(
			self.subcommand,
			None | Some(CheckBlock(_) | ExportBlocks(_) | ExportState(_) | ImportBlocks(_) | Revert(_))
		)
	}
}

pub fn run() -> Result<()> {
	let cli = Cli::from_args();
	let cache = cli.wasm_cache.clone();
	let Some(command) = &cli.subcommand else {
		return cli
			.create_runner(&cli.run)?
			.run_node_until_exit(|config| async move { service::start(config, cache).map_err(Into::into) });
	};

	match command {
		// These need no chain.
		Command::Key(cmd) => cmd.run(&cli),
		Command::Sign(cmd) => cmd.run(),
		Command::Verify(cmd) => cmd.run(),
		Command::Vanity(cmd) => cmd.run(),
		Command::Network(cmd) => {
			cmd.run(&Cli::executable_name()).map_err(|error| sc_cli::Error::Application(error.into()))
		},

		// These need a specification.
		Command::ExportChainSpec(cmd) => cmd.run(cli.load_spec(&cmd.chain)?),
		Command::BuildSpec(cmd) => {
			cli.create_runner(cmd)?.sync_run(|config| cmd.run(config.chain_spec, config.network))
		},
		Command::PurgeChain(cmd) => cli.create_runner(cmd)?.sync_run(|config| cmd.run(config.database)),
		Command::ChainInfo(cmd) => cli.create_runner(cmd)?.sync_run(|config| cmd.run::<Block>(&config)),

		// These need the chain itself.
		Command::CheckBlock(cmd) => cli.create_runner(cmd)?.async_run(|config| {
			let Parts { client, import_queue, task_manager, .. } = service::parts(&config, cache)?;
			Ok((cmd.run(client, import_queue), task_manager))
		}),
		Command::ImportBlocks(cmd) => cli.create_runner(cmd)?.async_run(|config| {
			let Parts { client, import_queue, task_manager, .. } = service::parts(&config, cache)?;
			Ok((cmd.run(client, import_queue), task_manager))
		}),
		Command::ExportBlocks(cmd) => cli.create_runner(cmd)?.async_run(|config| {
			let Parts { client, task_manager, .. } = service::parts(&config, cache)?;
			// The command would write an empty file and succeed.
			let first: BlockNumber = cmd.from.as_ref().map_or(Ok(1), |from| from.parse())?;
			if client.block_hash(first)?.map(|hash| client.block_body(hash)).transpose()?.flatten().is_none() {
				return Err(sc_cli::Error::Input(format!(
					"the database has no body of block {first}. One that began with warp sync, or prunes blocks, has only newer ones: \
					use another, or --from"
				)));
			}
			Ok((cmd.run(client, config.database), task_manager))
		}),
		Command::ExportState(cmd) => cli.create_runner(cmd)?.async_run(|config| {
			let Parts { client, task_manager, .. } = service::parts(&config, cache)?;
			Ok((cmd.run(client, config.chain_spec), task_manager))
		}),
		Command::Revert(cmd) => cli.create_runner(cmd)?.async_run(|config| {
			let Parts { client, backend, task_manager, .. } = service::parts(&config, cache)?;
			// Both consensus engines keep data of their own, which is reverted with the chain.
			let revert_engines = |client: Arc<_>, backend, blocks| {
				sc_consensus_babe::revert(Arc::clone(&client), backend, blocks)?;
				sc_consensus_grandpa::revert(client, blocks)?;
				Ok(())
			};
			Ok((cmd.run(client, backend, Some(Box::new(revert_engines))), task_manager))
		}),
	}
}
