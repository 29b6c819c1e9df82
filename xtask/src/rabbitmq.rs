//! A private RabbitMQ of one node or several, with its own Erlang name server, cookie, node names, users and folders. The
//! services have the users of `broker/definitions.json`, who may do what that says; another one, for tests and operators,
//! may do anything.

use std::env;
use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::paths;
use crate::ports::Ports;
use crate::probe::Probe;
use crate::process::{Environment, Part, Stage};
use crate::services;
use crate::stack::Layout;

mod cluster;

const OPERATOR: &str = "operator";
const PASSWORD: &str = "rabbitmq-demo-password";

/// A broker to start, and where its nodes listen.
pub(crate) struct Broker {
    pub(crate) parts: Vec<Part>,
    pub(crate) ports: Vec<u16>,
}

/// One node.
struct Node {
    /// Of the part.
    name: String,
    /// What Erlang calls it.
    erlang: String,
    folder: PathBuf,
    amqp: u16,
    distribution: u16,
}

impl Broker {
    /// How an operator reaches it.
    pub(crate) fn url(&self) -> String {
        url(OPERATOR, PASSWORD, &self.ports)
    }
}

/// Where a user reaches nodes that listen there.
pub(crate) fn url(user: &str, password: &str, ports: &[u16]) -> String {
    let hosts: Vec<_> = ports.iter().map(|port| format!("127.0.0.1:{port}")).collect();
    format!("amqp://{user}:{password}@{}/%2f", hosts.join(","))
}

/// The first of several is called as an only one.
pub(crate) fn name_of(node: usize) -> String {
    services::name_of(services::BROKER, node)
}

/// What Erlang calls a node of that name.
pub(crate) fn erlang_name(node: &str) -> String {
    format!("{}@localhost", node.replacen(services::BROKER, "order-processing", 1))
}

pub(crate) fn prepare(layout: &Layout, free: &mut Ports, nodes: usize) -> Result<Broker> {
    cluster::ensure_none_is_left_out(layout, nodes)?;
    let names = free.get("epmd")?;
    let nodes = (1..=nodes).map(|node| Node::new(node, layout, free)).collect::<Result<Vec<_>>>()?;
    let home = layout.folder(services::BROKER)?.join("home");
    fs::create_dir_all(&home)?;
    cluster::make_cookie(&home)?;
    let environment = |node: &Node| variables(node, &home, names);
    let mut parts = vec![epmd(layout, names, environment(&nodes[0])?)?];
    for node in &nodes {
        let variables = environment(node)?;
        write_configuration(node, &nodes, &variables)?;
        parts.push(server_part(layout, node, variables)?);
    }
    if nodes.len() > 1 {
        parts.push(cluster::growth(layout, &nodes, &environment(&nodes[0])?)?);
    }
    Ok(Broker { parts, ports: nodes.iter().map(|node| node.amqp).collect() })
}

impl Node {
    fn new(node: usize, layout: &Layout, free: &mut Ports) -> Result<Self> {
        let name = name_of(node);
        // So were the ports of an only one always called.
        let suffix = name.strip_prefix(services::BROKER).unwrap_or_default();
        Ok(Self {
            erlang: erlang_name(&name),
            folder: layout.folder(&name)?,
            amqp: free.get(&format!("amqp{suffix}"))?,
            distribution: free.get(&format!("erlang-distribution{suffix}"))?,
            name,
        })
    }
}

fn server_part(layout: &Layout, node: &Node, variables: Vec<(String, String)>) -> Result<Part> {
    Ok(Part {
        name: node.name.clone(),
        stage: Stage::Broker,
        listed: true,
        folder: node.folder.clone(),
        program: server().context("RabbitMQ is not installed")?,
        args: Vec::new(),
        environment: Environment::Own,
        variables,
        user: None,
        ports: vec![node.amqp, node.distribution],
        log: layout.log(&node.name),
        needs: vec!["epmd".to_owned()],
        ready: Probe::Amqp(node.amqp),
        stop: Signal::SIGTERM,
        patience: Duration::from_secs(30),
        orphaned: Signal::SIGKILL,
    })
}

fn epmd(layout: &Layout, port: u16, variables: Vec<(String, String)>) -> Result<Part> {
    Ok(Part {
        name: "epmd".to_owned(),
        stage: Stage::BrokerNames,
        listed: false,
        folder: layout.folder("epmd")?,
        program: paths::program("epmd").context("Erlang is not installed")?,
        args: Vec::new(),
        environment: Environment::Own,
        variables,
        user: None,
        ports: vec![port],
        log: layout.log("epmd"),
        needs: Vec::new(),
        ready: Probe::Tcp((Ipv4Addr::LOCALHOST, port).into()),
        stop: Signal::SIGTERM,
        patience: Duration::from_secs(2),
        orphaned: Signal::SIGKILL,
    })
}

/// The server's own script. Debian's wrapper around it insists on the user `rabbitmq` and the machine's own folders.
pub(crate) fn server() -> Option<PathBuf> {
    let debian = PathBuf::from("/usr/lib/rabbitmq/bin/rabbitmq-server");
    if debian.is_file() { Some(debian) } else { paths::program("rabbitmq-server") }
}

