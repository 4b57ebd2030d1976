//! Installs `redis-server` where there is apt; elsewhere names the command that does.

use anyhow::{Result, bail};

use super::{find, on_path};
use crate::cmd::Cmd;

/// Runs as root; keeps the package from starting a service that the tests don't want.
const APT_SCRIPT: &str = include_str!("apt.sh");

/// The package managers we know, by their program, and the command that installs Redis with each.
const MANAGERS: &[(&str, &str)] = &[
    (
        "apt-get",
        "sudo apt-get update && sudo apt-get install -y redis-server",
    ),
    ("brew", "brew install redis"),
    ("dnf", "sudo dnf install -y redis"),
    ("yum", "sudo yum install -y redis"),
    ("pacman", "sudo pacman -S --noconfirm redis"),
    ("apk", "sudo apk add redis"),
    ("zypper", "sudo zypper install -y redis"),
];

/// What is known of this machine.
#[derive(Debug, Default)]
struct Probe {
    /// The first of [`MANAGERS`] that is on the PATH.
    manager: Option<&'static str>,
    root: bool,
    /// `sudo` works and asks for no password.
    sudo: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum Plan {
    /// Run the apt script, through `sudo -n` unless this is root.
    Apt { sudo: bool },
    /// Leave it to the user, who gets this advice.
    Advise(String),
}

/// Installs the server, or fails with the one command that would.
pub(super) fn install() -> Result<()> {
    println!("redis-server is not on the PATH");
    match plan(&Probe::of_this_machine()) {
        Plan::Apt { sudo } => run_apt(sudo),
        Plan::Advise(advice) => {
            bail!("the tests start their own redis-server, and there is none. {advice}")
        }
    }
}

/// A package whose service can't be started counts as a failure for apt and as a success for us.
fn run_apt(sudo: bool) -> Result<()> {
    let shell = if sudo {
        Cmd::new("sudo").args(["-n", "sh"])
    } else {
        Cmd::new("sh")
    };
    let ended = shell.args(["-c", APT_SCRIPT]).run();
    if find().is_some() { Ok(()) } else { ended }
}

fn plan(probe: &Probe) -> Plan {
    match probe.manager {
        Some("apt-get") if probe.root || probe.sudo => Plan::Apt { sudo: !probe.root },
        manager => Plan::Advise(advice(manager)),
    }
}

fn advice(manager: Option<&str>) -> String {
    match MANAGERS.iter().find(|(name, _)| Some(*name) == manager) {
        Some((_, command)) => format!("Install it with: {command}"),
        None => format!(
            "Get Redis {}.0 or newer from https://redis.io/downloads/ and put redis-server on the PATH, \
             or name the binary in {}",
            super::OLDEST_MAJOR,
            super::BIN_VARIABLE
        ),
    }
}

impl Probe {
    fn of_this_machine() -> Self {
        Self {
            manager: MANAGERS
                .iter()
                .map(|(name, _)| *name)
                .find(|name| on_path(name).is_some()),
            root: on_path("id").is_some_and(|id| {
                Cmd::new(id)
                    .arg("-u")
                    .quiet_output()
                    .is_ok_and(|user| user.trim() == "0")
            }),
            sudo: on_path("sudo")
                .is_some_and(|sudo| Cmd::new(sudo).args(["-n", "true"]).succeeds()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(manager: Option<&'static str>, root: bool, sudo: bool) -> Plan {
        plan(&Probe {
            manager,
            root,
            sudo,
        })
    }

    #[test]
    fn apt_is_run_by_those_who_may() {
        assert_eq!(
            machine(Some("apt-get"), true, false),
            Plan::Apt { sudo: false }
        );
        assert_eq!(
            machine(Some("apt-get"), true, true),
            Plan::Apt { sudo: false }
        );
        assert_eq!(
            machine(Some("apt-get"), false, true),
            Plan::Apt { sudo: true }
        );
    }

    #[test]
    fn everyone_else_gets_the_command_of_their_system() {
        for (name, command) in MANAGERS {
            let Plan::Advise(advice) = machine(Some(name), false, false) else {
                panic!("{name} would be run")
            };
            assert!(advice.contains(command), "{name}: {advice}");
        }
        assert_eq!(
            machine(Some("brew"), true, true),
            Plan::Advise(advice(Some("brew")))
        );
    }

    #[test]
    fn an_unknown_system_gets_the_download_page() {
        let Plan::Advise(advice) = machine(None, true, false) else {
            panic!("nothing can be run")
        };
        assert!(advice.contains("https://redis.io/downloads/"), "{advice}");
    }
}
