//! A private RabbitMQ, with its own Erlang name server, cookie, node name, user and folders.

use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::signal::Signal;

use crate::paths;
use crate::ports::Ports;
use crate::probe::Probe;
use crate::process::{Environment, Part, Stage};
use crate::stack::Layout;

const USER: &str = "order-processing";
const PASSWORD: &str = "rabbitmq-demo-password";

/// A broker to start, and how the services reach it.
pub(crate) struct Broker {
    pub(crate) parts: [Part; 2],
    pub(crate) url: String,
}

pub(crate) fn prepare(layout: &Layout, free: &mut Ports) -> Result<Broker> {
    let amqp = free.get("amqp")?;
    let distribution = free.get("erlang-distribution")?;
    let names = free.get("epmd")?;
    let folder = layout.folder("rabbitmq")?;
    let variables = variables(&folder, amqp, distribution, names)?;
    write_configuration(&folder, amqp, &variables)?;
    let broker = Part {
        name: "rabbitmq".to_owned(),
        stage: Stage::Broker,
        listed: true,
        folder: folder.clone(),
        program: server().context("RabbitMQ is not installed")?,
        args: Vec::new(),
        environment: Environment::Own,
        variables: variables.clone(),
        user: None,
        ports: vec![amqp, distribution],
        log: layout.log("rabbitmq"),
        needs: vec!["epmd"],
        ready: Probe::Amqp(amqp),
        stop: Signal::SIGTERM,
        patience: Duration::from_secs(30),
        orphaned: Signal::SIGKILL,
    };
    let epmd = Part {
        name: "epmd".to_owned(),
        stage: Stage::BrokerNames,
        listed: false,
        folder: layout.folder("epmd")?,
        program: paths::program("epmd").context("Erlang is not installed")?,
        args: Vec::new(),
        environment: Environment::Own,
        variables,
        user: None,
        ports: vec![names],
        log: layout.log("epmd"),
        needs: Vec::new(),
        ready: Probe::Tcp((Ipv4Addr::LOCALHOST, names).into()),
        stop: Signal::SIGTERM,
        patience: Duration::from_secs(2),
        orphaned: Signal::SIGKILL,
    };
    Ok(Broker { parts: [epmd, broker], url: format!("amqp://{USER}:{PASSWORD}@127.0.0.1:{amqp}/%2f") })
}

/// The server's own script. Debian's wrapper around it insists on the user `rabbitmq` and the machine's own folders.
pub(crate) fn server() -> Option<PathBuf> {
    let debian = PathBuf::from("/usr/lib/rabbitmq/bin/rabbitmq-server");
    if debian.is_file() { Some(debian) } else { paths::program("rabbitmq-server") }
}

fn variables(folder: &Path, amqp: u16, distribution: u16, names: u16) -> Result<Vec<(String, String)>> {
    let inside =
        |name: &str| folder.join(name).to_str().map(str::to_owned).context("the path of the stack is not UTF-8");
    let variables = [
        // The cookie is made here.
        ("HOME", inside("home")?),
        ("ERL_EPMD_ADDRESS", "127.0.0.1".to_owned()),
        ("ERL_EPMD_PORT", names.to_string()),
        ("RABBITMQ_NODENAME", "order-processing@localhost".to_owned()),
        ("RABBITMQ_NODE_PORT", amqp.to_string()),
        ("RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1".to_owned()),
        ("RABBITMQ_DIST_PORT", distribution.to_string()),
        ("RABBITMQ_CONFIG_FILE", inside("rabbitmq.conf")?),
        // These would be read from /etc/rabbitmq otherwise.
        ("RABBITMQ_CONFIG_FILES", inside("conf.d")?),
        ("RABBITMQ_ADVANCED_CONFIG_FILE", inside("advanced.config")?),
        ("RABBITMQ_CONF_ENV_FILE", inside("rabbitmq-env.conf")?),
        ("RABBITMQ_ENABLED_PLUGINS_FILE", inside("enabled_plugins")?),
        ("RABBITMQ_GENERATED_CONFIG_DIR", inside("schema")?),
        ("RABBITMQ_SCHEMA_DIR", inside("schema")?),
        ("RABBITMQ_LOG_BASE", inside("log")?),
        ("RABBITMQ_MNESIA_BASE", inside("data")?),
        ("RABBITMQ_PID_FILE", inside("rabbitmq.pid")?),
        ("RABBITMQ_FEATURE_FLAGS_FILE", inside("data/feature_flags")?),
        ("RABBITMQ_PLUGINS_EXPAND_DIR", inside("data/plugins")?),
        // No busy waiting: the processors are shared with everything else here.
        (
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS",
            "+sbwt none +sbwtdcpu none +sbwtdio none -kernel inet_dist_use_interface {127,0,0,1}".to_owned(),
        ),
        // An epmd that the broker starts by itself would be a daemon, out of our sight.
        ("ERL_AFLAGS", "-start_epmd false".to_owned()),
        // Makes the script become the server instead of waiting for it, so that the pid we know is the server's.
        ("RUNNING_UNDER_SYSTEMD", "true".to_owned()),
    ];
    Ok(variables.map(|(name, value)| (name.to_owned(), value)).into())
}

fn write_configuration(folder: &Path, amqp: u16, variables: &[(String, String)]) -> Result<()> {
    for name in ["home", "conf.d", "log", "data", "schema"] {
        fs::create_dir_all(folder.join(name))?;
    }
    fs::write(folder.join("enabled_plugins"), "[].\n")?;
    fs::write(folder.join("rabbitmq-env.conf"), "")?;
    let lines = [
        format!("listeners.tcp.1 = 127.0.0.1:{amqp}"),
        // Made at the first start.
        format!("default_user = {USER}"),
        format!("default_pass = {PASSWORD}"),
        "log.file = false".to_owned(),
        "log.console = true".to_owned(),
        "log.console.level = info".to_owned(),
        String::new(),
    ];
    fs::write(folder.join("rabbitmq.conf"), lines.join("\n"))?;
    write_control_script(folder, variables)
}

/// `rabbitmq/ctl list_queues` in the stack's folder asks this broker and no other.
fn write_control_script(folder: &Path, variables: &[(String, String)]) -> Result<()> {
    let variables = variables.iter().filter(|(name, _)| name != "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS");
    let exports: Vec<_> = variables.map(|(name, value)| format!("export {name}='{value}'\n")).collect();
    let control = server().context("RabbitMQ is not installed")?.with_file_name("rabbitmqctl");
    let script = format!("#!/bin/sh\n{}exec '{}' \"$@\"\n", exports.concat(), control.display());
    let path = folder.join("ctl");
    fs::write(&path, script)?;
    Ok(fs::set_permissions(path, fs::Permissions::from_mode(0o755))?)
}