fn variables(node: &Node, home: &Path, names: u16) -> Result<Vec<(String, String)>> {
    let text = |path: &Path| path.to_str().map(str::to_owned).context("the path of the stack is not UTF-8");
    let inside = |name: &str| text(&node.folder.join(name));
    let variables = [
        // With the cookie.
        ("HOME", text(home)?),
        ("ERL_EPMD_ADDRESS", "127.0.0.1".to_owned()),
        ("ERL_EPMD_PORT", names.to_string()),
        ("RABBITMQ_NODENAME", node.erlang.clone()),
        ("RABBITMQ_NODE_PORT", node.amqp.to_string()),
        ("RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1".to_owned()),
        ("RABBITMQ_DIST_PORT", node.distribution.to_string()),
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

fn write_configuration(node: &Node, nodes: &[Node], variables: &[(String, String)]) -> Result<()> {
    let folder = &node.folder;
    for name in ["conf.d", "log", "data", "schema"] {
        fs::create_dir_all(folder.join(name))?;
    }
    fs::write(folder.join("enabled_plugins"), "[].\n")?;
    fs::write(folder.join("rabbitmq-env.conf"), "")?;
    let mut lines = vec![
        format!("listeners.tcp.1 = 127.0.0.1:{}", node.amqp),
        // Users and what they may do, brought up to date at every start.
        format!("load_definitions = {}", folder.join("definitions.json").display()),
        // What quorum queues have written is kept in memory, settled or not, until so much has come together; by default
        // that is 512 MiB. Then it is written elsewhere and everybody waits for the disk: with 32 MiB for 50 to 90 ms.
        "raft.wal_max_size_bytes = 4194304".to_owned(),
        "log.file = false".to_owned(),
        "log.console = true".to_owned(),
        "log.console.level = info".to_owned(),
    ];
    if nodes.len() > 1 {
        lines.extend(cluster::configuration(nodes));
    }
    fs::write(folder.join("rabbitmq.conf"), lines.join("\n") + "\n")?;
    let ours = fs::read_to_string(paths::root().join("broker/definitions.json"))?;
    fs::write(folder.join("definitions.json"), definitions(&ours, &prefix()?)?)?;
    write_scripts(node, variables)
}

/// The setting of the services, which see it as it is.
fn prefix() -> Result<String> {
    let prefix = env::var_os("AMQP_PREFIX").unwrap_or_default();
    prefix.into_string().ok().context("AMQP_PREFIX is not UTF-8")
}

/// With names that all begin with the prefix, and with the operator.
fn definitions(ours: &str, prefix: &str) -> Result<String> {
    let pattern: String = prefix
        .chars()
        .flat_map(|letter| (!letter.is_alphanumeric()).then_some('\\').into_iter().chain([letter]))
        .collect();
    let mut definitions: Value = serde_json::from_str(ours)?;
    for permission in definitions["permissions"].as_array_mut().into_iter().flatten() {
        for right in ["configure", "write", "read"] {
            let names =
                permission[right].as_str().and_then(|names| names.strip_prefix('^')).context("not a pattern")?;
            permission[right] = format!("^{pattern}{names}").into();
        }
    }
    // Of these the exchange is named as it is, and the routing keys have no prefix.
    for permission in definitions["topic_permissions"].as_array_mut().into_iter().flatten() {
        let exchange = permission["exchange"].as_str().context("not a name")?;
        permission["exchange"] = format!("{prefix}{exchange}").into();
    }
    let add = |list: &mut Value, entry: Value| list.as_array_mut().map(|list| list.push(entry)).context("not a list");
    add(&mut definitions["users"], json!({"name": OPERATOR, "password": PASSWORD, "tags": ["administrator"]}))?;
    let anything = json!({"user": OPERATOR, "vhost": "/", "configure": ".*", "write": ".*", "read": ".*"});
    add(&mut definitions["permissions"], anything)?;
    Ok(definitions.to_string())
}

/// `rabbitmq/ctl list_queues` in the stack's folder asks this node and no other. `rabbitmq/eval 'node().'` does what `ctl eval`
/// does in a hundredth of the time, for what is asked again and again.
fn write_scripts(node: &Node, variables: &[(String, String)]) -> Result<()> {
    let variables = variables.iter().filter(|(name, _)| name != "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS");
    let exports: Vec<_> = variables.map(|(name, value)| format!("export {name}='{value}'\n")).collect();
    let exports = exports.concat();
    let write = |name, command| write_program(&node.folder.join(name), &format!("#!/bin/sh\n{exports}{command}\n"));
    let control = server().context("RabbitMQ is not installed")?.with_file_name("rabbitmqctl");
    write("ctl", format!("exec '{}' \"$@\"", control.display()))?;
    // Who only runs the system can do without.
    let Some(call) = paths::program("erl_call") else { return Ok(()) };
    write("eval", format!("exec '{}' -r -name '{}' -fetch_stdout -e <<END\n$1\nEND", call.display(), node.erlang))
}

fn write_program(path: &Path, script: &str) -> Result<()> {
    fs::write(path, script)?;
    Ok(fs::set_permissions(path, fs::Permissions::from_mode(0o755))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_part_of_the_names_that_a_service_has_a_right_to() {
        let ours = include_str!("../../broker/definitions.json");
        let definitions: Value =
            serde_json::from_str(&definitions(ours, "shop.eu-").expect("definitions")).expect("JSON");
        let patterns = |user: &str| {
            let permissions = definitions["permissions"].as_array().expect("a list");
            let permission = permissions.iter().find(|permission| permission["user"] == user).expect("the user");
            ["configure", "write", "read"].map(|right| permission[right].as_str().expect("a pattern").to_owned())
        };
        for service in ["orders-service", "payments-service"] {
            for pattern in patterns(service) {
                assert!(pattern.starts_with(r"^shop\.eu\-(order-processing(\.dead)?|"), "{pattern}");
            }
        }
        assert_eq!(patterns(OPERATOR), [".*"; 3]);
        let exchanges = definitions["topic_permissions"].as_array().expect("a list").iter();
        assert!(exchanges.map(|permission| &permission["exchange"]).all(|name| name == "shop.eu-order-processing"));
    }
}
