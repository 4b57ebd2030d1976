//! Developer tasks of the Larder workspace, run as `cargo xtask COMMAND`.
//!
//! A task runner in Rust needs no shell, no `make` and no installed cargo plugin, so a fresh machine with
//! rustup and a C compiler can run all that CI runs.

mod book;
mod cmd;
mod context;
mod prove;
mod redis;
mod runner;
mod steps;
mod workspace;

use std::process::ExitCode;

use clap::builder::PossibleValuesParser;
use clap::{Args, Parser, Subcommand};

/// Developer tasks of the Larder workspace.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Run everything that must pass, from a Redis server to a consumer outside the workspace
    ///
    /// The steps run in order and stop at the first that fails. Nothing is skipped: where there is no
    /// redis-server it is installed with apt, or the command that installs it on this system is named.
    Test(TestArgs),
    /// Check the models to their full bounds and let the storms loose: the long form of the proofs
    Prove,
}

#[derive(Args)]
struct TestArgs {
    /// Run this step only; may be given more than once
    #[arg(long, value_name = "STEP", value_parser = PossibleValuesParser::new(steps::names()))]
    only: Vec<String>,

    /// List the steps and what each one does
    #[arg(long)]
    list: bool,
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().task {
        Task::Test(args) if args.list => {
            runner::list();
            Ok(())
        }
        Task::Test(args) => runner::run(&args.only),
        Task::Prove => prove::run(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nerror: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        super::Cli::command().debug_assert();
    }
}
