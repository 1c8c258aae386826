//! The programs in `examples/`.

use super::*;

impl Scenario {
	/// Runs every program of `examples/` against the network, as the comment at its top says.
	pub async fn every_example_runs(&self) -> Result<()> {
		step("the programs in examples/ run against the network");
		// Read at run time: the compiled test may serve another checkout.
		let folder = std::env::var_os("CARGO_MANIFEST_DIR").context("run this through cargo")?;
		let examples = Path::new(&folder).join("../../examples");
		let status = find_or_build(gonka::devnet::Engine::Llama)?.node.with_file_name("gonka-example-status");
		for (program, arguments, expected) in [
			(python(), &["python/chat.py"][..], "completion tokens]"),
			(python(), &["python/tools.py"], "advice: "),
			("node".into(), &["--import", "tsx", "typescript/chat.ts"], "completion tokens]"),
			(status, &[], "GNK issued"),
			("node".into(), &["polkadotjs/propose.cjs"], "the remark is in block 0x"),
		] {
			let out = self.run_example(&examples, &program, arguments).await?;
			ensure!(out.contains(expected), "{} {arguments:?} printed no `{expected}`:\n{out}", program.display());
			println!("{}", out.trim());
		}
		Ok(())
	}

	/// Runs a program in `folder` and returns its standard output.
	async fn run_example(&self, folder: &Path, program: &Path, arguments: &[&str]) -> Result<String> {
		let urls = self.devnet.urls();
		let output = Command::new(program)
			.args(arguments)
			.current_dir(folder)
			.env("OPENAI_BASE_URL", format!("{}/v1", urls.gateway))
			.env("OPENAI_API_KEY", &urls.api_key)
			.env("GONKA_MODEL", MODEL)
			.env("GONKA_NODE", urls.nodes.first().context("no node")?)
			.stdin(Stdio::null())
			.kill_on_drop(true)
			.output()
			.await
			.with_context(|| format!("cannot start {}: run scripts/setup", program.display()))?;
		let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
		ensure!(output.status.success(), "{} {arguments:?} failed:\n{out}{err}", program.display());
		Ok(out.into_owned())
	}
}
