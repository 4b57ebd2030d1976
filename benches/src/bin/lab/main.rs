//! The lab: runs the patterns on real input and shows what each one does.
//!
//! `cargo lab replay --help` says what it reads and what it measures.

mod args;
mod measure;
mod oracle;
mod origin;
mod replay;
mod report;
mod run;
mod store;
mod subject;
mod trace;
mod workload;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Larder's lab: runs the caching patterns on real input and shows what each one does.
#[derive(Debug, Parser)]
#[command(name = "lab", bin_name = "cargo lab")]
struct Lab {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Replay(args::Replay),
}

#[tokio::main]
async fn main() -> ExitCode {
    let Command::Replay(replay) = Lab::parse().command;
    match run::run(&replay).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
